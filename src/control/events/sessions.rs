//! What waits for each client of the event channel, in bytes, on whichever transport.
//!
//! Queues between an emitted event and the socket are bounded in messages only, so what was emitted is counted here,
//! and taken off as the connection takes it: by what a WebSocket has written, by the answers to polls.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::opens::Opens;
use crate::clock::Clock;
use crate::control::connections::{Connection, MAX_JOIN};

/// Bytes that may wait for one client: two hundred lines of the log, or the statuses of some fifty streams. A client
/// that has not taken so much gets what is true when it has.
pub(super) const CLIENT_BYTES: u64 = 256 << 10;
/// Longest event that a client is sent; with two of them something always fits beside what is under way.
pub(super) const LONGEST_EVENT: u64 = CLIENT_BYTES / 2;
/// Polling sessions that have not joined; the oldest gives way. Those on WebSocket are connections, and bounded as such.
const MAX_OPENING: usize = 64;
/// A poll that waited so long found nothing that waited.
const QUIET: Duration = Duration::from_millis(100);
/// What one of them may send.
const OPENING_BYTES: u64 = MAX_JOIN;

/// All sessions that are known by their Engine.IO id.
#[derive(Debug)]
pub(super) struct Sessions {
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    opens: Opens,
    sessions: HashMap<String, Arc<Session>>,
    /// Polling sessions that have not joined, in the order in which they were opened.
    opening: VecDeque<String>,
}

impl Default for Sessions {
    fn default() -> Self {
        let clock = Clock::start();
        let opens = Opens::new(clock.now());
        Self { clock, known: Mutex::new(Known { opens, sessions: HashMap::new(), opening: VecDeque::new() }) }
    }
}

impl Sessions {
    /// Whether one more may be opened by somebody without the token.
    pub(super) fn may_open(&self, customer: Option<IpAddr>) -> bool {
        self.known().opens.take(customer, self.clock.now())
    }

    /// A polling session was opened. The one that has to be closed for it.
    pub(super) fn opened(&self, id: String) -> Option<String> {
        let mut known = self.known();
        known.sessions.insert(id.clone(), Arc::default());
        known.opening.push_back(id);
        let oldest = if known.opening.len() > MAX_OPENING { known.opening.pop_front() } else { None };
        if let Some(oldest) = &oldest {
            known.sessions.remove(oldest);
        }
        oldest
    }

    /// A session has joined, on this WebSocket or by polling.
    pub(super) fn joined(&self, id: String, web_socket: Option<Connection>) -> Arc<Session> {
        let mut known = self.known();
        known.opening.retain(|opening| *opening != id);
        let session = Arc::clone(known.sessions.entry(id).or_default());
        session.meter().joined = true;
        if let Some(connection) = web_socket {
            session.attach(connection);
        }
        session
    }

    pub(super) fn left(&self, id: &str) {
        self.known().sessions.remove(id);
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.known().sessions.get(id).map(Arc::clone)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it holds the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session.
#[derive(Debug, Default)]
pub(super) struct Session(Mutex<Meter>);

#[derive(Debug, Default)]
struct Meter {
    joined: bool,
    waiting: u64,
    web_socket: Option<Connection>,
    /// What the WebSocket had written when `waiting` was right.
    written: u64,
}

impl Session {
    pub(super) fn is_joined(&self) -> bool {
        self.meter().joined
    }

    /// From now on what this WebSocket writes counts.
    pub(super) fn attach(&self, connection: Connection) {
        let mut meter = self.meter();
        meter.written = connection.written();
        meter.web_socket = Some(connection);
    }

    /// The longest event would be taken now.
    pub(super) fn has_room(&self) -> bool {
        self.meter().left(CLIENT_BYTES) > LONGEST_EVENT
    }

    /// Counts `bytes` that are to be emitted, if there is room for them.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.meter().add(bytes, CLIENT_BYTES)
    }

    /// Counts `bytes` that a client sends by polling, which may be answered by as many, if there is room for them.
    pub(super) fn may_post(&self, bytes: u64) -> bool {
        let mut meter = self.meter();
        let limit = if meter.joined { CLIENT_BYTES } else { OPENING_BYTES };
        meter.add(bytes, limit)
    }

    /// An answer to a poll took `bytes`, after `waited`.
    pub(super) fn polled(&self, bytes: u64, waited: Duration) {
        // Posts were counted as if each were answered by as much: what is counted too much is forgotten here.
        self.gives_back(if waited >= QUIET { u64::MAX } else { bytes });
    }

    /// `bytes` that were counted do not wait.
    pub(super) fn gives_back(&self, bytes: u64) {
        let mut meter = self.meter();
        meter.waiting = meter.waiting.saturating_sub(bytes);
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    /// Bytes for which there is room.
    fn left(&mut self, limit: u64) -> u64 {
        if let Some(connection) = &self.web_socket {
            // Pongs and acknowledgements are among it, which were not counted: at most what an event client may
            // send, a few kilobytes a second, and forgotten as soon as nothing waits.
            let written = connection.written();
            self.waiting = self.waiting.saturating_sub(written.saturating_sub(self.written));
            self.written = written;
        }
        limit.saturating_sub(self.waiting)
    }

    fn add(&mut self, bytes: u64, limit: u64) -> bool {
        let fits = bytes <= self.left(limit);
        if fits {
            self.waiting += bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_by_polling_is_given_as_much_as_it_takes() {
        let sessions = Sessions::default();
        let session = sessions.joined("a".to_owned(), None);
        assert!(session.takes(CLIENT_BYTES) && !session.takes(1));
        session.polled(10, Duration::ZERO);
        assert!(session.takes(10) && !session.takes(1));
        session.polled(1, QUIET);
        assert!(!session.takes(CLIENT_BYTES + 1), "never more than that, however fast it is");
        assert!(session.may_post(CLIENT_BYTES) && !session.may_post(1) && !session.takes(1));
    }

    #[test]
    fn sessions_that_do_not_join_are_few_and_say_little() {
        let sessions = Sessions::default();
        let ids: Vec<String> = (0..=MAX_OPENING).map(|number| number.to_string()).collect();
        let displaced: Vec<_> = ids.iter().filter_map(|id| sessions.opened(id.clone())).collect();
        assert_eq!(displaced, ["0"]);
        assert!(sessions.get("0").is_none());
        let opening = sessions.get("1").unwrap();
        assert!(opening.may_post(OPENING_BYTES) && !opening.may_post(1));
        let joined = sessions.joined("1".to_owned(), None);
        assert!(Arc::ptr_eq(&opening, &joined) && joined.is_joined() && joined.may_post(1));
        assert_eq!(sessions.opened("x".to_owned()), None, "the one that joined made room");
        sessions.left("1");
        assert!(sessions.get("1").is_none());
    }
}
