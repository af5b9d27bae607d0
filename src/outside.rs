//! Strings that others wrote, as they may appear in logs, status, events and metrics. Pure.
//!
//! Playlists, servers, processors, files and callers of the API write strings that this process shows to people. Each
//! one becomes a [`Name`], a [`Text`] or a [`ShownUrl`] where it enters, and is that everywhere behind: without secrets
//! ([`crate::redact`]), on one line, and short. In this order, so that no half of a secret survives a cut.
//!
//! Control characters become `<U+001B>`, as `less` shows them. The notation has no backslash and no quote: it looks the
//! same in a log line, in JSON and in a Prometheus label, and escaping a second time changes nothing.

use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::redact;

/// Longest name, in characters: what a person calls a rendition, a codec, a group, an event.
pub const MAX_NAME: usize = 256;

/// Longest text, in bytes: the reason of an error, what a server or a processor says.
pub const MAX_TEXT: usize = 1_024;

/// Longest address, in bytes: that of a source (`sourceUrl`), those in playlists, those that redirects lead to. Servers
/// take request lines of 8 kB, proxies often half of that.
pub const MAX_ADDRESS: usize = 4_096;

/// Longest `data:` address, which holds its resource: a key of 16 bytes, or an init segment of some kilobytes.
pub const MAX_DATA_ADDRESS: usize = 64 << 10;

/// In what a length is counted.
#[derive(Clone, Copy)]
enum Unit {
    Characters,
    Bytes,
}

/// An address that is longer than any that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address has {length} bytes, more than {limit}")]
pub struct AddressTooLong {
    pub length: usize,
    pub limit: usize,
}

/// Whether an address may be followed. One that is too long is refused and never cut: what is left would lead
/// elsewhere.
///
/// # Errors
///
/// It is too long.
pub fn check_address(address: &str) -> Result<(), AddressTooLong> {
    let is_data = address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let limit = if is_data { MAX_DATA_ADDRESS } else { MAX_ADDRESS };
    let length = address.len();
    if length > limit { Err(AddressTooLong { length, limit }) } else { Ok(()) }
}

/// Whether `c` does something to a terminal or to the text around it instead of being seen: control characters (C0, DEL,
/// C1), the two line separators, and everything with the property Bidi_Control (Unicode Standard Annex 9), by which a
/// name could show the rest of its line in another order.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` redacted, escaped and cut: at most `limit` bytes. For log lines; what is kept is a [`Name`] or a [`Text`].
pub fn shown(text: &str, limit: usize) -> String {
    Shown::redacted(text, Unit::Bytes, limit)
}

/// `text` for a terminal: its lines as they are, whatever else does something to a terminal made visible.
pub fn printable(text: &str) -> String {
    let lines = text.split('\n').map(|line| Shown::escaped(line, Unit::Bytes, usize::MAX));
    lines.collect::<Vec<_>>().join("\n")
}

/// A text on its way to being shown.
struct Shown {
    out: String,
    unit: Unit,
    limit: usize,
    /// What stands where it was cut.
    mark: String,
    size: usize,
    /// Bytes of `out` with which the mark would still fit.
    fits: usize,
}

impl Shown {
    fn redacted(text: &str, unit: Unit, limit: usize) -> String {
        let mut shown = Self::new(text.len(), unit, limit);
        let cut = redact::pieces(text, |piece| shown.push(piece));
        shown.finish(cut)
    }

    /// Of an address that is redacted already.
    fn escaped(text: &str, unit: Unit, limit: usize) -> String {
        let mut shown = Self::new(text.len(), unit, limit);
        let cut = shown.push(text);
        shown.finish(cut)
    }

    fn new(length: usize, unit: Unit, limit: usize) -> Self {
        // The blank ends an address, so that the mark is no part of it.
        let mark = format!(" [cut, was {length} bytes]");
        Self { out: String::with_capacity(length.min(limit)), unit, limit, mark, size: 0, fits: 0 }
    }

    fn push(&mut self, piece: &str) -> ControlFlow<()> {
        let room = self.limit.saturating_sub(self.mark.len());
        for c in piece.chars() {
            let before = self.out.len();
            if is_hidden(c) {
                self.out.push_str(&format!("<U+{:04X}>", u32::from(c)));
            } else {
                self.out.push(c);
            }
            self.size += match self.unit {
                Unit::Bytes => self.out.len() - before,
                Unit::Characters if is_hidden(c) => self.out.len() - before,
                Unit::Characters => 1,
            };
            if self.size > self.limit {
                return ControlFlow::Break(());
            }
            if self.size <= room {
                self.fits = self.out.len();
            }
        }
        ControlFlow::Continue(())
    }

    fn finish(mut self, cut: ControlFlow<()>) -> String {
        if cut.is_break() {
            self.out.truncate(self.fits);
            self.out.push_str(&self.mark);
        }
        self.out
    }
}

