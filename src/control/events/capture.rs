//! Log lines into the ring that the page reads.

use time::OffsetDateTime;
use time::macros::format_description;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::lines::{Level, Line, Lines, Stage};
use crate::clock::wall_clock;
use crate::logs::{Record, Sink};
use crate::outside;

/// Puts what is logged into [`Lines`].
#[derive(Debug)]
pub struct Capture {
    lines: Lines,
}

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

impl Sink for Capture {
    /// The ring keeps thousands of lines.
    const MAX_FIELD: usize = outside::MAX_TEXT;

    fn line(&self, record: Record) {
        let Record { level, target, stream, message, fields, .. } = record.without_stream_field();
        self.lines.push(Line {
            timestamp: timestamp(),
            level: shown(level),
            module: stage(&target),
            stream_id: stream,
            message,
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect(),
        });
    }
}

fn timestamp() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    // Fails only for years beyond 9999.
    OffsetDateTime::from(wall_clock()).format(format).unwrap_or_default()
}

fn shown(level: tracing::Level) -> Level {
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

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt;

    use super::super::lines::Filter;
    use super::*;
    use crate::logs::Layer;
    use crate::media::StreamId;

    fn captured(log: impl FnOnce()) -> Vec<Line> {
        let lines = Lines::default();
        let capture = Layer::new(Capture::new(lines.clone())).with_filter(Capture::filter());
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
        assert!(lines[0].message.len() <= outside::MAX_TEXT && lines[0].message.ends_with("5000 bytes]"));
    }
}
