//! `tracing` events to lines.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::limit::{Budget, DETAIL, Limits, Suppressed, USUAL, WINDOW};
use super::record::{Record, Span, Value, Visitor, is_stream_field, printed};
use crate::clock::Clock;
use crate::media::{Moment, StreamId};
use crate::outside::MAX_NAME;

/// The span around everything that a stream does, and its field with the stream's id.
const STREAM_SPAN: &str = "stream";
const STREAM_FIELD: &str = "id";

/// Where lines are shown.
pub trait Sink: Send + Sync + 'static {
    /// Longest message and longest value of a field, in bytes.
    const MAX_FIELD: usize;

    /// Must not log.
    fn line(&self, record: Record);
}

/// Something that has to be told the time.
pub trait Tick: Send + Sync {
    /// Tells how many lines were suppressed in the windows that have ended.
    fn tick(&self);

    /// The same of all windows, at the end.
    fn finish(&self);
}

/// Gives a [`Sink`] its lines. All copies are the same one.
pub struct Layer<S>(Arc<Shared<S>>);

struct Shared<S> {
    sink: S,
    clock: Clock,
    limits: Mutex<Limits<Kind, First>>,
}

/// What has a budget of its own: one place in the source, for one stream.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    stream: Option<StreamId>,
    callsite: Identifier,
    /// Events of the `log` crate have one callsite for each level: of these, the hash of where they are from.
    origin: u64,
}

/// The first line that was suppressed.
#[derive(Debug)]
struct First {
    level: Level,
    target: String,
    stream: Option<StreamId>,
    message: String,
}

/// What is kept with a span, for all layers.
struct Kept {
    fields: Vec<(&'static str, Value)>,
    stream: Option<StreamId>,
}

impl<S: Sink> Layer<S> {
    pub fn new(sink: S) -> Self {
        Self(Arc::new(Shared { sink, clock: Clock::start(), limits: Mutex::default() }))
    }

    /// For whoever tells the time.
    pub fn ticks(&self) -> Arc<dyn Tick> {
        Arc::clone(&self.0) as Arc<dyn Tick>
    }
}

impl<S: Sink> Shared<S> {
    /// Whether the event is shown; first of all what was suppressed before is told.
    fn admits(&self, event: &Event<'_>, stream: Option<&StreamId>, now: Moment) -> bool {
        let metadata = event.metadata();
        let kind = Kind {
            stream: stream.cloned(),
            callsite: metadata.callsite(),
            origin: if metadata.target() == "log" { origin(event) } else { 0 },
        };
        let budget: Budget = if *metadata.level() <= Level::INFO { USUAL } else { DETAIL };
        let (admitted, ended) = {
            // Nothing panics while it holds the lock.
            let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
            let first = || First::new(event, stream);
            (limits.admits(kind, budget, now, first), limits.ended(now))
        };
        self.tell(ended);
        admitted
    }

    fn tell(&self, suppressed: Vec<Suppressed<First>>) {
        for suppressed in suppressed {
            self.sink.line(suppressed.into());
        }
    }
}

impl<S: Sink> Tick for Shared<S> {
    fn tick(&self) {
        let now = self.clock.now();
        let ended = self.limits.lock().unwrap_or_else(PoisonError::into_inner).ended(now);
        self.tell(ended);
    }

