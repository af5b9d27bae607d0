//! RTMP time: milliseconds in 32 bits.

/// Milliseconds modulo 2^32, as every message carries them (Adobe RTMP 1.0, section 4): they wrap after
/// 49 days, 17 hours, 2 minutes and 47.296 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Timestamp(u32);

impl Timestamp {
    pub const ZERO: Self = Self(0);

    /// From the 32 bits on the wire.
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// From a count of milliseconds of any length and sign; what does not fit is cut off, as on the wire.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis as u32)
    }

    /// The 32 bits on the wire.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// This time moved by a delta of the wire.
    #[must_use]
    pub const fn plus(self, delta: u32) -> Self {
        Self(self.0.wrapping_add(delta))
    }
}

/// 32-bit timestamps back to a count of milliseconds that does not wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    /// The count nearest to the previous one whose low 32 bits are `at`. The first is taken as it is.
    pub fn unwrap(&mut self, at: Timestamp) -> i64 {
        let now = match self.last {
            // The distance as a signed 32-bit number: at most 24.8 days either way.
            Some(last) => last + i64::from(at.0.wrapping_sub(last as u32) as i32),
            None => i64::from(at.0),
        };
        self.last = Some(now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_days_of_stamps_come_back_as_they_were_sent() {
        let mut unwrapper = Unwrapper::default();
        for minute in 0..60 * 24 * 60_i64 {
            let millis = minute * 60_000 + minute % 7;
            assert_eq!(unwrapper.unwrap(Timestamp::from_millis(millis)), millis);
        }
    }

    #[test]
    fn a_step_back_over_the_wrap_is_a_step_back() {
        let mut unwrapper = Unwrapper::default();
        assert_eq!(unwrapper.unwrap(Timestamp::new(u32::MAX)), 0xFFFF_FFFF);
        assert_eq!(unwrapper.unwrap(Timestamp::new(5)), 0x1_0000_0005);
        assert_eq!(unwrapper.unwrap(Timestamp::new(u32::MAX)), 0xFFFF_FFFF);
    }
}
