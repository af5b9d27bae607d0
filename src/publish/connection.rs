//! One RTMP session over one connection.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use overdub_rtmp::handshake;
use overdub_rtmp::{Client, ClientEvent, ClientState, Connect, Tag, Target, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::approach::{Approach, Failure, Learned, Way};
use super::dial::{Dialed, Stream, dial};
use super::error::bounded;
use super::liveness::Signs;
use super::{Error, Settings};
use crate::clock::Clock;
use crate::outside::{Name, Text};
use crate::policy::Reach;

/// Read at once: a server only sends commands.
const READ: usize = 4096;

/// How the client names itself; Adobe's own servers look for the first word.
const FLASH_VER: &str = concat!("FMLE/3.0 (compatible; overdub ", env!("CARGO_PKG_VERSION"), ")");

/// After the end, how long the server may take to close: closing earlier with its words unread would reset
/// the connection and could lose what it has not read yet.
const LINGER: Duration = Duration::from_secs(1);

/// What a greeted server may say before it is asked anything: it announces windows and chunk sizes, some dozen bytes each.
/// More would pile up, as nothing is answered yet.
const MAX_UNASKED: usize = 4096;

/// A connection that is publishing.
pub(super) struct Connection {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    client: Client,
    reach: Reach,
    input: BytesMut,
    /// Bytes handed to the system.
    written: usize,
    unflushed: bool,
    /// The server asked for another connection.
    reconnect: Option<Reconnect>,
    signs: Signs,
    /// Pings sent.
    pings: u32,
}

/// A connection past its handshake, on which nothing was asked of the server yet.
pub(super) struct Greeted {
    way: Way,
    connection: Connection,
    /// Bytes heard since the handshake.
    unasked: usize,
}

impl Greeted {
    /// Returns when it cannot be published on any more: the server closed it for its silence, broke the protocol, or says
    /// more than [`MAX_UNASKED`]. Cancel safe.
    pub(super) async fn gone(&mut self) {
        let Connection { reader, client, input, .. } = &mut self.connection;
        while let Ok(count @ 1..) = reader.read_buf(input).await {
            self.unasked += count;
            if self.unasked > MAX_UNASKED || client.receive(input).is_err() {
                return;
            }
            input.clear();
        }
    }
}

/// Where a server wants its publisher to connect to.
#[derive(Clone, Debug)]
pub(super) struct Reconnect {
    /// `None`: to where it was connected to.
    pub(super) tc_url: Option<String>,
    /// How far away that server is.
    pub(super) reach: Reach,
}

impl Connection {
    /// Connects and negotiates until media may be sent, wherever the servers lead and whatever they ask for. Each
    /// connection has the connect timeout up to the end of the handshake, and the publish timeout from there on.
    pub(super) async fn open(
        target: &Target,
        reconnect: Option<&Reconnect>,
        settings: &Settings,
        learned: &mut Learned,
        mut greeted: Option<Box<Greeted>>,
        clock: Clock,
    ) -> Result<Self, Error> {
        let mut approach = Approach::new(target.clone(), learned);
        if let Some(Reconnect { tc_url: Some(to), reach }) = reconnect {
            approach.begin_at(to, *reach)?;
        }
        loop {
            // Of use where this attempt begins as the greeting did.
            let ready = greeted.take().filter(|greeted| greeted.way == *approach.way());
            let was_ready = ready.is_some();
            let negotiated = match ready {
                Some(greeted) => Self::negotiate(greeted.connection, approach.way(), settings, clock).await,
                None => match Self::shake(approach.way(), settings, clock).await {
                    Ok(connection) => Self::negotiate(connection, approach.way(), settings, clock).await,
                    Err(error) => Err(Failure { error, state: ClientState::Handshaking, reach: None }),
                },
            };
            match negotiated {
                Ok(connection) => {
                    approach.arrived(learned);
                    return Ok(connection);
                }
                // The server may have closed it for its silence at the same moment, which says nothing of `connect`.
                Err(Failure {
                    error: Error::ClosedAtConnect | Error::Io(_),
                    state: ClientState::Connecting,
                    ..
                }) if was_ready => {}
                Err(failure) => {
                    tracing::debug!(error = %failure.error, state = ?failure.state, "rtmp connection ended");
                    approach.failed(failure, learned, rand::random())?;
                }
            }
        }
    }

    /// Connects up to the end of the handshake, within the connect timeout: that RTMP is spoken there, with nothing
    /// asked of the server.
    pub(super) async fn greet(target: &Target, settings: &Settings, clock: Clock) -> Result<Greeted, Error> {
        let way = Way { target: target.clone(), how: Connect::default(), from: None };
        let mut connection = Self::shake(&way, settings, clock).await?;
        let after = settings.connect_timeout;
        tokio::select! {
            result = connection.end_handshake() => result?,
            () = clock.sleep(after) => {
                return Err(Error::ConnectTimeout { host: Name::new(&target.host), port: target.port, after });
            }
        }
        Ok(Greeted { way, connection, unasked: 0 })
    }

    /// Writes what is left of this side's handshake, and nothing of the `connect` behind it: a server that waits for the
    /// handshake's end gives up sooner than one that waits for a command.
    async fn end_handshake(&mut self) -> Result<(), Error> {
        while let Some(left @ 1..) = handshake::LEN.checked_sub(self.written) {
            let count = self.writer.write_buf(&mut self.client.output().take(left)).await?;
            if count == 0 {
                return Err(Error::ClosedAtConnect);
            }
            self.written += count;
        }
        Ok(self.writer.flush().await?)
    }

    async fn negotiate(
        mut connection: Self,
        way: &Way,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, Failure> {
        // What the server waited for when it failed: an error ends the session, and with it its state.
        let mut state = connection.client.state();
        let after = settings.publish_timeout;
        let published = async {
            while connection.client.state() != ClientState::Publishing {
                state = connection.client.state();
                match connection.exchange().await {
                    Err(Error::Closed) if state == ClientState::Connecting => {
                        return Err(Error::ClosedAtConnect);
                    }
                    Err(Error::Closed) => return Err(Error::ClosedEarly),
                    result => result?,
                };
            }
            Ok(())
        };
        let Target { host, port, .. } = &way.target;
        let result = tokio::select! {
            result = published => result,
            () = clock.sleep(after) => {
                Err(Error::PublishTimeout { host: Name::new(host), port: *port, after })
            }
        };
        match result {
            Ok(()) => Ok(connection),
            Err(error) => Err(Failure { error, state, reach: Some(connection.reach) }),
        }
    }

    async fn shake(way: &Way, settings: &Settings, clock: Clock) -> Result<Self, Error> {
        let Target { host, port, .. } = &way.target;
        let after = settings.connect_timeout;
        let shaken = async {
            let Dialed { stream, reach } = dial(&way.target, settings, way.from).await?;
            let (reader, writer) = tokio::io::split(stream);
            let client = Client::with(way.target.clone(), FLASH_VER, way.how.clone())?;
            let input = BytesMut::with_capacity(READ);
            let mut connection = Self {
                reader,
                writer,
                client,
                reach,
                input,
                written: 0,
                unflushed: false,
                reconnect: None,
                signs: Signs::default(),
                pings: 0,
            };
            while connection.client.state() == ClientState::Handshaking {
                match connection.exchange().await {
                    Err(Error::Closed) => return Err(Error::ClosedAtConnect),
                    result => result?,
                };
            }
            Ok(connection)
        };
        tokio::select! {
            result = shaken => result,
            () = clock.sleep(after) => {
                Err(Error::ConnectTimeout { host: Name::new(host), port: *port, after })
            }
        }
    }

    /// Reads or writes once; returns the bytes written. Cancel safe.
    pub(super) async fn exchange(&mut self) -> Result<usize, Error> {
        let Self { reader, writer, client, reach, input, written, unflushed, reconnect, signs, .. } = self;
        let output = client.output();
        let waiting = output.has_remaining();
        input.reserve(READ);
        tokio::select! {
            read = reader.read_buf(input) => {
                if read? == 0 {
                    return Err(Error::Closed);
                }
                client.receive(input)?;
                input.clear();
                signs.heard = true;
                while let Some(event) = client.event() {
                    log(&event);
                    signs.pong |= matches!(event, ClientEvent::Pong(_));
                    if let ClientEvent::ReconnectRequest { tc_url } = event {
                        *reconnect = Some(Reconnect { tc_url, reach: *reach });
                    }
                }
                Ok(0)
            }
            result = write(writer, output), if waiting || *unflushed => {
                let count = result?;
                *written = written.saturating_add(count);
                *unflushed = waiting;
                if waiting && count == 0 {
                    return Err(Error::Closed);
                }
                Ok(count)
            }
        }
    }

    /// Queues a tag.
    pub(super) fn send(&mut self, at: Timestamp, tag: &Tag) {
        self.client.send(at, tag);
    }

    /// Whether the server says that it takes this FourCC of Enhanced RTMP.
    pub(super) fn takes(&self, four_cc: [u8; 4]) -> bool {
        self.client.takes(four_cc)
    }

    /// The server's wish for another connection, once.
    pub(super) fn take_reconnect(&mut self) -> Option<Reconnect> {
        self.reconnect.take()
    }

    /// What has come since the last call.
    pub(super) fn take_signs(&mut self) -> Signs {
        std::mem::take(&mut self.signs)
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        self.pings = self.pings.wrapping_add(1);
        self.client.ping(self.pings);
    }

    /// Queues a message without meaning.
    pub(super) fn keep_alive(&mut self) {
        self.client.keep_alive();
    }

    /// All that was queued has been handed to the system.
    pub(super) fn is_idle(&mut self) -> bool {
        !self.client.output().has_remaining() && !self.unflushed
    }

    /// Ends the stream and closes, within `limit`. Nothing can be done about an error here any more.
    pub(super) async fn close(mut self, limit: Duration, clock: Clock) -> Result<(), Error> {
        self.client.end();
        let said = async {
            while !self.is_idle() {
                self.exchange().await?;
            }
            self.writer.shutdown().await.map_err(Error::from)
        };
        tokio::select! {
            result = said => result?,
            () = clock.sleep(limit) => return Err(Error::WriteTimeout(limit)),
        }
        let closed = async {
            loop {
                self.input.clear();
                match self.reader.read_buf(&mut self.input).await {
                    Ok(1..) => {}
                    _ => break,
                }
            }
        };
        tokio::select! {
            () = closed => {}
            () = clock.sleep(LINGER) => {}
        }
        Ok(())
    }
}

/// Writes what waits, else flushes: TLS keeps what the socket did not take.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut impl Buf) -> io::Result<usize> {
    if output.has_remaining() {
        return writer.write_buf(output).await;
    }
    writer.flush().await?;
    Ok(0)
}

fn log(event: &ClientEvent) {
    match event {
        ClientEvent::State(state) => tracing::debug!(?state, "rtmp session"),
        ClientEvent::Status(status) => tracing::info!(status = %bounded(status), "rtmp server status"),
        ClientEvent::FourCcs(list) => {
            let list = Text::new(&list.join(","));
            tracing::debug!(%list, "rtmp server takes enhanced codecs");
        }
        ClientEvent::Ignored(name) => tracing::debug!(name = %Name::new(name), "rtmp message ignored"),
        ClientEvent::ReconnectRequest { .. } => tracing::info!("rtmp server asks for another connection"),
        ClientEvent::Acknowledged(_) | ClientEvent::Pong(_) => {}
    }
}
