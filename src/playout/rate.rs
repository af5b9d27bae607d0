//! How fast output time goes against the wall clock.

use std::fmt;

use crate::media::Flicks;

/// A deviation from real time in parts per billion: positive plays faster. At most [`Rate::MAX`] either way.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(i32);

/// One in parts per billion.
const UNIT: i128 = 1_000_000_000;

impl Rate {
    /// Real time.
    pub const EXACT: Self = Self(0);
    /// 0.1 %: what 29.97 pictures a second that are stamped as 30 need; no viewer sees it, and a player's buffer
    /// moves by 3.6 s in an hour.
    pub const MAX: Self = Self(1_000_000);

    /// From parts per million, to the nearest part per billion; what is beyond the limit is brought to it.
    pub fn from_ppm(ppm: f64) -> Self {
        let limit = f64::from(Self::MAX.0);
        // Within the range of the type by the clamp; what is no number is no deviation.
        let ppb = (ppm * 1e3).round().clamp(-limit, limit);
        Self(if ppb.is_nan() { 0 } else { ppb as i32 })
    }

    /// In parts per million.
    pub fn ppm(self) -> f64 {
        f64::from(self.0) / 1e3
    }

    /// How long a span of output time lasts on the wall.
    pub(super) fn to_wall(self, span: Flicks) -> Flicks {
        scale(span, UNIT - i128::from(self.0), UNIT)
    }

    /// How much output time plays in a span of the wall clock.
    pub(super) fn to_output(self, span: Flicks) -> Flicks {
        scale(span, UNIT, UNIT - i128::from(self.0))
    }
}

/// `span * by / over` to the nearest flick (halves up); both factors are within a thousandth of [`UNIT`].
fn scale(span: Flicks, by: i128, over: i128) -> Flicks {
    let scaled = (i128::from(span.get()) * by + over / 2).div_euclid(over);
    Flicks::new(i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX }))
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.3} ppm", self.ppm())
    }
}