    fn finish(&self) {
        let all = self.limits.lock().unwrap_or_else(PoisonError::into_inner).all();
        self.tell(all);
    }
}

impl First {
    fn new(event: &Event<'_>, stream: Option<&StreamId>) -> Self {
        let mut message = Message(String::new());
        event.record(&mut message);
        let metadata = event.metadata();
        Self {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            stream: stream.cloned(),
            message: message.0,
        }
    }
}

impl From<Suppressed<First>> for Record {
    fn from(suppressed: Suppressed<First>) -> Self {
        let Suppressed { what: First { level, target, stream, message }, count, .. } = suppressed;
        let seconds = WINDOW.as_secs();
        Self {
            level,
            target,
            message: format!("{count} more lines like this were suppressed: {message}"),
            fields: vec![
                ("suppressed", Value::Plain(count.into())),
                ("within_seconds", Value::Plain(seconds.into())),
            ],
            spans: stream.iter().map(stream_span).collect(),
            stream,
        }
    }
}

fn stream_span(stream: &StreamId) -> Span {
    Span { name: STREAM_SPAN, fields: vec![(STREAM_FIELD, Value::Printed(stream.to_string()))] }
}

impl<C, S> tracing_subscriber::Layer<C> for Layer<S>
where
    C: Subscriber + for<'a> LookupSpan<'a>,
    S: Sink,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, C>) {
        let Some(span) = context.span(id) else { return };
        // Another layer may have been here.
        if span.extensions().get::<Kept>().is_some() {
            return;
        }
        let mut visitor = Visitor::new(S::MAX_FIELD);
        attributes.record(&mut visitor);
        let mut kept = Kept { fields: visitor.fields, stream: None };
        if span.name() == STREAM_SPAN {
            let id = kept.fields.iter().find(|(name, _)| *name == STREAM_FIELD);
            kept.stream = id.and_then(|(_, value)| match value {
                Value::Text(id) | Value::Printed(id) => StreamId::new(id).ok(),
                Value::Plain(_) => None,
            });
        }
        span.extensions_mut().insert(kept);
    }

    fn on_record(&self, id: &Id, values: &tracing::span::Record<'_>, context: Context<'_, C>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(kept) = extensions.get_mut::<Kept>() else { return };
        let mut visitor = Visitor::new(S::MAX_FIELD);
        visitor.fields = std::mem::take(&mut kept.fields);
        values.record(&mut visitor);
        kept.fields = visitor.fields;
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, C>) {
        let scope = || context.event_scope(event).into_iter().flatten();
        let around = scope().find_map(|span| span.extensions().get::<Kept>()?.stream.clone());
        let stream = named(event).or(around);
        if !self.0.admits(event, stream.as_ref(), self.0.clock.now()) {
            return;
        }
        let mut visitor = Visitor::new(S::MAX_FIELD);
        event.record(&mut visitor);
        let mut spans: Vec<Span> = scope().map(|span| shown(&span)).collect();
        spans.reverse();
        let metadata = event.metadata();
        self.0.sink.line(Record {
            level: *metadata.level(),
            target: visitor.log_target.unwrap_or_else(|| metadata.target().to_owned()),
            stream,
            message: visitor.message,
            fields: visitor.fields,
            spans,
        });
    }
}

fn shown<'a, C: LookupSpan<'a>>(span: &SpanRef<'a, C>) -> Span {
    let fields = span.extensions().get::<Kept>().map(|kept| kept.fields.clone()).unwrap_or_default();
    Span { name: span.name(), fields }
}

/// The stream that an event outside of a stream's span names.
fn named(event: &Event<'_>) -> Option<StreamId> {
    struct Named(Option<StreamId>);
    impl Visit for Named {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if self.0.is_none() && is_stream_field(field.name()) {
                self.0 = StreamId::new(&printed(value, MAX_NAME)).ok();
            }
        }
        fn record_str(&mut self, field: &Field, value: &str) {
            if self.0.is_none() && is_stream_field(field.name()) {
                self.0 = StreamId::new(value).ok();
            }
        }
    }
    let mut named = Named(None);
    event.record(&mut named);
    named.0
}

/// The message alone, as far as a person needs it to know the line again.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = printed(value, MAX_NAME);
        }
    }
}

