use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::borders::{Borders, Held};
use super::hole::{self, Edge, Limits};
use super::late::{Arrival, Lateness};
use super::open::{Open, samples_end};
use super::output_axis::{Anchor, OutputAxis, Span};
use super::{Grid, GridStats};
use crate::media::{
    AudioParams, AudioTrack, Batch, Flicks, Moment, Origin, Piece, StampedFrame, VideoTrack,
    silent_frame_like,
};
use crate::playout::{ANSWER_MARGIN, Playout};

/// When a batch closes (DESIGN section 3).
#[derive(Clone, Copy, Debug, Default)]
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
    holes: Holes,
    /// The source is offered whole: it has no holes, and what is late will not be made up for.
    complete: bool,
    playout: Option<Playout>,
    /// The last piece.
    edge: Option<Edge>,
    /// What was lost since.
    lost: Flicks,
    lateness: Lateness,
    moved: Flicks,
}

/// What becomes of holes in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holes {
    /// Output time is continuous over them, and the playout clock waits as long as they last.
    #[default]
    Closed,
    /// They keep their length on the output axis, and the playout clock goes on.
    Kept,
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
            holes: Holes::default(),
            complete: false,
            playout: None,
            edge: None,
            lost: Flicks::ZERO,
            lateness: Lateness::default(),
            moved: Flicks::ZERO,
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

    /// What becomes of holes.
    #[must_use]
    pub fn with_holes(self, holes: Holes) -> Self {
        Self { holes, ..self }
    }

    /// The source is offered whole, or is live.
    pub fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// The clock that holes are measured against, whenever it is another one.
    pub fn set_playout(&mut self, playout: Playout) {
        self.playout = Some(playout);
    }

    /// Media of this length was announced and will not come.
    pub fn handle_lost(&mut self, duration: Duration) {
        self.lost += Flicks::from_duration(duration);
    }

    /// By how much later than the playout clock says media is to play since the last call, because the source stays
    /// late, or with [`Holes::Closed`] because it had a hole. With [`Holes::Kept`] its output time says so
    /// already; with [`Holes::Closed`] the clock has to be moved by this.
    pub fn take_move(&mut self) -> Option<Duration> {
        let moved = std::mem::take(&mut self.moved);
        (moved > Flicks::ZERO).then(|| moved.to_duration())
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

    /// Pictures and audio frames that wait for their batch to close.
    pub fn gathered(&self) -> usize {
        self.open.as_ref().map_or(0, Open::samples)
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
        if self.closes_hole(&piece) {
            closed.extend(self.close(true));
            self.end_grid();
            self.axis.rejoin();
        } else if let Some(by) = self.stays_late(&piece) {
            if self.holes == Holes::Kept {
                closed.extend(self.close(true));
                self.axis.delay(by);
            }
            self.move_by(by);
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
            let shift = self.axis.peek(held.period, Flicks::ZERO, None, Some(span));
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
        // The rest of a picture of the segment before says nothing of where this one begins.
        let begins = usize::from(piece.continues);
        let first = piece.video.as_ref().and_then(|(_, samples)| samples.get(begins));
        if first.is_some_and(|sample| !sample.random_access) {
            self.unaligned = true;
        }
        let longest = Flicks::from_duration(self.longest_batch());
        let enough = open.duration() >= Flicks::from_duration(self.settings.buffer_duration);
        let too_long = open.duration() + piece.duration() > longest;
        if enough && (begins_at_random_access || too_long) { Ends::Batch } else { Ends::No }
    }

    /// The stamps of `piece` go on behind a hole that is not to be seen.
    fn closes_hole(&self, piece: &Piece) -> bool {
        let jump = self.edge.as_ref().and_then(|edge| edge.jump_to(piece));
        self.holes == Holes::Closed && jump.is_some_and(|jump| jump >= HOLE)
    }

    /// By how much `piece` has to be moved to have its time, where that is not going to be made up for.
    fn stays_late(&mut self, piece: &Piece) -> Option<Flicks> {
        let playout = self.playout?;
        let (start, end) = piece.span()?;
        // A new period is placed by its own hole.
        let shift = self.axis.shift_of(piece.period)?;
        let ahead = playout.due(start + shift).since(piece.origin.captured_at);
        self.lateness.handle(Arrival {
            ahead: ahead - Flicks::from_duration(ANSWER_MARGIN),
            length: end - start,
            budget: Flicks::from_duration(self.settings.processing_budget.saturating_sub(ANSWER_MARGIN)),
            // Nobody makes up for what is late: the source waits for us, or we for the source.
            hopeless: self.complete || self.holes == Holes::Closed,
        })
    }

    /// The hole before `piece`, which does not go on where the one before it ended.
    fn hole(&self, piece: &Piece) -> Flicks {
        let Some(playout) = self.playout.filter(|_| !self.complete) else { return Flicks::ZERO };
        let (Some(before), Some(after), Some(end)) = (&self.edge, Edge::of(piece), self.axis.end()) else {
            return Flicks::ZERO;
        };
        // When it would be due had the stream begun with it.
        let first = Playout::anchored(
            piece.origin.captured_at,
            piece.duration(),
            self.longest_batch(),
            self.settings.processing_budget,
        );
        let limits = Limits {
            target_duration: Flicks::from_duration(self.target_duration),
            lost: self.lost,
            most: first.due(Flicks::ZERO).since(playout.due(end)),
        };
        hole::length(before, &after, limits)
    }

    /// Adds `piece` to the open batch; true when that has its full length. Frames that were held for it and do not
    /// join it are `closed`.
    fn add(&mut self, piece: Piece, closed: &mut Vec<Batch>) -> bool {
        let begins_period = self.begins_period(&piece);
        let mut hole = if begins_period { self.hole(&piece) } else { Flicks::ZERO };
        if self.holes == Holes::Closed {
            self.move_by(std::mem::take(&mut hole));
        }
        self.edge = Edge::of(&piece).or(self.edge);
        self.lost = Flicks::ZERO;
        let Piece { origin, period, mut video, audio, .. } = piece;
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
                self.open = Some(Open { hole, ..Open::new(origin, period, video, audio) });
            }
        }
        self.open
            .as_ref()
            .is_some_and(|open| open.duration() >= Flicks::from_duration(self.settings.buffer_duration))
    }

    /// Nothing of its period was there before, or nothing that it goes on from.
    fn begins_period(&self, piece: &Piece) -> bool {
        self.grid_period() != Some(piece.period)
            && self.open.as_ref().is_none_or(|open| open.period != piece.period)
            && self.axis.period() != Some(piece.period)
    }

    fn grid_period(&self) -> Option<u64> {
        self.grid.as_ref().map(|(period, ..)| *period)
    }

    fn place(&mut self, period: u64, params: &Arc<AudioParams>, frames: &[StampedFrame]) -> AudioTrack {
        let same = matches!(&self.grid, Some((p, known, _)) if *p == period && known == params);
        let same = same && !self.goes_on_behind_a_hole(frames);
        if !same && let Some(first) = frames.first() {
            self.end_grid();
            let grid = Grid::new(params, silent_frame_like(params, &first.data), first.pts);
            self.grid = Some((period, Arc::clone(params), grid));
        }
        let (start, frames) = match &mut self.grid {
            Some((_, _, grid)) => grid.place(frames),
            None => (Flicks::ZERO, Vec::new()),
        };
        AudioTrack { params: Arc::clone(params), start, frames }
    }

    fn end_grid(&mut self) {
        self.grid_stats = self.grid_stats();
        self.grid = None;
    }

    /// What comes from here on plays later by `by`.
    fn move_by(&mut self, by: Flicks) {
        self.moved += by;
        if self.holes == Holes::Closed {
            self.playout = self.playout.map(|playout| playout.delayed(by.to_duration()));
        }
    }

    /// A batch begins behind a hole in the sound, which the output fills: the processor is not sent its silence.
    fn goes_on_behind_a_hole(&self, frames: &[StampedFrame]) -> bool {
        let expected = self.grid.as_ref().map(|(_, _, grid)| grid.next());
        let hole = expected.zip(frames.first()).map(|(expected, first)| first.pts - expected);
        self.holes == Holes::Kept && self.open.is_none() && hole.is_some_and(|hole| hole >= HOLE)
    }

    fn axis_shift_of(&self, open: &Open) -> Flicks {
        self.axis.peek(open.period, open.hole, open.video_span(), open.audio_span())
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
        let shift = self.axis.shift(open.period, open.hole, video_span, audio_span);
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
