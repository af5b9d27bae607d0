//! The task that reads one source.
//!
//! The playlist is read on time whether or not a segment is on its way, so that nothing leaves the window
//! unseen; one segment at a time is fetched, and only when the receiver has room for it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::attempt::{Attempts, Limits, Verdict};
use super::cursor::{Cursor, Listed, Missed, Next};
use super::fetch::Http;
use super::load::{Loader, unsupported};
use super::playlist::Media;
use super::retry::backoff;
use super::segment::Segments;
use super::{Error, Event, Segment, Settings, SourceKind, Status};
use crate::clock::Clock;
use crate::media::Moment;
use crate::redact;

/// A playlist that is not there so often in a row, before it ever was, will not come.
const STARTUP_REFUSALS: u32 = 3;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Reads the source until it ends (after [`Event::Ended`]), `stop` is cancelled or the receiver is gone.
/// Segments are numbered from `first_number`. While `out` is full nothing more is fetched.
///
/// # Errors
///
/// Only a source that never worked: at once for what cannot get better (not a playlist, unsupported, not
/// there three times), after `settings.startup_budget` for the rest.
pub async fn run(
    settings: Settings,
    clock: Clock,
    first_number: u64,
    out: mpsc::Sender<Event>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let settings = Arc::new(settings);
    let http = Arc::new(Http::new(&settings)?);
    status.send_modify(|status| status.source_url = redact::url(settings.url.as_str()));
    let source = Source {
        cursor: Cursor::new(settings.live_start_segments),
        loader: Some(Loader::new(http.clone(), settings.clone())),
        segments: Arc::new(Segments::new(http, &settings)),
        clock,
        status,
        out,
        number: first_number,
        current: None,
        outbox: VecDeque::new(),
        owes_discontinuity: false,
        started_at: clock.now(),
        reload_began: Moment::ZERO,
        settings,
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        result = source.drive() => result,
    }
}

struct Source {
    settings: Arc<Settings>,
    segments: Arc<Segments>,
    clock: Clock,
    status: watch::Sender<Status>,
    out: mpsc::Sender<Event>,
    cursor: Cursor,
    /// None while a reading is under way, which holds it.
    loader: Option<Loader>,
    started_at: Moment,
    reload_began: Moment,
    number: u64,
    current: Option<Current>,
    outbox: VecDeque<Event>,
    /// A lost segment began a period: the next one that comes does.
    owes_discontinuity: bool,
}

/// The segment on its way, with the room that is kept for it.
struct Current {
    listed: Listed,
    room: mpsc::OwnedPermit<Event>,
    attempts: Attempts,
    retry_at: Option<Moment>,
}

impl Source {
    async fn drive(mut self) -> Result<(), Error> {
        let mut reload: Option<Work<(Loader, Result<Media, Error>)>> = None;
        let mut attempt: Option<Work<Result<Bytes, Error>>> = None;
        let mut startup_refusals = 0;
        loop {
            let now = self.clock.now();
            if self.cursor.reload_at().is_some_and(|due| due <= now)
                && let Some(loader) = self.loader.take()
            {
                self.reload_began = now;
                reload = Some(Box::pin(loader.load()));
            }
            if attempt.is_none() {
                attempt = self.next_attempt(now);
            }
            if self.cursor.is_finished() && self.current.is_none() && self.outbox.is_empty() {
                info!("the playlist has ended and was delivered");
                let _ = self.out.send(Event::Ended).await;
                return Ok(());
            }
            self.publish_status(now);

            let wants_room = !self.outbox.is_empty() || (self.current.is_none() && self.cursor.has_next());
            let wake = self.wake_at(attempt.is_some());
            tokio::select! {
                room = self.out.clone().reserve_owned(), if wants_room => match room {
                    Ok(room) => self.use_room(room),
                    Err(_) => return Ok(()),
                },
                (loader, result) = poll(&mut reload), if reload.is_some() => {
                    reload = None;
                    self.loader = Some(loader);
                    self.handle_reload(result, &mut startup_refusals)?;
                }
                result = poll(&mut attempt), if attempt.is_some() => {
                    attempt = None;
                    self.handle_attempt(result);
                }
                () = sleep_until(self.clock, wake), if wake.is_some() => {}
                () = self.out.closed() => return Ok(()),
            }
        }
    }

