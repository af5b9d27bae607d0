use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::borders::{Borders, Held};
use super::output_axis::{Anchor, OutputAxis, Span};
use super::{Grid, GridStats};
use crate::media::{
    AudioParams, AudioTrack, Batch, Flicks, Moment, Origin, Piece, StampedFrame, VideoParams, VideoSample,
    VideoTrack, silent_frame,
};
use crate::playout::Playout;

/// When a batch closes (DESIGN section 3).
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A batch lasts at least this long...
    pub buffer_duration: Duration,
    /// ... and closes early when its first sample is this close to its playout.
    pub processing_budget: Duration,
}

/// Audio that ends this much before the video of its batch is filled up with silence: a segment without
/// audio. Less is the ordinary stagger of a multiplex, and its frames come with the next segment.
const STAGGER: Flicks = Flicks::from_millis(1_000);

/// A hole of at least this length between two segments closes the batch before it.
const HOLE: Flicks = Flicks::from_millis(1_000);

/// Gathers pieces into batches: [`Batcher::handle_piece`] for what arrived, [`Batcher::poll_close`] when time
/// passes, [`Batcher::flush`] at the end. Each returns the batches that it closed, in order.
#[derive(Debug)]
pub struct Batcher {
    settings: Settings,
    target_duration: Duration,
    next_number: u64,
    open: Option<Open>,
    grid: Option<(u64, Arc<AudioParams>, Grid)>,
    axis: OutputAxis,
    borders: Borders,
    /// Segments of this source have begun without a random-access picture: batches wait for one that does.
    unaligned: bool,
    grid_stats: GridStats,
}

#[derive(Debug)]
struct Open {
    period: u64,
    first_segment: u64,
    last_segment: u64,
    first_captured: Moment,
    captured_at: Moment,
    program_date_time: Option<String>,
    video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
    audio: Option<AudioTrack>,
    mid_gop: bool,
}

impl Batcher {
    /// `first_number` is the number of the first batch.
    pub fn new(settings: Settings, first_number: u64) -> Self {
        Self {
            settings,
            target_duration: Duration::ZERO,
            next_number: first_number,
            open: None,
            grid: None,
            axis: OutputAxis::default(),
            borders: Borders::default(),
            unaligned: false,
            grid_stats: GridStats::default(),
        }
    }

    /// Sends each batch with `frames` audio frames of its neighbours on either side.
    #[must_use]
    pub fn with_context_frames(self, frames: usize) -> Self {
        Self { borders: Borders::new(frames), ..self }
    }

    /// This stream goes on where it was: its source's clock by `anchor`, or where that is another, from the output
    /// time `begin` on.
    #[must_use]
    pub fn resumed(self, anchor: Option<Anchor>, begin: Flicks) -> Self {
        Self { axis: OutputAxis::resumed(anchor, begin), ..self }
    }

    /// The source's clock is another than before.
    pub fn forget_anchor(&mut self) {
        self.axis.forget_anchor();
    }

    /// The playlist's target duration: bounds the longest batch.
    pub fn set_target_duration(&mut self, target: Duration) {
        self.target_duration = target;
    }

    /// `bufferDuration` plus one target duration, and what is held for the next batch: that begins so much earlier.
    pub fn longest_batch(&self) -> Duration {
        let held = self.borders.held().map_or(Duration::ZERO, |held| held.track.duration().to_duration());
        self.settings.buffer_duration + self.target_duration + held
    }

    /// How often the audio grid stepped, over all periods.
    pub fn grid_stats(&self) -> GridStats {
        let now = self.grid.as_ref().map(|(_, _, grid)| grid.stats()).unwrap_or_default();
        GridStats {
            inserted: self.grid_stats.inserted + now.inserted,
            dropped: self.grid_stats.dropped + now.dropped,
        }
    }

    /// A piece arrived. Returns the batches that it closes.
    pub fn handle_piece(&mut self, piece: Piece) -> Vec<Batch> {
        let mut closed = Vec::new();
        match self.ends_before(&piece) {
            Ends::No => {}
            Ends::Batch => closed.extend(self.close(false)),
            Ends::Stretch => closed.extend(self.close(true)),
        }
        let whole = self.add(piece, &mut closed);
        if whole && !self.unaligned {
            closed.extend(self.close(false));
        }
        closed
    }

    /// The output time up to which media has been taken in; `None` before the first.
    pub fn end(&self) -> Option<Flicks> {
        match &self.open {
            Some(open) => {
                let span = open.video_span().or(open.audio_span())?;
                Some(span.end + self.axis_shift_of(open))
            }
            None => self.axis.end(),
        }
    }

