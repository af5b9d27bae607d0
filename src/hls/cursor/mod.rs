//! Which segment comes next, and when the playlist is read again (RFC 8216 6.3.3 to 6.3.5). Pure.
//!
//! After each [`Cursor::handle_playlist`] or [`Cursor::handle_reload_failed`], drain [`Cursor::take_next`]
//! as the receiver can take it, and read the playlist again at [`Cursor::reload_at`]. The moments given must
//! not go backwards.

mod history;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::hls::playlist::{Media, SegmentRef};
use crate::media::Moment;

use history::{Comparison, Dates, History};

/// A server of a balanced group may be this many segments behind another; 3 is what a client that starts
/// three target durations from the end can bear without a hole.
const LAG_TOLERANCE: u64 = 3;

/// A live playlist counts as stalled when nothing new was listed for so many target durations.
const STALLED_AFTER: u32 = 3;

/// A window further ahead of us than this many times what could have been produced since we last looked is
/// another numbering, not a hole.
const PLAUSIBLE_SPEED: u32 = 2;

/// Segments known but not yet fetched. A live source that is not drained must not fill the memory; a day of
/// 1 s segments is below it, and what is beyond is listed again by the next reload.
const MAX_PENDING: usize = 100_000;

/// What comes next in the order of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Segment(Listed),
    Missed(Missed),
}

/// A segment to fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub segment: SegmentRef,
    /// A new period must begin with it: the playlist says so, or the numbering began anew.
    pub discontinuity: bool,
    /// Which numbering it belongs to; each restart begins another.
    pub epoch: u64,
}

/// Segments that were never listed to us: the window ran past them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first media sequence number missed.
    pub media_sequence: u64,
    pub count: u64,
    /// One target duration for each: what they really lasted was never seen.
    pub duration: Duration,
}

/// What a playlist changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Segments taken into the queue.
    pub listed: usize,
    /// The playlist differs from the one read before it.
    pub changed: bool,
    /// It is behind what another reading showed already.
    pub lagging: bool,
    /// The numbering began anew, or jumped; the next segment begins a period.
    pub restarted: bool,
    pub missed: Option<Missed>,
}

/// Totals since the start, for the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub reloads: u64,
    pub unchanged: u64,
    pub lagging: u64,
    pub restarts: u64,
    pub windows_missed: u64,
}

/// The reading position in one media playlist.
#[derive(Debug)]
pub struct Cursor {
    live_start_segments: usize,
    pending: VecDeque<Next>,
    pending_duration: Duration,
    history: History,
    position: Option<Position>,
    reload_at: Option<Moment>,
    failures: u32,
    epoch: u64,
    force_discontinuity: bool,
    counters: Counters,
}

/// What is known once a first playlist was read.
#[derive(Debug)]
struct Position {
    /// The media sequence number after the last one taken.
    next: u64,
    target: Duration,
    ended: bool,
    vod: bool,
    /// First, end and end mark of the last reading: whether the next one differs.
    seen: (u64, u64, bool),
    progress_at: Moment,
    /// The end of a window that looks like a restart and waits to be confirmed.
    suspect: Option<u64>,
}

impl Cursor {
    /// Before the first playlist. `live_start_segments` is the distance from the live edge to start at.
    pub fn new(live_start_segments: usize) -> Self {
        Self {
            live_start_segments: live_start_segments.max(1),
            pending: VecDeque::new(),
            pending_duration: Duration::ZERO,
            history: History::default(),
            position: None,
            reload_at: Some(Moment::ZERO),
            failures: 0,
            epoch: 0,
            force_discontinuity: false,
            counters: Counters::default(),
        }
    }

    /// Takes in a playlist whose reading began at `began` and was finished at `now`.
    pub fn handle_playlist(&mut self, media: &Media, began: Moment, now: Moment) -> Update {
        self.counters.reloads += 1;
        self.failures = 0;
        let update = match self.position.take() {
            None => self.start(media, now),
            Some(position) => self.advance(position, media, now),
        };
        if !update.changed {
            self.counters.unchanged += 1;
        }
        // RFC 8216 6.3.4: counted from when the client began to load it; a target duration after a change,
        // half of it otherwise.
        let wait = if update.changed { media.target_duration } else { media.target_duration / 2 };
        let ended = self.position.as_ref().is_some_and(|position| position.ended);
        self.reload_at = (!ended).then(|| (began + wait).max(now));
        update
    }

