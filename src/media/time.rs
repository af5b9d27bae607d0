//! Time, with its unit in the type. `docs/time.md` owns the subject.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::time::Duration;

/// A media time or duration in flicks, 1/705,600,000 s.
///
/// One flick divides 90 kHz ticks (7,840), milliseconds (705,600) and one sample of every audio rate in use
/// (48 kHz: 14,700; 44.1 kHz: 16,000; 7.35 kHz: 96,000) exactly, so audio and video meet on one axis
/// without any rounding; an `i64` of them lasts 414 years. Rounding happens once, in
/// [`Flicks::to_millis`], at the very end (DESIGN section 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flicks(i64);

impl Flicks {
    pub const ZERO: Self = Self(0);
    /// Flicks in a second.
    pub const PER_SECOND: i64 = 705_600_000;
    const PER_TICK: i64 = Self::PER_SECOND / 90_000;
    const PER_MILLI: i64 = Self::PER_SECOND / 1_000;

    /// From raw flicks.
    pub const fn new(flicks: i64) -> Self {
        Self(flicks)
    }

    /// From ticks of the 90 kHz system clock (ISO/IEC 13818-1 2.4.3.7), unwrapped.
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks * Self::PER_TICK)
    }

    /// From a number of audio samples at `rate` Hz; exact for every rate that divides 705,600,000.
    pub fn from_samples(samples: i64, rate: u32) -> Self {
        Self::from_units(samples, rate)
    }

    /// From a time in a file's own timescale of `per_second` units: exact where that divides 705,600,000, else
    /// to the nearest flick (halves up), which is far below what any output can say. Computed of the whole
    /// time, so that nothing adds up; saturates beyond 414 years.
    pub fn from_units(units: i64, per_second: u32) -> Self {
        let per_second = i128::from(per_second.max(1));
        let flicks =
            (i128::from(units) * i128::from(Self::PER_SECOND) + per_second / 2).div_euclid(per_second);
        Self(i64::try_from(flicks).unwrap_or(if flicks < 0 { i64::MIN } else { i64::MAX }))
    }

    /// From whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis * Self::PER_MILLI)
    }

    /// From a wall-clock duration; exact to the flick below.
    pub fn from_duration(duration: Duration) -> Self {
        let flicks = duration.as_nanos() * Self::PER_SECOND as u128 / 1_000_000_000;
        Self(i64::try_from(flicks).unwrap_or(i64::MAX))
    }

    /// The raw number of flicks.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The tick of the 90 kHz clock at or before this time.
    pub const fn to_ticks(self) -> i64 {
        self.0.div_euclid(Self::PER_TICK)
    }

    /// The nearest millisecond (halves up). For display and RTMP only; never added up.
    pub const fn to_millis(self) -> i64 {
        (self.0 + Self::PER_MILLI / 2).div_euclid(Self::PER_MILLI)
    }

    /// The nearest count of samples at `rate` Hz (halves up).
    pub fn to_samples(self, rate: u32) -> i64 {
        let half = i128::from(Self::PER_SECOND) / 2;
        let samples = (i128::from(self.0) * i128::from(rate) + half).div_euclid(i128::from(Self::PER_SECOND));
        i64::try_from(samples).unwrap_or(i64::MAX)
    }

    /// Seconds, for display only.
    pub fn to_secs_f64(self) -> f64 {
        self.0 as f64 / Self::PER_SECOND as f64
    }

    /// As a wall-clock duration; zero where this is negative.
    pub fn to_duration(self) -> Duration {
        let flicks = self.0.max(0) as u128;
        let nanos = flicks * 1_000_000_000 / Self::PER_SECOND as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The distance from zero.
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }
}

impl Add for Flicks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Flicks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Flicks {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Flicks {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Flicks {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl fmt::Debug for Flicks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.to_secs_f64())
    }
}

/// A point on the process's monotonic clock: the time since [`crate::clock::Clock::start`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The moment `since_start` after the clock's start.
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The time since the clock's start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment moved by a signed media time; not before the clock's start.
    pub fn offset(self, by: Flicks) -> Self {
        if by >= Flicks::ZERO { self + by.to_duration() } else { self - (-by).to_duration() }
    }

    /// The signed media time from `earlier` to this moment.
    pub fn since(self, earlier: Self) -> Flicks {
        if self >= earlier {
            Flicks::from_duration(self.0 - earlier.0)
        } else {
            -Flicks::from_duration(earlier.0 - self.0)
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:.6}s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_audio_rate_and_both_clocks_divide_a_flick_exactly() {
        for rate in [
            7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000,
            90_000, 1_000,
        ] {
            assert_eq!(Flicks::PER_SECOND % rate, 0, "{rate}");
        }
    }

    #[test]
    fn milliseconds_are_rounded_once_and_never_drift() {
        // A day of 44.1 kHz AAC frames: each stamp is within half a millisecond of the exact value.
        for k in [0_i64, 1, 2, 3, 1_000, 3_720_937] {
            let exact = k as f64 * 1024.0 / 44.1;
            let ms = Flicks::from_samples(k * 1024, 44_100).to_millis() as f64;
            assert!((exact - ms).abs() <= 0.5 + 1e-6, "{k}: {exact} {ms}");
        }
    }

    #[test]
    fn times_of_any_timescale_are_within_half_a_flick_however_large() {
        // A live packager's tfdt: seconds since 1970 in 10 MHz, beyond 53 bits.
        let since_1970 = 17_000_000_000_333_667_i64;
        assert_eq!(Flicks::from_units(since_1970, 10_000_000).to_ticks(), 153_000_000_003_003);
        assert_eq!(Flicks::from_units(1_024, 15_360), Flicks::new(47_040_000));
        assert_eq!(Flicks::from_units(-1, 30_000), Flicks::new(-23_520));
        for units in [i64::MIN, -7, 0, 1, 333_333, i64::MAX / 3] {
            let exact = i128::from(units) * 705_600_000;
            let got = i128::from(Flicks::from_units(units, 12_288).get()) * 12_288;
            let saturated = exact.abs() > i128::from(i64::MAX) * 12_288;
            assert!(saturated || (exact - got).abs() * 2 <= 12_288, "{units}");
        }
        assert_eq!(Flicks::from_units(i64::MAX, 1).get(), i64::MAX);
        assert_eq!(Flicks::from_units(i64::MIN, 1).get(), i64::MIN);
        assert_eq!(Flicks::from_units(5, 0), Flicks::from_units(5, 1));
    }

    #[test]
    fn negative_times_round_like_positive_ones() {
        assert_eq!(Flicks::from_millis(-3).to_millis(), -3);
        assert_eq!(Flicks::from_ticks(-1).to_ticks(), -1);
        assert_eq!((Flicks::from_ticks(-1) - Flicks::new(1)).to_ticks(), -2);
    }
}
