//! The connection to the processor: one WebSocket after the other, for ever. Shell.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::backoff::Backoff;
use super::wire::{self, Decoder, Endpoint, Event, Open, Packet, WireError};
use super::{BadProcessorUrl, Settings};
use crate::clock::Clock;
use crate::media::Moment;
use crate::{redact, tls};

/// A connection that lived this long was a good one: the next attempt after its loss is not held back.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// For the farewell; a server that does not take it is left without.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Frames waiting to be written. The window bounds the fragments among them; the rest are a few bytes.
const OUTGOING: usize = 16;

/// Packets from the reader that may wait for the writer.
const REPLIES: usize = 16;

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
        error: String,
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

/// Why there is no connection: what is to be read after "processor at http://...".
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("cannot be asked: {0}")]
    Url(#[from] BadProcessorUrl),
    #[error("cannot be asked: header {0:?} cannot be sent")]
    Header(String),
    /// Nothing listens there.
    #[error("refused the connection")]
    Refused,
    #[error("is unreachable: {0}")]
    Unreachable(io::Error),
    #[error("took no connection within {} s", .0.as_secs_f64())]
    ConnectTimeout(Duration),
    #[error("failed: {0}")]
    WebSocket(String),
    /// Socket.IO's CONNECT_ERROR, in the server's words.
    #[error("does not let the service in: {0}")]
    Forbidden(String),
    #[error("closed the connection")]
    Closed,
    #[error("gave no sign of life for {} s", .0.as_secs_f64())]
    HeartbeatTimeout(Duration),
    #[error("did not take {bytes} bytes within {} s", .timeout.as_secs_f64())]
    WriteTimeout { bytes: usize, timeout: Duration },
    #[error("sent a message of {0} bytes, more than {max} are not read", max = wire::MAX_ANSWER_BYTES)]
    TooLarge(usize),
    #[error("cannot be trusted: {0}")]
    Tls(#[from] tls::Error),
    #[error("is no Engine.IO 4 server: {0}")]
    Handshake(String),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection that the namespace let in.
struct Session {
    socket: Socket,
    decoder: Decoder,
    open: Open,
}

/// Keeps a connection to the processor until `stop`; reports to `events`.
pub(super) async fn run(
    settings: &Settings,
    clock: Clock,
    events: mpsc::Sender<LinkEvent>,
    stop: CancellationToken,
) {
    let url = redact::url(settings.url.as_str());
    let stream = &settings.stream_id;
    let mut backoff = Backoff::new();
    let mut last_error = String::new();
    while !stop.is_cancelled() {
        let started = clock.now();
        let ended = run_once(settings, &url, &events, &stop).await;
        if stop.is_cancelled() || events.is_closed() {
            return;
        }
        let error = match ended {
            Ok(()) => LinkError::Closed,
            Err(error) => error,
        };
        if clock.now().saturating_since(started) >= GOOD_AFTER {
            backoff.reset();
        }
        let wait = backoff.wait(rand::random());
        let error = error.to_string();
        let retry_in_ms = wait.as_millis() as u64;
        // A processor that is away for hours is not worth a line every few seconds.
        if last_error == error {
            debug!(%stream, processor = url, error, retry_in_ms, "still no connection to the processor");
        } else {
            warn!(%stream, processor = url, error, retry_in_ms, "no connection to the processor");
            last_error.clone_from(&error);
        }
        let error = format!("processor at {} {error}", url.trim_end_matches('/'));
        let retry_at = clock.now() + wait;
        if events.send(LinkEvent::Disconnected { error, retry_at }).await.is_err() {
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
    url: &str,
    events: &mpsc::Sender<LinkEvent>,
    stop: &CancellationToken,
) -> Result<(), LinkError> {
    let endpoint = Endpoint::new(&settings.url)?;
    let connecting = timeout(settings.connect_timeout, connect(settings, &endpoint));
    let session = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        session = connecting => session.map_err(|_| LinkError::ConnectTimeout(settings.connect_timeout))??,
    };
    let Session { socket, decoder, open } = session;
    info!(stream = %settings.stream_id, processor = url, max_payload = open.max_payload, "connected to the processor");
    let (outgoing, to_send) = mpsc::channel(OUTGOING);
    let connected = LinkEvent::Connected { max_payload: open.max_payload, outgoing };
    if events.send(connected).await.is_err() {
        return Ok(());
    }
    let (mut sink, stream) = socket.split();
    let (replies, to_reply) = mpsc::channel(REPLIES);
    let reader =
        Reader { stream, decoder, heartbeat: open.heartbeat, namespace: &endpoint.namespace, replies };
    tokio::select! {
        () = stop.cancelled() => {}
        ended = reader.run(events) => return ended,
        ended = write(&mut sink, to_send, to_reply, settings.write_timeout) => return ended,
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
async fn connect(settings: &Settings, endpoint: &Endpoint) -> Result<Session, LinkError> {
    let mut request = endpoint.address.as_str().into_client_request().map_err(web_socket)?;
    for (name, value) in &settings.headers {
        let unusable = || LinkError::Header(name.clone());
        let value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        request.headers_mut().insert(HeaderName::try_from(name).map_err(|_| unusable())?, value);
    }
    let (host, port) = endpoint.host_port();
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
    // A fragment ends with a short segment that should not wait for an acknowledgement.
    tcp.set_nodelay(true).map_err(unreachable)?;
    // tungstenite reserves what a frame header announces once it is within these limits.
    let limits = WebSocketConfig::default()
        .max_message_size(Some(wire::MAX_ANSWER_BYTES))
        .max_frame_size(Some(wire::MAX_ANSWER_BYTES));
    let connector = if endpoint.address.scheme() == "wss" {
        Connector::Rustls(tls::client_config(settings.ca_file.clone()).await?)
    } else {
        Connector::Plain
    };
    let upgraded = client_async_tls_with_config(request, tcp, Some(limits), Some(connector)).await;
    let (mut socket, _) = upgraded.map_err(web_socket)?;

    let mut decoder = Decoder::new(&endpoint.namespace);
    let open = match next_packet(&mut socket, &mut decoder).await? {
        Packet::Open(open) => open,
        other => return Err(LinkError::Handshake(format!("first packet is {other:?}"))),
    };
    let hello = wire::connect(&endpoint.namespace, settings.auth.as_ref());
    socket.send(Message::text(hello)).await.map_err(web_socket)?;
    loop {
        match next_packet(&mut socket, &mut decoder).await? {
            Packet::Connected => return Ok(Session { socket, decoder, open }),
            Packet::Refused(reason) => return Err(LinkError::Forbidden(reason)),
            Packet::Close | Packet::Disconnected => return Err(LinkError::Closed),
            Packet::Ping => socket.send(Message::text(wire::PONG)).await.map_err(web_socket)?,
            Packet::Open(_) | Packet::Event(_) | Packet::Ignored => {}
        }
    }
}

/// The next whole packet while connecting, when anything broken is a reason to give up.
async fn next_packet(socket: &mut Socket, decoder: &mut Decoder) -> Result<Packet, LinkError> {
    loop {
        let frame = socket.next().await.ok_or(LinkError::Closed)?.map_err(web_socket)?;
        let packet = decode(decoder, frame).map_err(|error| LinkError::Handshake(error.to_string()))?;
        if let Some(packet) = packet {
            return Ok(packet);
        }
    }
}

fn decode(decoder: &mut Decoder, frame: Message) -> Result<Option<Packet>, WireError> {
    match frame {
        Message::Text(text) => decoder.handle_text(&text),
        Message::Binary(data) => decoder.handle_binary(data),
        Message::Close(_) => Ok(Some(Packet::Close)),
        // WebSocket's own pings are answered by tungstenite.
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
    }
}

struct Reader<'a> {
    stream: SplitStream<Socket>,
    decoder: Decoder,
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
            let frame = match frame.ok_or(LinkError::Closed)? {
                Err(tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, .. })) => {
                    // Whose it is stands in the text before it.
                    if let Some(event) = self.decoder.take_partial()
                        && events.send(LinkEvent::TooLarge { event, bytes: size }).await.is_err()
                    {
                        return Ok(());
                    }
                    return Err(LinkError::TooLarge(size));
                }
                frame => frame.map_err(web_socket)?,
            };
            let event = match decode(&mut self.decoder, frame) {
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
                Ok(Some(Packet::Close | Packet::Disconnected)) => return Err(LinkError::Closed),
                Ok(Some(Packet::Refused(reason))) => return Err(LinkError::Forbidden(reason)),
                Ok(Some(Packet::Open(_) | Packet::Connected | Packet::Ignored) | None) => continue,
                Err(error) => LinkEvent::BadMessage(error),
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

/// tungstenite's errors without the URL, whose query may hold a token.
fn web_socket(error: tungstenite::Error) -> LinkError {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => LinkError::Closed,
        tungstenite::Error::Http(response) => LinkError::Handshake(format!(
            "it answers HTTP {} instead of a WebSocket",
            response.status().as_u16()
        )),
        tungstenite::Error::Io(error) => LinkError::WebSocket(error.to_string()),
        tungstenite::Error::Url(_) => LinkError::WebSocket("address cannot be used".to_owned()),
        other => LinkError::WebSocket(other.to_string()),
    }
}