    fn wake_at(&self, attempting: bool) -> Option<Moment> {
        let reload = self.cursor.reload_at().filter(|_| self.loader.is_some());
        let retry = self.current.as_ref().and_then(|current| current.retry_at).filter(|_| !attempting);
        [reload, retry].into_iter().flatten().min()
    }

    /// The request for the current segment, when it is due.
    fn next_attempt(&mut self, now: Moment) -> Option<Work<Result<Bytes, Error>>> {
        let current = self.current.as_mut()?;
        if current.retry_at.is_some_and(|due| due > now) {
            return None;
        }
        current.retry_at = None;
        let segments = self.segments.clone();
        let (segment, total) = (current.listed.segment.clone(), current.attempts.remaining(now));
        Some(Box::pin(async move {
            if let Some(error) = unsupported(&segment) {
                return Err(error);
            }
            segments.fetch(&segment, total).await
        }))
    }

    /// There is room for one event: an announcement that waits, or else the next segment or hole.
    fn use_room(&mut self, room: mpsc::OwnedPermit<Event>) {
        if let Some(event) = self.outbox.pop_front() {
            room.send(event);
            return;
        }
        match self.cursor.take_next() {
            Some(Next::Missed(missed)) => self.lose_unseen(missed, room),
            Some(Next::Segment(listed)) if listed.segment.gap => {
                self.lose(&listed, "the playlist marks it as a gap (EXT-X-GAP)".to_owned(), room);
            }
            Some(Next::Segment(listed)) => {
                let limits = Limits {
                    vod: self.cursor.is_vod().unwrap_or(false),
                    live_life: self.settings.segment_life,
                };
                let attempts = Attempts::begin(limits, self.clock.now());
                self.current = Some(Current { listed, room, attempts, retry_at: None });
            }
            None => {}
        }
    }

    fn handle_reload(&mut self, result: Result<Media, Error>, refusals: &mut u32) -> Result<(), Error> {
        let now = self.clock.now();
        let first = self.cursor.target_duration().is_none();
        let media = match result {
            Ok(media) => media,
            Err(error) => {
                if first {
                    *refusals += u32::from(error.is_refusal());
                    let budget = self.settings.startup_budget;
                    if !error.is_transient() || *refusals >= STARTUP_REFUSALS {
                        return Err(error);
                    } else if now.saturating_since(self.started_at) >= budget {
                        return Err(Error::Startup { budget, last: Box::new(error) });
                    }
                }
                self.playlist_failed(&error, now);
                return Ok(());
            }
        };
        if first && let Some(error) = media.segments.iter().find_map(unsupported) {
            return Err(error);
        }
        let target_before = self.cursor.target_duration();
        let update = self.cursor.handle_playlist(&media, self.reload_began, now);
        debug!(
            first = media.media_sequence,
            end = media.end(),
            listed = update.listed,
            lagging = update.lagging,
            "playlist read"
        );
        if update.restarted {
            warn!(media_sequence = media.media_sequence, "the source numbers its segments anew");
        }
        if let Some(missed) = update.missed {
            warn!(missed.count, missed.media_sequence, "the playlist's window ran past us");
        }
        if target_before != Some(media.target_duration) {
            self.outbox.push_back(Event::TargetDuration(media.target_duration));
        }
        if first {
            let kind = if media.is_vod() { SourceKind::Vod } else { SourceKind::Live };
            let variant = self.loader.as_ref().and_then(Loader::variant).map(str::to_owned);
            let url = redact::url(self.settings.url.as_str());
            info!(%url, ?kind, variant, segments = media.segments.len(), "source opened");
            self.status.send_modify(|status| status.kind = Some(kind));
        }
        let variant = self.loader.as_ref().and_then(Loader::variant);
        self.status.send_modify(|status| status.variant = variant.map(str::to_owned));
        Ok(())
    }

    fn playlist_failed(&mut self, error: &Error, now: Moment) {
        let wait = backoff(self.cursor.failures().saturating_add(1), rand::random());
        self.cursor.handle_reload_failed(wait, now);
        warn!(%error, retry_in = ?wait, "the playlist could not be read");
        self.failed(error);
    }

