//! How long to wait before trying again. Pure: the randomness is an argument.

use std::time::Duration;

/// The first wait: short, since most failures of a live edge are "not yet".
const FIRST: Duration = Duration::from_millis(250);

/// The longest wait: a third of a usual segment, so that a source that is back is noticed in time.
const CAP: Duration = Duration::from_secs(2);

/// The wait before attempt number `attempt` (the first retry is 1), doubled each time up to a cap, and spread
/// over its upper half by `random` (0 to 1), so that many streams of one server do not come back in step.
pub(super) fn backoff(attempt: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(CAP).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_stay_within_their_half() {
        assert_eq!(backoff(1, 1.0), FIRST);
        assert_eq!(backoff(2, 1.0), FIRST * 2);
        for attempt in [10, 31, 32, 33, u32::MAX] {
            assert_eq!(backoff(attempt, 1.0), CAP);
            assert_eq!(backoff(attempt, 0.0), CAP / 2);
        }
    }
}
