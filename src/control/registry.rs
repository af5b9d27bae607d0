//! Which streams there are: started, running, stopped and remembered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, join_all};

use super::admission::{self, Mb};
use super::supervise::Supervised;
use crate::clock::Clock;
use crate::config::{ServiceLimits, StreamSettings};
use crate::media::StreamId;
use crate::pipeline::Death;
use crate::preview::Preview;
use crate::status::StreamStatus;

/// Stopped streams whose last status is kept.
const MAX_REMEMBERED: usize = 100;

/// One stream as the registry sees it.
pub trait Stream: Send + Sync {
    fn settings(&self) -> &StreamSettings;
    /// A cheap snapshot, also after the end.
    fn status(&self) -> StreamStatus;
    fn preview(&self) -> Arc<Preview>;
    /// It was ended for good: no later process takes it up again.
    fn discard(&self) {}
    /// Nothing of it runs any more.
    fn is_finished(&self) -> bool;
    /// Ends the stream in good order, within a limit of its own; of a finished stream it is ready at once.
    /// May be called repeatedly.
    fn stop(&self) -> BoxFuture<'static, ()>;
}

/// One life of a stream, as whoever starts it again sees it.
pub trait Life: Stream {
    /// Why it died, where it did: it ended by a fault of its own, and may be started again.
    fn death(&self) -> Option<Death>;
    /// Ready when nothing of it runs any more.
    fn ended(&self) -> BoxFuture<'static, ()>;
}

/// Starts streams.
pub trait Launch: Send + Sync {
    /// Returns at once; whatever goes wrong later is in the stream's status.
    fn launch(&self, settings: StreamSettings) -> Arc<dyn Life>;
}

/// All streams by their ids.
pub struct Registry {
    launch: Arc<dyn Launch>,
    limits: ServiceLimits,
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    streams: BTreeMap<StreamId, Entry>,
    /// Counts starts, so that the longest forgotten is known.
    starts: u64,
    draining: bool,
}

struct Entry {
    stream: Arc<dyn Stream>,
    start: u64,
    /// A stop was asked for.
    stopping: bool,
    /// The stop is through.
    ended: bool,
}

impl Entry {
    fn is_over(&self) -> bool {
        self.ended || self.stream.is_finished()
    }
}

/// How a start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    Now,
    /// The stream runs already, with the same settings.
    AlreadyRunning,
}

/// Why a stream was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("this stream runs already with other settings: stop it first")]
    Conflict,
    #[error("as many streams are running as this service takes ({limit}, maxStreams)")]
    Full { limit: usize },
    #[error(
        "the stream would hold about {needed} in memory (bufferDuration and processingBudget at 8 Mbit/s, or \
         sourceMaxBandwidth), more than the {limit} of maxStreamMemory"
    )]
    StreamMemory { needed: Mb, limit: Mb },
    #[error(
        "the stream would hold about {needed} in memory, and those that run hold {taken} of the {limit} of \
         maxMemory"
    )]
    Memory { needed: Mb, taken: Mb, limit: Mb },
    #[error("the streams would need {needed} open files, and the process may have {limit} (ulimit -n)")]
    OpenFiles { needed: u64, limit: u64 },
    #[error("the service is shutting down")]
    Draining,
}

impl Registry {
    pub fn new(launch: Box<dyn Launch>, limits: ServiceLimits, clock: Clock) -> Self {
        Self { launch: launch.into(), limits, clock, inner: Mutex::default() }
    }

