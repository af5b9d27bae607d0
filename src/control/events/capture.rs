//! `tracing` events to log lines.

use std::fmt;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::lines::{Level, Line, Lines, Stage};
use crate::clock::wall_clock;
use crate::media::StreamId;
use crate::redact;

/// Longest message and longest text of a field, in characters: errors quote what servers answered.
const MAX_TEXT: usize = 1_000;
/// Fields of a line at most; no event of ours has half as many.
const MAX_FIELDS: usize = 24;

/// The span around everything that a stream does, and its field with the stream's id.
const STREAM_SPAN: &str = "stream";
const STREAM_FIELD: &str = "id";

/// Puts what is logged into [`Lines`], without what opens a door.
#[derive(Debug)]
pub struct Capture {
    lines: Lines,
}

/// The stream that a span belongs to.
struct StreamOf(StreamId);

impl Capture {
    pub fn new(lines: Lines) -> Self {
        Self { lines }
    }

    /// What is captured, whatever the log on stderr shows: a page can ask for detail that nobody wanted before.
    /// Only our own events: a line about the sending of a line would never end.
    pub fn filter() -> Targets {
        Targets::new().with_target("overdub", LevelFilter::DEBUG)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() != STREAM_SPAN {
            return;
        }
        let mut visitor = Visitor::default();
        attributes.record(&mut visitor);
        let name = visitor.fields.get(STREAM_FIELD).and_then(Value::as_str);
        if let (Some(stream), Some(span)) = (name.and_then(|name| StreamId::new(name).ok()), context.span(id))
        {
            span.extensions_mut().insert(StreamOf(stream));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut visitor = Visitor::default();
        event.record(&mut visitor);
        let Visitor { message, mut fields } = visitor;
        let named = ["stream_id", "stream"].into_iter().find_map(|name| {
            let id = StreamId::new(fields.get(name)?.as_str()?).ok()?;
            fields.remove(name);
            Some(id)
        });
        let around = || {
            let mut scope = context.event_scope(event)?;
            scope.find_map(|span| span.extensions().get::<StreamOf>().map(|of| of.0.clone()))
        };
        let metadata = event.metadata();
        self.lines.push(Line {
            timestamp: timestamp(),
            level: level(*metadata.level()),
            module: stage(metadata.target()),
            stream_id: named.or_else(around),
            message,
            fields,
        });
    }
}

fn timestamp() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // Fails only for years beyond 9999.
    OffsetDateTime::from(wall_clock()).format(format).unwrap_or_default()
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

/// The stage that a module path belongs to: `overdub::hls::fetch` to the source.
fn stage(target: &str) -> Stage {
    let mut modules = target.split("::").skip(1);
    match (modules.next().unwrap_or_default(), modules.next().unwrap_or_default()) {
        ("hls" | "policy", _) | ("pipeline", "source") => Stage::Source,
        ("demux", _) => Stage::Demux,
        ("batch" | "playout", _) | ("pipeline", "ingest") => Stage::Batch,
        ("roundtrip", _) => Stage::Processor,
        ("remux", _) | ("pipeline", "output") => Stage::Remux,
        ("publish", _) => Stage::Publish,
        ("preview", _) => Stage::Preview,
        ("storage", _) => Stage::Storage,
        ("control" | "pipeline" | "config" | "status", _) => Stage::Control,
        _ => Stage::Cli,
    }
}

#[derive(Default)]
struct Visitor {
    message: String,
    fields: Map<String, Value>,
}

impl Visitor {
    fn text(&mut self, field: &Field, text: &str) {
        let text: String = redact::text(text).chars().take(MAX_TEXT).collect();
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        // `log` events carry their origin in fields; it is known already.
        if self.fields.len() < MAX_FIELDS && !field.name().starts_with("log.") {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::lines::Filter;
    use super::*;

    fn captured(log: impl FnOnce()) -> Vec<Line> {
        let lines = Lines::default();
        let capture = Capture::new(lines.clone()).with_filter(Capture::filter());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(capture), log);
        let everything = Filter { level: Some(Level::Trace), ..Filter::default() };
        lines.newest(&everything, 100).lines.iter().map(|(_, line)| (**line).clone()).collect()
    }

    #[test]
    fn an_event_becomes_a_line_with_its_fields_its_stage_and_its_stream() {
        let lines = captured(|| {
            let _around = tracing::info_span!("stream", id = %"news").entered();
            let _inner = tracing::info_span!("anything", id = 5).entered();
            tracing::warn!(target: "overdub::roundtrip::link", count = 3, ratio = 0.5, ok = true, "no connection");
            tracing::debug!(target: "overdub::hls", stream_id = %"other", "read");
        });
        let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((first.level, first.module), (Level::Warn, Stage::Processor));
        assert_eq!(first.stream_id.as_ref().map(StreamId::as_str), Some("news"));
        assert_eq!(first.message, "no connection");
        let expected = serde_json::json!({"count": 3, "ratio": 0.5, "ok": true});
        assert_eq!(Value::Object(first.fields.clone()), expected);
        assert!(first.timestamp.ends_with('Z') && first.timestamp.len() == 24, "{}", first.timestamp);
        assert_eq!((second.level, second.module), (Level::Debug, Stage::Source));
        assert_eq!(second.stream_id.as_ref().map(StreamId::as_str), Some("other"));
        assert!(second.fields.is_empty());
    }

    #[test]
    fn secrets_do_not_reach_the_page() {
        let lines = captured(|| {
            tracing::info!(
                target: "overdub::publish",
                url = "rtmp://h/live/secret1?k=secret2",
                error = ?"GET https://u:secret3@h/a.m3u8?token=secret4: 404",
                "cannot reach http://h/?key=secret5, trying again"
            );
        });
        let shown = serde_json::to_string(&lines[0]).unwrap();
        assert!(!shown.contains("cret"), "{shown}");
        assert!(shown.contains("https://h/a.m3u8") && shown.contains("trying again"), "{shown}");
    }

    #[test]
    fn others_are_not_captured_and_long_texts_are_cut() {
        let lines = captured(|| {
            tracing::error!(target: "socketioxide", "sending");
            tracing::trace!(target: "overdub::hls", "too much detail");
            tracing::info!(target: "overdub::cli", "{}", "x".repeat(5_000));
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].message.len(), MAX_TEXT);
    }
}
