//! Times of access units that have none of their own.

use super::Times;
use crate::Ticks;

/// The time one frame of `samples` at `rate` Hz after `from`.
///
/// A frame is no whole number of ticks (44.1 kHz: 2089.8). The grid of frame borders is laid over absolute
/// time and `from` keeps its distance to the nearest border, so rounding does not add up over the frames of
/// a PES packet. FFmpeg counts the same way, which makes stamps comparable to the tick.
pub(crate) fn after_frame(from: Ticks, samples: u32, rate: u32) -> Ticks {
    let unit = i128::from(samples) * i128::from(Ticks::PER_SECOND);
    let rate = i128::from(rate.max(1));
    if unit < rate {
        return from;
    }
    let border = |k: i128| rounded(k * unit, rate);
    let nearest = rounded(i128::from(from.0) * rate, unit);
    let next = border(nearest + 1) + i128::from(from.0) - border(nearest);
    Ticks(i64::try_from(next).unwrap_or(i64::MAX))
}

/// `a / b` to the nearest whole number, halves away from zero.
fn rounded(a: i128, b: i128) -> i128 {
    let half = if a < 0 { -b / 2 } else { b / 2 };
    (a + half) / b
}

/// Estimates the times of pictures that came without: DTS from the distance of the pictures before, PTS from
/// the picture order count.
#[derive(Debug, Default)]
pub(crate) struct PictureClock {
    last_dts: Option<Ticks>,
    /// Last distance between two stamped frames' DTS that followed each other.
    step: Option<Ticks>,
    /// The last picture was a field: it lasts half as long as a frame.
    field: bool,
    /// The least of PTS less DTS, where that is negative: some packagers write the DTS late.
    least: Ticks,
    /// The last picture had a stamp.
    follows_stamp: bool,
    /// PTS less DTS of the last stamped picture that begins a sequence, or of any before there is one.
    delay: Option<Ticks>,
    /// PTS and order count of a stamped picture of this coded video sequence.
    anchor: Option<(Ticks, i64)>,
    /// Ticks per unit of the order count, as a fraction.
    scale: Option<(i64, i64)>,
}

/// Longest plausible distance between two pictures; anything else is a jump of the clock.
const MAX_STEP: Ticks = Ticks(10 * Ticks::PER_SECOND);

impl PictureClock {
    /// The times of the next picture in decoding order. `order`: its order count; `first`: it begins a
    /// coded video sequence; `nominal`: the distance of pictures that the parameter sets promise, of fields where
    /// the picture is a `field`.
    /// `None`: nothing to go by yet.
    pub(crate) fn next(
        &mut self,
        stamp: Option<Times>,
        order: Option<i64>,
        first: bool,
        nominal: Option<Ticks>,
        field: bool,
    ) -> Option<Times> {
        if first {
            self.anchor = None;
        }
        let after_field = std::mem::replace(&mut self.field, field);
        if let Some(times) = stamp {
            self.learn(times, order, first, after_field);
            return stamp;
        }
        let promised = nominal.map(|nominal| Ticks(nominal.0 * if field { 2 } else { 1 }));
        let step = self.step.or(promised).unwrap_or(Ticks(0));
        let dts = self.last_dts? + Ticks(step.0 / if after_field { 2 } else { 1 });
        self.last_dts = Some(dts);
        self.follows_stamp = false;
        let by_order = match (self.anchor, order) {
            (Some((pts, anchor)), Some(order)) => {
                // Two units of the order count are one frame in nearly every stream.
                let (ticks, units) = self.scale.unwrap_or((step.0, 2));
                let distance = i128::from(order - anchor) * i128::from(ticks);
                i64::try_from(rounded(distance, i128::from(units))).ok().map(|ticks| pts + Ticks(ticks))
            }
            _ => None,
        };
        let pts = by_order.unwrap_or(dts + self.delay.unwrap_or(Ticks(0)));
        if self.anchor.is_none() {
            self.anchor = order.map(|order| (pts, order));
        }
        Some(Times { pts: pts.max(dts + self.least), dts })
    }

    /// The times of `pictures` (order count, and whether it begins a sequence) that stand before the first stamp,
    /// which is that of the last of them, at a distance of `step`.
    pub(crate) fn before(stamp: Times, pictures: &[(Option<i64>, bool)], step: Ticks) -> Vec<Times> {
        let count = pictures.len().saturating_sub(1) as i64;
        let start = stamp.dts - Ticks(step.0.saturating_mul(count));
        let mut clock = Self::default();
        let mut guessed: Vec<Times> = pictures
            .iter()
            .enumerate()
            .filter_map(|(n, &(order, first))| {
                let given = (n == 0).then_some(Times { pts: start + (stamp.pts - stamp.dts), dts: start });
                clock.next(given, order, first || n == 0, Some(step), false)
            })
            .collect();
        let shift = guessed.last().map_or(Ticks(0), |last| stamp.pts - last.pts);
        for times in &mut guessed {
            times.pts = (times.pts + shift).max(times.dts);
        }
        guessed
    }

