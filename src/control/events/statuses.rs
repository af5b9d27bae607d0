//! One look a second at all streams, shared by all clients.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::sessions::LONGEST_EVENT;
use crate::control::Registry;
use crate::media::{Moment, StreamId};
use crate::status::StreamStatus;

/// How often a client is told.
pub(super) const PERIOD: Duration = Duration::from_secs(1);
/// A look this young serves the next client too: their seconds do not begin together.
const FRESH: Duration = Duration::from_millis(900);

/// A stream's status with the number of the look that found it changed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) status: Arc<StreamStatus>,
    /// Its length as JSON.
    pub(super) bytes: u64,
}

impl Seen {
    /// No client could be sent it: it would have to wait whole.
    pub(super) fn is_too_long(&self) -> bool {
        self.bytes > LONGEST_EVENT
    }
}

pub(super) type Look = Arc<BTreeMap<StreamId, Seen>>;

/// The last look. Nothing is done while nobody asks.
#[derive(Debug, Default)]
pub(super) struct Statuses(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    at: Option<Moment>,
    version: u64,
    look: Look,
}

impl Statuses {
    pub(super) fn at(&self, now: Moment, registry: &Registry) -> Look {
        // Nothing panics while it holds the lock.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.at.is_some_and(|at| now.saturating_since(at) < FRESH) {
            return Arc::clone(&last.look);
        }
        last.version += 1;
        let version = last.version;
        let seen = |status: StreamStatus| {
            let id = status.stream_id.clone();
            let before = last.look.get(&id).filter(|seen| *seen.status == status).cloned();
            let new = || {
                let bytes = length(&status);
                Seen { version, status: Arc::new(status), bytes }
            };
            (id, before.unwrap_or_else(new))
        };
        let look: Look = Arc::new(registry.list().iter().map(|stream| seen(stream.status())).collect());
        for (id, seen) in look.iter().filter(|(_, seen)| seen.is_too_long()) {
            if last.look.get(id).is_none_or(|before| !before.is_too_long()) {
                tracing::warn!(stream = %id, bytes = seen.bytes, "status is too long for event clients");
            }
        }
        last.at = Some(now);
        last.look = Arc::clone(&look);
        look
    }
}

/// How long `data` is as JSON.
pub(super) fn length<T: Serialize + ?Sized>(data: &T) -> u64 {
    struct Counter(u64);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // What cannot be written as JSON is not sent either.
    let _ = serde_json::to_writer(&mut counter, data);
    counter.0
}

/// What one client was told.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<StreamId, u64>);

/// The next thing to tell a client.
#[derive(Debug)]
pub(super) enum News {
    Changed(Seen),
    Removed(StreamId),
}

impl Told {
    /// What is new in `look`, what the client was told longest ago first, so that a slow one is told of every stream.
    /// What cannot be told has to be taken back with [`Told::forget`].
    pub(super) fn news(&mut self, look: &Look) -> Vec<News> {
        let gone: Vec<_> = self.0.keys().filter(|id| !look.contains_key(*id)).cloned().collect();
        let mut news: Vec<_> = gone
            .into_iter()
            .map(|id| {
                self.0.remove(&id);
                News::Removed(id)
            })
            .collect();
        let mut changed = Vec::new();
        for (id, seen) in look.iter().filter(|(_, seen)| !seen.is_too_long()) {
            let before = self.0.insert(id.clone(), seen.version);
            if before != Some(seen.version) {
                changed.push((before, seen));
            }
        }
        changed.sort_by_key(|(before, _)| *before);
        news.extend(changed.into_iter().map(|(_, seen)| News::Changed(seen.clone())));
        news
    }

    /// The client took no more: it is told again next time, with what is true then.
    pub(super) fn forget(&mut self, news: &News) {
        match news {
            // As old as can be.
            News::Changed(seen) => self.0.insert(seen.status.stream_id.clone(), 0),
            News::Removed(id) => self.0.insert(id.clone(), 0),
        };
    }
}
