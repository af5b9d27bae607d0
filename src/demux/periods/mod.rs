//! Where a period ends and the next begins (DESIGN section 3; docs/time.md). Pure.
//!
//! Samples of one segment go in, in the order of the multiplex, and come out as pieces that each lie in one
//! period with one configuration. The tracks of a multiplex reach a boundary at different places: the first
//! to do so opens the new piece, the other joins when its own stamps do.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::{AudioParams, Flicks, Origin, Piece, StampedFrame, VideoParams, VideoSample};

/// A step of DTS forwards beyond this is another clock, not a hole.
const JUMP: Flicks = Flicks::from_millis(10_000);

/// Audio stamps jump back by some frames around PES borders; only this much is another clock.
const AUDIO_BACKWARDS: Flicks = Flicks::from_millis(500);

/// Duration of a video sample whose successor never came and that had no predecessor: one picture at 25/s.
const LONE_PICTURE: Flicks = Flicks::from_millis(40);

/// One segment cannot have more boundaries than this; what is beyond stays in the last piece. Real ones have
/// one or two; a hostile one could open a piece per packet.
const MAX_PIECES: usize = 64;

/// A video access unit with its stamps.
#[derive(Clone, Debug)]
pub struct StampedPicture {
    pub dts: Flicks,
    pub pts: Flicks,
    pub random_access: bool,
    pub data: Bytes,
}

/// Splits the samples of consecutive segments into pieces. Per segment: [`Periods::begin`], then the samples,
/// then [`Periods::end`].
#[derive(Debug, Default)]
pub struct Periods {
    period: u64,
    seen_any: bool,
    video: Track<VideoParams>,
    audio: Track<AudioParams>,
    pieces: Vec<Building>,
    /// The first picture of this segment began in the one before.
    continues: bool,
}

#[derive(Debug)]
struct Track<P> {
    /// The configuration of the samples to come.
    params: Option<Arc<P>>,
    /// That of the last sample; `None` at the begin of a clock.
    used: Option<Arc<P>>,
    last: Option<Flicks>,
    /// Index of the piece that this track has reached.
    piece: usize,
}

impl<P> Default for Track<P> {
    fn default() -> Self {
        Self { params: None, used: None, last: None, piece: 0 }
    }
}

#[derive(Debug)]
struct Building {
    period: u64,
    /// Pieces with the same clock have continuous stamps.
    clock: u64,
    begin: Option<Flicks>,
    video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
    audio: Option<(Arc<AudioParams>, Vec<StampedFrame>)>,
}

impl Building {
    fn new(period: u64, clock: u64) -> Self {
        Self { period, clock, begin: None, video: None, audio: None }
    }
}

impl Periods {
    /// A segment begins; with `discontinuity` its stamps have nothing to do with those before.
    pub fn begin(&mut self, discontinuity: bool) {
        if discontinuity && self.seen_any {
            self.period += 1;
            (self.video.last, self.video.used) = (None, None);
            (self.audio.last, self.audio.used) = (None, None);
        }
        self.video.piece = 0;
        self.audio.piece = 0;
        self.pieces = vec![Building::new(self.period, 0)];
        self.continues = false;
    }

    /// The next picture, the first of the segment, began in the one before.
    pub fn continues(&mut self) {
        self.continues = true;
    }

    pub fn video_params(&mut self, params: Arc<VideoParams>) {
        self.video.params = Some(params);
    }

    pub fn audio_params(&mut self, params: Arc<AudioParams>) {
        self.audio.params = Some(params);
    }

    /// A picture; ignored before its parameters.
    pub fn picture(&mut self, picture: StampedPicture) {
        let Some(params) = self.video.params.clone() else { return };
        let time = picture.dts;
        let jumped = self.video.last.is_some_and(|last| time < last || time > last + JUMP);
        let here = self.pieces[self.video.piece].video.as_ref().map(|(known, _)| known);
        let known = here.or(self.video.used.as_ref());
        let change = known.filter(|known| **known != params).map(|known| is_new_period(known, &params));
        let piece = self.advance(self.video.piece, time, jumped, change, |piece| piece.video.is_some());
        self.video.piece = piece;
        self.video.last = Some(time);
        self.video.used = Some(Arc::clone(&params));
        let (_, samples) = self.pieces[piece].video.get_or_insert_with(|| (params, Vec::new()));
        if let Some(last) = samples.last_mut() {
            last.duration = time - last.dts;
        }
        let StampedPicture { dts, pts, random_access, data } = picture;
        samples.push(VideoSample { dts, pts, duration: Flicks::ZERO, random_access, data });
    }

