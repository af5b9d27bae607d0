//! `tfdt` to decode times on one axis (ISO/IEC 14496-12 8.8.12).

use super::boxes::{BoxRef, u32_at, u64_at};
use super::error::{Place, ReadError};

/// baseMediaDecodeTime as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeTime {
    /// Version 0: in the long run it begins again, after 13 hours at 90 kHz.
    Short(u32),
    Long(u64),
}

impl DecodeTime {
    pub(crate) fn parse(tfdt: &BoxRef, parent: &Place<'_>) -> Result<Self, ReadError> {
        let (version, _, body) = tfdt.full(parent)?;
        let (time, needed) = match version {
            0 => (u32_at(&body, 0).map(Self::Short), 8),
            _ => (u64_at(&body, 0).map(Self::Long), 12),
        };
        time.ok_or_else(|| tfdt.truncated(parent, needed))
    }
}

/// Positions of the movie's tracks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    tracks: Vec<Clock>,
    /// Large times are counted from an anchor.
    anchored: bool,
    /// Seconds subtracted from every time, because the times are beyond what can be computed with: packagers that
    /// count from long ago, or from a random number. A time too far from it starts another.
    anchor: i128,
}

#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// Decode time of the next sample, for fragments without `tfdt`.
    next: i64,
    /// A fragment came before.
    runs: bool,
}

impl Clocks {
    /// Below this many seconds times are what the file says: 272 years, so that those since 1904 or 1970 are.
    const LARGE: i128 = 1 << 33;
    /// The amount subtracted is a multiple of this, so that renditions read separately stay aligned.
    const STEP: i128 = 1 << 32;
    /// FFmpeg writes times below zero as such, though the field has no sign, where it is told to keep them in
    /// fragments (`frag_discont`). Nearly a year at the finest timescale in use (10 MHz): beyond it, it is none.
    const EARLIEST: i64 = -(1 << 48);

    pub(crate) fn new(tracks: usize, anchored: bool) -> Self {
        Self { tracks: vec![Clock::default(); tracks], anchored, anchor: 0 }
    }

    /// The decode time of the next sample of a track.
    pub(crate) fn next(&mut self, track: usize) -> Option<&mut i64> {
        self.tracks.get_mut(track).map(|clock| &mut clock.next)
    }

    /// A fragment begins at `time`. `None`: it is beyond 63 bits, or there is no such track.
    pub(crate) fn set(&mut self, track: usize, time: DecodeTime, timescale: u32) -> Option<()> {
        let clock = self.tracks.get_mut(track)?;
        let next = match time {
            DecodeTime::Short(low) if clock.runs => {
                // The nearest to where the track is: a step of less than half the range in either direction.
                let ahead = low.wrapping_sub(clock.next as u32).cast_signed();
                clock.next.checked_add(ahead.into())?
            }
            DecodeTime::Short(low) => low.into(),
            DecodeTime::Long(time) if (Self::EARLIEST..0).contains(&time.cast_signed()) => time.cast_signed(),
            DecodeTime::Long(time) => {
                let (time, timescale) = (i128::from(time), i128::from(timescale.max(1)));
                let seconds = time / timescale;
                // Also where it falls back: one damaged time must not move those after it out of range.
                if self.anchored && (seconds - self.anchor).abs() >= Self::LARGE {
                    self.anchor = if seconds >= Self::LARGE { seconds / Self::STEP * Self::STEP } else { 0 };
                }
                i64::try_from(time - self.anchor * timescale).ok()?
            }
        };
        *clock = Clock { next, runs: true };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(times: &[DecodeTime], timescale: u32) -> Vec<Option<i64>> {
        let mut clocks = Clocks::new(1, true);
        times
            .iter()
            .map(|time| clocks.set(0, *time, timescale).and_then(|()| clocks.next(0).copied()))
            .collect()
    }

    #[test]
    fn thirty_two_bits_go_on_where_they_begin_again() {
        let short = [u32::MAX - 89_999, u32::MAX, 89_999, 180_000].map(DecodeTime::Short);
        let wrap = 1_i64 << 32;
        assert_eq!(times(&short, 90_000), [wrap - 90_000, wrap - 1, wrap + 89_999, wrap + 180_000].map(Some));
        // A little back, across the border, is no wrap forwards.
        let back = [u32::MAX - 10, 10, u32::MAX - 5].map(DecodeTime::Short);
        assert_eq!(times(&back, 90_000), [wrap - 11, wrap + 10, wrap - 6].map(Some));
        assert_eq!(times(&[DecodeTime::Short(7)], 1), [Some(7)]);
    }

    #[test]
    fn times_near_and_beyond_63_bits_are_counted_from_an_anchor() {
        for start in [1_u64 << 62, (1 << 63) - 90_000, 1 << 63, u64::MAX - (1 << 50)] {
            let long = [start, start + 90_000, start + 180_000].map(DecodeTime::Long);
            let found: Vec<_> = times(&long, 90_000).into_iter().map(|time| time.expect("a time")).collect();
            assert_eq!((found[1] - found[0], found[2] - found[1]), (90_000, 90_000), "{start}");
            assert!(found[0] >= 0 && found[0] < 90_000 << 33, "{start}");
        }
        // Two tracks stay together.
        let mut clocks = Clocks::new(2, true);
        let seconds = (1_u64 << 45) + 5;
        for (track, timescale) in [(0, 90_000), (1, 48_000)] {
            clocks.set(track, DecodeTime::Long(seconds * u64::from(timescale)), timescale).expect("a time");
            let time = *clocks.next(track).expect("a track");
            assert_eq!(time, 5 * i64::from(timescale), "{track}");
        }
    }

    #[test]
    fn one_damaged_time_moves_none_after_it() {
        for damaged in [1_u64 << 56, 1 << 58, (1 << 63) - 1, u64::MAX - (1 << 50)] {
            // Those before are small, or have an anchor of their own.
            for start in [9_000_000_u64, 1 << 60] {
                let long = [start, damaged, start + 90_000, start + 180_000].map(DecodeTime::Long);
                let found = times(&long, 90_000);
                let ticks = |index: usize| found[index].expect("a time");
                assert_eq!(
                    (ticks(2) - ticks(0), ticks(3) - ticks(0)),
                    (90_000, 180_000),
                    "{damaged} {start}"
                );
                // The first as well.
                assert_eq!(times(&long[1..], 90_000)[1..], found[2..], "{damaged} {start}");
            }
        }
    }

    #[test]
    fn times_since_1904_and_below_zero_are_what_the_file_says() {
        let long = [38_000_000_000_000_000, (-90_000_i64).cast_unsigned()].map(DecodeTime::Long);
        assert_eq!(times(&long, 10_000_000), [Some(38_000_000_000_000_000), Some(-90_000)]);
    }
}
