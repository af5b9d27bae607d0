//! Which segment comes next, and when the playlist is read again (RFC 8216 6.3.3 to 6.3.5). Pure.
//!
//! After each [`Cursor::handle_playlist`] or [`Cursor::handle_reload_failed`], drain [`Cursor::take_next`]
//! as the receiver can take it, and read the playlist again at [`Cursor::reload_at`]. The moments given must
//! not go backwards.

mod history;
#[cfg(test)]
mod long;
mod numbering;
mod reload;
#[cfg(test)]
mod simulation;
mod start;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::hls::playlist::{Kind, Media, SegmentRef, limits};
use crate::media::Moment;

use history::{Dates, History};
use numbering::{plausible_jump, restarted_behind};
use start::First;
pub use start::{Place, Start};

/// A server of a balanced group may be this many segments behind another; 3 is what a client that starts
/// three target durations from the end can bear without a hole.
const LAG_TOLERANCE: u64 = 3;

/// A live playlist counts as stalled when nothing new was listed for so many target durations.
const STALLED_AFTER: u32 = 3;

/// A playlist of type VOD that lacks EXT-X-ENDLIST is complete when it has not changed for so long, and three target
/// durations: RFC 8216 6.2.1 forbids it to change, but packagers write the type before they are done.
const SETTLES_AFTER: Duration = Duration::from_secs(10);

/// Segments known but not yet fetched. A live source that is not drained must not fill the memory; all of one
/// playlist is below it, and what is beyond is listed again by the next reload.
const MAX_PENDING: usize = limits::MAX_SEGMENTS;

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
    /// How many times what was listed began anew before it, by a discontinuity or however else: its initialization
    /// section may be another under the same address.
    pub era: u64,
    /// When it was first seen listed. Whoever lists it has written its initialization section.
    pub listed_at: Moment,
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
    /// Windows that ran past us, and the segments in them that were never seen.
    pub windows_missed: u64,
    pub segments_missed: u64,
    /// Segments whose date does not follow from that of the one before, though nothing says so.
    pub dates_astray: u64,
    /// Discontinuities that only their number told, their tag having left with a segment never seen.
    pub discontinuities_inferred: u64,
    /// Changes to another playlist of the same presentation.
    pub switches: u64,
}

/// The reading position in one media playlist.
#[derive(Debug)]
pub struct Cursor {
    start: Start,
    live_start_segments: usize,
    pending: VecDeque<Next>,
    pending_duration: Duration,
    /// Bytes of what they are called.
    pending_text: usize,
    history: History,
    position: Option<Position>,
    /// After [`Cursor::switch`], until the other playlist was read.
    left: Option<Position>,
    /// How much of the first playlist lay before the first segment that was taken.
    skipped: Duration,
    reload_at: Option<Moment>,
    failures: u32,
    epoch: u64,
    force_discontinuity: bool,
    era: u64,
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
    /// It has listed nothing yet.
    is_empty: bool,
    /// It has listed more than at first.
    grown: bool,
    /// Segments have left it.
    slides: bool,
    /// First, end and end mark of the last reading: whether the next one differs.
    seen: (u64, u64, bool),
    progress_at: Moment,
    /// The end of a window that looks like a restart and waits to be confirmed.
    suspect: Option<u64>,
}

impl Position {
    /// Whether a playlist that never grew is all there is.
    fn has_settled(&self, now: Moment) -> bool {
        let quiet = now.saturating_since(self.progress_at);
        !self.grown && quiet >= SETTLES_AFTER.max(self.target * STALLED_AFTER)
    }
}

impl Cursor {
    /// Before the first playlist. `live_start_segments` is the distance from the live edge to start at.
    pub fn new(live_start_segments: usize) -> Self {
        Self::starting(Start::Edge(live_start_segments), live_start_segments)
    }

    /// Before the first playlist, which is begun at `start`.
    pub fn starting(start: Start, live_start_segments: usize) -> Self {
        Self {
            start,
            live_start_segments: live_start_segments.max(1),
            pending: VecDeque::new(),
            pending_duration: Duration::ZERO,
            pending_text: 0,
            history: History::default(),
            position: None,
            left: None,
            skipped: Duration::ZERO,
            reload_at: Some(Moment::ZERO),
            failures: 0,
            epoch: 0,
            force_discontinuity: false,
            era: 0,
            counters: Counters::default(),
        }
    }

