//! Where a period ends and the next begins (DESIGN section 3; docs/time.md). Pure.
//!
//! Samples of one segment go in, in the order of the multiplex, and come out as pieces that each lie in one
//! period with one configuration, once the segment is there: their times are cleaned first (`stamps`), which also
//! tells where a clock begins again. The tracks of a multiplex reach a boundary at different places: the first
//! to do so opens the new piece, the other joins when its own stamps do.

use std::sync::Arc;

use bytes::Bytes;
use overdub_ts::Intra;

use super::access::{Access, Candidate, RandomAccess};
use super::stamps::{CleanTimes, RawTimes, StampSource, Stamps};
use crate::media::{AudioParams, Flicks, Origin, Piece, StampedFrame, VideoParams, VideoSample};

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
    pub source: StampSource,
    pub random_access: bool,
    pub intra: Intra,
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
    /// The samples of this segment in the order of the multiplex, with their parameters.
    samples: Vec<Sample>,
    access: Access,
}

#[derive(Debug)]
enum Sample {
    Picture(Arc<VideoParams>, StampedPicture),
    Frame(Arc<AudioParams>, Bytes),
}

#[derive(Debug)]
struct Track<P> {
    /// The configuration of the samples to come.
    params: Option<Arc<P>>,
    /// That of the last sample; `None` at the begin of a clock.
    used: Option<Arc<P>>,
    stamps: Stamps,
    /// Index of the piece that this track has reached.
    piece: usize,
}

impl<P> Default for Track<P> {
    fn default() -> Self {
        Self { params: None, used: None, stamps: Stamps::default(), piece: 0 }
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

impl<P> Track<P> {
    /// The times of all samples of the segment.
    fn clean(&mut self) -> Vec<CleanTimes> {
        self.stamps.end();
        std::iter::from_fn(|| self.stamps.poll()).collect()
    }
}

impl Periods {
    /// A segment begins; with `discontinuity` its stamps have nothing to do with those before.
    pub fn begin(&mut self, discontinuity: bool) {
        if discontinuity && self.seen_any {
            self.period += 1;
            (self.video.used, self.audio.used) = (None, None);
            self.video.stamps.forget();
            self.audio.stamps.forget();
            self.access.forget();
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
        let StampedPicture { dts, pts, source, .. } = picture;
        self.video.stamps.push(RawTimes { dts, pts, source, length: None });
        self.samples.push(Sample::Picture(params, picture));
    }

    /// An audio frame; ignored before its parameters.
    pub fn frame(&mut self, frame: StampedFrame, source: StampSource) {
        let Some(params) = self.audio.params.clone() else { return };
        let StampedFrame { pts, data } = frame;
        self.audio.stamps.push(RawTimes { dts: pts, pts, source, length: Some(params.frame_duration()) });
        self.samples.push(Sample::Frame(params, data));
    }

    /// At which pictures decoding begins.
    pub fn random_access(&self) -> RandomAccess {
        self.access.state()
    }

    /// The segment ended: its pieces in order.
    pub fn end(&mut self, origin: &Origin) -> Vec<Piece> {
        self.place();
        let pieces = std::mem::take(&mut self.pieces);
        if let Some(newest) = pieces.last() {
            // A track that did not reach the newest clock must not be held against its old stamps.
            let clock_of = |index: usize| pieces.get(index).map(|piece: &Building| piece.clock);
            if clock_of(self.video.piece) != Some(newest.clock) {
                self.video.stamps.forget();
            }
            if clock_of(self.audio.piece) != Some(newest.clock) {
                self.audio.stamps.forget();
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

    /// Puts the samples of the segment into pieces, by their clean times.
    fn place(&mut self) {
        let pictures = self.video.clean();
        for begins in pictures.iter().filter(|times| times.restart) {
            self.audio.stamps.expect(begins.dts);
        }
        let frames = self.audio.clean();
        self.audio.stamps.expect_nothing();
        let mut candidates = self.candidates(&pictures);
        self.access.mark(&mut candidates);
        let mut marks = candidates.into_iter().map(|picture| picture.random_access);
        let (mut pictures, mut frames) = (pictures.into_iter(), frames.into_iter());
        for sample in std::mem::take(&mut self.samples) {
            match sample {
                Sample::Picture(params, mut picture) => {
                    picture.random_access = marks.next().unwrap_or(picture.random_access);
                    pictures
                        .next()
                        .into_iter()
                        .for_each(|times| self.place_picture(&params, times, &picture));
                }
                Sample::Frame(params, data) => {
                    frames.next().into_iter().for_each(|times| self.place_frame(&params, times, &data));
                }
            }
        }
    }

    fn candidates(&self, times: &[CleanTimes]) -> Vec<Candidate> {
        let pictures = self.samples.iter().filter_map(|sample| match sample {
            Sample::Picture(_, picture) => Some(picture),
            Sample::Frame(..) => None,
        });
        let candidate = |(times, picture): (&CleanTimes, &StampedPicture)| Candidate {
            dts: times.dts,
            restart: times.restart,
            random_access: picture.random_access,
            intra: picture.intra,
        };
        times.iter().zip(pictures).map(candidate).collect()
    }

    fn place_picture(&mut self, params: &Arc<VideoParams>, times: CleanTimes, picture: &StampedPicture) {
        let CleanTimes { dts, pts, restart } = times;
        let here = self.pieces[self.video.piece].video.as_ref().map(|(known, _)| known);
        let known = here.or(self.video.used.as_ref());
        let change = known.filter(|known| *known != params).map(|known| is_new_period(known, params));
        let piece = self.advance(self.video.piece, dts, restart, change, |piece| piece.video.is_some());
        self.video.piece = piece;
        self.video.used = Some(Arc::clone(params));
        let (_, samples) = self.pieces[piece].video.get_or_insert_with(|| (Arc::clone(params), Vec::new()));
        if let Some(last) = samples.last_mut() {
            last.duration = dts - last.dts;
        }
        let (random_access, data) = (picture.random_access, picture.data.clone());
        samples.push(VideoSample { dts, pts, duration: Flicks::ZERO, random_access, data });
    }

    fn place_frame(&mut self, params: &Arc<AudioParams>, times: CleanTimes, data: &Bytes) {
        let CleanTimes { pts, restart, .. } = times;
        let here = self.pieces[self.audio.piece].audio.as_ref().map(|(known, _)| known);
        let known = here.or(self.audio.used.as_ref());
        let change = known.filter(|known| *known != params).map(|_| true);
        let piece = self.advance(self.audio.piece, pts, restart, change, |piece| piece.audio.is_some());
        self.audio.piece = piece;
        self.audio.used = Some(Arc::clone(params));
        let (_, frames) = self.pieces[piece].audio.get_or_insert_with(|| (Arc::clone(params), Vec::new()));
        frames.push(StampedFrame { pts, data: data.clone() });
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
