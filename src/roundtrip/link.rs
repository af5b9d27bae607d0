//! The connection to the processor: one WebSocket after the other, for ever. Shell.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Settings;
use super::backoff::Backoff;
use super::incoming::{Broken, Incoming};
use super::refusal::{self, Closed, LinkError, Stage};
use super::wire::{self, Endpoint, Event, Open, Packet, WireError};
use crate::clock::Clock;
use crate::media::Moment;
use crate::net::guarded::{Ended, Guarded, Peer, Rate, Terms};
use crate::outside::{Name, ShownUrl, Text};
use crate::{net, tls};

/// A connection that lived this long was a good one: the next attempt after its loss is not held back.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// For the reason that a server gave before it stopped reading: it is there already when writing fails.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// For the farewell; a server that does not take it is left without.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Frames waiting to be written. The window bounds the fragments among them; the rest are a few bytes.
const OUTGOING: usize = 16;

/// Packets from the reader that may wait for the writer.
const REPLIES: usize = 16;

/// tungstenite reads this much at once, and answers the pings in it before it finds that nothing can be written.
const READ_BUFFER: usize = 8 << 10;

/// Written at once; longer messages are written as they are.
const WRITE_BUFFER: usize = 64 << 10;

/// What waits to be written beside a fragment: the text before it, answers to pings.
const WRITE_MARGIN: usize = 64 << 10;

/// What is read, in bytes. A processor may be about to send its largest answer, and read nothing until it is sent, while
/// it is being sent a fragment: that much is read without a pause, and while nothing can be written. In the long run an
/// answer is as long as its fragment, and comes as often.
const RATE: Rate = Rate {
    per_second: 16 << 20,
    burst: wire::MAX_ANSWER_BYTES as u64 + (1 << 20),
    patience: Duration::from_secs(10),
};

/// A write that is part of a fragment has `write_timeout`, which says more; others have that and this.
const STALL_MARGIN: Duration = Duration::from_secs(1);

/// What happened on the way to the processor.
#[derive(Debug)]
pub(super) enum LinkEvent {
    /// In the namespace; what is put into `outgoing` goes over this very connection.
    Connected {
        max_payload: Option<usize>,
        outgoing: mpsc::Sender<Outgoing>,
    },
    /// The connection that was last reported is gone, or an attempt at one failed: why, as a sentence, and when
    /// the next attempt is made.
    Disconnected {
        error: Text,
        /// The server said that a message was over its limit.
        too_big: bool,
        /// Why this side ended it, for monitoring.
        closed: Option<&'static str>,
        retry_at: Moment,
    },
    Event(Event),
    BadMessage(WireError),
    /// An event whose attachment is larger than anything that is taken: it was not read, and with it ends the
    /// connection.
    TooLarge {
        event: Event,
        bytes: usize,
    },
}

/// A text frame with its attachment.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) text: String,
    pub(super) attachment: Option<Bytes>,
}

type Socket = WebSocketStream<MaybeTlsStream<Guarded<TcpStream>>>;

/// A connection that the namespace let in.
struct Session {
    socket: Socket,
    incoming: Incoming,
    open: Open,
}

/// Keeps a connection to the processor until `stop`; reports to `events`.
pub(super) async fn run(
    settings: &Settings,
    clock: Clock,
    events: mpsc::Sender<LinkEvent>,
    stop: CancellationToken,
) {
    let url = ShownUrl::url(settings.url.as_str());
    let stream = &settings.stream_id;
    let mut backoff = Backoff::new();
    let mut last_error = Text::default();
    while !stop.is_cancelled() {
        let started = clock.now();
        let ended = run_once(settings, clock, &url, &events, &stop).await;
        if stop.is_cancelled() || events.is_closed() {
            return;
        }
        let error = match ended {
            Ok(()) => LinkError::Closed(Closed::default()),
            Err(error) => error,
        };
        let (too_big, closed) = (error.is_too_big(), error.reason());
        if clock.now().saturating_since(started) >= GOOD_AFTER {
            backoff.reset();
        }
        let wait = backoff.wait(rand::random());
        let error = Text::of(&error);
        let retry_in_ms = wait.as_millis() as u64;
        // A processor that is away for hours is not worth a line every few seconds.
        if last_error == error {
            debug!(%stream, processor = &*url, error = &*error, retry_in_ms, "still no connection to the processor");
        } else {
            warn!(%stream, processor = &*url, error = &*error, retry_in_ms, "no connection to the processor");
            last_error.clone_from(&error);
        }
        let error = Text::from(format!("processor at {} {error}", url.trim_end_matches('/')));
        let retry_at = clock.now() + wait;
        if events.send(LinkEvent::Disconnected { error, too_big, closed, retry_at }).await.is_err() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep_until(retry_at) => {}
        }
    }
}