/// Where an event of the `log` crate is from.
fn origin(event: &Event<'_>) -> u64 {
    struct Origin(DefaultHasher);
    impl Visit for Origin {
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name().starts_with("log.") {
                value.hash(&mut self.0);
            }
        }
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name().starts_with("log.") {
                value.hash(&mut self.0);
            }
        }
    }
    let mut origin = Origin(DefaultHasher::new());
    event.record(&mut origin);
    origin.0.finish()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<Record>>>);

    impl Sink for Kept {
        const MAX_FIELD: usize = 500;
        fn line(&self, record: Record) {
            self.0.lock().unwrap().push(record);
        }
    }

    fn logged(log: impl FnOnce(&dyn Tick)) -> Vec<Record> {
        let sink = Kept::default();
        let layer = Layer::new(sink.clone());
        let ticks = layer.ticks();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || log(&*ticks));
        let records = sink.0.lock().unwrap();
        records.clone()
    }

    fn in_stream(id: &str, log: impl FnOnce()) {
        tracing::error_span!("stream", id = %id).in_scope(log);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_kind_is_cut_down_for_its_stream_only_and_its_number_is_told() {
        let flood = |count: usize| {
            for line in 0..count {
                tracing::info!(line, "said\u{7} again");
            }
        };
        let sink = Kept::default();
        let layer = Layer::new(sink.clone());
        let ticks = layer.ticks();
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        in_stream("a", || flood(50_000));
        in_stream("a", || tracing::info!("state changed"));
        in_stream("b", || flood(50));
        tracing::warn!(stream = "b", "another kind");
        let shown = |stream: &str| {
            let lines = sink.0.lock().unwrap();
            lines.iter().filter(|line| line.stream.as_ref().is_some_and(|id| id.as_str() == stream)).count()
        };
        assert_eq!(shown("a"), USUAL.burst as usize + 1);
        assert_eq!(shown("b"), 51);
        ticks.tick();
        assert_eq!(shown("a"), USUAL.burst as usize + 1, "the window is open");
        // Nothing more is logged: the clock alone closes it.
        tokio::time::advance(WINDOW).await;
        ticks.tick();
        let last = sink.0.lock().unwrap().last().cloned().unwrap();
        let count = 50_000 - u64::from(USUAL.burst);
        assert_eq!(last.message, format!("{count} more lines like this were suppressed: said<U+0007> again"));
        assert_eq!(last.fields[0], ("suppressed", Value::Plain(count.into())));
        assert_eq!(last.stream.as_ref().map(StreamId::as_str), Some("a"));
        assert_eq!(last.level, Level::INFO);
        ticks.finish();
        assert_eq!(shown("a"), USUAL.burst as usize + 2);
    }

    #[test]
    fn what_is_suppressed_at_the_end_is_told() {
        let lines = logged(|ticks| {
            (0..USUAL.burst + 5).for_each(|_| tracing::error!("again"));
            ticks.finish();
            ticks.finish();
        });
        assert_eq!(lines.len(), USUAL.burst as usize + 1);
        assert_eq!(lines.last().unwrap().message, "5 more lines like this were suppressed: again");
    }

    #[test]
    fn details_have_a_larger_budget() {
        let lines = logged(|_| (0..10_000).for_each(|n| tracing::debug!(n, "detail")));
        assert_eq!(lines.len(), DETAIL.burst as usize);
    }

    #[test]
    fn everything_in_a_record_is_visible_and_short() {
        let hostile = "a\u{1b}[2J\n\u{202e}\0".repeat(1_000);
        let lines = logged(|_| {
            let _span =
                tracing::info_span!("outer", name = hostile.as_str(), late = tracing::field::Empty).entered();
            tracing::Span::current().record("late", hostile.as_str());
            let error = std::io::Error::other(hostile.clone());
            tracing::warn!(text = hostile.as_str(), shown = %hostile, debug = ?hostile, ?error, "{hostile}");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let mut texts = vec![line.message.clone()];
        let fields = line.fields.iter().chain(line.spans.iter().flat_map(|span| &span.fields));
        for (_, value) in fields {
            let (Value::Text(text) | Value::Printed(text)) = value else { panic!("{value:?}") };
            texts.push(text.clone());
        }
        assert_eq!(texts.len(), 7);
        for text in texts {
            assert!(text.len() <= Kept::MAX_FIELD && text.contains("[cut"), "{text}");
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }
}
