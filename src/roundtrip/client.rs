//! The task of one stream's round trip: requests in, outcomes out in order, the window between. Shell.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::inflight::{Config, Window};
use super::link::{self, LinkEvent, Outgoing};
use super::message::{self, FromProcessor};
use super::wire::Event;
use super::{AnswerError, Endpoint, MAX_ANSWER_BYTES, Outcome, Request, Settings, Status, answer};
use crate::clock::{Clock, wall_clock};
use crate::heavy::Work;
use crate::outside::{ShownUrl, Text};
use crate::playout::Playout;

/// Events from the link that may wait. Few, since each may hold an answer of the largest size.
const LINK_EVENTS: usize = 2;

/// At a stop, how long the consumer has for the last outcomes, and the link for its farewell.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Runs the round trip of one stream until `requests` is closed and every request has its outcome, or
/// until `stop`, at which what is unanswered ends as [`super::Failure::Stopped`].
///
/// Outcomes come in the order of the requests, each not later than its deadline, which moves with `playout`.
/// Nothing that a processor does or leaves undone delays this.
pub async fn run(
    settings: Settings,
    clock: Clock,
    requests: mpsc::Receiver<Request>,
    outcomes: mpsc::Sender<Outcome>,
    status: watch::Sender<Status>,
    playout: watch::Receiver<Option<Playout>>,
    stop: CancellationToken,
) {
    let (events, link_events) = mpsc::channel(LINK_EVENTS);
    let link_stop = CancellationToken::new();
    // Dropped with this future: the link ends also when the task is aborted.
    let link = link::run(&settings, clock, events, link_stop.clone());
    tokio::pin!(link);
    tokio::select! {
        () = serve(&settings, clock, (requests, outcomes), link_events, status, playout, &stop) => {}
        () = &mut link => unreachable!("the link ends when stopped or unheard, and serve does neither"),
    }
    link_stop.cancel();
    let _ = tokio::time::timeout(STOP_GRACE, link).await;
}

/// [`run`] over whatever `link_events` come from.
pub(super) async fn serve(
    settings: &Settings,
    clock: Clock,
    (requests, outcomes): (mpsc::Receiver<Request>, mpsc::Sender<Outcome>),
    link_events: mpsc::Receiver<LinkEvent>,
    status: watch::Sender<Status>,
    playout: watch::Receiver<Option<Playout>>,
    stop: &CancellationToken,
) {
    let mut client = Client::new(settings, clock, status);
    client.serve(requests, outcomes, link_events, playout, stop).await;
    client.disconnect();
}

struct Client<'a> {
    settings: &'a Settings,
    clock: Clock,
    namespace: String,
    url: ShownUrl,
    window: Window,
    /// Into the present connection.
    outgoing: Option<mpsc::Sender<Outgoing>>,
    /// The answer that is being taken apart.
    reading: Option<BoxFuture<'static, Read>>,
    status: watch::Sender<Status>,
}

impl<'a> Client<'a> {
    fn new(settings: &'a Settings, clock: Clock, status: watch::Sender<Status>) -> Self {
        let config = Config {
            max_concurrent: settings.max_concurrent,
            max_fragment_bytes: settings.max_fragment_bytes,
            processing_budget: settings.processing_budget,
        };
        // A URL that cannot be used has no namespace either: the link reports it.
        let namespace = Endpoint::new(&settings.url, settings.engine_path.as_deref())
            .map(|endpoint| endpoint.namespace)
            .unwrap_or_default();
        let url = ShownUrl::url(settings.url.as_str());
        Self {
            settings,
            clock,
            namespace,
            url,
            window: Window::new(config),
            outgoing: None,
            reading: None,
            status,
        }
    }

