//! TCP, and TLS for `rtmps`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use overdub_rtmp::{Scheme, Target};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::{Error, Settings};
use crate::outside::Name;
use crate::policy::{Policy, Reach};
use crate::{net, tls};

/// What is kept in the system's send buffer, most of it on its way: 40 Mbit/s over 200 ms.
const SEND_BUFFER: u32 = 1 << 20;

/// What of it may not be on its way yet. More would hide a server that reads slowly: seconds of stream would lie in
/// the buffer, and reach viewers late, instead of being left out here up to the next random-access picture.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 128 << 10;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection, and how far away its other end is.
pub(super) struct Dialed {
    pub(super) stream: Box<dyn Stream>,
    pub(super) reach: Reach,
}

/// Connects to `target`. Where a server led there, `from` is how far away that one is: nothing nearer is asked. The
/// address that the user gave may be anywhere.
pub(super) async fn dial(target: &Target, settings: &Settings, from: Option<Reach>) -> Result<Dialed, Error> {
    let failed = |source| Error::Connect { host: Name::new(&target.host), port: target.port, source };
    let mut addresses = net::resolve(&target.host, target.port).await.map_err(failed)?;
    if let Some(from) = from {
        addresses = allowed(addresses, from, &target.host)?;
    }
    let open = |address| connect_address(address, settings.write_timeout);
    let tcp = net::first(addresses, open).await.map_err(failed)?;
    let reach = tcp.peer_addr().ok().and_then(|peer| Reach::of(peer.ip())).unwrap_or(Reach::Public);
    let stream: Box<dyn Stream> = match target.scheme {
        Scheme::Rtmp => Box::new(tcp),
        Scheme::Rtmps => Box::new(connect_tls(target, tcp, settings.ca_file.clone()).await?),
    };
    Ok(Dialed { stream, reach })
}

/// Those of the addresses to which something `from` away may lead.
fn allowed(addresses: Vec<SocketAddr>, from: Reach, host: &str) -> Result<Vec<SocketAddr>, Error> {
    let policy = Policy::default();
    let known = !addresses.is_empty();
    let allowed = |address: &SocketAddr| policy.check(from, address.ip()).is_ok();
    let passed: Vec<_> = addresses.into_iter().filter(allowed).collect();
    if known && passed.is_empty() {
        return Err(Error::RedirectRefused { host: host.into() });
    }
    Ok(passed)
}

/// With `patience` for bytes that the other host does not acknowledge, or takes no more of (RFC 5482): Linux would repeat
/// them for a quarter of an hour.
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
        .map_err(|_| Error::ServerName { host: Name::new(&target.host) })?;
    Ok(TlsConnector::from(config).connect(name, tcp).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_leads_to_no_address_that_is_nearer_than_itself_and_to_the_others_of_the_same_name() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 1935);
        let mixed = vec![at("127.0.0.1"), at("8.8.8.8"), at("10.0.0.1"), at("::1")];
        assert_eq!(allowed(mixed.clone(), Reach::Public, "h").unwrap(), [at("8.8.8.8")]);
        assert_eq!(allowed(mixed.clone(), Reach::Machine, "h").unwrap(), mixed);
        let error = allowed(vec![at("10.0.0.1")], Reach::Public, "h").unwrap_err();
        assert!(matches!(error, Error::RedirectRefused { .. }), "{error}");
    }
}