    /// When [`Batcher::poll_close`] wants to be called: the open batch must not wait past this moment.
    pub fn poll_timeout(&self, playout: Option<Playout>) -> Option<Moment> {
        let Some(open) = &self.open else {
            // Nothing that was captured waits for a source that stalls.
            let held = self.borders.held()?;
            let span = Span { start: held.track.start, end: held.track.end() };
            let shift = self.axis.peek(held.period, None, Some(span));
            return Some(playout?.due(span.start + shift) - self.settings.processing_budget);
        };
        Some(match playout {
            Some(playout) => {
                let shift = self.axis_shift_of(open);
                playout.due(open.start() + shift) - self.settings.processing_budget
            }
            // Nothing plays yet: a source that stalls in its first batch still begins after the time that a
            // live one would have taken.
            None => open.first_captured + self.longest_batch(),
        })
    }

    /// Closes the open batch when its playout has come near: a stall withholds nothing that was captured.
    pub fn poll_close(&mut self, now: Moment, playout: Option<Playout>) -> Option<Batch> {
        if self.poll_timeout(playout)? > now {
            return None;
        }
        self.close(true)
    }

    /// The source ended or is being stopped.
    pub fn flush(&mut self) -> Option<Batch> {
        self.close(true)
    }

    /// Whether the open batch must be closed before `piece`.
    fn ends_before(&mut self, piece: &Piece) -> Ends {
        let Some(open) = &self.open else { return Ends::No };
        if piece.period != open.period || open.params_differ(piece) {
            return Ends::Stretch;
        }
        if open.hole_before(piece) >= HOLE {
            return Ends::Stretch;
        }
        let begins_at_random_access =
            piece.video.as_ref().is_none_or(|(_, samples)| samples.first().is_some_and(|s| s.random_access));
        if !begins_at_random_access {
            self.unaligned = true;
        }
        let longest = Flicks::from_duration(self.longest_batch());
        let enough = open.duration() >= Flicks::from_duration(self.settings.buffer_duration);
        let too_long = open.duration() + piece_duration(piece) > longest;
        if enough && (begins_at_random_access || too_long) { Ends::Batch } else { Ends::No }
    }

    /// Adds `piece` to the open batch; true when that has its full length. Frames that were held for it and do not
    /// join it are `closed`.
    fn add(&mut self, piece: Piece, closed: &mut Vec<Batch>) -> bool {
        let Piece { origin, period, mut video, audio } = piece;
        let begins_period = self.grid_period() != Some(period)
            && self.open.as_ref().is_none_or(|open| open.period != period)
            && self.axis.period() != Some(period);
        if begins_period && let Some((_, samples)) = &mut video {
            // Nothing before a period's first random-access picture can be decoded.
            let first = samples.iter().position(|sample| sample.random_access);
            samples.drain(..first.unwrap_or(0));
        }
        let audio = audio.map(|(params, frames)| self.place(period, &params, &frames));
        if video.is_none() && audio.is_none() {
            return false;
        }
        match &mut self.open {
            Some(open) => open.extend(&origin, video, audio),
            None => {
                let audio = match self.borders.begin(period, audio.as_ref()) {
                    Some(mut held) => {
                        held.frames.extend(audio.into_iter().flat_map(|audio| audio.frames));
                        Some(held)
                    }
                    None => audio,
                };
                closed.extend(self.close_held());
                self.open = Some(Open::new(origin, period, video, audio));
            }
        }
        self.open
            .as_ref()
            .is_some_and(|open| open.duration() >= Flicks::from_duration(self.settings.buffer_duration))
    }

    fn grid_period(&self) -> Option<u64> {
        self.grid.as_ref().map(|(period, ..)| *period)
    }

    fn place(&mut self, period: u64, params: &Arc<AudioParams>, frames: &[StampedFrame]) -> AudioTrack {
        let same = matches!(&self.grid, Some((p, known, _)) if *p == period && known == params);
        if !same && let Some(first) = frames.first() {
            self.grid_stats = self.grid_stats();
            let grid = Grid::new(params, silent_frame(params), first.pts);
            self.grid = Some((period, Arc::clone(params), grid));
        }
        let (start, frames) = match &mut self.grid {
            Some((_, _, grid)) => grid.place(frames),
            None => (Flicks::ZERO, Vec::new()),
        };
        AudioTrack { params: Arc::clone(params), start, frames }
    }

    fn axis_shift_of(&self, open: &Open) -> Flicks {
        self.axis.peek(open.period, open.video_span(), open.audio_span())
    }

    /// Frames that were held for a batch that does not follow.
    fn close_held(&mut self) -> Option<Batch> {
        let held = self.borders.release()?;
        let Held { segment, captured_at, .. } = held;
        let origin = Origin { segment, captured_at, program_date_time: None };
        let open = Open::new(origin, held.period, None, Some(held.track));
        Some(self.batch(open, true))
    }

    /// Closes what is open. `last`: what follows, if anything, does not join it.
    fn close(&mut self, last: bool) -> Option<Batch> {
        let Some(mut open) = self.open.take() else {
            return if last { self.close_held() } else { None };
        };
        if let (Some((_, _, grid)), Some(audio), Some(video)) = (
            &mut self.grid,
            &mut open.audio,
            open.video.as_ref().and_then(|(_, samples)| samples_end(samples)),
        ) && video - audio.end() > STAGGER
        {
            let silence: Vec<Bytes> = grid.fill_until(video);
            audio.frames.extend(silence);
        }
        Some(self.batch(open, last))
    }

