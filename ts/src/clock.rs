//! 90 kHz time: the unit, and 33 bits unwrapped.

use std::fmt;
use std::ops::{Add, Neg, Sub};

/// A time or a distance in ticks of the 90 kHz system clock (ISO/IEC 13818-1 2.4.3.7), unwrapped: it goes
/// on where the 33 bits of the stream begin again, and may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticks(pub i64);

impl Ticks {
    /// Ticks in a second.
    pub const PER_SECOND: i64 = 90_000;

    /// What 33 bits can count: the stream begins again every 26.5 hours.
    pub const WRAP: i64 = 1 << 33;

    /// The bare number of ticks.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// What a PES header carries for this time: the low 33 bits.
    pub const fn wrapped(self) -> u64 {
        self.0.rem_euclid(Self::WRAP) as u64
    }
}

impl Add for Ticks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Ticks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Ticks {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}t", self.0)
    }
}

/// Puts 33-bit time stamps on one axis that does not wrap.
///
/// Each stamp becomes the value nearest to the last one, so a wrap (every 26.5 hours) goes unnoticed and
/// steps of up to 13 hours in either direction keep their sign. A single stamp that is hours away is no reference
/// for the next, so that a wrong bit does not move the axis by a wrap. One unwrapper serves all streams of a
/// program: audio and video on either side of the wrap meet on the same axis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    last: Option<i64>,
    /// A time far from the last one: the next one near it makes it the reference.
    far: Option<i64>,
}

impl Unwrapper {
    const WRAP: i64 = Ticks::WRAP;
    /// A stream that begins less than this before the wrap begins below zero instead: the first stamp of
    /// another stream may lie behind the wrap already, and both orders of arrival must give one axis.
    const NEAR_WRAP: i64 = 60 * Ticks::PER_SECOND;

    /// A step of more than this has to be confirmed: wrong bits 31 and 32 are further away, and gaps are not.
    const FAR: i64 = 6 * 3600 * Ticks::PER_SECOND;

    /// An unwrapper that has seen nothing.
    pub const fn new() -> Self {
        Self { last: None, far: None }
    }

    /// The unwrapped time of the 33-bit `stamp`, which becomes the reference of the next where it is not alone far
    /// from those before.
    pub fn unwrap(&mut self, stamp: u64) -> Ticks {
        let raw = (stamp & (Self::WRAP as u64 - 1)) as i64;
        let ticks = match self.last {
            Some(last) => Self::nearest(raw, last),
            None if raw >= Self::WRAP - Self::NEAR_WRAP => raw - Self::WRAP,
            None => raw,
        };
        match self.last {
            Some(last) if ticks.abs_diff(last) > Self::FAR as u64 => {
                let confirmed = self.far.map(|far| Self::nearest(raw, far));
                let near = |ticks: &i64| self.far.is_some_and(|far| ticks.abs_diff(far) <= Self::FAR as u64);
                if let Some(ticks) = confirmed.filter(near) {
                    (self.last, self.far) = (Some(ticks), None);
                    return Ticks(ticks);
                }
                self.far = Some(ticks);
            }
            _ => (self.last, self.far) = (Some(ticks), None),
        }
        Ticks(ticks)
    }

    /// The last time unwrapped.
    pub const fn last(&self) -> Option<Ticks> {
        match self.last {
            Some(last) => Some(Ticks(last)),
            None => None,
        }
    }

    /// The unwrapped time of `stamp` that is nearest to `reference`; remembers nothing. A PTS belongs near
    /// its DTS, wherever the axis has got to.
    pub fn near(stamp: u64, reference: Ticks) -> Ticks {
        let raw = (stamp & (Self::WRAP as u64 - 1)) as i64;
        Ticks(Self::nearest(raw, reference.0))
    }

    fn nearest(raw: i64, reference: i64) -> i64 {
        let ahead = raw.wrapping_sub(reference).rem_euclid(Self::WRAP);
        let step = if ahead < Self::WRAP / 2 { ahead } else { ahead - Self::WRAP };
        reference.saturating_add(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_axis_goes_on_across_the_wrap_in_both_directions() {
        let mut clock = Unwrapper::new();
        assert_eq!(clock.unwrap(5_000_000_000), Ticks(5_000_000_000));
        assert_eq!(clock.unwrap(8_589_934_000), Ticks(8_589_934_000));
        assert_eq!(clock.unwrap(408), Ticks(8_589_935_000));
        assert_eq!(clock.unwrap(8_589_934_500), Ticks(8_589_934_500));
    }

    #[test]
    fn streams_that_begin_on_either_side_of_the_wrap_share_an_axis_in_either_order() {
        let before = (1_u64 << 33) - 3_000;
        let mut clock = Unwrapper::new();
        assert_eq!((clock.unwrap(before), clock.unwrap(600)), (Ticks(-3_000), Ticks(600)));
        let mut clock = Unwrapper::new();
        assert_eq!((clock.unwrap(600), clock.unwrap(before)), (Ticks(600), Ticks(-3_000)));
    }

    #[test]
    fn an_absurd_jump_neither_overflows_nor_sticks() {
        let mut clock = Unwrapper::new();
        clock.unwrap(0);
        assert_eq!(clock.unwrap(1 << 32), Ticks(-(1 << 32)));
        assert_eq!(clock.unwrap(u64::MAX).wrapped(), (1 << 33) - 1);
    }

    #[test]
    fn a_wrong_bit_leaves_the_axis_where_it_is_and_another_clock_is_followed() {
        for bit in 0..33 {
            let mut clock = Unwrapper::new();
            clock.unwrap(1_000_000);
            clock.unwrap(1_003_600 ^ 1 << bit);
            assert_eq!(clock.unwrap(1_007_200), Ticks(1_007_200), "{bit}");
        }
        let mut clock = Unwrapper::new();
        clock.unwrap(1_000_000);
        let other = clock.unwrap(4_000_000_000);
        assert_eq!(clock.unwrap(4_000_003_600), other + Ticks(3_600));
        assert_eq!(clock.last(), Some(other + Ticks(3_600)));
    }

    proptest! {
        #[test]
        fn steps_of_up_to_six_hours_add_up_exactly(
            start in 0_i64..(1 << 33),
            steps in prop::collection::vec(-Unwrapper::FAR..Unwrapper::FAR, 1..50),
        ) {
            let mut clock = Unwrapper::new();
            let mut expected = clock.unwrap(start as u64);
            for step in steps {
                expected = expected + Ticks(step);
                prop_assert_eq!(clock.unwrap(expected.wrapped()), expected);
            }
        }
    }
}
