//! Why publishing does not work.

use std::time::Duration;

use overdub_rtmp::Refusal;

use crate::outside::{AddressTooLong, Name, Text};

/// Publishing failed, for now or for good. Texts hold no stream key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Target(#[from] overdub_rtmp::InvalidTarget),
    /// The name did not resolve, or no address answered.
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect { host: Name, port: u16, source: std::io::Error },
    #[error("no rtmp session with {host}:{port} after {after:?}")]
    ConnectTimeout { host: Name, port: u16, after: Duration },
    /// TCP, TLS and handshake were done; `connect`, `createStream` or `publish` was not answered. A hook of the server
    /// may be slow.
    #[error("{host}:{port} did not answer connect or publish within {after:?} (publishTimeout)")]
    PublishTimeout { host: Name, port: u16, after: Duration },
    #[error("{host} is no valid tls server name")]
    ServerName { host: Name },
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] std::io::Error),
    /// SRS does this when the stream still has another publisher (its log says StreamBusy).
    #[error("server closed the connection as publishing began (a busy stream, or not allowed)")]
    ClosedEarly,
    #[error("server closed the connection instead of answering connect")]
    ClosedAtConnect,
    #[error("server closed the connection")]
    Closed,
    #[error("server asks for user and password ({0}): rtmp://user:password@host/app/key")]
    NoCredentials(overdub_rtmp::Challenge),
    #[error("server refused user and password")]
    CredentialsRefused,
    #[error("redirect not followed: {0}")]
    Redirect(overdub_rtmp::InvalidTarget),
    #[error("redirect not followed: {0}")]
    RedirectTooLong(AddressTooLong),
    /// No server may lead nearer than it is itself; the user may name any address.
    #[error(
        "redirect to {host} not followed: it is nearer than the server; to publish there, name it as the output"
    )]
    RedirectRefused { host: Name },
    #[error("servers redirect to each other in circles")]
    RedirectedInCircles,
    #[error("server took no data for {0:?}")]
    WriteTimeout(Duration),
    /// Its process hangs: it answered pings before.
    #[error("server answered nothing for {0:?}")]
    NoPong(Duration),
    /// The server refused, or did not speak RTMP.
    #[error(transparent)]
    Session(overdub_rtmp::Error),
    #[error("stream ended before a server was reached")]
    NeverConnected,
}

/// Where a server's words enter: the crate hands over what it got.
impl From<overdub_rtmp::Error> for Error {
    fn from(error: overdub_rtmp::Error) -> Self {
        Self::Session(match error {
            overdub_rtmp::Error::Refused(refusal) => overdub_rtmp::Error::Refused(bounded(&refusal)),
            overdub_rtmp::Error::Handshake(said) => {
                overdub_rtmp::Error::Handshake(Text::new(&said).to_string())
            }
            // Numbers, and addresses that are parsed before they are used and are not shown.
            other => other,
        })
    }
}

/// A server's refusal or status as it may be shown.
pub(super) fn bounded(refusal: &Refusal) -> Refusal {
    Refusal {
        code: Name::new(&refusal.code).to_string(),
        description: Text::new(&refusal.description).to_string(),
    }
}