    /// Takes in a playlist whose reading began at `began` and was finished at `now`.
    pub fn handle_playlist(&mut self, media: &Media, began: Moment, now: Moment) -> Update {
        self.counters.reloads += 1;
        self.failures = 0;
        let update = match self.position.take() {
            None => self.start(media, now),
            // Until something is listed there is no place to be at.
            Some(position) if position.is_empty && !media.segments.is_empty() => self.start(media, now),
            Some(position) => self.advance(position, media, now),
        };
        if !update.changed {
            self.counters.unchanged += 1;
        }
        let (ended, slides) =
            self.position.as_ref().map_or((false, false), |position| (position.ended, position.slides));
        // RFC 8216 6.3.4: counted from when the client began to load it.
        let wait = reload::wait(media, update.changed, slides);
        self.reload_at = (!ended).then(|| (began + wait).max(now));
        update
    }

    /// The playlist could not be read: it is tried again after `backoff`.
    pub fn handle_reload_failed(&mut self, backoff: Duration, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        self.reload_at = Some(now + backoff);
    }

    /// Another playlist of the same presentation is read from now on: it goes on at `place`, with a period of
    /// its own. What was listed and not given out is forgotten. The playlist is read at once.
    pub fn switch(&mut self, place: Place, now: Moment) {
        self.pending.clear();
        (self.pending_duration, self.pending_text) = (Duration::ZERO, 0);
        self.failures = 0;
        self.reload_at = Some(now);
        // Before anything was read, or between two switches, the place is the one that is known already.
        if let Some(position) = self.position.take() {
            self.left = Some(position);
            self.counters.switches += 1;
            self.force_discontinuity = true;
            self.epoch += 1;
            self.history.clear();
            self.start = Start::With(place);
        }
    }

    /// Where the reader is, for another playlist to go on there: at the first of `taken`, segments that were
    /// given out and are to be given again, or else at what comes next. `played` since the beginning.
    pub fn place(&self, taken: &[&SegmentRef], played: Duration, now: Moment) -> Place {
        let pending = self.pending.iter().find_map(|next| match next {
            Next::Segment(listed) => Some(&listed.segment),
            Next::Missed(_) => None,
        });
        let first = taken.first().copied().or(pending);
        let known: Duration = taken.iter().map(|segment| segment.duration).sum();
        let quiet = self.known().map_or(Duration::ZERO, |known| now.saturating_since(known.progress_at));
        Place {
            date: first.map_or_else(|| self.history.end(), history::date),
            media_sequence: first.map(|segment| segment.sequence).or(self.known().map(|known| known.next)),
            to_end: known + self.pending_duration + quiet,
            from_start: self.skipped + played,
        }
    }

    /// The next segment, or hole, in order; each is given exactly once.
    pub fn take_next(&mut self) -> Option<Next> {
        let next = self.pending.pop_front()?;
        if let Next::Segment(listed) = &next {
            self.pending_duration = self.pending_duration.saturating_sub(listed.segment.duration);
            self.pending_text = self.pending_text.saturating_sub(listed.segment.own_text());
        }
        Some(next)
    }

