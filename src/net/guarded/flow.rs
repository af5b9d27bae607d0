//! What one connection may do, and when it is over. Pure: bytes and `now` go in, permissions and the end come out.

use std::time::Duration;

use crate::media::Moment;
use crate::net::Bucket;

/// What a peer may do on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a write may make no progress before the connection ends.
    pub stall: Duration,
    /// Bytes that are read while a write is blocked. What is read may cause answers (a WebSocket ping its pong), and
    /// those pile up in buffers above this one, so it bounds them.
    pub read_while_blocked: u64,
    /// Limits until the peer has proven itself.
    pub trial: Option<Trial>,
    /// Limits what is read per second.
    pub rate: Option<Rate>,
}

/// What a peer may do until other terms are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Bytes that are read.
    pub bytes: u64,
    /// From the start of these terms.
    pub time: Duration,
}

/// A token bucket for bytes that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u64,
    /// Bytes that are read at once after a pause.
    pub burst: u64,
    /// How long a peer may send faster than this. Meanwhile it is read at the rate, and TCP slows it down.
    pub patience: Duration,
}

/// Why a connection was ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Ended {
    #[error("the peer does not read")]
    NotReading,
    #[error("the peer sends too much")]
    Flooding,
    #[error("the peer sent too much before it was admitted")]
    TrialBytes,
    #[error("the peer was not admitted in time")]
    TrialTime,
    #[error("a newer connection took its place")]
    Displaced,
}

impl Ended {
    pub const ALL: [Self; 5] =
        [Self::NotReading, Self::Flooding, Self::TrialBytes, Self::TrialTime, Self::Displaced];

    /// As metrics and logs call it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotReading => "not_reading",
            Self::Flooding => "flooding",
            Self::TrialBytes => "unadmitted_bytes",
            Self::TrialTime => "unadmitted_time",
            Self::Displaced => "displaced",
        }
    }
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Flow {
    terms: Terms,
    /// When the present terms began.
    since: Moment,
    /// Bytes read under the present terms.
    read: u64,
    written: u64,
    blocked: Option<Blocked>,
    pace: Option<Pace>,
}

/// A write that found no room.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Moment,
    /// Bytes read meanwhile.
    read: u64,
}

/// What is left of a rate.
#[derive(Debug)]
struct Pace {
    rate: Rate,
    bucket: Bucket,
    /// Since when the peer has sent more than it may.
    short_since: Option<Moment>,
    /// When reading goes on.
    wake: Option<Moment>,
}

/// A throttled peer is read in pieces of this part of its burst, so that it costs few wake-ups.
const PIECES: u64 = 8;

impl Flow {
    pub(super) fn new(terms: Terms, now: Moment) -> Self {
        let pace = terms.rate.map(|rate| Pace::new(rate, now));
        Self { terms, since: now, read: 0, written: 0, blocked: None, pace }
    }

    /// The present terms end, and with them what they counted.
    pub(super) fn set_terms(&mut self, terms: Terms, now: Moment) {
        let (written, blocked) = (self.written, self.blocked);
        *self = Self { written, blocked, ..Self::new(terms, now) };
    }

    /// Bytes that the connection took.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes may be read now; 0 for none. At least one byte of a trial's excess is read: an end of the
    /// stream is no excess.
    pub(super) fn may_read(&mut self, now: Moment) -> u64 {
        let mut limit = u64::MAX;
        if let Some(blocked) = self.blocked {
            limit = self.terms.read_while_blocked.saturating_sub(blocked.read);
        }
        if let Some(trial) = self.terms.trial {
            limit = limit.min(trial.bytes.saturating_sub(self.read).saturating_add(1));
        }
        if limit > 0
            && let Some(pace) = &mut self.pace
        {
            limit = limit.min(pace.may_read(now));
        }
        limit
    }

    pub(super) fn handle_read(&mut self, bytes: u64) {
        self.read = self.read.saturating_add(bytes);
        if let Some(pace) = &mut self.pace {
            pace.bucket.take(bytes);
        }
        if let Some(blocked) = &mut self.blocked {
            blocked.read = blocked.read.saturating_add(bytes);
        }
    }

    /// The connection took `bytes`; whether it had been blocked.
    pub(super) fn handle_written(&mut self, bytes: u64) -> bool {
        self.written = self.written.saturating_add(bytes);
        self.blocked.take().is_some()
    }

    /// The connection took nothing.
    pub(super) fn handle_blocked(&mut self, now: Moment) {
        self.blocked.get_or_insert(Blocked { since: now, read: 0 });
    }

    /// Whether the connection is over.
    pub(super) fn ended(&mut self, now: Moment) -> Option<Ended> {
        let over = |since: Moment, limit: Duration| now.saturating_since(since) >= limit;
        if self.blocked.is_some_and(|blocked| over(blocked.since, self.terms.stall)) {
            return Some(Ended::NotReading);
        }
        if let Some(trial) = self.terms.trial {
            if self.read > trial.bytes {
                return Some(Ended::TrialBytes);
            }
            if over(self.since, trial.time) {
                return Some(Ended::TrialTime);
            }
        }
        let flooded = self.pace.as_mut().is_some_and(|pace| pace.is_flooded(now));
        flooded.then_some(Ended::Flooding)
    }

    /// When [`Flow::ended`] or [`Flow::may_read`] may answer otherwise without anything happening.
    pub(super) fn poll_timeout(&self, now: Moment) -> Option<Moment> {
        let stall = self.blocked.map(|blocked| blocked.since + self.terms.stall);
        let trial = self.terms.trial.map(|trial| self.since + trial.time);
        // One that is past has woken the reader.
        let wake = self.pace.as_ref().and_then(|pace| pace.wake).filter(|wake| *wake > now);
        [stall, trial, wake].into_iter().flatten().min()
    }
}

impl Pace {
    fn new(rate: Rate, now: Moment) -> Self {
        Self { rate, bucket: Bucket::new(rate.per_second, rate.burst, now), short_since: None, wake: None }
    }

    fn left(&mut self, now: Moment) -> u64 {
        let left = self.bucket.left(now);
        // A peer that goes on sending leaves no more than a piece.
        if left >= self.rate.burst / 2 {
            self.short_since = None;
        }
        left
    }

    fn may_read(&mut self, now: Moment) -> u64 {
        let left = self.left(now);
        let piece = (self.rate.burst / PIECES).max(1);
        if left >= piece || self.wake.is_none() && left > 0 {
            self.wake = None;
            return left;
        }
        self.short_since.get_or_insert(now);
        self.wake = Some(self.bucket.when(piece));
        0
    }

    fn is_flooded(&mut self, now: Moment) -> bool {
        self.left(now);
        self.short_since.is_some_and(|since| now.saturating_since(since) >= self.rate.patience)
    }
}
