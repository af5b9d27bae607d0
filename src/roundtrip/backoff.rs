//! How long to wait before the next attempt to connect. Pure: the randomness is an argument.

use std::time::Duration;

/// First wait: a processor that restarts is back within the budget of the batch that it interrupted.
const FIRST: Duration = Duration::from_millis(250);

/// Longest wait: half of the default processing budget, so that a processor that returns is found before
/// another batch is lost, while an address that is wrong for good costs one attempt in 5 s.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double up to a cap.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The wait before the next attempt: between half and all of the doubled time. `random` lies in
    /// `0.0..1.0` and keeps many streams from knocking at the same instant.
    pub(super) fn wait(&mut self, random: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// The connection proved useful: the next loss of it is a first one.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_again_after_success() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..7).map(|_| backoff.wait(1.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.wait(0.0).as_millis(), 125);
    }
}
