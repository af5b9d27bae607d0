//! The picture order count from its low bits (ISO/IEC 14496-10 8.2.1.1, ISO/IEC 23008-2 8.3.1).

/// Carries the high bits from picture to picture.
#[derive(Debug, Default)]
pub(crate) struct OrderCount {
    previous: i64,
}

impl OrderCount {
    /// The count of a picture whose low `bits` bits are `lsb`. `first`: it begins at 0 anew; `anchor`: later
    /// pictures count from this one.
    pub(crate) fn next(&mut self, lsb: u32, bits: u32, first: bool, anchor: bool) -> i64 {
        if first {
            self.previous = 0;
        }
        let range = 1_i64 << bits;
        let ahead = (i64::from(lsb) - self.previous).rem_euclid(range);
        let step = if ahead <= range / 2 { ahead } else { ahead - range };
        let count = self.previous.saturating_add(step);
        if anchor {
            self.previous = count;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_goes_on_where_its_low_bits_begin_again() {
        let mut order = OrderCount::default();
        let counts = [0, 8, 4, 14, 2, 6].map(|lsb| order.next(lsb, 4, false, true));
        assert_eq!(counts, [0, 8, 4, -2, 2, 6]);
    }
}
