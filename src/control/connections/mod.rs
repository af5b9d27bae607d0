//! Whose connections there are, how many, and what they may do before and after they were admitted.
//!
//! With a token, a connection is admitted when a request on it carried the token, or when it joined the event channel.
//! Those that are not have a share of their own, little time and few bytes, so that they shut nobody out. Without a
//! token all are admitted as they arrive. An event client has terms of its own in either case.
//!
//! - `places`: who gives way. Pure.
//! - `ends`: how connections ended that this side ended.
//! - the types here: the shell around them.

mod ends;
mod places;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::ends::{Ends, Kind};
use self::places::Places;
use super::events::MAX_CLIENTS;
use crate::clock::Clock;
use crate::media::Moment;
use crate::metrics::Connections as Numbers;
use crate::net::bucket::Bucket;
use crate::net::guarded::{Ended, Peer, Rate, Terms, Trial};

/// A browser opens six, a player one or two.
const MAX_HTTP: usize = 512;
/// Connections at once. Beyond it connections wait to be accepted: each takes an open file, and streams need those.
pub(super) const MAX_CONNECTIONS: usize = MAX_HTTP + MAX_CLIENTS;
/// Connections that nothing admitted yet, beside those: monitors, pages before they are given the token, and whoever
/// only knocks. A client is among them for the time of one packet.
pub(super) const MAX_UNADMITTED: usize = 128;

/// Connections that are accepted in a second where clients have to be admitted, and at once after a pause. A newcomer
/// gives way to others after a tenth of a second at the earliest, by when its first packet was read: what arrives
/// faster waits in the system's queue.
const ACCEPTED_PER_SECOND: u64 = 1_000;
const ACCEPTED_AT_ONCE: u64 = MAX_UNADMITTED as u64 / 4;

/// A peer that takes nothing for so long does not read: a sleeping computer, or a client that only sends. Networks
/// that come back do so within seconds, and clients come back by themselves.
const STALL: Duration = Duration::from_secs(10);

/// Of a connection that was admitted.
const ADMITTED: Terms = Terms { stall: STALL, read_while_blocked: 0, trial: None, rate: None };
/// Of one that was not: some requests with a browser's cookies, or one with a whole body and the wrong token; and the
/// files of the page over a slow line.
const UNADMITTED: Terms =
    Terms { trial: Some(Trial { bytes: 256 << 10, time: Duration::from_secs(30) }), ..ADMITTED };
/// From then on answers to a connection that was not admitted end it (`connection: close`): its time ends between two
/// requests then, not in the middle of one.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// What a client of the event channel sends before it has joined: a probe and a packet with a token, of some
/// kilobytes where it says much about its bearer.
pub(super) const MAX_JOIN: u64 = 8 << 10;
/// Of a WebSocket that has not joined the event channel. Each packet is work, and may be a task, long before it is known
/// to be refused: so they are not read much faster than they are answered.
const JOINING: Terms = Terms {
    trial: Some(Trial { bytes: MAX_JOIN, time: Duration::from_secs(10) }),
    rate: Some(Rate { per_second: 8 << 10, burst: 1 << 10, patience: Duration::from_secs(10) }),
    ..ADMITTED
};
/// Of one whose token was refused: it may leave, or try one other.
const REFUSED: Terms = Terms { trial: Some(Trial { bytes: 512, time: Duration::from_secs(10) }), ..JOINING };
/// Of an event client. It sends a filter now and then, of a hundred bytes, and a byte for each heartbeat; each packet may
/// be answered by one.
const EVENT_CLIENT: Terms = Terms {
    rate: Some(Rate { per_second: 16 << 10, burst: 64 << 10, patience: Duration::from_secs(10) }),
    ..ADMITTED
};

/// All connections of the server.
#[derive(Debug)]
pub(super) struct Connections {
    /// A token is asked for.
    guarded: bool,
    admitted: Arc<Semaphore>,
    newcomers: Mutex<Newcomers>,
    clock: Clock,
    accepted: Mutex<Bucket>,
    ends: Ends,
}

#[derive(Debug)]
struct Newcomers {
    places: Places,
    peers: HashMap<u64, Arc<Peer>>,
}

/// One connection, as a request on it finds it in its extensions.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    peer: Arc<Peer>,
    connections: Arc<Connections>,
    standing: Arc<Mutex<Standing>>,
}

#[derive(Debug)]
struct Standing {
    address: IpAddr,
    /// Its number among the newcomers.
    number: u64,
    /// Its place among the admitted.
    place: Option<OwnedSemaphorePermit>,
    kind: Kind,
    refused: bool,
    gone: bool,
}

/// What a connection occupies; dropped with its stream.
pub(super) struct Place(Connection);

impl Connections {
    pub(super) fn new(guarded: bool) -> Arc<Self> {
        let newcomers = Newcomers { places: Places::new(MAX_UNADMITTED), peers: HashMap::new() };
        let admitted = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let clock = Clock::start();
        let accepted = Mutex::new(Bucket::new(ACCEPTED_PER_SECOND, ACCEPTED_AT_ONCE, clock.now()));
        Arc::new(Self {
            guarded,
            admitted,
            newcomers: Mutex::new(newcomers),
            clock,
            accepted,
            ends: Ends::default(),
        })
    }

