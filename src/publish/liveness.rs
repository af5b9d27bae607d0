//! Whether the server is still there, and what keeps it from thinking that we are not. Pure.
//!
//! Three things end a connection whose other end is gone without a word. The kernel gives up on bytes that the
//! other host does not acknowledge (`TCP_USER_TIMEOUT`, set by the shell). A host that acknowledges while its
//! server does not read fills the buffers, and then no byte can be written. And as both hosts' buffers are
//! megabytes, the server's own acknowledgements (Adobe RTMP 1.0, 5.4.3) say sooner that nobody reads.

use std::time::Duration;

use crate::media::Moment;

/// A message goes out at least this often: SRS drops a publisher that is silent for 5 to 10 s, xiu after 2 s.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Bytes that a server which acknowledges may leave unacknowledged: twice the window that it was asked for.
const UNACKNOWLEDGED: u64 = 256 << 10;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Say something.
    KeepAlive,
    /// Nothing could be written for the limit.
    WriteTimeout,
    /// The server has acknowledged nothing for the limit.
    NotAcknowledged,
}

/// The timers of one connection.
#[derive(Debug)]
pub(super) struct Liveness {
    limit: Duration,
    /// When something was last written, or began to wait.
    progress: Moment,
    /// Since when more than [`UNACKNOWLEDGED`] is.
    unacknowledged: Option<Moment>,
}

impl Liveness {
    /// A connection made at `now`; `limit` is what the server may take for anything.
    pub(super) fn new(limit: Duration, now: Moment) -> Self {
        Self { limit, progress: now, unacknowledged: None }
    }

    /// Bytes were written, or the first were queued.
    pub(super) fn progressed(&mut self, now: Moment) {
        self.progress = now;
    }

    /// What the session says of the bytes since the last acknowledgement; `None` when the server never sent one.
    pub(super) fn unacknowledged(&mut self, now: Moment, bytes: Option<u64>) {
        self.unacknowledged = match bytes {
            Some(bytes) if bytes > UNACKNOWLEDGED => self.unacknowledged.or(Some(now)),
            _ => None,
        };
    }

    /// When to look again; `idle` says that nothing waits to be written.
    pub(super) fn wake(&self, idle: bool) -> Moment {
        let written = self.progress + if idle { KEEP_ALIVE } else { self.limit };
        self.unacknowledged.map_or(written, |since| written.min(since + self.limit))
    }

    pub(super) fn due(&self, now: Moment, idle: bool) -> Due {
        if self.unacknowledged.is_some_and(|since| now >= since + self.limit) {
            return Due::NotAcknowledged;
        }
        match (idle, now.saturating_since(self.progress)) {
            (true, silent) if silent >= KEEP_ALIVE => Due::KeepAlive,
            (false, stuck) if stuck >= self.limit => Due::WriteTimeout,
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn an_idle_connection_says_something_every_second_and_a_stuck_one_ends() {
        let mut liveness = Liveness::new(LIMIT, at(0));
        assert_eq!((liveness.wake(true), liveness.due(at(999), true)), (at(1000), Due::Nothing));
        assert_eq!(liveness.due(at(1000), true), Due::KeepAlive);
        liveness.progressed(at(1000));
        assert_eq!((liveness.wake(false), liveness.due(at(5999), false)), (at(6000), Due::Nothing));
        assert_eq!(liveness.due(at(6000), false), Due::WriteTimeout);
    }

    #[test]
    fn a_server_that_stops_acknowledging_is_dead_and_a_slow_or_a_mute_one_is_not() {
        let mut liveness = Liveness::new(LIMIT, at(0));
        for second in 0..100 {
            // A megabit a second, acknowledged every three seconds; then never any more.
            let bytes = if second < 50 { second % 3 * 125_000 } else { (second - 48) * 125_000 };
            liveness.progressed(at(second * 1000));
            liveness.unacknowledged(at(second * 1000), Some(bytes));
            let expected = if second < 51 + 5 { Due::Nothing } else { Due::NotAcknowledged };
            assert_eq!(liveness.due(at(second * 1000), false), expected, "{second} s");
        }
        let mut mute = Liveness::new(LIMIT, at(0));
        mute.unacknowledged(at(0), None);
        mute.progressed(at(99_000));
        assert_eq!(mute.due(at(100_000), false), Due::Nothing);
    }
}
