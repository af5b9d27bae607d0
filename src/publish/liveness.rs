//! Whether the server is still there, and what keeps it from thinking that we are not. Pure.
//!
//! Three things end a connection whose other end is gone without a word. The kernel gives up on bytes that the other host
//! does not acknowledge, or has no room for (`TCP_USER_TIMEOUT`, set by the shell): the network is gone, or the process
//! hangs and the buffer of its host is full. Where the system takes no byte for as long, the same is seen here. And a
//! stream of few bits takes minutes to fill a buffer, so the server is pinged (Adobe RTMP 1.0, 7.1.7): one that has
//! answered each time and then does not any more hangs. One that does not answer at first is not asked again.
//!
//! The server's acknowledgements (5.4.3) say nothing about it. Servers send them at intervals of their own, whatever
//! window they are asked for (lal each 2.5 MB, Ant Media each MiB), change the interval, count increments instead of
//! totals (YouTube), or send none.

use std::time::Duration;

use crate::media::Moment;

/// A message goes out at least this often: SRS drops a publisher that is silent for 5 to 10 s, xiu after 2 s.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Between an answered ping and the next.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The first pings are answered within this, or the server does not answer pings.
const FIRST_PONG: Duration = Duration::from_secs(5);

/// So many answered pings show that the server does answer them.
const PROVEN: u32 = 2;

/// A ping waits behind the media before it, on a slow line for some seconds: the send buffer holds a megabyte. A server
/// from which nothing has come for this long since it was asked hangs.
const NO_PONG: Duration = Duration::from_secs(15);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Say something.
    KeepAlive,
    /// Ask for a sign of life.
    Ping,
    /// The server does not answer pings: it is asked no more.
    Mute,
    /// Nothing could be written for the limit.
    WriteTimeout,
    /// The server answered pings, and does not any more.
    NoPong(Duration),
}

/// What came from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Anything.
    pub(super) heard: bool,
    pub(super) pong: bool,
}

/// The timers of one connection.
#[derive(Debug)]
pub(super) struct Liveness {
    limit: Duration,
    /// When something was last written, or began to wait.
    progress: Moment,
    pings: Option<Pings>,
}

#[derive(Debug)]
struct Pings {
    answered: u32,
    /// When the next ping is sent; while one is under way, since when nothing has come.
    at: Moment,
    under_way: bool,
}

impl Liveness {
    /// A connection made at `now`; `limit` is what the server may take for anything. `pings` says whether it may be asked
    /// for signs of life.
    pub(super) fn new(limit: Duration, pings: bool, now: Moment) -> Self {
        let first = Pings { answered: 0, at: now + PING_EVERY, under_way: false };
        Self { limit, progress: now, pings: pings.then_some(first) }
    }

    /// Bytes were written, or the first were queued.
    pub(super) fn progressed(&mut self, now: Moment) {
        self.progress = now;
    }

    /// The server said something.
    pub(super) fn heard(&mut self, signs: Signs, now: Moment) {
        let Some(pings) = self.pings.as_mut().filter(|pings| pings.under_way) else { return };
        if signs.pong {
            *pings = Pings { answered: pings.answered + 1, at: now + PING_EVERY, under_way: false };
        } else if signs.heard && pings.answered >= PROVEN {
            pings.at = now;
        }
    }

    /// A first ping is under way: what ends the connection now may be that the server does not know pings.
    pub(super) fn is_trying(&self) -> bool {
        self.pings.as_ref().is_some_and(|pings| pings.under_way && pings.answered < PROVEN)
    }

    /// When to look again; `idle` says that nothing waits to be written.
    pub(super) fn wake(&self, idle: bool) -> Moment {
        let written = self.progress + if idle { KEEP_ALIVE } else { self.limit };
        self.pings.as_ref().map_or(written, |pings| written.min(pings.wake()))
    }

