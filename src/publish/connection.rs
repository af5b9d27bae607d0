//! TCP or TLS around the RTMP session.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use overdub_rtmp::{Client, ClientEvent, ClientState, Scheme, Tag, Target, Timestamp};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::{Error, Settings};
use crate::clock::Clock;
use crate::tls;

/// What is kept in the system's send buffer, most of it on its way: 40 Mbit/s over 200 ms.
const SEND_BUFFER: u32 = 1 << 20;

/// What of it may not be on its way yet. More would hide a server that reads slowly: seconds of stream would lie in
/// the buffer, and reach viewers late, instead of being left out here up to the next random-access picture.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 128 << 10;

/// Read at once: a server only sends commands.
const READ: usize = 4096;

/// How the client names itself; Adobe's own servers look for the first word.
const FLASH_VER: &str = concat!("FMLE/3.0 (compatible; overdub ", env!("CARGO_PKG_VERSION"), ")");

/// After the end, how long the server may take to close: closing earlier with its words unread would reset
/// the connection and could lose what it has not read yet.
const LINGER: Duration = Duration::from_secs(1);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is publishing.
pub(super) struct Connection {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    client: Client,
    input: BytesMut,
    unflushed: bool,
}

impl Connection {
    /// Connects and negotiates until media may be sent, within the connect timeout.
    pub(super) async fn open(target: &Target, settings: &Settings, clock: Clock) -> Result<Self, Error> {
        let publishing = |state| state == ClientState::Publishing;
        Self::connect(target, settings, clock, publishing).await
    }

    /// Connects up to the end of the handshake, within the connect timeout: that RTMP is spoken there, with nothing
    /// asked of the server.
    pub(super) async fn greet(target: &Target, settings: &Settings, clock: Clock) -> Result<(), Error> {
        let greeted = |state| state != ClientState::Handshaking;
        Self::connect(target, settings, clock, greeted).await.map(drop)
    }

    async fn connect(
        target: &Target,
        settings: &Settings,
        clock: Clock,
        there: impl Fn(ClientState) -> bool,
    ) -> Result<Self, Error> {
        let after = settings.connect_timeout;
        tokio::select! {
            result = Self::negotiate(target, settings, there) => result,
            () = clock.sleep(after) => {
                Err(Error::ConnectTimeout { host: target.host.clone(), port: target.port, after })
            }
        }
    }

    async fn negotiate(
        target: &Target,
        settings: &Settings,
        there: impl Fn(ClientState) -> bool,
    ) -> Result<Self, Error> {
        let tcp = connect_tcp(target, settings.write_timeout).await.map_err(|source| Error::Connect {
            host: target.host.clone(),
            port: target.port,
            source,
        })?;
        let stream: Box<dyn Stream> = match target.scheme {
            Scheme::Rtmp => Box::new(tcp),
            Scheme::Rtmps => Box::new(connect_tls(target, tcp, settings.ca_file.clone()).await?),
        };
        let (reader, writer) = tokio::io::split(stream);
        let client = Client::new(target.clone(), FLASH_VER)?;
        let input = BytesMut::with_capacity(READ);
        let mut connection = Self { reader, writer, client, input, unflushed: false };
        while !there(connection.client.state()) {
            match connection.exchange().await {
                Err(Error::Closed) => return Err(Error::ClosedEarly),
                result => result?,
            };
        }
        Ok(connection)
    }

    /// Reads or writes once; returns the bytes written. Cancel safe.
    pub(super) async fn exchange(&mut self) -> Result<usize, Error> {
        let Self { reader, writer, client, input, unflushed } = self;
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
                while let Some(event) = client.event() {
                    log(&event);
                }
                Ok(0)
            }
            written = write(writer, output), if waiting || *unflushed => {
                let count = written?;
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

    /// Bytes written since the server's last acknowledgement, where it sends any.
    pub(super) fn unacknowledged(&self) -> Option<u64> {
        self.client.unacknowledged()
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

async fn connect_tcp(target: &Target, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((&*target.host, target.port)).await? {
        match connect_address(address, patience).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// With `patience` for bytes that the other host does not acknowledge (RFC 5482): Linux would repeat them for a
/// quarter of an hour.
async fn connect_address(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let stream = socket.connect(address).await?;
    // Each packet is written whole; waiting for more would only add jitter.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_notsent_lowat(NOT_SENT)?;
        socket.set_tcp_user_timeout(Some(patience))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
    Ok(stream)
}

async fn connect_tls(
    target: &Target,
    tcp: TcpStream,
    ca_file: Option<PathBuf>,
) -> Result<impl Stream + use<>, Error> {
    let config = tls::client_config(ca_file).await?;
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| Error::ServerName { host: target.host.clone() })?;
    Ok(TlsConnector::from(config).connect(name, tcp).await?)
}

fn log(event: &ClientEvent) {
    match event {
        ClientEvent::State(state) => tracing::debug!(?state, "rtmp session"),
        ClientEvent::Status(status) => tracing::info!(%status, "rtmp server status"),
        ClientEvent::FourCcs(list) => tracing::debug!(?list, "rtmp server takes enhanced codecs"),
        ClientEvent::Ignored(name) => tracing::debug!(name, "rtmp message ignored"),
        ClientEvent::Acknowledged(_) => {}
    }
}
