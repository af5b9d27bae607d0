//! What the echo processor does to which fragment. Pure.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How to behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Each answer takes a random time from this range.
    pub delay: RangeInclusive<Duration>,
    /// Of these, the first whose turn it is applies to a fragment.
    pub rules: Vec<Rule>,
    /// Answer in pairs, the second of a pair first.
    pub reorder: bool,
}

/// What happens to every nth fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub every: NonZeroU64,
    pub fault: Fault,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `fragment:error` with this code.
    Fail { code: String },
    /// No answer at all.
    Drop,
    /// The connection is closed instead.
    Disconnect,
    /// The answer takes this much longer.
    Late(Duration),
    /// The answer comes twice.
    Duplicate,
    /// Each byte of the answer is inverted.
    Garbage,
    /// The second half of the answer is missing.
    Truncate,
    /// The answer has no bytes.
    Empty,
}

impl Default for Options {
    /// 100 ms, faultless.
    fn default() -> Self {
        let delay = Duration::from_millis(100);
        Self { delay: delay..=delay, rules: Vec::new(), reorder: false }
    }
}

impl Options {
    /// What goes wrong with the fragment that is the `nth` since the start, counted from 1 over all
    /// connections, so that what is sent again after a disconnect has another number.
    pub(super) fn fault(&self, nth: u64) -> Option<&Fault> {
        self.rules.iter().find(|rule| nth.is_multiple_of(rule.every.get())).map(|rule| &rule.fault)
    }

    /// The delay at the place `random` (`0.0..1.0`) of the range.
    pub(super) fn delay(&self, random: f64) -> Duration {
        let (shortest, longest) = (*self.delay.start(), *self.delay.end());
        shortest + longest.saturating_sub(shortest).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_whose_turn_it_is_applies() {
        let rule = |every, fault| Rule { every: NonZeroU64::new(every).unwrap(), fault };
        let options =
            Options { rules: vec![rule(3, Fault::Drop), rule(2, Fault::Disconnect)], ..Options::default() };
        let faults: Vec<_> = (1..=6).map(|nth| options.fault(nth)).collect();
        let (drop, cut) = (Some(&Fault::Drop), Some(&Fault::Disconnect));
        assert_eq!(faults, [None, cut, drop, cut, None, drop]);
    }

    #[test]
    fn delays_lie_in_their_range() {
        let ms = Duration::from_millis;
        let options = Options { delay: ms(100)..=ms(300), ..Options::default() };
        assert_eq!([0.0, 0.5, 1.0].map(|random| options.delay(random)), [ms(100), ms(200), ms(300)]);
    }
}
