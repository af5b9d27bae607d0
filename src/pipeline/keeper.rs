//! What the journal is told of a stream.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::{Iso8601, Rfc3339};
use tokio::sync::watch;

use crate::clock::{Clock, wall_clock};
use crate::config::{StreamOptions, StreamSettings};
use crate::hls;
use crate::journal::{BatchMark, Journals, Place, Record, SegmentMark, Track, WallMillis};
use crate::media::{Batch, Flicks, Moment, Rendition, StreamId, VideoTrack};
use crate::playout::Playout;
use crate::storage::{Numbers, Writer};

/// How often a record is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// Segments that are remembered at most: two renditions of 1 s segments in the longest batch and budget.
const MAX_SEGMENTS: usize = 2_000;

/// Batches that are remembered at most: more are never between capture and playout.
const MAX_BATCHES: usize = 64;

/// Gathers the record of one stream, and hands it to the journal.
#[derive(Debug)]
pub(super) struct Keeper {
    id: StreamId,
    journals: Option<Journals>,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    record: Record,
    discarded: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("discarded", &self.discarded).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(super) fn new(settings: &StreamSettings, journals: Option<Journals>, clock: Clock) -> Self {
        let record = Record::new(StreamOptions::from(settings), wall_millis(wall_clock()));
        let state = Mutex::new(State { record, discarded: false });
        Self { id: settings.stream_id.clone(), journals, clock, state }
    }

    /// The stream goes on from `record`; its new numbers begin at `next_segment` and `next_batch`.
    pub(super) fn resume(&self, record: Record, next_segment: u64, next_batch: u64) {
        let mut state = self.lock();
        state.record = Record { clean: false, next_segment, next_batch, ..record };
    }

    /// A stream that begins: its first numbers.
    pub(super) fn begin(&self, next_segment: u64, next_batch: u64) {
        let mut state = self.lock();
        (state.record.next_segment, state.record.next_batch) = (next_segment, next_batch);
    }

    pub(super) fn target_duration(&self, target: Duration) {
        self.lock().record.target_duration = target.as_millis().try_into().unwrap_or(u64::MAX);
    }

    /// A segment was captured; `init` is the number under which its initialization section is kept.
    pub(super) fn segment(&self, segment: &hls::Segment, init: Option<u64>) {
        let captured_at = self.calendar(segment.captured_at);
        let duration = segment.duration.as_millis().try_into().unwrap_or(u64::MAX);
        let mut state = self.lock();
        let record = &mut state.record;
        let next = if segment.rendition == Rendition::Main { &mut record.main } else { &mut record.audio };
        let from_start = next.as_ref().map_or(0, |place| place.from_start);
        let place = Place {
            media_sequence: segment.media_sequence,
            discontinuity_sequence: segment.discontinuity_sequence,
            date: segment.program_date_time.clone().or(next.as_ref().and_then(|next| next.date.clone())),
            from_start,
        };
        *next = Some(Place {
            media_sequence: segment.media_sequence.saturating_add(1),
            date: place.date.as_deref().and_then(|date| later(date, segment.duration)),
            from_start: from_start.saturating_add(duration),
            ..place
        });
        record.next_segment = record.next_segment.max(segment.number.saturating_add(1));
        if record.segments.len() == MAX_SEGMENTS {
            record.segments.remove(0);
        }
        record.segments.push(SegmentMark {
            number: segment.number,
            rendition: segment.rendition,
            extension: segment.extension.clone(),
            init,
            place,
            duration,
            discontinuity: segment.discontinuity,
            bytes: segment.data.len() as u64,
            captured_at,
        });
    }

    /// Media that was not captured: the place moves on without it.
    pub(super) fn lost(&self, rendition: Rendition, media_sequence: u64, duration: Duration) {
        let mut state = self.lock();
        let record = &mut state.record;
        let next = if rendition == Rendition::Main { &mut record.main } else { &mut record.audio };
        if let Some(next) = next {
            next.media_sequence = next.media_sequence.max(media_sequence.saturating_add(1));
            next.date = next.date.as_deref().and_then(|date| later(date, duration));
            let millis = duration.as_millis().try_into().unwrap_or(u64::MAX);
            next.from_start = next.from_start.saturating_add(millis);
        }
    }

