//! One rendition: its playlist, read on time, and its segments, several on their way at once and given out in
//! order.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::OwnedPermit;
use tracing::{debug, info, warn};
use url::Url;

use super::attempt::{Attempts, Limits, Verdict, holds_up};
use super::cursor::{Counters, Cursor, Listed, Missed, Next, Place};
use super::join::Side;
use super::load::{self, Loaded, Loader};
use super::marks::Marks;
use super::playlist::{LeftOut, Media, Numbering, SegmentRef, merge};
use super::slot::{Slot, State};
use super::work::{Client, Done, Fetched, Work};
use super::{Error, Event, Segment};
use crate::media::{Moment, Rendition};
use crate::memory::Held;
use crate::outside::{ShownUrl, Text};
use crate::policy::Reach;

/// Segments on their way at once, or waiting for one before them: a source that is behind catches up, and
/// its server is not asked for more at once than a browser would.
const MAX_AHEAD: usize = 4;

/// Segments that may wait for one that fails: as many as a window lists that moves on by one a second, for as long
/// as a segment is tried. Otherwise they would leave the window meanwhile.
const MAX_HELD_UP: usize = 32;

/// Bytes that may wait for their turn: two segments of the largest usual size, 10 s at 50 Mbit/s each.
const MAX_WAITING_BYTES: usize = 128 << 20;

/// One playlist and what is on its way of it.
pub(super) struct Reader {
    rendition: Rendition,
    listed: Url,
    pub(super) cursor: Cursor,
    /// None while a reading is under way, which holds it.
    loader: Option<Box<Loader>>,
    /// The reading that is under way is of a playlist that was left.
    abandoned: Option<Box<Loader>>,
    /// How far away the playlist has been: what it lists may be no nearer.
    reach: Reach,
    reload_began: Moment,
    /// As far as it is needed.
    last: Option<Media>,
    /// What was said already of what the playlist lists beyond the limits.
    left_out: LeftOut,
    /// What the playlist takes.
    held: Held,
    /// For a playlist that does not number its segments.
    numbering: Numbering,
    slots: VecDeque<Slot>,
    next_id: u64,
    largest: usize,
    /// Attempts at segments that failed since one succeeded.
    failed_attempts: u32,
    /// Readings in a row that the server refused.
    pub(super) refusals: u32,
    position: Duration,
    /// A lost segment began a period: the next one that comes does.
    owes_discontinuity: bool,
    pub(super) marks: Marks,
}

/// What was given out.
pub(super) enum Given {
    Segment { bytes: u64, took: Duration, duration: Duration, media_sequence: u64, discontinuity: bool },
    Lost { segments: u64, duration: Duration },
}

impl Reader {
    pub(super) fn new(rendition: Rendition, loader: Box<Loader>, cursor: Cursor) -> Self {
        Self {
            rendition,
            listed: loader.listed().clone(),
            reach: loader.reach(),
            held: loader.part(),
            cursor,
            loader: Some(loader),
            abandoned: None,
            reload_began: Moment::ZERO,
            last: None,
            left_out: LeftOut::default(),
            numbering: Numbering::default(),
            slots: VecDeque::new(),
            next_id: 0,
            largest: 0,
            failed_attempts: 0,
            refusals: 0,
            position: Duration::ZERO,
            owes_discontinuity: false,
            marks: Marks::default(),
        }
    }

    /// The playlist's address has changed, its content has not.
    pub(super) fn renew(&mut self, loader: Box<Loader>) {
        self.refusals = 0;
        self.listed = loader.listed().clone();
        if self.loader.is_some() {
            self.loader = Some(loader);
        } else {
            self.abandoned = Some(loader);
        }
    }

    /// Another playlist of the same presentation is read from now on, from where this one is.
    pub(super) fn switch(&mut self, loader: Box<Loader>, now: Moment) {
        let place = self.place(now);
        // What is there already is given; what is not is asked of the other one.
        let there = self.slots.iter().take_while(|slot| slot.is_settled()).count();
        self.slots.truncate(there);
        self.cursor.switch(place, now);
        self.failed_attempts = 0;
        (self.last, self.numbering) = (None, Numbering::default());
        // Nothing is left of what the other one listed.
        self.reach = loader.reach();
        self.renew(loader);
    }