/// One connection from its beginning to its end.
async fn run_once(
    settings: &Settings,
    clock: Clock,
    url: &str,
    events: &mpsc::Sender<LinkEvent>,
    stop: &CancellationToken,
) -> Result<(), LinkError> {
    let stall = settings.write_timeout + STALL_MARGIN;
    let terms = Terms { stall, read_while_blocked: RATE.burst, trial: None, rate: Some(RATE) };
    let peer = Peer::new(terms);
    let ended = converse(settings, clock, &peer, url, events, stop).await;
    match (ended, peer.ended()) {
        (Err(LinkError::WebSocket(_)), Some(ended)) => Err(LinkError::Ended(ended)),
        (ended, _) => ended,
    }
}

async fn converse(
    settings: &Settings,
    clock: Clock,
    peer: &Arc<Peer>,
    url: &str,
    events: &mpsc::Sender<LinkEvent>,
    stop: &CancellationToken,
) -> Result<(), LinkError> {
    let endpoint = Endpoint::new(&settings.url, settings.engine_path.as_deref())?;
    let limit = settings.connect_timeout;
    let mut stage = Stage::Connect;
    let connected = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connected = timeout(limit, connect(settings, clock, peer, &endpoint, &mut stage)) => connected,
    };
    let session = connected.map_err(|_| LinkError::ConnectTimeout { stage, limit })??;
    let Session { socket, incoming, open } = session;
    info!(stream = %settings.stream_id, processor = url, max_payload = open.max_payload, "connected to the processor");
    let (outgoing, to_send) = mpsc::channel(OUTGOING);
    let connected = LinkEvent::Connected { max_payload: open.max_payload, outgoing };
    if events.send(connected).await.is_err() {
        return Ok(());
    }
    let (mut sink, stream) = socket.split();
    let (replies, to_reply) = mpsc::channel(REPLIES);
    let reader =
        Reader { stream, incoming, heartbeat: open.heartbeat, namespace: &endpoint.namespace, replies };
    let mut reading = pin!(reader.run(events));
    tokio::select! {
        () = stop.cancelled() => {}
        ended = &mut reading => return ended,
        ended = write(&mut sink, to_send, to_reply, settings.write_timeout) => {
            // A server that refuses a message in the middle of it says why, and then takes no more of it.
            return match ended {
                Err(LinkError::WebSocket(_)) => match timeout(CLOSE_TIMEOUT, reading).await {
                    Ok(Err(closed @ LinkError::Closed(_))) => Err(closed),
                    _ => ended,
                },
                ended => ended,
            };
        }
    }
    // Nobody waits for what comes of the farewell.
    let _ = timeout(FAREWELL_TIMEOUT, async {
        sink.send(Message::text(wire::disconnect(&endpoint.namespace))).await?;
        sink.close().await
    })
    .await;
    Ok(())
}

