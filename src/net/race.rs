//! Which address of a host is tried when (RFC 8305, Happy Eyeballs). Pure.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::media::Moment;

/// An attempt gets this head start before the next one begins (Connection Attempt Delay, RFC 8305 section 5 and 8).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses of one name that are tried. Real names have a handful; with more, the last would begin when the connect
/// timeouts of a few seconds are over.
const MAX_ADDRESSES: usize = 16;

/// The attempts at one host.
#[derive(Debug)]
pub(super) struct Race {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    /// When the next attempt begins, if no other one ends before.
    next_at: Moment,
}

impl Race {
    /// `addresses` as the resolver sorted them (RFC 6724); the first one is tried at `now`.
    pub(super) fn new(addresses: impl IntoIterator<Item = SocketAddr>, now: Moment) -> Self {
        Self { waiting: interleaved(addresses), running: 0, next_at: now }
    }

    /// The address that is to be tried at `now`. Ask until there is none.
    pub(super) fn start(&mut self, now: Moment) -> Option<SocketAddr> {
        if now < self.next_at {
            return None;
        }
        let address = self.waiting.pop_front()?;
        self.running += 1;
        self.next_at = now + ATTEMPT_DELAY;
        Some(address)
    }

    /// An attempt failed: the next one begins at once.
    pub(super) fn failed(&mut self, now: Moment) {
        self.running -= 1;
        self.next_at = now;
    }

    /// When to ask again, where anything is left to be tried.
    pub(super) fn wake(&self) -> Option<Moment> {
        (!self.waiting.is_empty()).then_some(self.next_at)
    }

    /// Nothing runs and nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }
}

/// The families by turns, the first one first, each in its order (RFC 8305 section 4, with a First Address Family Count
/// of 1). Each address once.
fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut families = [VecDeque::new(), VecDeque::new()];
    let mut first = None;
    for address in addresses {
        let family = usize::from(address.is_ipv6());
        first = first.or(Some(family));
        if let Some(family) = families.get_mut(family)
            && !family.contains(&address)
        {
            family.push_back(address);
        }
    }
    if first == Some(1) {
        families.reverse();
    }
    let [mut preferred, mut other] = families;
    let mut all = VecDeque::new();
    while all.len() < MAX_ADDRESSES && !(preferred.is_empty() && other.is_empty()) {
        all.extend(preferred.pop_front());
        all.extend(other.pop_front());
    }
    all.truncate(MAX_ADDRESSES);
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_families_take_turns_and_the_resolvers_first_stays_first() {
        for (given, order) in [
            (
                &["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"][..],
                &["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"][..],
            ),
            (&["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"], &["1.0.0.1:1", "[::1]:1", "1.0.0.2:1"]),
            (&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.1:1"], &["1.0.0.1:1", "1.0.0.2:1"]),
            (&[], &[]),
        ] {
            assert_eq!(interleaved(addresses(given)), addresses(order), "{given:?}");
        }
        let many = (0..1000_u16).map(|port| SocketAddr::from(([1, 0, 0, 1], port)));
        assert_eq!(interleaved(many).len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_silent_address_delays_the_next_by_a_quarter_of_a_second_and_a_refusal_by_nothing() {
        let at = |ms| Moment::from_start(Duration::from_millis(ms));
        let all = addresses(&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1"]);
        let mut race = Race::new(all.clone(), at(0));
        assert_eq!((race.start(at(0)), race.start(at(0))), (Some(all[0]), None));
        assert_eq!((race.wake(), race.start(at(249))), (Some(at(250)), None));
        assert_eq!((race.start(at(250)), race.start(at(250))), (Some(all[1]), None));
        race.failed(at(300));
        assert_eq!((race.wake(), race.start(at(300))), (Some(at(300)), Some(all[2])));
        race.failed(at(400));
        assert_eq!((race.wake(), race.is_over(), race.start(at(400))), (None, false, None));
        race.failed(at(500));
        assert!(race.is_over());
    }

    proptest! {
        #[test]
        fn every_address_is_tried_once_however_the_attempts_end(
            ports in prop::collection::vec((any::<bool>(), 0..8_u16), 0..12),
            ends in prop::collection::vec(0..400_u64, 12),
        ) {
            let given: Vec<SocketAddr> = ports.iter().map(|(v6, port)| match v6 {
                true => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1_u16], *port)),
                false => SocketAddr::from(([1, 0, 0, 1], *port)),
            }).collect();
            let mut race = Race::new(given.clone(), Moment::ZERO);
            let (mut tried, mut running) = (Vec::new(), Vec::new());
            for ms in 0..10_000 {
                let now = Moment::from_start(Duration::from_millis(ms));
                let before = running.len();
                running.retain(|end| *end > ms);
                (running.len()..before).for_each(|_| race.failed(now));
                while let Some(address) = race.start(now) {
                    running.push(ms + ends[tried.len()]);
                    tried.push(address);
                }
                prop_assert!(race.wake().is_none_or(|wake| wake > now));
            }
            prop_assert!(race.is_over());
            tried.sort();
            let mut expected = given;
            expected.sort();
            expected.dedup();
            prop_assert_eq!(tried, expected);
        }
    }
}
