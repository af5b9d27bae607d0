//! What an event says, bounded and on one line. Pure.

use std::fmt::{self, Write as _};

use tracing::Level;
use tracing::field::{Field, Visit};

use crate::media::StreamId;
use crate::outside;

/// Fields of a line or of a span at most; no event of ours has half as many.
const MAX_FIELDS: usize = 24;

/// Bytes of a value that are looked at. Far more than is shown of it, as redaction and escapes may make it shorter.
const MAX_RAW: usize = 64 << 10;

/// One line before it is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub level: Level,
    /// The module that it is from.
    pub target: String,
    /// The stream that it is about.
    pub stream: Option<StreamId>,
    pub message: String,
    pub fields: Vec<(&'static str, Value)>,
    /// The spans around it, outermost first.
    pub spans: Vec<Span>,
}

impl Record {
    /// Without the field that only repeats which stream it is about.
    #[must_use]
    pub fn without_stream_field(mut self) -> Self {
        if let Some(stream) = &self.stream {
            self.fields.retain(|(name, value)| match value {
                Value::Text(id) | Value::Printed(id) => !(is_stream_field(name) && id == stream.as_str()),
                Value::Plain(_) => true,
            });
        }
        self
    }
}

/// A span around an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub name: &'static str,
    pub fields: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string, quoted in lines of text.
    Text(String),
    /// Whatever prints itself.
    Printed(String),
    /// A number or a truth value.
    Plain(serde_json::Value),
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) | Value::Printed(text) => text.into(),
            Value::Plain(value) => value,
        }
    }
}

/// Collects fields, each at most `limit` bytes long.
pub(super) struct Visitor {
    limit: usize,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
    /// Of an event that came by way of the `log` crate: where it is from.
    pub(super) log_target: Option<String>,
}

impl Visitor {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, message: String::new(), fields: Vec::new(), log_target: None }
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Text(text) | Value::Printed(text)) => self.message = text,
            ("log.target", Value::Text(text) | Value::Printed(text)) => self.log_target = Some(text),
            // Where in the source it is.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => {
                if let Some((_, known)) = self.fields.iter_mut().find(|(known, _)| *known == name) {
                    *known = value;
                } else if self.fields.len() < MAX_FIELDS {
                    self.fields.push((name, value));
                }
            }
        }
    }
}

/// Fields by which events outside of a stream's span say whose they are.
pub(super) fn is_stream_field(name: &str) -> bool {
    matches!(name, "stream_id" | "stream")
}

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = Value::Printed(printed(value, self.limit));
        self.put(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = Value::Text(outside::shown(value, self.limit));
        self.put(field, text);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Plain(value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Plain(value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Plain(value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Plain(value.into()));
    }
}

/// What `value` prints, at most `limit` bytes. Printing ends where nothing more of it would be shown.
pub(super) fn printed(value: &dyn fmt::Debug, limit: usize) -> String {
    let mut raw = Raw { text: String::new(), cut: false };
    // It fails only where it was cut.
    let _ = write!(raw, "{value:?}");
    if raw.cut {
        // The last word may be half of an address: redaction would not know it again.
        let word = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>\\".contains(c);
        raw.text.truncate(raw.text.rfind(word).map_or(0, |at| at));
        raw.text.push_str(" [cut]");
    }
    outside::shown(&raw.text, limit)
}

/// The first [`MAX_RAW`] bytes of what is written.
struct Raw {
    text: String,
    cut: bool,
}

impl fmt::Write for Raw {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_RAW - self.text.len();
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        self.cut = true;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Endless(&'static str);

    impl fmt::Debug for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str(self.0)?;
            }
        }
    }

    #[test]
    fn what_prints_without_end_is_cut_and_tells_no_half_of_an_address() {
        let shown = printed(&Endless("ab\n"), 4_096);
        assert!(shown.len() <= 4_096 && shown.starts_with("ab<U+000A>ab"), "{shown}");
        assert!(shown.contains("[cut"), "{shown}");
        // The cut of what is looked at falls into an address at some of these lengths.
        for words in ["a http://user:hunter2@h/b ", "http://user:hunter2@h/b", "https://h/?t=hunter2 "] {
            let shown = printed(&Endless(words), usize::MAX);
            assert!(!shown.contains("hunter"), "{words}: ...{}", &shown[shown.len() - 100..]);
        }
    }
}