    /// Where the first segment is that is not there yet.
    pub(super) fn place(&self, now: Moment) -> Place {
        let taken: Vec<_> =
            self.slots.iter().skip_while(|slot| slot.is_settled()).filter_map(Slot::segment).collect();
        let settled: Duration =
            self.slots.iter().take_while(|slot| slot.is_settled()).map(Slot::duration).sum();
        self.cursor.place(&taken, self.position + settled, now)
    }

    /// The requests that are due. `room` is how many events the receiver can take now.
    pub(super) fn work(&mut self, client: &Client, room: usize, now: Moment) -> Vec<Work> {
        let mut work: Vec<Work> = Vec::new();
        if self.cursor.reload_at().is_some_and(|due| due <= now)
            && let Some(mut loader) = self.loader.take()
        {
            loader.expect(self.needed_from(), self.last.is_some());
            self.reload_began = now;
            let rendition = self.rendition;
            work.push(Box::pin(async move {
                let (loader, result) = loader.load().await;
                Done::Playlist { rendition, loader: Box::new(loader), result }
            }));
        }
        self.take_slots(client, room, now);
        for slot in &mut self.slots {
            let State::Waiting { listed, attempts, retry_at } = &slot.state else { continue };
            if *retry_at > now {
                continue;
            }
            let (mut listed, attempts) = (listed.clone(), *attempts);
            // As the playlist lists it now: addresses may carry a token that has run out since.
            if let Some(latest) = latest(self.last.as_ref(), &listed, &self.cursor) {
                listed.segment.clone_from(latest);
            }
            let (rendition, id) = (self.rendition, slot.id);
            let fetch = client.clone().fetch(rendition, listed.clone(), self.reach, attempts.remaining(now));
            slot.state = State::Asked { listed, attempts };
            work.push(Box::pin(async move { Done::Segment { rendition, id, result: fetch.await } }));
        }
        work
    }

    /// Takes up what comes next, as far as there is room: one more than the receiver can take.
    fn take_slots(&mut self, client: &Client, room: usize, now: Moment) {
        let limits =
            Limits { vod: self.cursor.is_vod().unwrap_or(false), live_life: client.settings.segment_life };
        while self.takes_another(room, limits.vod) {
            let waiting: usize = self.slots.iter().map(Slot::bytes).sum();
            let coming = self.slots.iter().filter(|slot| !slot.is_settled()).count() + 1;
            // Before the first one came it may be of any size that is allowed.
            let each = if self.largest > 0 { self.largest } else { client.settings.max_segment_bytes };
            let expected = each.saturating_mul(coming).saturating_add(waiting);
            if !self.slots.is_empty() && expected > MAX_WAITING_BYTES {
                return;
            }
            let state = match self.cursor.take_next() {
                None => return,
                Some(Next::Missed(missed)) => State::Missed(missed),
                Some(Next::Segment(listed)) => {
                    self.marks.segment(&listed.segment);
                    if listed.segment.gap {
                        self.marks.gap();
                        let reason = "the playlist marks it as a gap (EXT-X-GAP)".into();
                        State::Lost { listed, reason }
                    } else {
                        State::Waiting { listed, attempts: Attempts::begin(limits, now), retry_at: now }
                    }
                }
            };
            self.slots.push_back(Slot { id: self.next_id, state });
            self.next_id += 1;
        }
    }

    /// Whether one more segment may be on its way, or wait.
    fn takes_another(&self, room: usize, vod: bool) -> bool {
        if self.slots.len() < MAX_AHEAD.min(room.saturating_add(1)) {
            return true;
        }
        // What a complete playlist lists stays there.
        let held_up = !vod && self.slots.front().is_some_and(Slot::has_failed);
        let under_way = self.slots.iter().filter(|slot| !slot.is_settled()).count();
        held_up && under_way < MAX_AHEAD && self.slots.len() < MAX_HELD_UP
    }

    /// When [`Reader::work`] has something to do.
    pub(super) fn wake_at(&self) -> Option<Moment> {
        let reload = self.cursor.reload_at().filter(|_| self.loader.is_some());
        let retries = self.slots.iter().filter_map(|slot| match slot.state {
            State::Waiting { retry_at, .. } => Some(retry_at),
            _ => None,
        });
        retries.chain(reload).min()
    }