    /// An audio frame; ignored before its parameters.
    pub fn frame(&mut self, frame: StampedFrame) {
        let Some(params) = self.audio.params.clone() else { return };
        let time = frame.pts;
        let jumped = self.audio.last.is_some_and(|last| time < last - AUDIO_BACKWARDS || time > last + JUMP);
        let here = self.pieces[self.audio.piece].audio.as_ref().map(|(known, _)| known);
        let known = here.or(self.audio.used.as_ref());
        let change = known.filter(|known| **known != params).map(|_| true);
        let piece = self.advance(self.audio.piece, time, jumped, change, |piece| piece.audio.is_some());
        self.audio.piece = piece;
        self.audio.last = Some(time);
        self.audio.used = Some(Arc::clone(&params));
        self.pieces[piece].audio.get_or_insert_with(|| (params, Vec::new())).1.push(frame);
    }

    /// The segment ended: its pieces in order.
    pub fn end(&mut self, origin: &Origin) -> Vec<Piece> {
        let pieces = std::mem::take(&mut self.pieces);
        if let Some(newest) = pieces.last() {
            // A track that did not reach the newest clock must not be held against its old stamps.
            let clock_of = |index: usize| pieces.get(index).map(|piece: &Building| piece.clock);
            if clock_of(self.video.piece) != Some(newest.clock) {
                self.video.last = None;
            }
            if clock_of(self.audio.piece) != Some(newest.clock) {
                self.audio.last = None;
            }
        }
        let filled = pieces.into_iter().filter(|piece| piece.video.is_some() || piece.audio.is_some());
        let pieces: Vec<Piece> = filled
            .map(|piece| Piece {
                origin: origin.clone(),
                period: piece.period,
                continues: piece.video.is_some() && std::mem::take(&mut self.continues),
                video: piece.video.map(|(params, samples)| (params, with_last_duration(samples))),
                audio: piece.audio,
            })
            .collect();
        self.seen_any |= !pieces.is_empty();
        pieces
    }

    /// The piece for a track's sample at `time`: the one it is in, one that the other track has opened, or a
    /// new one. `change` says that the parameters differ from the piece's, and whether by enough for a new
    /// period.
    fn advance(
        &mut self,
        at: usize,
        time: Flicks,
        jumped: bool,
        change: Option<bool>,
        taken: impl Fn(&Building) -> bool,
    ) -> usize {
        let clock = self.pieces[at].clock;
        let mut piece = at;
        if jumped {
            if let Some(joined) = self.pieces.iter().position(|other| other.clock > clock) {
                piece = joined;
            } else {
                piece = self.open(self.period + 1, clock + 1);
            }
        } else {
            let reached =
                |other: &Building| other.clock == clock && other.begin.is_some_and(|begin| time >= begin);
            while self.pieces.get(piece + 1).is_some_and(reached) {
                piece += 1;
            }
            if let Some(new_period) = change
                && (piece == at || taken(&self.pieces[piece]))
            {
                piece = self.open(self.period + u64::from(new_period), clock);
            }
        }
        let begin = &mut self.pieces[piece].begin;
        *begin = Some(begin.map_or(time, |begin| begin.min(time)));
        piece
    }

    fn open(&mut self, period: u64, clock: u64) -> usize {
        if self.pieces.len() < MAX_PIECES {
            self.period = period;
            self.pieces.push(Building::new(period, clock));
        }
        self.pieces.len() - 1
    }
}

/// A change of codec, profile, size or chroma format begins a period; other changes of SPS or PPS only send
/// the sequence header again.
fn is_new_period(old: &VideoParams, new: &VideoParams) -> bool {
    old.codec != new.codec
        || (old.width, old.height) != (new.width, new.height)
        || old.codec_string != new.codec_string
}

fn with_last_duration(mut samples: Vec<VideoSample>) -> Vec<VideoSample> {
    let before = samples.len().checked_sub(2).map(|index| samples[index].duration);
    if let Some(last) = samples.last_mut() {
        last.duration = before.filter(|duration| *duration > Flicks::ZERO).unwrap_or(LONE_PICTURE);
    }
    samples
}

#[cfg(test)]
mod tests;
