//! What the echo processor does to which fragment, and how a person says so. Pure.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::config::Span;

/// How to behave.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub delay: Delay,
    /// Of these, the first whose turn it is applies to a fragment.
    pub rules: Vec<Rule>,
    /// Answer in pairs, the second of a pair first.
    pub reorder: bool,
}

/// Each answer takes a random time from this range: `100ms`, `100ms..2s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay(pub RangeInclusive<Duration>);

/// What happens to which fragments: `drop:3`, `fail:30%:BUSY`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub when: When,
    pub fault: Fault,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// Every nth fragment.
    Every(NonZeroU64),
    /// Each fragment with this probability, in percent. Several rules of this kind exclude one another.
    Percent(f64),
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq)]
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
    /// One byte in 64 of the answer is another one, at random.
    Corrupt,
    /// The second half of the answer is missing.
    Truncate,
    /// The answer has no bytes.
    Empty,
    /// The answer is followed by so much nothing that it has this many bytes.
    Oversize(usize),
    /// The answer's sound is so much longer, or shorter where it is negative, in percent.
    Length(f64),
    /// All of the answer's sound is silence.
    Silence,
    /// The answer begins with so many samples of silence, in whole frames, as an encoder puts them there, and
    /// declares them or not.
    Priming { samples: u32, declared: bool },
}

impl Default for Options {
    /// 100 ms, faultless.
    fn default() -> Self {
        Self { delay: Delay::fixed(Duration::from_millis(100)), rules: Vec::new(), reorder: false }
    }
}

impl Options {
    /// The rule of the fragment that is the `nth` since the start, counted from 1 over all
    /// connections, so that what is sent again after a disconnect has another number. `random` lies in
    /// `0.0..1.0`.
    pub fn rule(&self, nth: u64, random: f64) -> Option<&Rule> {
        let mut drawn = random * 100.0;
        let applies = |rule: &&Rule| match rule.when {
            When::Every(every) => nth.is_multiple_of(every.get()),
            When::Percent(percent) => {
                let hit = (0.0..percent).contains(&drawn);
                drawn -= percent;
                hit
            }
        };
        self.rules.iter().find(applies)
    }

    /// These options with what `control` says.
    pub(super) fn controlled(&self, control: Control) -> Result<Self, InvalidOption> {
        let Control { delay, faults, reorder } = control;
        Ok(Self {
            delay: delay.map_or(Ok(self.delay.clone()), |delay| delay.parse())?,
            rules: match faults {
                Some(faults) => faults.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
                None => self.rules.clone(),
            },
            reorder: reorder.unwrap_or(self.reorder),
        })
    }
}

/// What a `control` event may change; what it leaves out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Control {
    delay: Option<String>,
    faults: Option<Vec<String>>,
    reorder: Option<bool>,
}

impl Delay {
    /// Always the same.
    pub fn fixed(delay: Duration) -> Self {
        Self(delay..=delay)
    }

    /// The delay at the place `random` (`0.0..1.0`) of the range.
    pub fn at(&self, random: f64) -> Duration {
        let (shortest, longest) = (*self.0.start(), *self.0.end());
        shortest + longest.saturating_sub(shortest).mul_f64(random.clamp(0.0, 1.0))
    }
}

/// The text is no delay or no fault, with what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOption(String);

fn invalid<T>(reason: &str) -> Result<T, InvalidOption> {
    Err(InvalidOption(reason.to_owned()))
}

fn time(text: &str) -> Result<Duration, InvalidOption> {
    text.parse::<Span>().map(|span| span.0).map_err(|error| InvalidOption(error.to_string()))
}

impl FromStr for Delay {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let (shortest, longest) = text.split_once("..").unwrap_or((text, text));
        let (shortest, longest) = (time(shortest)?, time(longest)?);
        if longest < shortest {
            return invalid("the range is upside down");
        }
        Ok(Self(shortest..=longest))
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shortest, longest) = (Span(*self.0.start()), Span(*self.0.end()));
        if shortest == longest { write!(f, "{shortest}") } else { write!(f, "{shortest}..{longest}") }
    }
}

/// Largest answer that can be asked for: whoever asks has this process hold it.
const MAX_OVERSIZE: usize = 1 << 30;

/// No encoder primes longer: a second at 96 kHz.
const MAX_PRIMING: u32 = 96_000;

const KINDS: &str = "is none of fail, drop, disconnect, late, duplicate, garbage, corrupt, truncate, empty, \
                     oversize, length, silence, priming";

impl FromStr for Rule {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let mut parts = text.splitn(3, ':');
        let kind = parts.next().unwrap_or_default();
        let when = parts.next().unwrap_or_default();
        let when = match when.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|p| (0.0..=100.0).contains(p)).map(When::Percent),
            None => when.parse().ok().map(When::Every),
        };
        let Some(when) = when else {
            return invalid("say which fragments: KIND:N for every Nth, KIND:N% for so many at random");
        };
        let fault = match (kind, parts.next()) {
            ("fail", code) => Fault::Fail { code: code.unwrap_or("PROCESSING_FAILED").to_owned() },
            ("late", Some(by)) => Fault::Late(time(by)?),
            ("late", None) => return invalid("say how late: late:N:TIME"),
            ("oversize", bytes) => match bytes.map_or(Some(65 << 20), |bytes| bytes.parse().ok()) {
                Some(bytes) if bytes <= MAX_OVERSIZE => Fault::Oversize(bytes),
                _ => return invalid("say how many bytes, at most 1 GiB: oversize:N:BYTES"),
            },
            ("length", Some(percent)) => match percent.trim_end_matches('%').parse() {
                Ok(percent) if (-100.0..=100.0).contains(&percent) => Fault::Length(percent),
                _ => return invalid("say how much longer or shorter: length:N:PERCENT, -100 to 100"),
            },
            ("length", None) => return invalid("say how much longer or shorter: length:N:PERCENT"),
            ("priming", Some(priming)) => {
                let samples = priming.strip_suffix(":undeclared");
                let declared = samples.is_none();
                match samples.unwrap_or(priming).parse() {
                    Ok(samples) if samples <= MAX_PRIMING => Fault::Priming { samples, declared },
                    _ => {
                        return invalid(
                            "say how many samples: priming:N:SAMPLES or priming:N:SAMPLES:undeclared",
                        );
                    }
                }
            }
            ("priming", None) => return invalid("say how many samples: priming:N:SAMPLES"),
            ("drop", None) => Fault::Drop,
            ("disconnect", None) => Fault::Disconnect,
            ("duplicate", None) => Fault::Duplicate,
            ("garbage", None) => Fault::Garbage,
            ("corrupt", None) => Fault::Corrupt,
            ("truncate", None) => Fault::Truncate,
            ("empty", None) => Fault::Empty,
            ("silence", None) => Fault::Silence,
            _ => return invalid(KINDS),
        };
        Ok(Self { when, fault })
    }
}