    /// The loader of a reading comes back. False: it was of a playlist that was left, and what it brought does
    /// not count.
    pub(super) fn returned(&mut self, loader: Box<Loader>) -> bool {
        let other = self.abandoned.take();
        let counts = other.is_none();
        if counts {
            self.reach = self.reach.max(loader.reach());
        }
        self.loader = Some(other.unwrap_or(loader));
        counts
    }

    /// The address of its playlist, as the master lists it.
    pub(super) fn listed(&self) -> &Url {
        &self.listed
    }

    /// A playlist that is at hand already began to be read then.
    pub(super) fn began(&mut self, at: Moment) {
        self.reload_began = at;
    }

    /// The media sequence number of the first segment that is still to be taken, or may be asked for again. All are
    /// needed where the playlist's own numbers do not count.
    fn needed_from(&self) -> u64 {
        if self.numbering.is_in_use() {
            return 0;
        }
        let slots = self.slots.iter().find_map(Slot::segment).map(|segment| segment.sequence);
        slots.unwrap_or(u64::MAX).min(self.cursor.needed_from())
    }

    pub(super) fn handle_loaded(&mut self, loaded: Loaded, now: Moment) {
        match (loaded, self.last.take()) {
            (Loaded::Changed(media), last) => self.handle_playlist(media, last, now),
            (Loaded::Unchanged, Some(last)) => {
                self.cursor.handle_playlist(&last, self.reload_began, now);
                self.refusals = 0;
                self.last = Some(last);
            }
            // The loader asks for what is not at hand.
            (Loaded::Unchanged, None) => {}
        }
    }

    fn handle_playlist(&mut self, media: Media, last: Option<Media>, now: Moment) {
        let stood_still = self.numbering.stands_still();
        let mut media = merge(last.as_ref(), self.numbering.handle(last.as_ref(), media));
        drop(last);
        if self.numbering.stands_still() && !stood_still {
            let number = media.media_sequence;
            warn!(number, "EXT-X-MEDIA-SEQUENCE stands still: the segments are numbered by their addresses");
        }
        let update = self.cursor.handle_playlist(&media, self.reload_began, now);
        let rendition = self.rendition;
        debug!(
            ?rendition,
            first = media.media_sequence,
            end = media.end(),
            listed = update.listed,
            lagging = update.lagging,
            "playlist read"
        );
        if update.restarted {
            warn!(?rendition, media_sequence = media.media_sequence, "the source numbers its segments anew");
        }
        if let Some(missed) = update.missed {
            warn!(?rendition, missed.count, missed.media_sequence, "the playlist's window ran past us");
        }
        self.marks.date_ranges(&media.date_ranges);
        self.refusals = 0;
        if media.left_out.is_news(&self.left_out) {
            warn!(?rendition, left_out = ?media.left_out, "the playlist lists more than is read of it");
            self.left_out = media.left_out;
        }
        media.forget_before(self.needed_from());
        self.held.set(load::size(&media));
        self.last = Some(media);
    }

    /// The playlist could not be read, and is tried again after `wait`.
    pub(super) fn playlist_failed(&mut self, error: &Error, wait: Duration, now: Moment) {
        self.cursor.handle_reload_failed(wait, now);
        self.refusals = if error.is_refusal() { self.refusals.saturating_add(1) } else { 0 };
        let rendition = self.rendition;
        warn!(%error, ?rendition, retry_in = ?wait, "the playlist could not be read");
    }

    /// An attempt at a segment ended. The error comes back, and whether it will be tried again.
    pub(super) fn handle_segment(
        &mut self,
        id: u64,
        result: Result<Fetched, Error>,
        random: f64,
        now: Moment,
    ) -> Option<(Error, bool)> {
        let target = self.cursor.target_duration().unwrap_or_default();
        let mut behind = self.slots.iter().skip_while(|slot| slot.id != id).skip(1);
        let ready_behind = behind.find_map(Slot::ready_at);
        let slot = self.slots.iter_mut().find(|slot| slot.id == id)?;
        let State::Asked { listed, mut attempts } = slot.state.clone_asked()? else { return None };
        match result {
            Ok(fetched) => {
                self.largest = self.largest.max(fetched.data.len());
                self.failed_attempts = 0;
                slot.state = State::Ready { listed, fetched, at: now, took: attempts.taken(now) };
                None
            }
            Err(error) => {
                self.failed_attempts = self.failed_attempts.saturating_add(1);
                let still = self.cursor.still_lists(&listed);
                match attempts.handle_failure(&error, still, random, now) {
                    Verdict::RetryAt(retry_at) if !holds_up(&error, retry_at, ready_behind, target) => {
                        debug!(%error, "segment failed, will be tried again");
                        slot.state = State::Waiting { listed, attempts, retry_at };
                        Some((error, true))
                    }
                    Verdict::RetryAt(_) | Verdict::GiveUp => {
                        slot.state = State::Lost { listed, reason: Text::of(&error) };
                        Some((error, false))
                    }
                }
            }
        }
    }