    /// Whether [`Cursor::take_next`] has something to give.
    pub fn has_next(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The media sequence number of the first segment that is still to be given out.
    pub fn needed_from(&self) -> u64 {
        let pending = self.pending.iter().find_map(|next| match next {
            Next::Segment(listed) if listed.epoch == self.epoch => Some(listed.segment.sequence),
            Next::Segment(_) | Next::Missed(_) => None,
        });
        pending.or(self.position.as_ref().map(|position| position.next)).unwrap_or(0)
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
        self.known().map(|position| position.vod)
    }

    pub fn target_duration(&self) -> Option<Duration> {
        self.known().map(|position| position.target)
    }

    /// The position, or while another playlist is awaited the one in the playlist that was left.
    fn known(&self) -> Option<&Position> {
        self.position.as_ref().or(self.left.as_ref())
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
        let position = self.known().filter(|position| !position.ended)?;
        let quiet = now.saturating_since(position.progress_at);
        (quiet > position.target * STALLED_AFTER).then_some(position.progress_at)
    }

    fn start(&mut self, media: &Media, now: Moment) -> Update {
        let vod = media.is_vod();
        let First { index: from, ahead } = start::first(media, &self.start, now);
        // Another playlist of the presentation goes on in the same time.
        if self.left.take().is_none() {
            self.skipped = media.segments.iter().take(from).map(|segment| segment.duration).sum();
        }
        self.position = Some(Position {
            next: media.end().saturating_add(ahead),
            target: media.target_duration,
            ended: media.ended,
            vod,
            is_empty: media.segments.is_empty(),
            grown: false,
            slides: false,
            seen: fingerprint(media),
            progress_at: now,
            suspect: None,
        });
        self.history.record(&media.segments);
        let listed = self.enqueue(&media.segments, from, now);
        Update { listed, changed: true, ..Update::default() }
    }

    fn advance(&mut self, mut position: Position, media: &Media, now: Moment) -> Update {
        let changed = position.seen != fingerprint(media);
        let before = position.seen.0;
        position.seen = fingerprint(media);
        position.target = media.target_duration;
        let mut update = Update { changed, ..Update::default() };

        let comparison = self.history.compare(&media.segments, media.target_duration);
        let restarted = if media.end() > position.next {
            let reused = comparison.overlap && !comparison.names_agree && comparison.dates == Dates::Newer;
            // Numbers that leap while the dates go on are not media that was missed.
            let leapt = media.media_sequence > position.next && self.history.goes_on(&media.segments);
            reused || leapt || !plausible_jump(&position, media, now)
        } else {
            restarted_behind(&mut position, media, comparison)
        };
        if restarted {
            self.counters.restarts += 1;
            update.restarted = true;
            (position.next, update.listed) = self.restart(&position, media, now);
        } else if media.end() > position.next {
            if media.media_sequence > position.next {
                let missed = self.window_missed(&position, media);
                update.missed = Some(missed);
                self.pending.push_back(Next::Missed(missed));
                self.era += 1;
            } else if self.history.strays(&media.segments, position.next, position.target) {
                self.counters.dates_astray += 1;
            }
            let from = position.next.saturating_sub(media.media_sequence);
            update.listed = self.enqueue(&media.segments, usize::try_from(from).unwrap_or(usize::MAX), now);
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
        position.grown |= update.listed > 0;
        // A window that goes back is another server's, or another numbering's, that has just begun.
        let first = media.listed_from();
        position.slides = !restarted && (first > before || position.slides && first == before);
        // The end mark counts once everything known is listed: a lagging server's copy is not the end.
        let settled = media.kind == Some(Kind::Vod) && position.has_settled(now);
        position.ended = (media.ended || settled) && media.end() >= position.next;
        self.position = Some(position);
        update
    }

    fn window_missed(&mut self, position: &Position, media: &Media) -> Missed {
        self.counters.windows_missed += 1;
        let count = media.media_sequence - position.next;
        self.counters.segments_missed = self.counters.segments_missed.saturating_add(count);
        // A tag that left with them still counts in the number of the first that is left (RFC 8216 6.2.2).
        if let Some(first) = media.segments.first()
            && !first.discontinuity
            && self.history.last_discontinuity().is_some_and(|last| first.discontinuity_sequence > last)
        {
            self.counters.discontinuities_inferred += 1;
            self.force_discontinuity = true;
        }
        let each = u32::try_from(count).unwrap_or(u32::MAX);
        Missed { media_sequence: position.next, count, duration: position.target.saturating_mul(each) }
    }

    /// Goes on in a new numbering: where the dates go on, or else with as much of its end as can have been
    /// produced since the last progress, and at least as much as a fresh start would take.
    fn restart(&mut self, position: &Position, media: &Media, now: Moment) -> (u64, usize) {
        let from = self.history.resume_index(&media.segments).unwrap_or_else(|| {
            let quiet = now.saturating_since(position.progress_at) + position.target;
            let mut from = media.segments.len();
            let mut taken = Duration::ZERO;
            while from > 0 && (taken < quiet || media.segments.len() - from < self.live_start_segments) {
                from -= 1;
                taken += media.segments[from].duration;
            }
            from
        });
        self.force_discontinuity = true;
        self.epoch += 1;
        self.history.clear();
        self.history.record(&media.segments);
        let listed = self.enqueue(&media.segments, from, now);
        let next = media.media_sequence.saturating_add(from as u64).saturating_add(listed as u64);
        (next, listed)
    }

    fn enqueue(&mut self, segments: &[SegmentRef], from: usize, now: Moment) -> usize {
        let room = MAX_PENDING.saturating_sub(self.pending.len());
        let mut listed = 0;
        for segment in segments.iter().skip(from).take(room) {
            self.pending_text += segment.own_text();
            if self.pending_text > limits::MAX_TEXT && listed > 0 {
                self.pending_text -= segment.own_text();
                break;
            }
            self.pending_duration += segment.duration;
            let discontinuity = std::mem::take(&mut self.force_discontinuity) || segment.discontinuity;
            self.era += u64::from(discontinuity);
            self.pending.push_back(Next::Segment(Listed {
                segment: segment.clone(),
                discontinuity,
                epoch: self.epoch,
                era: self.era,
                listed_at: now,
            }));
            listed += 1;
        }
        listed
    }
}

fn fingerprint(media: &Media) -> (u64, u64, bool) {
    (media.listed_from(), media.end(), media.ended)
}