    /// The playlist could not be read: it is tried again after `backoff`.
    pub fn handle_reload_failed(&mut self, backoff: Duration, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.reload_at = Some(now + backoff);
    }

    /// The next segment, or hole, in order; each is given exactly once.
    pub fn take_next(&mut self) -> Option<Next> {
        let next = self.pending.pop_front()?;
        if let Next::Segment(listed) = &next {
            self.pending_duration = self.pending_duration.saturating_sub(listed.segment.duration);
        }
        Some(next)
    }

    /// Whether [`Cursor::take_next`] has something to give.
    pub fn has_next(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether the playlist, as last read, still lists `listed`; what has left it will not come back.
    pub fn still_lists(&self, listed: &Listed) -> bool {
        let first = self.position.as_ref().map(|position| position.seen.0);
        listed.epoch == self.epoch && first.is_some_and(|first| listed.segment.sequence >= first)
    }

    /// When to read the playlist again; none when it has ended.
    pub fn reload_at(&self) -> Option<Moment> {
        self.reload_at
    }

    /// Whether every segment of an ended playlist was given out.
    pub fn is_finished(&self) -> bool {
        self.pending.is_empty() && self.position.as_ref().is_some_and(|position| position.ended)
    }

    /// Whether it was complete when first read; none before that.
    pub fn is_vod(&self) -> Option<bool> {
        self.position.as_ref().map(|position| position.vod)
    }

    pub fn target_duration(&self) -> Option<Duration> {
        self.position.as_ref().map(|position| position.target)
    }

    /// Readings of the playlist that failed since the last one that did not.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Media listed and not yet given out: how far behind the live edge the reader is.
    pub fn pending_duration(&self) -> Duration {
        self.pending_duration
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Since when nothing new was listed, once that has lasted three target durations.
    pub fn stalled_since(&self, now: Moment) -> Option<Moment> {
        let position = self.position.as_ref().filter(|position| !position.ended)?;
        let quiet = now.saturating_since(position.progress_at);
        (quiet > position.target * STALLED_AFTER).then_some(position.progress_at)
    }

    fn start(&mut self, media: &Media, now: Moment) -> Update {
        let vod = media.is_vod();
        let from = start_index(media, self.live_start_segments, vod);
        self.position = Some(Position {
            next: media.end(),
            target: media.target_duration,
            ended: vod,
            vod,
            seen: fingerprint(media),
            progress_at: now,
            suspect: None,
        });
        self.history.record(&media.segments);
        let listed = self.enqueue(&media.segments, from);
        Update { listed, changed: true, ..Update::default() }
    }

    fn advance(&mut self, mut position: Position, media: &Media, now: Moment) -> Update {
        let changed = position.seen != fingerprint(media);
        position.seen = fingerprint(media);
        position.target = media.target_duration;
        let mut update = Update { changed, ..Update::default() };

        let comparison = self.history.compare(&media.segments, media.target_duration);
        let restarted = if media.end() > position.next {
            let reused = comparison.overlap && !comparison.names_agree && comparison.dates == Dates::Newer;
            reused || !plausible_jump(&position, media, now)
        } else {
            restarted_behind(&mut position, media, comparison)
        };
        if restarted {
            self.counters.restarts += 1;
            update.restarted = true;
            update.listed = self.restart(&position, media, now);
            position.next = media.end();
        } else if media.end() > position.next {
            if media.media_sequence > position.next {
                let missed = self.window_missed(&position, media);
                update.missed = Some(missed);
                self.pending.push_back(Next::Missed(missed));
            }
            let from = position.next.saturating_sub(media.media_sequence);
            update.listed = self.enqueue(&media.segments, usize::try_from(from).unwrap_or(usize::MAX));
            self.history.record(&media.segments);
            position.next = position.next.max(media.media_sequence).saturating_add(update.listed as u64);
        } else if media.end() < position.next {
            self.counters.lagging += 1;
            update.lagging = true;
        }
        if update.listed > 0 || update.restarted {
            position.progress_at = now;
            position.suspect = None;
        }
        // The end mark counts once everything known is listed: a lagging server's copy is not the end.
        position.ended = media.is_vod() && media.end() >= position.next;
        self.position = Some(position);
        update
    }

    fn window_missed(&mut self, position: &Position, media: &Media) -> Missed {
        self.counters.windows_missed += 1;
        let count = media.media_sequence - position.next;
        let each = u32::try_from(count).unwrap_or(u32::MAX);
        Missed { media_sequence: position.next, count, duration: position.target.saturating_mul(each) }
    }

    /// Goes on in a new numbering: with as much of its end as can have been produced since the last progress,
    /// and at least as much as a fresh start would take.
    fn restart(&mut self, position: &Position, media: &Media, now: Moment) -> usize {
        let quiet = now.saturating_since(position.progress_at) + position.target;
        let mut from = media.segments.len();
        let mut taken = Duration::ZERO;
        while from > 0 && (taken < quiet || media.segments.len() - from < self.live_start_segments) {
            from -= 1;
            taken += media.segments[from].duration;
        }
        self.force_discontinuity = true;
        self.epoch += 1;
        self.history.clear();
        self.history.record(&media.segments);
        self.enqueue(&media.segments, from)
    }

    fn enqueue(&mut self, segments: &[SegmentRef], from: usize) -> usize {
        let room = MAX_PENDING.saturating_sub(self.pending.len());
        let mut listed = 0;
        for segment in segments.iter().skip(from).take(room) {
            self.pending_duration += segment.duration;
            let restarted = std::mem::take(&mut self.force_discontinuity);
            self.pending.push_back(Next::Segment(Listed {
                segment: segment.clone(),
                discontinuity: segment.discontinuity || restarted,
                epoch: self.epoch,
            }));
            listed += 1;
        }
        listed
    }
}

/// Whether a window that ends at or before our position is a numbering that began anew; else it is a server
/// that lags, or a stale copy.
fn restarted_behind(position: &mut Position, media: &Media, comparison: Comparison) -> bool {
    if media.segments.is_empty() {
        return false;
    }
    match comparison.dates {
        Dates::Newer => return true,
        Dates::Older | Dates::Same => {
            position.suspect = None;
            return false;
        }
        Dates::Unknown => {}
    }
    // No date to go by. Windows that share names with what we know and overlap our position are lagging
    // servers, however they move.
    let behind = position.next - media.end();
    if comparison.names_agree && behind <= LAG_TOLERANCE.max(media.segments.len() as u64) {
        position.suspect = None;
        return false;
    }
    // A stale copy stands still, a new numbering moves on, or has ended: the second reading tells.
    match position.suspect.replace(media.end()) {
        Some(before) => media.end() > before || media.ended,
        None => false,
    }
}

/// Whether a window that begins ahead of our position can be the same numbering.
fn plausible_jump(position: &Position, media: &Media, now: Moment) -> bool {
    if media.media_sequence <= position.next {
        return true;
    }
    let ahead = media.end() - position.next;
    let listed: Duration = media.segments.iter().map(|segment| segment.duration).sum();
    let count = u32::try_from(media.segments.len()).unwrap_or(u32::MAX).max(1);
    let mean = (listed / count).max(Duration::from_millis(100));
    let quiet = now.saturating_since(position.progress_at) + listed;
    let possible = quiet.as_millis() / mean.as_millis() * u128::from(PLAUSIBLE_SPEED);
    u128::from(ahead) <= possible + u128::from(LAG_TOLERANCE)
}

fn fingerprint(media: &Media) -> (u64, u64, bool) {
    (media.media_sequence, media.end(), media.ended)
}

/// The index of the first segment to play (RFC 8216 6.3.3, and 4.3.5.2 for EXT-X-START).
fn start_index(media: &Media, live_start_segments: usize, vod: bool) -> usize {
    let count = media.segments.len();
    let usual = if vod { 0 } else { count.saturating_sub(live_start_segments) };
    let Some(start) = media.start else { return usual };
    let total: f64 = media.segments.iter().map(|segment| segment.duration.as_secs_f64()).sum();
    let wanted = if start.time_offset < 0.0 { total + start.time_offset } else { start.time_offset };
    let mut begins = 0.0;
    for (index, segment) in media.segments.iter().enumerate() {
        begins += segment.duration.as_secs_f64();
        if begins > wanted {
            // Past the usual live start there is less than three target durations to live on (RFC 8216
            // 6.3.3).
            return if vod { index } else { index.min(usual) };
        }
    }
    usual
}
