//! One segment on its way: tried until it is there, or until it is of no use any more. Pure.

use std::time::Duration;

use super::Error;
use super::retry::backoff;
use crate::media::Moment;

/// A segment of a complete playlist stays where it is, so it is worth waiting for a server that restarts.
const VOD_LIFE: Duration = Duration::from_secs(60);

/// How long a segment that is itself at fault may hold up those behind it that are there, in target durations at
/// most, and at the most: they are played from the same budget.
const HOLDS_UP_TARGETS: f64 = 0.5;
const HOLDS_UP: Duration = Duration::from_secs(2);

/// What limits the attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) vod: bool,
    /// How long a live segment is of use, from its first attempt.
    pub(super) live_life: Duration,
}

/// The attempts at one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempts {
    first_at: Moment,
    gives_up_at: Moment,
    made: u32,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    RetryAt(Moment),
    GiveUp,
}

impl Attempts {
    pub(super) fn begin(limits: Limits, now: Moment) -> Self {
        let life = if limits.vod { VOD_LIFE } else { limits.live_life };
        Self { first_at: now, gives_up_at: now + life, made: 0 }
    }

    /// The time that the next attempt may take.
    pub(super) fn remaining(&self, now: Moment) -> Duration {
        self.gives_up_at.saturating_since(now)
    }

    pub(super) fn have_failed(&self) -> bool {
        self.made > 0
    }

    pub(super) fn taken(&self, now: Moment) -> Duration {
        now.saturating_since(self.first_at)
    }

    /// After a failed attempt. `listed`: the playlist still lists the segment. `random` is 0 to 1.
    pub(super) fn handle_failure(
        &mut self,
        error: &Error,
        listed: bool,
        random: f64,
        now: Moment,
    ) -> Verdict {
        self.made = self.made.saturating_add(1);
        let retry_at = now + backoff(self.made, random);
        // A refusal of what is listed may mean "not yet"; of what has left the window it means "no more".
        let gone = error.is_refusal() && !listed;
        if !error.is_transient() || gone || retry_at >= self.gives_up_at {
            return Verdict::GiveUp;
        }
        Verdict::RetryAt(retry_at)
    }
}

/// Whether a segment that failed with `error` would hold up those behind it for too long if it were tried again at
/// `retry_at`. The first of them is there since `ready_at`.
pub(super) fn holds_up(error: &Error, retry_at: Moment, ready_at: Option<Moment>, target: Duration) -> bool {
    let patience = target.mul_f64(HOLDS_UP_TARGETS).min(HOLDS_UP);
    error.is_fault_of_the_segment() && ready_at.is_some_and(|ready_at| retry_at > ready_at + patience)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hls::CryptError;
    use crate::outside::ShownUrl;

    const LIVE: Limits = Limits { vod: false, live_life: Duration::from_secs(12) };

    fn status(status: u16) -> Error {
        Error::Status { url: ShownUrl::url("http://h/s.ts"), status }
    }

    fn tried(error: &Error, listed: bool, limits: Limits) -> (u32, Moment) {
        let mut now = Moment::from_start(Duration::from_secs(100));
        let mut attempts = Attempts::begin(limits, now);
        loop {
            match attempts.handle_failure(error, listed, 0.5, now) {
                Verdict::RetryAt(moment) => now = moment,
                Verdict::GiveUp => return (attempts.made, now),
            }
        }
    }

    #[test]
    fn a_listed_segment_is_tried_for_its_useful_life() {
        for error in [status(404), status(403), status(500), status(503)] {
            let (made, until) = tried(&error, true, LIVE);
            assert!(made > 5, "{made}");
            let life = until.saturating_since(Moment::from_start(Duration::from_secs(100)));
            assert!(life < LIVE.live_life && life > Duration::from_secs(9), "{life:?}");
        }
    }

    #[test]
    fn what_left_the_window_and_what_cannot_get_better_is_given_up_at_once() {
        assert_eq!(tried(&status(404), false, LIVE).0, 1);
        assert_eq!(tried(&Error::TooLarge { url: ShownUrl::default(), limit: 1 }, true, LIVE).0, 1);
        assert!(tried(&status(500), false, LIVE).0 > 5, "the server is ill: it may still have it");
    }

    #[test]
    fn a_segment_that_cannot_be_decrypted_holds_up_those_behind_it_for_two_seconds_at_most() {
        let at = |millis| Moment::from_start(Duration::from_millis(millis));
        let wrong = Error::Crypt { url: ShownUrl::default(), source: CryptError::Padding };
        let holds_up = |error, retry_at, target| {
            holds_up(error, at(retry_at), Some(at(1_000)), Duration::from_secs(target))
        };
        assert!(!holds_up(&wrong, 1_500, 1) && holds_up(&wrong, 1_501, 1));
        assert!(!holds_up(&wrong, 3_000, 10) && holds_up(&wrong, 3_001, 10));
        assert!(!holds_up(&status(404), 60_000, 1), "its server may have it yet");
        assert!(!super::holds_up(&wrong, at(60_000), None, LIVE.live_life), "nothing waits for it");
    }

    #[test]
    fn a_complete_playlist_is_waited_for_longer() {
        let vod = Limits { vod: true, ..LIVE };
        assert!(tried(&status(503), true, vod).0 > 30);
    }
}
