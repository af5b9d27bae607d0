//! How many sessions those without the token may open. Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::media::Moment;
use crate::net::Bucket;

/// Sessions in a second, in the long run. engineioxide keeps each for the 5 s that it has to join, with some 11 kB.
const PER_SECOND: u64 = 400;
/// Sessions at once.
const AT_ONCE: u64 = 2_000;
/// The most that one customer has of both: what a single flood leaves is for the others.
const PER_SECOND_EACH: u64 = 300;
const AT_ONCE_EACH: u64 = 1_500;
/// Customers that are told apart.
const MAX_CUSTOMERS: usize = 1_024;

#[derive(Debug)]
pub(super) struct Opens {
    all: Bucket,
    each: HashMap<IpAddr, Bucket>,
}

impl Opens {
    pub(super) fn new(now: Moment) -> Self {
        Self { all: Bucket::new(PER_SECOND, AT_ONCE, now), each: HashMap::new() }
    }

    /// Whether `customer` may open one more.
    pub(super) fn take(&mut self, customer: Option<IpAddr>, now: Moment) -> bool {
        if self.each.len() >= MAX_CUSTOMERS {
            // Whoever has paused is as good as new.
            self.each.retain(|_, bucket| bucket.left(now) < AT_ONCE_EACH);
        }
        let known =
            customer.filter(|customer| self.each.len() < MAX_CUSTOMERS || self.each.contains_key(customer));
        let allowed = known.is_none_or(|customer| {
            let bucket = || Bucket::new(PER_SECOND_EACH, AT_ONCE_EACH, now);
            self.each.entry(customer).or_insert_with(bucket).take_one(now)
        });
        allowed && self.all.take_one(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_flood_leaves_room_for_others_and_many_are_bounded_together() {
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        let address = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let mut opens = Opens::new(at(0));
        let mut taken = 0;
        for ms in 0..10_000 {
            taken += (0..5).filter(|_| opens.take(address(1), at(ms))).count() as u64;
            if ms % 100 == 0 {
                assert!(opens.take(address(2), at(ms)), "another one at {ms} ms");
            }
        }
        assert_eq!(taken, AT_ONCE_EACH + 10 * PER_SECOND_EACH - 1);
        let many = (0..10_000).filter(|n| opens.take(address(*n), at(10_000))).count() as u64;
        assert!(many <= AT_ONCE && opens.each.len() <= MAX_CUSTOMERS, "{many}");
    }
}
