//! A token bucket. Pure.

use std::time::Duration;

use crate::media::Moment;

/// What may be taken: `burst` at once after a pause, `per_second` in the long run.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    per_second: u64,
    burst: u64,
    /// In thousandths, so that no part of a millisecond's gain is lost.
    left: u64,
    /// When `left` was right.
    at: Moment,
}

impl Bucket {
    /// A full one.
    pub fn new(per_second: u64, burst: u64, now: Moment) -> Self {
        Self { per_second, burst, left: burst.saturating_mul(1_000), at: now }
    }

    /// How many may be taken now.
    pub fn left(&mut self, now: Moment) -> u64 {
        let passed = now.saturating_since(self.at).as_millis() as u64;
        if passed > 0 {
            let gained = passed.saturating_mul(self.per_second);
            self.left = self.left.saturating_add(gained).min(self.burst.saturating_mul(1_000));
            self.at = self.at + Duration::from_millis(passed);
        }
        self.left / 1_000
    }

    /// Takes `count`, or whatever is left.
    pub fn take(&mut self, count: u64) {
        self.left = self.left.saturating_sub(count.saturating_mul(1_000));
    }

    /// Takes one, if there is one.
    pub fn take_one(&mut self, now: Moment) -> bool {
        let is_left = self.left(now) > 0;
        self.take(u64::from(is_left));
        is_left
    }

    /// When `count` will be left, not more than the burst.
    pub fn when(&self, count: u64) -> Moment {
        let missing = count.saturating_mul(1_000).saturating_sub(self.left);
        self.at + Duration::from_millis(missing.div_ceil(self.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::from_start(Duration::from_micros(micros))
    }

    #[test]
    fn a_burst_is_there_at_once_and_then_what_time_brings() {
        let mut bucket = Bucket::new(1_000, 50, at(0));
        assert!((0..50).all(|_| bucket.take_one(at(0))));
        assert!(!bucket.take_one(at(999)));
        assert_eq!(bucket.when(10), at(10_000));
        assert_eq!((bucket.left(at(9_999)), bucket.left(at(10_000))), (9, 10));
        assert_eq!(bucket.left(at(1_000_000_000)), 50, "no more than the burst");
    }

    #[test]
    fn the_rate_is_kept_to_however_often_it_is_asked() {
        for interval in [10, 500, 700, 1_000, 1_300, 21_333] {
            let mut bucket = Bucket::new(1_000, 50, at(0));
            let asked = 20_000_u64;
            let taken = (0..asked).filter(|n| bucket.take_one(at(n * interval))).count() as u64;
            let gained = (asked - 1) * interval / 1_000;
            assert_eq!(taken, asked.min(50 + gained), "{interval}");
        }
    }
}