    async fn serve(
        &mut self,
        mut requests: mpsc::Receiver<Request>,
        outcomes: mpsc::Sender<Outcome>,
        mut link_events: mpsc::Receiver<LinkEvent>,
        mut playout: watch::Receiver<Option<Playout>>,
        stop: &CancellationToken,
    ) {
        let mut more = true;
        loop {
            self.transmit();
            self.publish_status();
            if !more && self.window.is_idle() {
                return;
            }
            let timeout = self.window.poll_timeout();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = outcomes.reserve(), if self.window.has_outcome() => match permit {
                    Ok(permit) => if let Some(outcome) = self.take_outcome() { permit.send(outcome) },
                    Err(_) => return,
                },
                () = sleep_until(self.clock, timeout) => self.window.handle_timeout(self.clock.now()),
                Ok(()) = playout.changed() => {
                    if let Some(playout) = &*playout.borrow_and_update() {
                        self.window.handle_playout(self.clock.now(), playout);
                    }
                }
                request = requests.recv(), if more => match request {
                    Some(request) => self.handle_request(request),
                    None => more = false,
                },
                read = read(&mut self.reading) => self.handle_read(read),
                // One answer at a time: the next one waits at the link.
                Some(event) = link_events.recv(), if self.reading.is_none() => self.handle_link_event(event),
            }
        }
        self.reading = None;
        // What was asked for before the stop gets its outcome too.
        requests.close();
        while let Ok(request) = requests.try_recv() {
            self.handle_request(request);
        }
        self.window.handle_stop(self.clock.now());
        let _ = tokio::time::timeout(STOP_GRACE, async {
            while let Some(outcome) = self.take_outcome() {
                if outcomes.send(outcome).await.is_err() {
                    return;
                }
            }
        })
        .await;
    }

    fn handle_request(&mut self, request: Request) {
        if let Err(error) = self.window.handle_request(self.clock.now(), request) {
            warn!(stream = %self.settings.stream_id, %error, "request dropped");
        }
    }

    fn handle_link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected { max_payload, outgoing } => {
                self.outgoing = Some(outgoing);
                self.window.handle_connected(max_payload);
            }
            LinkEvent::Disconnected { error, too_big, closed, retry_at } => {
                self.outgoing = None;
                if let Some(reason) = closed {
                    self.window.handle_closed(reason);
                }
                if too_big {
                    self.window.handle_too_big(self.clock.now(), &error);
                }
                self.window.handle_disconnected(self.clock.now(), error, retry_at);
            }
            LinkEvent::Event(event) => self.handle_event(event),
            LinkEvent::TooLarge { event, bytes } => self.handle_too_large(event, bytes),
            LinkEvent::BadMessage(error) => self.window.handle_bad_message(Text::of(&error)),
        }
    }

    fn handle_event(&mut self, event: Event) {
        let now = self.clock.now();
        let stream = &self.settings.stream_id;
        match message::read(event) {
            Ok(FromProcessor::Processed { id, data, metadata }) => {
                debug!(%stream, id = &*id, bytes = data.as_ref().map_or(0, Bytes::len), "answer");
                let number = message::batch_number(stream, &id);
                self.handle_answer(number, data, metadata);
            }
            Ok(FromProcessor::Error { id, error }) => {
                warn!(%stream, id = &*id, %error, "fragment failed");
                self.window.handle_error(now, message::batch_number(stream, &id), error);
            }
            Ok(FromProcessor::Ack) => self.window.handle_ack(),
            Ok(FromProcessor::Status(text)) => self.window.handle_processor_status(text),
            Ok(FromProcessor::Other(name)) => debug!(%stream, name = &*name, "event without meaning here"),
            Err(error) => self.window.handle_bad_message(Text::of(&error)),
        }
    }

    /// Takes an answer apart, where somebody waits for it. Deadlines are kept meanwhile.
    fn handle_answer(
        &mut self,
        number: Option<u64>,
        data: Result<Bytes, AnswerError>,
        metadata: Option<Value>,
    ) {
        let now = self.clock.now();
        let awaited = number.and_then(|number| self.window.awaited(number));
        let (Some(request), Ok(data)) = (awaited, &data) else {
            // Nobody waits, or there is nothing to take apart.
            let error = data.err().unwrap_or(AnswerError::NoData);
            return self.window.handle_answer(now, number, metadata, |_| Err(error));
        };
        let terms = answer::Terms {
            duration: request.duration,
            sent: request.audio.len(),
            undeclared_priming: self.settings.processor_priming,
            outputs: self.settings.output_audio,
        };
        let (share, data) = (self.settings.share.clone(), self.settings.meter.wrap(data.clone()));
        self.reading = Some(Box::pin(async move {
            let result = share.run(Work::Bytes(data.len()), move || answer::read(&data, &terms)).await;
            Read { number, metadata, result }
        }));
    }

    fn handle_read(&mut self, read: Read) {
        self.reading = None;
        let Read { number, metadata, result } = read;
        self.window.handle_answer(self.clock.now(), number, metadata, |_| result);
    }

    /// The same for an answer whose data was not read.
    fn handle_too_large(&mut self, event: Event, bytes: usize) {
        let now = self.clock.now();
        match message::read(event) {
            Ok(FromProcessor::Processed { id, metadata, .. }) => {
                let number = message::batch_number(&self.settings.stream_id, &id);
                let error = AnswerError::TooLarge { bytes, limit: MAX_ANSWER_BYTES };
                self.window.handle_answer(now, number, metadata, |_| Err(error));
            }
            _ => self.window.handle_bad_message(format!("event of {bytes} bytes").into()),
        }
    }

    /// Hands what may be sent to the connection.
    fn transmit(&mut self) {
        while let Some(outgoing) = &self.outgoing {
            // Without room in the channel the fragment stays in the window, which is asked again when
            // anything happens; the channel is wider than any sensible window.
            let Ok(permit) = outgoing.try_reserve() else { return };
            let now = self.clock.now();
            let Some(request) = self.window.poll_transmit(now) else { return };
            let stream = &self.settings.stream_id;
            let text = message::fragment_data(&self.namespace, stream, request, &timestamp());
            match text {
                Ok(text) => {
                    debug!(%stream, batch = request.number, bytes = request.audio.len(), "fragment sent");
                    permit.send(Outgoing { text, attachment: Some(request.audio.clone()) });
                }
                // Only strings and numbers go in, so JSON cannot fail; the deadline would end it if it did.
                Err(error) => warn!(%stream, %error, "fragment could not be written as JSON"),
            }
        }
    }

    fn take_outcome(&mut self) -> Option<Outcome> {
        let outcome = self.window.poll_outcome()?;
        let (stream, batch) = (&self.settings.stream_id, outcome.number);
        match &outcome.result {
            Ok(processed) => {
                let latency_ms = outcome.latency.map_or(0, |latency| latency.as_millis() as u64);
                info!(%stream, batch, latency_ms, frames = processed.frames.len(), "batch processed");
            }
            Err(failure) => warn!(%stream, batch, reason = failure.reason(), %failure, "batch not processed"),
        }
        Some(outcome)
    }

    /// No connection any more: said in the last status.
    fn disconnect(&mut self) {
        self.outgoing = None;
        self.publish_status();
        self.status.send_modify(|status| status.connected = false);
    }

    fn publish_status(&self) {
        let status = Status { url: self.url.clone(), ..self.window.status() };
        self.status.send_if_modified(|shown| {
            let changed = *shown != status;
            *shown = status;
            changed
        });
    }
}

/// What came of taking an answer apart.
struct Read {
    number: Option<u64>,
    metadata: Option<Value>,
    result: Result<super::Processed, AnswerError>,
}

/// Waits for the answer that is being taken apart, if there is one.
async fn read(reading: &mut Option<BoxFuture<'static, Read>>) -> Read {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment, or for ever.
async fn sleep_until(clock: Clock, moment: Option<crate::media::Moment>) {
    match moment {
        Some(moment) => clock.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The calendar time as the protocol wants it.
fn timestamp() -> String {
    let now = OffsetDateTime::from(wall_clock());
    // Whole milliseconds: some parsers of ISO 8601 stop at six digits.
    let now = now.truncate_to_millisecond();
    // Fails only for years beyond 9999.
    now.format(&Rfc3339).unwrap_or_default()
}