/// As it is read.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.when {
            When::Every(every) => every.to_string(),
            When::Percent(percent) => format!("{percent}%"),
        };
        match &self.fault {
            Fault::Fail { code } => write!(f, "fail:{when}:{code}"),
            Fault::Drop => write!(f, "drop:{when}"),
            Fault::Disconnect => write!(f, "disconnect:{when}"),
            Fault::Late(by) => write!(f, "late:{when}:{}", Span(*by)),
            Fault::Duplicate => write!(f, "duplicate:{when}"),
            Fault::Garbage => write!(f, "garbage:{when}"),
            Fault::Corrupt => write!(f, "corrupt:{when}"),
            Fault::Truncate => write!(f, "truncate:{when}"),
            Fault::Empty => write!(f, "empty:{when}"),
            Fault::Oversize(bytes) => write!(f, "oversize:{when}:{bytes}"),
            Fault::Length(percent) => write!(f, "length:{when}:{percent}"),
            Fault::Silence => write!(f, "silence:{when}"),
            Fault::Priming { samples, declared: true } => write!(f, "priming:{when}:{samples}"),
            Fault::Priming { samples, declared: false } => write!(f, "priming:{when}:{samples}:undeclared"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Options {
        let rules = texts.iter().map(|text| text.parse().unwrap()).collect();
        Options { rules, ..Options::default() }
    }

    #[test]
    fn the_first_rule_whose_turn_it_is_applies() {
        let options = rules(&["drop:3", "disconnect:2"]);
        let faults: Vec<_> = (1..=6).map(|nth| options.rule(nth, 0.5).map(|rule| &rule.fault)).collect();
        let (drop, cut) = (Some(&Fault::Drop), Some(&Fault::Disconnect));
        assert_eq!(faults, [None, cut, drop, cut, None, drop]);
    }

    #[test]
    fn shares_exclude_one_another_and_add_up() {
        let options = rules(&["drop:30%", "empty:20%"]);
        let faults: Vec<_> = [0.0, 0.29, 0.31, 0.49, 0.51, 0.99]
            .map(|random| options.rule(1, random).map(|rule| &rule.fault))
            .into();
        let (drop, empty) = (Some(&Fault::Drop), Some(&Fault::Empty));
        assert_eq!(faults, [drop, drop, empty, empty, None, None]);
    }

    #[test]
    fn delays_lie_in_their_range() {
        let ms = Duration::from_millis;
        let delay = Delay(ms(100)..=ms(300));
        assert_eq!([0.0, 0.5, 1.0].map(|random| delay.at(random)), [ms(100), ms(200), ms(300)]);
    }

    #[test]
    fn faults_and_delays_are_read_as_they_are_written_or_refused() {
        for text in [
            "fail:1:A:B",
            "drop:2",
            "disconnect:5%",
            "late:3:20s",
            "duplicate:1",
            "garbage:1",
            "corrupt:12.5%",
            "truncate:1",
            "empty:1",
            "oversize:1:70000000",
            "length:2:-3",
            "silence:1",
            "priming:1:2112",
            "priming:1:1600:undeclared",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for text in ["100ms", "0.1s..2s"] {
            assert_eq!(
                text.parse::<Delay>().unwrap().to_string().replace("0.1s", text.split("..").next().unwrap()),
                text
            );
        }
        for bad in [
            "",
            "drop",
            "drop:0",
            "drop:x",
            "drop:1:x",
            "drop:101%",
            "late:1",
            "late:1:soon",
            "explode:1",
            "length:1",
            "length:1:-101",
            "length:1:NaN",
            "priming:1",
            "priming:1:x",
            "oversize:1:9999999999",
        ] {
            assert!(bad.parse::<Rule>().is_err(), "{bad:?}");
        }
        for bad in ["", "..", "2..1", "x..1"] {
            assert!(bad.parse::<Delay>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_control_event_changes_what_it_names() {
        let control = |json: &str| serde_json::from_str::<Control>(json).unwrap();
        let options = rules(&["drop:3"]);
        let changed = options.controlled(control(r#"{"delay":"5s","reorder":true}"#)).unwrap();
        let expected =
            Options { delay: Delay::fixed(Duration::from_secs(5)), reorder: true, ..options.clone() };
        assert_eq!(changed, expected);
        assert!(changed.controlled(control(r#"{"faults":[]}"#)).unwrap().rules.is_empty());
        assert!(options.controlled(control(r#"{"faults":["explode:1"]}"#)).is_err());
        assert!(serde_json::from_str::<Control>(r#"{"dely":"5s"}"#).is_err());
    }
}