    /// Starts a stream. Where one of this name is just ending, its end is awaited first: two would fight for
    /// the same files and the same publishing slot.
    pub async fn start(&self, settings: StreamSettings) -> Result<Started, StartError> {
        loop {
            let (id, ending) = {
                let mut inner = self.lock();
                if inner.draining {
                    return Err(StartError::Draining);
                }
                let id = settings.stream_id.clone();
                match inner.streams.get(&id).filter(|entry| !entry.is_over()) {
                    Some(entry) if entry.stopping => (id, Arc::clone(&entry.stream)),
                    Some(entry) if *entry.stream.settings() == settings => {
                        return Ok(Started::AlreadyRunning);
                    }
                    Some(_) => return Err(StartError::Conflict),
                    None => {
                        let running = inner.streams.values().filter(|entry| !entry.is_over());
                        let running = running.map(|entry| (entry.stream.settings(), entry.stream.status()));
                        admission::admit(&self.limits, running, &settings)?;
                        inner.insert(id, Supervised::start(Arc::clone(&self.launch), settings, self.clock));
                        return Ok(Started::Now);
                    }
                }
            };
            ending.stop().await;
            self.lock().mark_ended(&id, &ending);
        }
    }

    /// Ends a stream and waits for it; `None` when there is none of this name. It stays remembered.
    pub fn stop(&self, id: &StreamId) -> Option<BoxFuture<'static, ()>> {
        let mut inner = self.lock();
        let entry = inner.streams.get_mut(id)?;
        entry.stopping = true;
        let stopped = entry.stream.stop();
        // Only now: what a supervisor starts again before its stop is discarded too.
        entry.stream.discard();
        Some(stopped)
    }

    /// Forgets a stream that is over.
    pub fn forget(&self, id: &StreamId) {
        let mut inner = self.lock();
        if inner.streams.get(id).is_some_and(Entry::is_over) {
            inner.streams.remove(id);
        }
    }

    /// Takes no more streams and ends all that there are.
    pub async fn shut_down(&self) {
        let ends: Vec<_> = {
            let mut inner = self.lock();
            inner.draining = true;
            inner.streams.values().map(|entry| entry.stream.stop()).collect()
        };
        join_all(ends).await;
    }

    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    pub fn get(&self, id: &StreamId) -> Option<Arc<dyn Stream>> {
        self.lock().streams.get(id).map(|entry| Arc::clone(&entry.stream))
    }

    /// All streams, running and remembered, by id.
    pub fn list(&self) -> Vec<Arc<dyn Stream>> {
        self.lock().streams.values().map(|entry| Arc::clone(&entry.stream)).collect()
    }

    /// The stream that a caller means who names none: the one that runs, or where none runs, the one that
    /// there is.
    pub fn only(&self) -> Only {
        let inner = self.lock();
        let mut running = inner.streams.iter().filter(|(_, entry)| !entry.is_over());
        match (running.next(), running.next()) {
            (Some((_, entry)), None) => Only::One(Arc::clone(&entry.stream)),
            (Some(_), Some(_)) => {
                let running = inner.streams.iter().filter(|(_, entry)| !entry.is_over());
                Only::Several(running.map(|(id, _)| id.clone()).collect())
            }
            (None, _) => match (inner.streams.values().next(), inner.streams.len()) {
                (Some(entry), 1) => Only::One(Arc::clone(&entry.stream)),
                _ => Only::None,
            },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The map is whole between any two statements that change it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which stream is meant when none is named.
pub enum Only {
    None,
    One(Arc<dyn Stream>),
    Several(Vec<StreamId>),
}

impl Inner {
    fn insert(&mut self, id: StreamId, stream: Arc<dyn Stream>) {
        let running = self.streams.values().filter(|entry| !entry.is_over()).count();
        while self.streams.len() - running > MAX_REMEMBERED {
            let over = self.streams.iter().filter(|(_, entry)| entry.is_over());
            let Some(oldest) = over.min_by_key(|(_, entry)| entry.start).map(|(id, _)| id.clone()) else {
                break;
            };
            self.streams.remove(&oldest);
        }
        self.starts += 1;
        let entry = Entry { stream, start: self.starts, stopping: false, ended: false };
        self.streams.insert(id, entry);
    }

    fn mark_ended(&mut self, id: &StreamId, stream: &Arc<dyn Stream>) {
        if let Some(entry) = self.streams.get_mut(id).filter(|entry| Arc::ptr_eq(&entry.stream, stream)) {
            entry.ended = true;
        }
    }
}
