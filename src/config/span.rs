//! A duration as a person writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration in a setting: a number is seconds (`30`, `0.5`), a text may carry a unit (`100ms`, `30s`,
/// `2m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// The text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a duration of 0 s to a year: seconds (30, 0.5) or with a unit (100ms, 30s, 2m, 12h, 7d)")]
pub struct InvalidSpan;

impl Span {
    /// No setting is longer; keeps all later arithmetic far from its limits.
    pub(super) const MAX_SECS: f64 = 366.0 * 86_400.0;

    pub fn from_secs_f64(secs: f64) -> Result<Self, InvalidSpan> {
        if (0.0..=Self::MAX_SECS).contains(&secs) {
            Ok(Self(Duration::from_secs_f64(secs)))
        } else {
            Err(InvalidSpan)
        }
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let text = text.trim();
        let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale = match unit {
            "" | "s" => 1.0,
            "ms" => 0.001,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(InvalidSpan),
        };
        let number: f64 = number.trim().parse().map_err(|_| InvalidSpan)?;
        Self::from_secs_f64(number * scale)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds or a duration with a unit")
    }

    fn visit_f64<E: Error>(self, secs: f64) -> Result<Span, E> {
        Span::from_secs_f64(secs).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, secs: u64) -> Result<Span, E> {
        self.visit_f64(secs as f64)
    }

    fn visit_i64<E: Error>(self, secs: i64) -> Result<Span, E> {
        self.visit_f64(secs as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }
}
