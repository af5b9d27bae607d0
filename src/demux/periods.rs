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
}

#[derive(Debug)]
struct Track<P> {
    /// The configuration of the samples to come.
    params: Option<Arc<P>>,
    last: Option<Flicks>,
    /// Index of the piece that this track has reached.
    piece: usize,
}

impl<P> Default for Track<P> {
    fn default() -> Self {
        Self { params: None, last: None, piece: 0 }
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
            self.video.last = None;
            self.audio.last = None;
        }
        self.video.piece = 0;
        self.audio.piece = 0;
        self.pieces = vec![Building::new(self.period, 0)];
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
        let known = self.pieces[self.video.piece].video.as_ref().map(|(known, _)| known);
        let change = known.filter(|known| **known != params).map(|known| is_new_period(known, &params));
        let piece = self.advance(self.video.piece, time, jumped, change, |piece| piece.video.is_some());
        self.video.piece = piece;
        self.video.last = Some(time);
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
        let known = self.pieces[self.audio.piece].audio.as_ref().map(|(known, _)| known);
        let change = known.filter(|known| **known != params).map(|_| true);
        let piece = self.advance(self.audio.piece, time, jumped, change, |piece| piece.audio.is_some());
        self.audio.piece = piece;
        self.audio.last = Some(time);
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
mod tests {
    use super::*;
    use crate::media::{AudioCodec, Moment, VideoCodec};

    fn video(width: u32, config: &'static [u8]) -> Arc<VideoParams> {
        let config = Bytes::from_static(config);
        let codec_string = "avc1.64001f".into();
        Arc::new(VideoParams { codec: VideoCodec::Avc, config, width, height: 720, codec_string })
    }

    fn audio(config: &'static [u8]) -> Arc<AudioParams> {
        Arc::new(AudioParams {
            codec: AudioCodec::Aac,
            config: Bytes::from_static(config),
            sample_rate: 48_000,
            channels: 2,
            frame_len: 1024,
            codec_string: String::new(),
        })
    }

    fn picture(ms: i64) -> StampedPicture {
        let dts = Flicks::from_millis(ms);
        StampedPicture { dts, pts: dts, random_access: true, data: Bytes::new() }
    }

    fn frame(ms: i64) -> StampedFrame {
        StampedFrame { pts: Flicks::from_millis(ms), data: Bytes::new() }
    }

    fn origin() -> Origin {
        Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None }
    }

    fn started() -> Periods {
        let mut periods = Periods::default();
        periods.begin(false);
        periods.video_params(video(1280, b"a"));
        periods.audio_params(audio(b"a"));
        periods
    }

    /// Period, number of pictures and of frames of each piece.
    fn shape(pieces: &[Piece]) -> Vec<(u64, usize, usize)> {
        let count = |piece: &Piece| {
            let video = piece.video.as_ref().map_or(0, |(_, samples)| samples.len());
            let audio = piece.audio.as_ref().map_or(0, |(_, frames)| frames.len());
            (piece.period, video, audio)
        };
        pieces.iter().map(count).collect()
    }

    #[test]
    fn a_segment_of_one_clock_is_one_piece() {
        let mut periods = started();
        for t in (0..1_000).step_by(40) {
            periods.picture(picture(t));
            periods.frame(frame(t - 300));
        }
        let pieces = periods.end(&origin());
        assert_eq!(shape(&pieces), [(0, 25, 25)]);
        assert!(pieces[0].video.as_ref().unwrap().1.iter().all(|s| s.duration == Flicks::from_millis(40)));
    }

    #[test]
    fn a_jump_inside_a_segment_splits_it_and_late_audio_stays_with_its_clock() {
        let mut periods = started();
        periods.picture(picture(0));
        periods.frame(frame(0));
        periods.picture(picture(100_000));
        periods.frame(frame(40));
        periods.frame(frame(100_000));
        periods.picture(picture(100_040));
        assert_eq!(shape(&periods.end(&origin())), [(0, 1, 2), (1, 2, 1)]);
        periods.begin(false);
        periods.picture(picture(100_080));
        periods.frame(frame(100_040));
        assert_eq!(shape(&periods.end(&origin())), [(1, 1, 1)]);
    }

    #[test]
    fn a_jump_backwards_splits_too() {
        let mut periods = started();
        for t in [5_000, 5_040, 1_000, 1_040] {
            periods.picture(picture(t));
        }
        assert_eq!(shape(&periods.end(&origin())), [(0, 2, 0), (1, 2, 0)]);
    }

    #[test]
    fn another_size_begins_a_period_and_the_audio_is_cut_at_its_time() {
        let mut periods = started();
        periods.picture(picture(0));
        periods.picture(picture(40));
        periods.video_params(video(640, b"b"));
        periods.picture(picture(80));
        periods.picture(picture(120));
        for t in [0, 20, 60, 80, 100] {
            periods.frame(frame(t));
        }
        assert_eq!(shape(&periods.end(&origin())), [(0, 2, 3), (1, 2, 2)]);
    }

    #[test]
    fn another_picture_parameter_set_splits_the_piece_but_not_the_period() {
        let mut periods = started();
        periods.picture(picture(0));
        periods.video_params(video(1280, b"b"));
        periods.picture(picture(40));
        assert_eq!(shape(&periods.end(&origin())), [(0, 1, 0), (0, 1, 0)]);
    }

    #[test]
    fn another_audio_configuration_begins_a_period() {
        let mut periods = started();
        for t in [0, 20] {
            periods.picture(picture(t));
            periods.frame(frame(t));
        }
        periods.audio_params(audio(b"b"));
        periods.frame(frame(40));
        periods.picture(picture(40));
        assert_eq!(shape(&periods.end(&origin())), [(0, 2, 2), (1, 1, 1)]);
    }

    #[test]
    fn a_discontinuity_begins_a_period_even_where_the_stamps_go_on() {
        let mut periods = started();
        periods.picture(picture(0));
        periods.end(&origin());
        periods.begin(true);
        periods.picture(picture(40));
        assert_eq!(shape(&periods.end(&origin())), [(1, 1, 0)]);
    }

    #[test]
    fn a_track_that_never_jumped_joins_at_the_next_segment() {
        let mut periods = started();
        periods.picture(picture(0));
        periods.frame(frame(0));
        periods.picture(picture(100_000));
        periods.end(&origin());
        periods.begin(false);
        periods.picture(picture(100_040));
        periods.frame(frame(100_040));
        assert_eq!(shape(&periods.end(&origin())), [(1, 1, 1)]);
    }

    #[test]
    fn a_hostile_segment_opens_a_bounded_number_of_pieces() {
        let mut periods = started();
        for n in 0..10_000 {
            periods.picture(picture(if n % 2 == 0 { 0 } else { 1_000_000 }));
        }
        assert!(periods.end(&origin()).len() <= MAX_PIECES);
    }
}
