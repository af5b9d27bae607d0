//! Lines as they are written, to people and to programs. Pure.

use serde::ser::{Serialize, SerializeMap, Serializer};
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::Level;

use super::record::{Record, Span, Value};

/// `2026-01-02T03:04:05.678901Z  WARN stream{id=news}: overdub::hls::reader: segment lost media_sequence=7`, with its end.
/// `color`: with the colours of a terminal.
pub fn text(record: &Record, at: OffsetDateTime, color: bool) -> String {
    let mut line = String::with_capacity(256);
    let painted = |line: &mut String, style: &str, text: &str| {
        if color {
            line.extend(["\x1b[", style, "m", text, "\x1b[0m"]);
        } else {
            line.push_str(text);
        }
    };
    painted(&mut line, "2", &timestamp(at));
    line.push(' ');
    painted(&mut line, style(record.level), &format!("{:>5}", record.level.as_str()));
    line.push(' ');
    for span in &record.spans {
        painted(&mut line, "1", span.name);
        if !span.fields.is_empty() {
            line.push('{');
            fields(&mut line, &span.fields);
            line.push('}');
        }
        line.push(':');
    }
    if !record.spans.is_empty() {
        line.push(' ');
    }
    painted(&mut line, "2", &record.target);
    line.push_str(": ");
    line.push_str(&record.message);
    if !record.message.is_empty() && !record.fields.is_empty() {
        line.push(' ');
    }
    fields(&mut line, &record.fields);
    line.push('\n');
    line
}

/// The same as one JSON object, with its end. Fields of the event are beside `timestamp`, `level`, `message` and
/// `target`; `span` is the innermost of `spans`.
pub fn json(record: &Record, at: OffsetDateTime) -> String {
    // Strings and numbers only: nothing that JSON cannot say.
    let mut line = serde_json::to_string(&Json { record, at }).unwrap_or_default();
    line.push('\n');
    line
}

fn style(level: Level) -> &'static str {
    match level {
        Level::TRACE => "35",
        Level::DEBUG => "34",
        Level::INFO => "32",
        Level::WARN => "33",
        Level::ERROR => "31",
    }
}

fn fields(line: &mut String, fields: &[(&'static str, Value)]) {
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(name);
        line.push('=');
        match value {
            Value::Text(text) => {
                line.push('"');
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        line.push('\\');
                    }
                    line.push(c);
                }
                line.push('"');
            }
            Value::Printed(text) => line.push_str(text),
            Value::Plain(value) => line.push_str(&value.to_string()),
        }
    }
}

fn timestamp(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    // Fails only for years beyond 9999.
    at.format(format).unwrap_or_default()
}

struct Json<'a> {
    record: &'a Record,
    at: OffsetDateTime,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Record { level, target, message, fields, spans, stream: _ } = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &timestamp(self.at))?;
        map.serialize_entry("level", level.as_str())?;
        if !message.is_empty() {
            map.serialize_entry("message", message)?;
        }
        for (name, value) in fields {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("target", target)?;
        if let Some(innermost) = spans.last() {
            map.serialize_entry("span", innermost)?;
            map.serialize_entry("spans", spans)?;
        }
        map.end()
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("name", self.name)?;
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Printed(text) => serializer.serialize_str(text),
            Self::Plain(value) => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn record() -> Record {
        Record {
            level: Level::WARN,
            target: "overdub::hls::reader".to_owned(),
            stream: None,
            message: "segment lost".to_owned(),
            fields: vec![
                ("url", Value::Text(r#"http://h/"\"#.to_owned())),
                ("reason", Value::Printed("no answer".to_owned())),
                ("media_sequence", Value::Plain(7.into())),
            ],
            spans: vec![
                Span { name: "stream", fields: vec![("id", Value::Printed("news".to_owned()))] },
                Span { name: "bare", fields: vec![] },
            ],
        }
    }

    const AT: OffsetDateTime = datetime!(2026-01-02 03:04:05.678901 UTC);

    #[test]
    fn a_line_of_text_says_when_how_bad_where_and_what() {
        let plain = text(&record(), AT, false);
        assert_eq!(
            plain,
            "2026-01-02T03:04:05.678901Z  WARN stream{id=news}:bare: overdub::hls::reader: segment lost \
             url=\"http://h/\\\"\\\\\" reason=no answer media_sequence=7\n"
        );
        let colored = text(&record(), AT, true);
        let parts: Vec<&str> = colored.split('\x1b').collect();
        let bare: String =
            parts[1..].iter().map(|part| part.split_once('m').map_or("", |(_, text)| text)).collect();
        assert_eq!(bare, plain);
    }

    #[test]
    fn a_line_of_json_holds_the_same() {
        let line = json(&record(), AT);
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "timestamp": "2026-01-02T03:04:05.678901Z", "level": "WARN", "message": "segment lost",
                "url": r#"http://h/"\"#, "reason": "no answer", "media_sequence": 7,
                "target": "overdub::hls::reader",
                "span": {"name": "bare"}, "spans": [{"name": "stream", "id": "news"}, {"name": "bare"}],
            })
        );
    }
}