    /// Pictures may be missing behind the last one: the distance to the next says nothing.
    pub(crate) fn interrupt(&mut self) {
        self.follows_stamp = false;
    }

    /// How long the picture at `dts` lasts: until `next`, the DTS of the one after it, where that is known and
    /// no jump of the clock; else as long as the one before.
    pub(crate) fn duration(&self, dts: Ticks, next: Option<Ticks>, nominal: Option<Ticks>) -> Ticks {
        let known = next.map(|next| next - dts).filter(|step| (Ticks(0)..MAX_STEP).contains(step));
        let usual = self.step.map(|step| Ticks(step.0 / if self.field { 2 } else { 1 }));
        known.or(usual).or(nominal).unwrap_or(Ticks(0))
    }

    fn learn(&mut self, times: Times, order: Option<i64>, first: bool, after_field: bool) {
        if let Some(last) = self.last_dts
            && self.follows_stamp
        {
            let step = Ticks((times.dts - last).0.saturating_mul(if after_field { 2 } else { 1 }));
            self.step = (step > Ticks(0) && step < MAX_STEP).then_some(step).or(self.step);
        }
        let offset = times.pts - times.dts;
        if offset > Ticks(-MAX_STEP.0) {
            self.least = self.least.min(offset);
        }
        if first || self.delay.is_none() {
            self.delay = Some(times.pts - times.dts);
        }
        if let Some(order) = order {
            if let Some((pts, anchor)) = self.anchor {
                let (ticks, units) = ((times.pts - pts).0, order - anchor);
                if units != 0 && ticks.signum() == units.signum() && ticks.abs() < MAX_STEP.0 {
                    self.scale = Some((ticks.abs(), units.abs()));
                }
            }
            self.anchor = Some((times.pts, order));
        }
        self.last_dts = Some(times.dts);
        self.follows_stamp = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_44100_hz_do_not_drift_over_an_hour() {
        let start = Ticks(132_005);
        let frames = 155_040;
        let end = (0..frames).fold(start, |at, _| after_frame(at, 1024, 44_100));
        let exact = 132_005.0 + f64::from(frames) * 1024.0 * 90_000.0 / 44_100.0;
        assert!((end.0 as f64 - exact).abs() < 1.0, "{end:?} {exact}");
        assert_eq!(after_frame(Ticks(126_000), 1024, 48_000), Ticks(127_920));
    }

    #[test]
    fn pictures_before_the_first_stamp_are_dated_from_it() {
        // In decoding order I P B B, of which the last has a stamp.
        let pictures = [(Some(0), true), (Some(6), false), (Some(2), false), (Some(4), false)];
        let stamp = Times { pts: Ticks(90_000), dts: Ticks(86_400) };
        let times = PictureClock::before(stamp, &pictures, Ticks(3_600));
        let expected = [(82_800, 75_600), (93_600, 79_200), (86_400, 82_800), (90_000, 86_400)];
        let expected = expected.map(|(pts, dts)| Times { pts: Ticks(pts), dts: Ticks(dts) });
        assert_eq!(times, expected);
    }

    #[test]
    fn the_second_field_of_a_frame_comes_half_a_frame_after_the_first() {
        let mut clock = PictureClock::default();
        let times = |dts| Times { pts: Ticks(dts), dts: Ticks(dts) };
        // Two frames, then pairs of fields of which the first has a stamp.
        for (n, order, stamped, field, dts) in [
            (0, 0, true, false, 0),
            (1, 2, true, false, 3_600),
            (2, 4, true, true, 7_200),
            (3, 5, false, true, 9_000),
            (4, 6, true, true, 10_800),
            (5, 7, false, true, 12_600),
            (6, 8, true, false, 14_400),
            (7, 10, false, false, 18_000),
        ] {
            let stamp = stamped.then_some(times(dts));
            let nominal = Some(Ticks(if field { 1_800 } else { 3_600 }));
            assert_eq!(clock.next(stamp, Some(order), n == 0, nominal, field), Some(times(dts)), "{n}");
        }
    }

    #[test]
    fn pictures_without_stamps_are_placed_by_dts_distance_and_order_count() {
        let mut clock = PictureClock::default();
        let times = |pts, dts| Times { pts: Ticks(pts), dts: Ticks(dts) };
        assert_eq!(clock.next(None, None, true, None, false), None);
        assert_eq!(clock.next(Some(times(18_000, 0)), Some(0), true, None, false), Some(times(18_000, 0)));
        assert_eq!(
            clock.next(Some(times(45_000, 9_000)), Some(6), false, None, false),
            Some(times(45_000, 9_000))
        );
        assert_eq!(clock.next(None, Some(2), false, None, false), Some(times(27_000, 18_000)));
        assert_eq!(clock.next(None, Some(4), false, None, false), Some(times(36_000, 27_000)));
        assert_eq!(clock.next(None, Some(0), true, None, false), Some(times(54_000, 36_000)));
    }
}
