//! One look a second at all streams, shared by all clients.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
            (id, before.unwrap_or_else(|| Seen { version, status: Arc::new(status) }))
        };
        let look: Look = Arc::new(registry.list().iter().map(|stream| seen(stream.status())).collect());
        last.at = Some(now);
        last.look = Arc::clone(&look);
        look
    }
}

/// What one client was told.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<StreamId, u64>);

/// The next thing to tell a client.
#[derive(Debug)]
pub(super) enum News {
    Changed(Arc<StreamStatus>),
    Removed(StreamId),
}

impl Told {
    /// What is new in `look`. What cannot be told has to be taken back with [`Told::forget`].
    pub(super) fn news(&mut self, look: &Look) -> Vec<News> {
        let gone: Vec<_> = self.0.keys().filter(|id| !look.contains_key(*id)).cloned().collect();
        let mut news: Vec<_> = gone
            .into_iter()
            .map(|id| {
                self.0.remove(&id);
                News::Removed(id)
            })
            .collect();
        for (id, seen) in look.iter() {
            if self.0.insert(id.clone(), seen.version) != Some(seen.version) {
                news.push(News::Changed(Arc::clone(&seen.status)));
            }
        }
        news
    }

    /// The client took no more: it is told again next time, with what is true then.
    pub(super) fn forget(&mut self, news: &News) {
        match news {
            News::Changed(status) => self.0.insert(status.stream_id.clone(), 0),
            News::Removed(id) => self.0.insert(id.clone(), 0),
        };
    }
}
