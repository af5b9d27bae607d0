//! Whether a source that is late catches up, or stays where it is. Pure.

use crate::media::Flicks;

/// So many pieces in a row that have a place before the clock, none less late than the one before, are a source
/// that stays late: the second says what the first could not.
const PAST: u32 = 2;
/// And so many that leave the processor half of its time or less.
const PRESSED: u32 = 5;

/// Watches what arrives against the clock.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    last: Option<Flicks>,
    pressed: u32,
    past: u32,
}

/// One piece against the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// How long before it is due the piece was there; negative: after.
    pub ahead: Flicks,
    /// How long it plays.
    pub length: Flicks,
    /// How long before it is due it should be there.
    pub budget: Flicks,
    /// Nothing will be made up for: what is late moves what is behind it at once.
    pub hopeless: bool,
}

impl Lateness {
    /// A piece arrived. Returns by how much it and everything behind it has to be moved so that it has its time.
    pub(super) fn handle(&mut self, arrival: Arrival) -> Option<Flicks> {
        let Arrival { ahead, length, budget, hopeless } = arrival;
        let missing = budget - ahead;
        if missing.get() <= budget.get() / 2 {
            *self = Self::default();
            return None;
        }
        // Who catches up gains the length of a piece with each piece.
        let gains = self.last.is_some_and(|last| last - missing >= Flicks::new(length.get() / 2));
        self.last = Some(missing);
        if gains {
            (self.pressed, self.past) = (0, 0);
        }
        self.pressed += 1;
        self.past = if ahead < Flicks::ZERO { self.past + 1 } else { 0 };
        if self.pressed < PRESSED && self.past < PAST && !hopeless {
            return None;
        }
        *self = Self::default();
        Some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(lateness: &mut Lateness, ahead_ms: i64) -> Option<i64> {
        let ms = Flicks::from_millis;
        let arrival = Arrival { ahead: ms(ahead_ms), length: ms(6_000), budget: ms(12_000), hopeless: false };
        lateness.handle(arrival).map(Flicks::to_millis)
    }

    #[test]
    fn a_backlog_that_is_worked_off_moves_nothing() {
        let mut lateness = Lateness::default();
        for ahead in [-50_000, -44_500, -39_000, -33_500, -28_000, -3_000, 2_000, 7_000, 30_000] {
            assert_eq!(moves(&mut lateness, ahead), None, "{ahead}");
        }
    }

    #[test]
    fn who_stays_late_is_given_time_once() {
        let mut lateness = Lateness::default();
        assert_eq!(moves(&mut lateness, 30_000), None);
        assert_eq!(moves(&mut lateness, -20_000), None);
        assert_eq!(moves(&mut lateness, -20_300), Some(32_300));
        for ahead in [11_700, 12_200, 9_000, 12_100] {
            assert_eq!(moves(&mut lateness, ahead), None, "{ahead}");
        }
    }

    #[test]
    fn who_leaves_the_processor_too_little_is_watched_for_longer() {
        let mut lateness = Lateness::default();
        let moved: Vec<_> =
            [3_000, 2_500, 3_100, 2_800, 3_000].map(|ahead| moves(&mut lateness, ahead)).into();
        assert_eq!(moved, [None, None, None, None, Some(9_000)]);
    }
}
