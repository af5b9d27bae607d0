//! The order in which the segments of two renditions are given out. Pure.
//!
//! Each has numbers and lengths of its own, so they are compared by how much media each has given since both
//! began at the same place. Neither runs ahead of the other by more than a bound, but what has failed does not
//! hold up what has not.

use std::time::Duration;

use crate::media::Moment;

/// How far one may be ahead, in target durations: two, since segments of one rendition may be as long as two
/// of the other's.
const LEAD: u32 = 2;

/// How long one waits for the other, in target durations: a segment that is late by more is not "not yet".
const PATIENCE: u32 = 1;

/// One rendition as it stands now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Side {
    /// It has something to give.
    pub(super) ready: bool,
    /// Media given or lost since the start.
    pub(super) position: Duration,
    /// Nothing more will come, or nothing is known that could: it holds up nobody.
    pub(super) done: bool,
    /// All that its playlist lists was given, and its playlist can be read.
    pub(super) at_the_edge: bool,
}

/// Who goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The side of this index.
    Give(usize),
    /// One is ready, and waits for the other until then.
    Wait(Moment),
    /// None is ready.
    Nothing,
}

/// What is remembered of two renditions.
#[derive(Debug, Default)]
pub(super) struct Join {
    /// Media is counted as given for a side that was left behind.
    written_off: [Duration; 2],
    /// A side that was waited for in vain, and where it was then.
    given_up: [Option<Duration>; 2],
    held_since: Option<Moment>,
}

impl Join {
    /// `target` is the longer of both target durations.
    pub(super) fn turn(&mut self, sides: [Side; 2], target: Duration, now: Moment) -> Turn {
        let at = |join: &Self, index: usize| sides[index].position + join.written_off[index];
        for index in [0, 1] {
            // It is back with the other once it has caught up, or once it has given all there is.
            let ahead = at(self, 1 - index);
            let back = at(self, index) + target * LEAD > ahead || sides[index].at_the_edge;
            if back && self.given_up[index].is_some_and(|then| sides[index].position > then) {
                self.given_up[index] = None;
                self.written_off[index] += ahead.saturating_sub(at(self, index));
            }
        }
        let order = if at(self, 1) < at(self, 0) { [1, 0] } else { [0, 1] };
        let mut held = None;
        for index in order.into_iter().filter(|index| sides[*index].ready) {
            let other = 1 - index;
            let free = sides[other].done || self.given_up[other].is_some();
            if free || at(self, index) < at(self, other) + target * LEAD {
                self.held_since = None;
                return Turn::Give(index);
            }
            held = Some(other);
        }
        let Some(other) = held else {
            self.held_since = None;
            return Turn::Nothing;
        };
        let until = *self.held_since.get_or_insert(now) + target * PATIENCE;
        if now < until {
            return Turn::Wait(until);
        }
        self.held_since = None;
        self.given_up[other] = Some(sides[other].position);
        Turn::Give(1 - other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(6);

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn side(ready: bool, seconds: u64) -> Side {
        Side { ready, position: Duration::from_secs(seconds), ..Side::default() }
    }

    #[test]
    fn the_one_behind_goes_first_and_neither_runs_away() {
        let mut join = Join::default();
        assert_eq!(join.turn([side(true, 6), side(true, 0)], TARGET, at(0)), Turn::Give(1));
        assert_eq!(join.turn([side(true, 0), side(true, 0)], TARGET, at(0)), Turn::Give(0));
        assert_eq!(join.turn([side(true, 6), side(false, 0)], TARGET, at(0)), Turn::Give(0));
        assert_eq!(join.turn([side(true, 12), side(false, 0)], TARGET, at(1)), Turn::Wait(at(7)));
        assert_eq!(join.turn([side(true, 12), side(true, 0)], TARGET, at(2)), Turn::Give(1));
        assert_eq!(join.turn([side(false, 12), side(false, 6)], TARGET, at(3)), Turn::Nothing);
    }

    #[test]
    fn one_that_died_is_waited_for_once_and_is_joined_again_where_the_other_is() {
        let mut join = Join::default();
        assert_eq!(join.turn([side(true, 12), side(false, 0)], TARGET, at(0)), Turn::Wait(at(6)));
        assert_eq!(join.turn([side(true, 12), side(false, 0)], TARGET, at(6)), Turn::Give(0));
        for seconds in 3..20 {
            assert_eq!(join.turn([side(true, 6 * seconds), side(false, 0)], TARGET, at(7)), Turn::Give(0));
        }
        // It is back with what its playlist still lists, and then waits for news like the other.
        assert_eq!(join.turn([side(true, 120), side(true, 0)], TARGET, at(8)), Turn::Give(1));
        let edge = Side { at_the_edge: true, ..side(false, 12) };
        assert_eq!(join.turn([side(true, 120), edge], TARGET, at(9)), Turn::Give(0));
        assert_eq!(join.turn([side(true, 132), side(false, 12)], TARGET, at(9)), Turn::Wait(at(15)));
        assert_eq!(join.turn([side(true, 132), side(true, 12)], TARGET, at(10)), Turn::Give(1));
    }

    #[test]
    fn one_that_has_ended_holds_up_nobody() {
        let ended = Side { done: true, ..side(false, 0) };
        assert_eq!(Join::default().turn([side(true, 600), ended], TARGET, at(0)), Turn::Give(0));
    }
}