/// TCP, TLS, WebSocket, Engine.IO handshake, Socket.IO namespace.
async fn connect(
    settings: &Settings,
    clock: Clock,
    peer: &Arc<Peer>,
    endpoint: &Endpoint,
    stage: &mut Stage,
) -> Result<Session, LinkError> {
    let mut request = endpoint.address.as_str().into_client_request().map_err(web_socket)?;
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
    for (name, value) in &settings.headers {
        let unusable = || LinkError::Header(Name::new(name));
        let value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        request.headers_mut().insert(HeaderName::try_from(name).map_err(|_| unusable())?, value);
    }
    let (host, port) = endpoint.host_port();
    let tcp = net::connect(&host, port).await.map_err(unreachable)?;
    // A fragment ends with a short segment that should not wait for an acknowledgement.
    tcp.set_nodelay(true).map_err(unreachable)?;
    // tungstenite reserves what a frame header announces once it is within these limits.
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(settings.max_fragment_bytes.saturating_add(WRITE_BUFFER + WRITE_MARGIN))
        .max_message_size(Some(wire::MAX_ANSWER_BYTES))
        .max_frame_size(Some(wire::MAX_ANSWER_BYTES));
    let connector = if endpoint.address.scheme() == "wss" {
        Connector::Rustls(tls::client_config(settings.ca_file.clone()).await?)
    } else {
        Connector::Plain
    };
    let tcp = Guarded::new(tcp, Arc::clone(peer), ());
    let upgraded = client_async_tls_with_config(request, tcp, Some(limits), Some(connector)).await;
    let (mut socket, _) = upgraded.map_err(|error| match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let status = response.status().as_u16();
            LinkError::Http(refusal::handshake(status, response.headers(), body, endpoint.engine_path()))
        }
        // What engine.io does, after a second, with an upgrade at a path that is not its own.
        tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            LinkError::NoAnswerAt(endpoint.engine_path().to_owned())
        }
        // What answered is no HTTP/1.1, or did not switch to WebSocket as RFC 6455 4.1 asks.
        error @ (tungstenite::Error::Protocol(_) | tungstenite::Error::HttpFormat(_)) => {
            LinkError::NotWebSocket(Text::of(&error))
        }
        error => web_socket(error),
    })?;

    *stage = Stage::Open;
    let mut incoming = Incoming::new(&endpoint.namespace, clock);
    let open = match next_packet(&mut socket, &mut incoming).await? {
        Packet::Open(open) => open,
        other => return Err(LinkError::Handshake(format!("first packet is {other:?}").into())),
    };
    let hello = wire::connect(&endpoint.namespace, settings.auth.as_ref());
    *stage = Stage::Join;
    socket.send(Message::text(hello)).await.map_err(web_socket)?;
    loop {
        let packet = match next_packet(&mut socket, &mut incoming).await {
            Err(LinkError::Closed(closed)) if closed.is_silent() => return Err(LinkError::ClosedAtConnect),
            packet => packet?,
        };
        match packet {
            Packet::Connected => return Ok(Session { socket, incoming, open }),
            Packet::ConnectedWithoutId => return Err(LinkError::OldSocketIo),
            Packet::Refused(reason) => return Err(LinkError::Forbidden(reason)),
            Packet::Close | Packet::Disconnected => return Err(LinkError::ClosedAtConnect),
            Packet::Ping => socket.send(Message::text(wire::PONG)).await.map_err(web_socket)?,
            Packet::Open(_) | Packet::Event(_) | Packet::Ignored => {}
        }
    }
}

/// The next whole packet while connecting, when anything broken is a reason to give up.
async fn next_packet(socket: &mut Socket, incoming: &mut Incoming) -> Result<Packet, LinkError> {
    loop {
        let frame = socket.next().await.ok_or_else(ended)?.map_err(web_socket)?;
        match incoming.handle(frame) {
            Ok(Some(packet)) => return Ok(packet),
            Ok(None) => {}
            Err(Broken::Flood) => return Err(LinkError::Ended(Ended::Flooding)),
            Err(Broken::Closed(closed)) => return Err(LinkError::Closed(closed)),
            Err(Broken::Wire(WireError::UnexpectedBinary)) => return Err(LinkError::OtherParser),
            Err(Broken::Wire(error)) => return Err(LinkError::Handshake(Text::of(&error))),
        }
    }
}

