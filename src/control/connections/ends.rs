//! How connections ended that this side ended: counted for monitoring, and logged without letting a flood of
//! connections become a flood of lines.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::media::Moment;
use crate::net::guarded::Ended;

/// Of each kind and reason one line is written in this time; it says how many there were.
const QUIET: Duration = Duration::from_secs(10);

/// Of a client that answers no heartbeat, which the Engine.IO server ends by itself.
const HEARTBEAT: &str = "no_heartbeat";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::control) enum Kind {
    Http,
    WebSocket,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Http, Self::WebSocket];

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }
}

#[derive(Debug)]
pub(super) struct Ends {
    clock: Clock,
    counts: Mutex<BTreeMap<(Kind, &'static str), Count>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    /// What the last line counted, and when that was.
    told: Option<(u64, Moment)>,
}

impl Count {
    /// One more; how many a line is to tell of, if one is due.
    fn add(&mut self, now: Moment) -> Option<u64> {
        self.total += 1;
        let (before, quiet) = match self.told {
            Some((total, at)) => (total, now.saturating_since(at) < QUIET),
            None => (0, false),
        };
        if quiet {
            return None;
        }
        self.told = Some((self.total, now));
        Some(self.total - before)
    }
}

impl Default for Ends {
    fn default() -> Self {
        let reasons = || Ended::ALL.into_iter().map(Ended::reason).chain([HEARTBEAT]);
        let counts = Kind::ALL
            .into_iter()
            .flat_map(|kind| reasons().map(move |reason| ((kind, reason), Count::default())));
        Self { clock: Clock::start(), counts: Mutex::new(counts.collect()) }
    }
}

impl Ends {
    pub(super) fn count(&self, kind: Kind, address: IpAddr, why: Ended) {
        if let Some(count) = self.add(kind, why.reason()) {
            tracing::warn!(peer = kind.name(), %address, reason = why.reason(), count, "connection closed: {why}");
        }
    }

    pub(super) fn count_heartbeat(&self) {
        if let Some(count) = self.add(Kind::WebSocket, HEARTBEAT) {
            tracing::warn!(reason = HEARTBEAT, count, "event client lost: no heartbeat");
        }
    }

    /// `(peer, reason, how many)`.
    pub(super) fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.counts().iter().map(|((kind, reason), count)| (kind.name(), *reason, count.total)).collect()
    }

    fn add(&self, kind: Kind, reason: &'static str) -> Option<u64> {
        let now = self.clock.now();
        self.counts().entry((kind, reason)).or_default().add(now)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<(Kind, &'static str), Count>> {
        // Nothing panics while it holds the lock.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_is_told_at_once_and_those_after_it_together() {
        let mut count = Count::default();
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        let told: Vec<_> = (0..3_000).filter_map(|n| count.add(at(n * 10))).collect();
        assert_eq!((told, count.total), (vec![1, 1_000, 1_000], 3_000));
        assert_eq!(count.add(at(300_000)), Some(1_000), "the rest, and this one");
    }
}