    /// A batch was closed.
    pub(super) fn batch(&self, batch: &Batch) {
        let video = batch.video.as_ref().and_then(VideoTrack::start);
        let (source, track) = match (video, &batch.audio) {
            (Some(start), _) => (start, Track::Video),
            (None, Some(audio)) => (audio.start, Track::Audio),
            (None, None) => (batch.start - batch.shift, Track::Video),
        };
        let captured_at = self.calendar(batch.captured_at);
        let mut state = self.lock();
        let record = &mut state.record;
        record.next_batch = record.next_batch.max(batch.number.saturating_add(1));
        if record.batches.len() == MAX_BATCHES {
            record.batches.remove(0);
        }
        record.batches.push(BatchMark {
            number: batch.number,
            first_segment: batch.segments.start,
            end_segment: batch.segments.end,
            captured_at,
            start: batch.start.get(),
            end: (batch.start + batch.duration).get(),
            shift: batch.shift.get(),
            source: source.get(),
            track,
        });
    }

    /// Writes a record each second until it is dropped, and lets `writer` know what is still needed.
    pub(super) async fn run(
        &self,
        writer: &Writer,
        playout: watch::Receiver<Option<Playout>>,
        source: watch::Receiver<hls::Status>,
    ) {
        loop {
            let needed = self.save(*playout.borrow(), source.borrow().kind, false);
            writer.protect(Some(needed));
            self.clock.sleep(INTERVAL).await;
        }
    }

    /// Hands the present state to the journal. Returns the first numbers that may still be published.
    pub(super) fn save(
        &self,
        playout: Option<Playout>,
        kind: Option<hls::SourceKind>,
        clean: bool,
    ) -> Numbers {
        let position = playout.map(|playout| playout.position(self.clock.now()));
        let mut state = self.lock();
        let record = &mut state.record;
        record.saved_at = wall_millis(wall_clock());
        record.clean = clean;
        record.complete = kind.map_or(record.complete, |kind| kind == hls::SourceKind::Vod);
        record.position = position.map(Flicks::get).or(record.position);
        forget_played(record);
        if let Some(journals) = self.journals.as_ref().filter(|_| !state.discarded) {
            journals.put(&self.id, state.record.clone());
        }
        needed(&state.record)
    }

    /// The stream is over for good: nothing of it is resumed.
    pub(super) fn discard(&self) {
        let mut state = self.lock();
        state.discarded = true;
        if let Some(journals) = &self.journals {
            journals.remove(&self.id);
        }
    }

    pub(super) fn is_discarded(&self) -> bool {
        self.lock().discarded
    }

    fn calendar(&self, at: Moment) -> WallMillis {
        let ago = self.clock.now().saturating_since(at);
        wall_millis(wall_clock()) - WallMillis::try_from(ago.as_millis()).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Between any two statements under the lock the record is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Batches that have been played, but for the last, which says what the source's clock belongs to; and their
/// segments.
fn forget_played(record: &mut Record) {
    let Some(position) = record.position else { return };
    let played = record.batches.iter().take_while(|batch| batch.end <= position).count();
    let all = played == record.batches.len();
    record.batches.drain(..if all { played.saturating_sub(1) } else { played });
    let first = match record.batches.first() {
        Some(batch) if all => batch.end_segment,
        Some(batch) => batch.first_segment,
        None => return,
    };
    record.segments.retain(|segment| segment.number >= first);
}

/// The first numbers that may still be published.
fn needed(record: &Record) -> Numbers {
    let played = |batch: &BatchMark| record.position.is_some_and(|position| batch.end <= position);
    let segment = record.segments.first().map_or(record.next_segment, |segment| segment.number);
    match record.batches.iter().find(|batch| !played(batch)) {
        Some(batch) => Numbers { segment: segment.min(batch.first_segment), batch: batch.number },
        None => Numbers { segment, batch: record.next_batch },
    }
}

/// `date` moved by `duration`; none where it cannot be understood.
fn later(date: &str, duration: Duration) -> Option<String> {
    let date = OffsetDateTime::parse(date, &Iso8601::PARSING).ok()?;
    date.checked_add(duration.try_into().ok()?)?.format(&Rfc3339).ok()
}

pub(super) fn wall_millis(wall: SystemTime) -> WallMillis {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallMillis::try_from(since.as_millis()).unwrap_or(WallMillis::MAX)
}