struct Reader<'a> {
    stream: SplitStream<Socket>,
    incoming: Incoming,
    heartbeat: Duration,
    namespace: &'a str,
    replies: mpsc::Sender<String>,
}

impl Reader<'_> {
    /// Reads until the connection ends, which is the only way this returns.
    async fn run(mut self, events: &mpsc::Sender<LinkEvent>) -> Result<(), LinkError> {
        loop {
            let frame = timeout(self.heartbeat, self.stream.next()).await;
            let frame = frame.map_err(|_| LinkError::HeartbeatTimeout(self.heartbeat))?;
            let frame = match frame.ok_or_else(ended)? {
                Err(tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, .. })) => {
                    // Whose it is stands in the text before it.
                    if let Some(event) = self.incoming.take_partial()
                        && events.send(LinkEvent::TooLarge { event, bytes: size }).await.is_err()
                    {
                        return Ok(());
                    }
                    return Err(LinkError::TooLarge(size));
                }
                frame => frame.map_err(web_socket)?,
            };
            let event = match self.incoming.handle(frame) {
                Ok(Some(Packet::Event(event))) => {
                    if let Some(id) = event.ack {
                        self.reply(wire::acknowledgement(self.namespace, id));
                    }
                    LinkEvent::Event(event)
                }
                Ok(Some(Packet::Ping)) => {
                    self.reply(wire::PONG.to_owned());
                    continue;
                }
                Ok(Some(Packet::Close | Packet::Disconnected)) => return Err(ended()),
                Ok(Some(Packet::Refused(reason))) => return Err(LinkError::Forbidden(reason)),
                Ok(
                    Some(Packet::Open(_) | Packet::Connected | Packet::ConnectedWithoutId | Packet::Ignored)
                    | None,
                ) => continue,
                Err(Broken::Closed(closed)) => return Err(LinkError::Closed(closed)),
                Err(Broken::Flood) => return Err(LinkError::Ended(Ended::Flooding)),
                Err(Broken::Wire(error)) => LinkEvent::BadMessage(error),
            };
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Hands a short packet to the writer. When the writer is busy with a long fragment for that long that
    /// replies pile up, the server asks too much and goes without one.
    fn reply(&self, text: String) {
        if self.replies.try_send(text).is_err() {
            debug!("a reply to the processor was dropped");
        }
    }
}

/// Writes until the connection ends or nobody has anything to send any more.
async fn write(
    sink: &mut SplitSink<Socket, Message>,
    mut outgoing: mpsc::Receiver<Outgoing>,
    mut replies: mpsc::Receiver<String>,
    limit: Duration,
) -> Result<(), LinkError> {
    loop {
        let next = tokio::select! {
            biased;
            Some(text) = replies.recv() => Outgoing { text, attachment: None },
            Some(outgoing) = outgoing.recv() => outgoing,
            else => return Ok(()),
        };
        let bytes = next.text.len() + next.attachment.as_ref().map_or(0, Bytes::len);
        let writing = async {
            sink.feed(Message::text(next.text)).await?;
            if let Some(data) = next.attachment {
                sink.feed(Message::Binary(data)).await?;
            }
            sink.flush().await
        };
        let written = timeout(limit, writing).await;
        written.map_err(|_| LinkError::WriteTimeout { bytes, timeout: limit })?.map_err(web_socket)?;
    }
}

fn unreachable(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkError::Refused,
        _ => LinkError::Unreachable(error),
    }
}

/// The connection ended without a close frame, or by a packet of its own.
fn ended() -> LinkError {
    LinkError::Closed(Closed::default())
}

/// tungstenite's errors without the URL, whose query may hold a token.
fn web_socket(error: tungstenite::Error) -> LinkError {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => ended(),
        tungstenite::Error::Io(error) => LinkError::WebSocket(Text::of(&error)),
        tungstenite::Error::Url(_) => LinkError::WebSocket("address cannot be used".into()),
        other => LinkError::WebSocket(Text::of(&other)),
    }
}
