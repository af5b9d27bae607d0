//! Durations counted in buckets. Pure.

use std::time::Duration;

/// Counts since its beginning; cheap to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Upper bounds in milliseconds, rising; what is above the last is counted apart.
    bounds: &'static [u64],
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    /// `bounds` are upper bounds in milliseconds, rising.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: Duration::ZERO }
    }

    pub fn record(&mut self, value: Duration) {
        let bucket = self.bounds.partition_point(|&bound| Duration::from_millis(bound) < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += value;
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Of all that was recorded.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bound in seconds with the number of values up to it; the rest is in [`Histogram::count`].
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        self.bounds.iter().zip(&self.counts).map(move |(&bound, count)| {
            sum += count;
            (Duration::from_millis(bound).as_secs_f64(), sum)
        })
    }

    /// The bound below which `part` of the values lie; `None` where that is above the last one.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (count, &bound) in self.counts.iter().zip(self.bounds) {
            seen += count;
            if seen >= wanted {
                return Some(Duration::from_millis(bound));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_their_bound_and_none_is_lost() {
        let mut histogram = Histogram::new(&[1, 10, 100]);
        for ms in [0, 1, 2, 10, 11, 1_000] {
            histogram.record(Duration::from_millis(ms));
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(0.001, 2), (0.01, 4), (0.1, 5)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, Duration::from_millis(1_024)));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_millis(10)));
        assert_eq!(histogram.quantile(1.0), None);
        // One without bounds counts nothing.
        let mut none = Histogram::default();
        none.record(Duration::ZERO);
        assert_eq!(none.count(), 0);
    }
}