    fn batch(&mut self, mut open: Open, last: bool) -> Batch {
        let context = open.audio.take().map(|audio| {
            let held = Held {
                period: open.period,
                segment: open.last_segment,
                captured_at: open.captured_at,
                track: audio,
            };
            let (audio, context) = self.borders.close(held, last);
            open.audio = Some(audio);
            context
        });
        let (video_span, audio_span) = (open.video_span(), open.audio_span());
        let shift = self.axis.shift(open.period, video_span, audio_span);
        let number = self.next_number;
        self.next_number += 1;
        Batch {
            number,
            period: open.period,
            segments: open.first_segment..open.last_segment + 1,
            captured_at: open.captured_at,
            shift,
            start: open.start() + shift,
            duration: open.duration(),
            program_date_time: open.program_date_time,
            video: open.video.map(|(params, samples)| VideoTrack { params, samples }),
            audio: open.audio,
            context: context.unwrap_or_default(),
            mid_gop: open.mid_gop,
        }
    }
}

/// What a piece ends that is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    No,
    /// The batch before it has its length.
    Batch,
    /// The stretch of source before it: the piece does not join.
    Stretch,
}

impl Open {
    fn new(
        origin: Origin,
        period: u64,
        video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
        audio: Option<AudioTrack>,
    ) -> Self {
        let mid_gop = video.as_ref().is_some_and(|(_, s)| s.first().is_some_and(|s| !s.random_access));
        Self {
            period,
            first_segment: origin.segment,
            last_segment: origin.segment,
            first_captured: origin.captured_at,
            captured_at: origin.captured_at,
            program_date_time: origin.program_date_time,
            video,
            audio,
            mid_gop,
        }
    }

    fn extend(
        &mut self,
        origin: &Origin,
        video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
        audio: Option<AudioTrack>,
    ) {
        self.last_segment = origin.segment;
        self.captured_at = origin.captured_at;
        match (&mut self.video, video) {
            (Some((_, have)), Some((_, more))) => {
                // Now the last sample's duration is known.
                if let (Some(last), Some(next)) = (have.last_mut(), more.first()) {
                    last.duration = next.dts - last.dts;
                }
                have.extend(more);
            }
            (have @ None, more) => *have = more,
            (Some(_), None) => {}
        }
        match (&mut self.audio, audio) {
            (Some(have), Some(more)) => have.frames.extend(more.frames),
            (have @ None, more) => *have = more,
            (Some(_), None) => {}
        }
    }

    fn params_differ(&self, piece: &Piece) -> bool {
        let video = matches!((&self.video, &piece.video), (Some((a, _)), Some((b, _))) if a != b);
        let audio = matches!((&self.audio, &piece.audio), (Some(a), Some((b, _))) if a.params != *b);
        video || audio
    }

    /// The smallest distance, over the tracks that both have, from what is here to `piece`.
    fn hole_before(&self, piece: &Piece) -> Flicks {
        let video = self.video_span().zip(piece.video.as_ref().and_then(|(_, s)| s.first()));
        let video = video.map(|(span, next)| next.dts - span.end);
        let audio = self.audio_span().zip(piece.audio.as_ref().and_then(|(_, f)| f.first()));
        let audio = audio.map(|(span, next)| next.pts - span.end);
        match (video, audio) {
            (Some(a), Some(b)) => a.min(b),
            (one, other) => one.or(other).unwrap_or(Flicks::ZERO),
        }
    }

    fn video_span(&self) -> Option<Span> {
        let (_, samples) = self.video.as_ref()?;
        Some(Span { start: samples.first()?.dts, end: samples_end(samples)? })
    }

    fn audio_span(&self) -> Option<Span> {
        let audio = self.audio.as_ref()?;
        (!audio.frames.is_empty()).then(|| Span { start: audio.start, end: audio.end() })
    }

    fn start(&self) -> Flicks {
        let spans = [self.video_span(), self.audio_span()];
        spans.iter().flatten().map(|span| span.start).min().unwrap_or_default()
    }

    /// By the video where there is one: the audio's stagger is not length.
    fn duration(&self) -> Flicks {
        let span = self.video_span().or(self.audio_span());
        span.map(|span| span.end - span.start).unwrap_or_default()
    }
}

fn samples_end(samples: &[VideoSample]) -> Option<Flicks> {
    samples.last().map(|sample| sample.dts + sample.duration)
}

fn piece_duration(piece: &Piece) -> Flicks {
    let video = piece.video.as_ref().and_then(|(_, s)| Some(samples_end(s)? - s.first()?.dts));
    let audio = piece.audio.as_ref().and_then(|(params, frames)| {
        Some(frames.last()?.pts + params.frame_duration() - frames.first()?.pts)
    });
    video.or(audio).unwrap_or_default()
}
