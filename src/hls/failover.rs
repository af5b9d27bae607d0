//! When another variant stands in for one that fails, and when it is tried again. Pure.

use std::time::Duration;

use crate::media::Moment;

/// Readings of a playlist, or attempts at segments, that fail in a row before another variant is tried. At the
/// live edge a segment may be missing for three attempts of a second together; five are an outage.
pub(super) const FAILURES: u32 = 5;

/// How long a variant that failed is left alone; doubled each time, up to the second.
const AWAY: Duration = Duration::from_secs(30);
const LONGEST_AWAY: Duration = Duration::from_secs(600);

/// The candidates of a master playlist, the best first, by their health.
#[derive(Debug)]
pub(super) struct Failover {
    entries: Vec<Entry>,
    current: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    until: Option<Moment>,
    failed: u32,
}

impl Failover {
    /// `count` candidates, of which the first is read.
    pub(super) fn new(count: usize) -> Self {
        Self { entries: vec![Entry::default(); count], current: 0 }
    }

    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// The candidate `current` of another reading of the master is the one that is read now.
    pub(super) fn renew(&mut self, count: usize, current: usize) {
        self.entries.resize(count, Entry::default());
        self.current = current;
    }

    /// The current candidate has failed too often: the best of those that are not away, or none when there is
    /// nothing better than to go on with it.
    pub(super) fn fail(&mut self, now: Moment) -> Option<usize> {
        self.leave(self.current, now);
        let next = (0..self.entries.len()).find(|index| self.is_there(*index, now))?;
        self.current = next;
        Some(next)
    }

    /// A candidate better than the current one whose time away is over: worth a try beside it.
    pub(super) fn better(&self, now: Moment) -> Option<usize> {
        (0..self.current.min(self.entries.len())).find(|index| self.is_there(*index, now))
    }

    /// When [`Failover::better`] has something to say.
    pub(super) fn better_at(&self) -> Option<Moment> {
        let better = self.entries.iter().take(self.current);
        better.map(|entry| entry.until.unwrap_or_default()).min()
    }

    /// The try of a better one failed, or it succeeded and is read from now on.
    pub(super) fn tried(&mut self, index: usize, works: bool, now: Moment) {
        if !works {
            self.leave(index, now);
        } else if index < self.entries.len() {
            self.current = index;
        }
    }

    fn is_there(&self, index: usize, now: Moment) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.until.is_none_or(|until| until <= now))
    }

    fn leave(&mut self, index: usize, now: Moment) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let doubled = AWAY.saturating_mul(1_u32.checked_shl(entry.failed).unwrap_or(u32::MAX));
        entry.until = Some(now + doubled.min(LONGEST_AWAY));
        entry.failed = entry.failed.saturating_add(1).min(31);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn the_next_best_stands_in_and_the_best_is_tried_again_later() {
        let mut failover = Failover::new(3);
        assert_eq!((failover.better(at(0)), failover.better_at()), (None, None));
        assert_eq!(failover.fail(at(0)), Some(1));
        assert_eq!(failover.fail(at(1)), Some(2));
        assert_eq!((failover.better(at(29)), failover.better_at()), (None, Some(at(30))));
        assert_eq!(failover.better(at(30)), Some(0));
        failover.tried(0, false, at(30));
        assert_eq!(failover.better(at(31)), Some(1), "the best stays away for longer now");
        failover.tried(1, true, at(31));
        assert_eq!((failover.current(), failover.better_at()), (1, Some(at(90))));
        failover.tried(0, true, at(90));
        assert_eq!((failover.current(), failover.better(at(1000))), (0, None));
    }

    #[test]
    fn where_all_are_away_the_current_one_goes_on() {
        let mut failover = Failover::new(1);
        assert_eq!(failover.fail(at(0)), None);
        let mut failover = Failover::new(2);
        assert_eq!(failover.fail(at(0)), Some(1));
        assert_eq!((failover.fail(at(1)), failover.current()), (None, 1));
        assert_eq!(failover.fail(at(30)), Some(0), "its time away is over");
    }

    #[test]
    fn another_reading_of_the_master_may_list_more_or_fewer() {
        let mut failover = Failover::new(3);
        failover.renew(1, 0);
        assert_eq!((failover.current(), failover.fail(at(0))), (0, None));
        failover.renew(0, 0);
        assert_eq!((failover.better(at(0)), failover.fail(at(0))), (None, None));
    }
}