    fn handle_attempt(&mut self, result: Result<Bytes, Error>) {
        let now = self.clock.now();
        let Some(mut current) = self.current.take() else { return };
        match result {
            Ok(data) => self.deliver(current, data, now),
            Err(error) => {
                let listed = self.cursor.still_lists(&current.listed);
                match current.attempts.handle_failure(&error, listed, rand::random(), now) {
                    Verdict::RetryAt(retry_at) => {
                        debug!(%error, "segment failed, will be tried again");
                        current.retry_at = Some(retry_at);
                        self.current = Some(current);
                        self.failed(&error);
                    }
                    Verdict::GiveUp => {
                        self.status.send_modify(|status| status.last_error = Some(error.to_string()));
                        self.lose(&current.listed, error.to_string(), current.room);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, current: Current, data: Bytes, now: Moment) {
        let Listed { segment, discontinuity, .. } = current.listed;
        let extension = extension(&segment.uri);
        let discontinuity = discontinuity || std::mem::take(&mut self.owes_discontinuity);
        let bytes = data.len() as u64;
        current.room.send(Event::Segment(Segment {
            number: self.number,
            media_sequence: segment.sequence,
            discontinuity,
            duration: segment.duration,
            program_date_time: segment.program_date_time,
            url: redact::url(&segment.uri),
            extension,
            data,
            captured_at: now,
        }));
        self.number = self.number.saturating_add(1);
        self.status.send_modify(|status| {
            status.last_media_sequence = Some(segment.sequence);
            status.segments += 1;
            status.bytes += bytes;
            status.last_fetch = Some(current.attempts.taken(now));
            status.discontinuities += u64::from(discontinuity);
        });
    }

    fn lose(&mut self, listed: &Listed, reason: String, room: mpsc::OwnedPermit<Event>) {
        let (media_sequence, duration) = (listed.segment.sequence, listed.segment.duration);
        warn!(media_sequence, reason, "segment lost");
        self.owes_discontinuity |= listed.discontinuity;
        room.send(Event::Lost { media_sequence, duration, reason });
        self.count_gap(1, duration);
    }

    fn lose_unseen(&mut self, missed: Missed, room: mpsc::OwnedPermit<Event>) {
        let reason = format!("{} segments left the playlist before it was read", missed.count);
        room.send(Event::Lost { media_sequence: missed.media_sequence, duration: missed.duration, reason });
        self.count_gap(missed.count, missed.duration);
    }

    fn count_gap(&self, segments: u64, duration: Duration) {
        self.status.send_modify(|status| {
            status.gaps += segments;
            status.gap_duration = status.gap_duration.saturating_add(duration);
        });
    }

    fn failed(&self, error: &Error) {
        self.status.send_modify(|status| {
            status.retries += 1;
            status.last_error = Some(error.to_string());
        });
    }

    fn publish_status(&self, now: Moment) {
        let in_hand = self.current.as_ref().map(|current| current.listed.segment.duration);
        let counters = self.cursor.counters();
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.lag = self.cursor.pending_duration() + in_hand.unwrap_or_default();
            status.target_duration = self.cursor.target_duration();
            status.stalled_since = self.cursor.stalled_since(now);
            status.reloads = counters.reloads;
            status.restarts = counters.restarts;
            status.lagging_reloads = counters.lagging;
            *status != before
        });
    }
}

/// The work under way; never ready while there is none.
async fn poll<T>(work: &mut Option<Work<T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(clock: Clock, wake: Option<Moment>) {
    if let Some(wake) = wake {
        clock.sleep_until(wake).await;
    }
}

/// The extension of the last path component: it becomes part of a file name, so only what is harmless there.
fn extension(uri: &str) -> String {
    /// Longer ones are no extensions.
    const MAX_CHARS: usize = 5;
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let last = path.rsplit('/').next().unwrap_or(path);
    match last.rsplit_once('.') {
        Some((_, extension))
            if (1..=MAX_CHARS).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            extension.to_ascii_lowercase()
        }
        _ => "ts".to_owned(),
    }
}