macro_rules! outside {
    ($(#[$doc:meta])* $name:ident, $max_length:tt) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
        #[schema(value_type = String, max_length = $max_length)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self("".into())
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

macro_rules! redacted {
    ($name:ident, $unit:expr, $limit:expr) => {
        impl $name {
            pub fn new(text: &str) -> Self {
                Self(Shown::redacted(text, $unit, $limit).into())
            }

            /// Of an error, which may quote anything.
            pub fn of(text: &(impl fmt::Display + ?Sized)) -> Self {
                Self::new(&text.to_string())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(&text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

outside! {
    /// What somebody else calls something: at most [`MAX_NAME`] characters.
    Name, 256
}
redacted!(Name, Unit::Characters, MAX_NAME);

outside! {
    /// What somebody else says: at most [`MAX_TEXT`] bytes.
    Text, 1024
}
redacted!(Text, Unit::Bytes, MAX_TEXT);

outside! {
    /// An address to be shown, without what opens a door: at most [`MAX_ADDRESS`] bytes. What is asked is kept apart,
    /// and checked by [`check_address`].
    ShownUrl, 4096
}

impl ShownUrl {
    /// As [`redact::url`] shows it.
    pub fn url(url: &str) -> Self {
        Self(Shown::escaped(&redact::url(url), Unit::Bytes, MAX_ADDRESS).into())
    }

    /// As [`redact::rtmp_url`] shows it.
    pub fn rtmp(url: &str) -> Self {
        Self(Shown::escaped(&redact::rtmp_url(url), Unit::Bytes, MAX_ADDRESS).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_and_what_turns_a_line_around_become_visible() {
        for (given, expected) in [
            ("plain, ünïcode, 中文, שלום, 👩‍👩‍👧", "plain, ünïcode, 中文, שלום, 👩‍👩‍👧"),
            ("a\nb\r\n\tc", "a<U+000A>b<U+000D><U+000A><U+0009>c"),
            ("\u{1b}[2J\u{7}\0", "<U+001B>[2J<U+0007><U+0000>"),
            ("\u{7f}\u{80}\u{9b}31m\u{9f}", "<U+007F><U+0080><U+009B>31m<U+009F>"),
            ("\u{2028}\u{2029}", "<U+2028><U+2029>"),
            ("\u{202e}gpj.exe\u{202c}", "<U+202E>gpj.exe<U+202C>"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}", "<U+2066>a<U+2069><U+200F><U+061C>"),
            (r#"back\slash "quote" <b>"#, r#"back\slash "quote" <b>"#),
        ] {
            assert_eq!(Text::new(given), expected);
            assert_eq!(Name::new(given), expected);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark_and_never_longer_than_the_limit() {
        for (character, bytes) in [("x", 200_000), ("ü", 400_000), ("\n", 200_000), ("👩", 800_000)] {
            let long = character.repeat(200_000);
            let name = Name::new(&long);
            assert!(name.chars().count() <= MAX_NAME && name.chars().count() > MAX_NAME - 10, "{name}");
            let text = Text::new(&long);
            assert!(text.len() <= MAX_TEXT && text.len() > MAX_TEXT - 10, "{text}");
            for cut in [&*name, &*text] {
                assert!(cut.ends_with(&format!(" [cut, was {bytes} bytes]")), "{cut}");
            }
        }
        let fits = "x".repeat(MAX_NAME);
        assert_eq!(Name::new(&fits), fits.as_str());
        let address = ShownUrl::url(&format!("https://h/{}?token=secret", "x".repeat(10_000)));
        assert!(address.len() <= MAX_ADDRESS && address.contains("[cut, was"), "{address}");
    }

    #[test]
    fn no_half_of_a_secret_survives_a_cut() {
        // The address lies across the cut, at each place.
        for lead in MAX_TEXT - 80..MAX_TEXT + 10 {
            let text = format!("{} https://user:hunter2@host/?token=hunter2", "x".repeat(lead));
            let shown = Text::new(&text);
            assert!(!shown.contains("hunt") && !shown.contains("user"), "{shown}");
        }
        let endless = format!("https://user:{}@host/", "hunter2".repeat(100_000));
        assert!(!Text::new(&endless).contains("hunter2"));
        assert!(!Text::new("rtmp://h/live/hunter2-key\n").contains("hunter2"));
    }

    #[test]
    fn an_address_to_be_followed_is_whole_or_refused() {
        assert_eq!(check_address(&"x".repeat(MAX_ADDRESS)), Ok(()));
        let error = check_address(&"x".repeat(MAX_ADDRESS + 1)).unwrap_err();
        assert_eq!(error.to_string(), "the address has 4097 bytes, more than 4096");
        assert_eq!(check_address(&format!("data:,{}", "x".repeat(20_000))), Ok(()));
        assert!(check_address(&format!("DATA:,{}", "x".repeat(MAX_DATA_ADDRESS))).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_short_and_visible_and_stays_so(
            text in prop_oneof![
                any::<String>(),
                "(\\PC|[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}\u{2069}]|://|rtmp://|\\?|@){0,2000}",
            ],
            limit in 64_usize..3_000,
        ) {
            let name = Name::new(&text);
            prop_assert!(name.chars().count() <= MAX_NAME);
            let long = Text::new(&text);
            prop_assert!(long.len() <= MAX_TEXT);
            let line = shown(&text, limit);
            prop_assert!(line.len() <= limit);
            for shown in [&*name, &*long, &*line] {
                prop_assert!(!shown.chars().any(is_hidden));
                // Escaping again finds nothing to escape.
                prop_assert_eq!(Shown::escaped(shown, Unit::Bytes, usize::MAX), shown);
            }
        }
    }
}