    /// What is due; a ping or a mute server is told once.
    pub(super) fn due(&mut self, now: Moment, idle: bool) -> Due {
        match (idle, now.saturating_since(self.progress)) {
            (false, stuck) if stuck >= self.limit => return Due::WriteTimeout,
            (true, silent) if silent >= KEEP_ALIVE => return Due::KeepAlive,
            _ => {}
        }
        let Some(pings) = self.pings.as_mut().filter(|pings| now >= pings.wake()) else {
            return Due::Nothing;
        };
        match (pings.under_way, pings.answered >= PROVEN) {
            (false, _) => {
                (pings.under_way, pings.at) = (true, now);
                Due::Ping
            }
            (true, false) => {
                self.pings = None;
                Due::Mute
            }
            (true, true) => Due::NoPong(NO_PONG),
        }
    }
}

impl Pings {
    fn wake(&self) -> Moment {
        match (self.under_way, self.answered >= PROVEN) {
            (false, _) => self.at,
            (true, false) => self.at + FIRST_PONG,
            (true, true) => self.at + NO_PONG,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);
    const PONG: Signs = Signs { heard: true, pong: true };
    const OTHER: Signs = Signs { heard: true, pong: false };

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn an_idle_connection_says_something_every_second_and_a_stuck_one_ends() {
        let mut liveness = Liveness::new(LIMIT, false, at(0));
        assert_eq!((liveness.wake(true), liveness.due(at(999), true)), (at(1000), Due::Nothing));
        assert_eq!(liveness.due(at(1000), true), Due::KeepAlive);
        liveness.progressed(at(1000));
        assert_eq!((liveness.wake(false), liveness.due(at(5999), false)), (at(6000), Due::Nothing));
        assert_eq!(liveness.due(at(6000), false), Due::WriteTimeout);
    }

    /// A minute of media over a connection that takes it, second by second; what was due beside nothing.
    fn minute(liveness: &mut Liveness, mut said: impl FnMut(u64, Due) -> Option<Signs>) -> Vec<(u64, Due)> {
        let mut all = Vec::new();
        for second in 0..60 {
            liveness.progressed(at(second * 1000));
            let due = liveness.due(at(second * 1000), true);
            if due != Due::Nothing {
                all.push((second, due));
            }
            if let Some(signs) = said(second, due) {
                liveness.heard(signs, at(second * 1000));
            }
        }
        all
    }

    #[test]
    fn a_server_that_never_says_anything_lives_and_is_asked_once() {
        for said in [None, Some(OTHER)] {
            let mut liveness = Liveness::new(LIMIT, true, at(0));
            assert_eq!(minute(&mut liveness, |_, _| said), [(5, Due::Ping), (10, Due::Mute)], "{said:?}");
            assert!(!liveness.is_trying());
        }
        assert_eq!(minute(&mut Liveness::new(LIMIT, false, at(0)), |_, _| None), []);
    }

    #[test]
    fn a_server_that_answered_and_says_nothing_any_more_hangs() {
        let mut liveness = Liveness::new(LIMIT, true, at(0));
        let all = minute(&mut liveness, |second, due| (due == Due::Ping && second < 20).then_some(PONG));
        let expected =
            [(5, Due::Ping), (10, Due::Ping), (15, Due::Ping), (20, Due::Ping), (35, Due::NoPong(NO_PONG))];
        assert_eq!(all[..5], expected);
    }

    #[test]
    fn a_server_that_stops_answering_pings_and_acknowledges_lives() {
        let mut liveness = Liveness::new(LIMIT, true, at(0));
        let all = minute(&mut liveness, |second, due| match due {
            Due::Ping if second < 20 => Some(PONG),
            _ => (second % 10 == 0).then_some(OTHER),
        });
        assert!(all.iter().all(|(_, due)| *due == Due::Ping), "{all:?}");
    }

    #[test]
    fn answers_that_take_seconds_are_answers() {
        let mut liveness = Liveness::new(LIMIT, true, at(0));
        let mut asked = None;
        let all = minute(&mut liveness, |second, due| {
            asked = if due == Due::Ping { Some(second) } else { asked };
            let patience = if second < 25 { 4 } else { 14 };
            asked.filter(|asked| second == asked + patience).map(|_| PONG)
        });
        assert_eq!(all, [5, 14, 23, 42].map(|second| (second, Due::Ping)));
    }
}