    /// Failures in a row, of the playlist or of segments, whichever are more.
    pub(super) fn trouble(&self) -> u32 {
        self.failed_attempts.max(self.cursor.failures())
    }

    pub(super) fn side(&self) -> Side {
        Side {
            ready: self.slots.front().is_some_and(Slot::is_settled),
            position: self.position,
            done: self.is_finished(),
            at_the_edge: self.slots.is_empty()
                && !self.cursor.has_next()
                && self.cursor.failures() == 0
                && self.last.is_some(),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.cursor.is_finished() && self.slots.is_empty()
    }

    /// Media listed and not yet given out.
    pub(super) fn lag(&self) -> Duration {
        self.cursor.pending_duration() + self.slots.iter().map(Slot::duration).sum::<Duration>()
    }

    pub(super) fn counters(&self) -> Counters {
        self.cursor.counters()
    }

    /// Gives out the first slot, which is settled, as the segment of this `number` if it is one.
    pub(super) fn give(&mut self, number: u64, room: OwnedPermit<Event>) -> Option<Given> {
        let rendition = self.rendition;
        let slot = self.slots.pop_front()?;
        self.position += slot.duration();
        match slot.state {
            State::Ready { listed, fetched, at, took } => {
                let Listed { segment, discontinuity, .. } = listed;
                let extension = extension(segment.name());
                let discontinuity = discontinuity || std::mem::take(&mut self.owes_discontinuity);
                if discontinuity {
                    info!(?rendition, media_sequence = segment.sequence, "a new period begins");
                }
                let given = Given::Segment {
                    bytes: fetched.data.len() as u64,
                    took,
                    duration: segment.duration,
                    media_sequence: segment.sequence,
                    discontinuity,
                };
                room.send(Event::Segment(Segment {
                    number,
                    rendition,
                    media_sequence: segment.sequence,
                    discontinuity,
                    discontinuity_sequence: segment.discontinuity_sequence,
                    duration: segment.duration,
                    program_date_time: segment.program_date_time.map(|date| date.to_string()),
                    url: ShownUrl::url(&segment.uri),
                    extension,
                    init: fetched.init,
                    data: fetched.data,
                    offset: segment.byte_range.map_or(0, |range| range.offset),
                    captured_at: at,
                }));
                Some(given)
            }
            State::Lost { listed, reason } => {
                let (media_sequence, duration) = (listed.segment.sequence, listed.segment.duration);
                warn!(?rendition, media_sequence, %reason, "segment lost");
                self.owes_discontinuity |= listed.discontinuity;
                room.send(Event::Lost { rendition, media_sequence, duration, reason });
                Some(Given::Lost { segments: 1, duration })
            }
            State::Missed(Missed { media_sequence, count, duration }) => {
                let reason = format!("{count} segments left the playlist before it was read").into();
                room.send(Event::Lost { rendition, media_sequence, duration, reason });
                Some(Given::Lost { segments: count, duration })
            }
            State::Waiting { .. } | State::Asked { .. } => None,
        }
    }
}

/// What the playlist, as last read, says of a segment that was listed before.
fn latest<'a>(last: Option<&'a Media>, listed: &Listed, cursor: &Cursor) -> Option<&'a SegmentRef> {
    let media = last.filter(|_| cursor.still_lists(listed))?;
    let index = listed.segment.sequence.checked_sub(media.media_sequence)?;
    let latest = media.segments.get(usize::try_from(index).ok()?)?;
    (latest.name() == listed.segment.name()).then_some(latest)
}

/// The extension of the last path component: it becomes part of a file name, so only what is harmless there.
fn extension(name: &str) -> String {
    /// Longer ones are no extensions.
    const MAX_CHARS: usize = 5;
    match name.rsplit_once('.') {
        Some((_, extension))
            if (1..=MAX_CHARS).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            extension.to_ascii_lowercase()
        }
        _ => "ts".to_owned(),
    }
}