    /// Waits until the next connection may be accepted: until there is a place for it where all are admitted as they
    /// arrive, or else until those before it have had time to say what they want.
    pub(super) async fn room(&self) {
        if !self.guarded {
            // Given back at once: only those that arrive take places then, one after the other. Never closed.
            let _ = self.admitted.acquire().await;
            return;
        }
        while let Some(at) = self.next_turn() {
            self.clock.sleep_until(at).await;
        }
    }

    /// When the next connection may be accepted; none: now, and it is counted.
    fn next_turn(&self) -> Option<Moment> {
        // Plain numbers are whole at any moment.
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted.take_one(self.clock.now()) { None } else { Some(accepted.when(1)) }
    }

    /// A connection from `address`.
    pub(super) fn arrive(self: &Arc<Self>, address: IpAddr) -> Connection {
        let place = if self.guarded { None } else { self.place() };
        let peer = Peer::new(if place.is_some() { ADMITTED } else { UNADMITTED });
        let mut number = 0;
        if place.is_none() {
            let mut newcomers = self.newcomers();
            let (arrived, displaced) = newcomers.places.arrive(address);
            number = arrived;
            newcomers.peers.insert(number, Arc::clone(&peer));
            if let Some(displaced) = displaced.and_then(|number| newcomers.peers.remove(&number)) {
                displaced.end(Ended::Displaced);
            }
        }
        let standing = Standing { address, number, place, kind: Kind::Http, refused: false, gone: false };
        Connection { peer, connections: Arc::clone(self), standing: Arc::new(Mutex::new(standing)) }
    }

    /// An event client was lost because it answered no heartbeat.
    pub(super) fn missed_heartbeat(&self) {
        self.ends.count_heartbeat();
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            admitted: MAX_CONNECTIONS - self.admitted.available_permits(),
            unadmitted: self.newcomers().places.len(),
            closed: self.ends.all(),
        }
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.admitted).try_acquire_owned().ok()
    }

    fn newcomers(&self) -> MutexGuard<'_, Newcomers> {
        // Nothing panics while it holds the lock.
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newcomers {
    fn leave(&mut self, number: u64) {
        self.places.leave(number);
        self.peers.remove(&number);
    }
}

impl Connection {
    /// Something on it carried the token. Where all places are taken it keeps its terms, and is answered all the same.
    pub(super) fn admit(&self) {
        let mut standing = self.standing();
        if standing.gone || standing.place.is_some() {
            return;
        }
        let Some(place) = self.connections.place() else { return };
        standing.place = Some(place);
        self.connections.newcomers().leave(standing.number);
        if standing.kind == Kind::Http {
            self.peer.set_terms(ADMITTED);
        }
    }

    /// It has become a WebSocket.
    pub(super) fn upgraded(&self) {
        self.standing().kind = Kind::WebSocket;
        self.peer.set_terms(JOINING);
    }

    /// Its WebSocket was refused a namespace.
    pub(super) fn refuse(&self) {
        let is_first = !std::mem::replace(&mut self.standing().refused, true);
        if is_first && self.is_web_socket() {
            self.peer.set_terms(REFUSED);
        }
    }

    /// Its WebSocket has joined the event channel.
    pub(super) fn joined(&self) {
        self.admit();
        self.peer.set_terms(EVENT_CLIENT);
    }

    pub(super) fn is_web_socket(&self) -> bool {
        self.standing().kind == Kind::WebSocket
    }

    /// Whose it is, as far as its address tells.
    pub(super) fn customer(&self) -> IpAddr {
        places::customer(self.standing().address)
    }

    /// The answer that is given now should be its last.
    pub(super) fn should_end(&self) -> bool {
        self.standing().place.is_none() && self.peer.age() >= LAST_ANSWER
    }

    /// Bytes that it took.
    pub(super) fn written(&self) -> u64 {
        self.peer.written()
    }

    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// What its stream has to hold.
    pub(super) fn place(&self) -> Place {
        Place(self.clone())
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Nothing panics while it holds the lock.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Connection { peer, connections, .. } = &self.0;
        let mut standing = self.0.standing();
        standing.gone = true;
        if standing.place.take().is_none() {
            connections.newcomers().leave(standing.number);
        }
        if let Some(why) = peer.ended() {
            connections.ends.count(standing.kind, standing.address, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_has_time_before_it_gives_way_however_many_knock() {
        let connections = Connections::new(true);
        let mut waiting = Vec::new();
        let mut displaced = 0;
        for _ in 0..10 * MAX_UNADMITTED {
            connections.room().await;
            waiting.push(connections.arrive([192, 0, 2, 1].into()));
            waiting.retain(|connection| {
                let peer = connection.peer();
                let gone = peer.ended() == Some(Ended::Displaced);
                assert!(!gone || peer.age() >= Duration::from_millis(90), "after {:?}", peer.age());
                displaced += usize::from(gone);
                !gone
            });
        }
        assert_eq!(displaced, 9 * MAX_UNADMITTED);
        assert!(
            connections.clock.now() < Moment::ZERO + Duration::from_secs(3),
            "and they are not kept waiting"
        );
    }
}
