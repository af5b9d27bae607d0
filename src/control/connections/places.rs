//! Which connection gives way when those that were not admitted are too many. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// Connections that nothing admitted yet, in the order of their arrival.
#[derive(Debug)]
pub(super) struct Places {
    share: usize,
    next: u64,
    newcomers: BTreeMap<u64, IpAddr>,
}

/// A provider hands out a /64 to each customer (RFC 6177): whoever has one has all its addresses.
const CUSTOMER_PREFIX: u32 = 64;

impl Places {
    pub(super) fn new(share: usize) -> Self {
        Self { share, next: 0, newcomers: BTreeMap::new() }
    }

    /// A connection from `address`: its number, and the one that has to go for it. That is the oldest of the address
    /// that holds the most, so that a flood from one address displaces itself; behind a proxy all have the same
    /// address, and it is the oldest of all. A client that means to be admitted says so in its first packet.
    pub(super) fn arrive(&mut self, address: IpAddr) -> (u64, Option<u64>) {
        let number = self.next;
        self.next += 1;
        self.newcomers.insert(number, customer(address));
        let displaced = if self.newcomers.len() > self.share { self.first_of_the_most() } else { None };
        if let Some(displaced) = displaced {
            self.newcomers.remove(&displaced);
        }
        (number, displaced)
    }

    /// The connection was admitted, or is gone.
    pub(super) fn leave(&mut self, number: u64) {
        self.newcomers.remove(&number);
    }

    pub(super) fn len(&self) -> usize {
        self.newcomers.len()
    }

    fn first_of_the_most(&self) -> Option<u64> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for address in self.newcomers.values() {
            *counts.entry(*address).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        self.newcomers
            .iter()
            .find(|(_, address)| counts.get(*address) == Some(&most))
            .map(|(number, _)| *number)
    }
}

pub(super) fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - CUSTOMER_PREFIX);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_flood_from_one_address_displaces_itself() {
        let mut places = Places::new(4);
        let (neighbour, _) = places.arrive(v4(1));
        let flood: Vec<_> = (0..100).map(|_| places.arrive(v4(9))).collect();
        assert!(flood.iter().all(|(_, displaced)| *displaced != Some(neighbour)));
        assert_eq!(flood.iter().filter(|(_, displaced)| displaced.is_some()).count(), 97);
        assert_eq!(flood[3].1, Some(flood[0].0), "the oldest");
    }

    #[test]
    fn behind_one_address_the_oldest_gives_way_to_the_newest() {
        let mut places = Places::new(2);
        let arrivals: Vec<_> = (0..5).map(|_| places.arrive(v4(1)).1).collect();
        assert_eq!(arrivals, [None, None, Some(0), Some(1), Some(2)]);
        places.leave(4);
        assert_eq!((places.len(), places.arrive(v4(1)).1), (1, None));
    }

    #[test]
    fn a_customer_is_a_64_of_ipv6_and_an_address_of_ipv4_however_it_is_written() {
        let same = |a: &str, b: &str| customer(a.parse().unwrap()) == customer(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }

    proptest! {
        #[test]
        fn newcomers_never_exceed_their_share_and_the_newest_stays(
            share in 1..8_usize,
            acts in prop::collection::vec((any::<bool>(), 0..4_u8), 0..100),
        ) {
            let mut places = Places::new(share);
            let mut open = std::collections::BTreeSet::new();
            for (arrives, which) in acts {
                if arrives {
                    let (number, displaced) = places.arrive(v4(which));
                    open.insert(number);
                    if let Some(displaced) = displaced {
                        prop_assert!(displaced != number || share == 0, "the newest was turned away");
                        prop_assert!(open.remove(&displaced));
                    }
                } else if let Some(number) = open.iter().nth(usize::from(which)).copied() {
                    places.leave(number);
                    open.remove(&number);
                }
                prop_assert!(open.len() <= share);
                prop_assert_eq!(places.len(), open.len());
            }
        }
    }
}
