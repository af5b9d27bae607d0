//! Why publishing does not work.

use std::time::Duration;

/// Publishing failed, for now or for good. Texts hold no stream key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Target(#[from] overdub_rtmp::InvalidTarget),
    /// The name did not resolve, or no address answered.
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect { host: String, port: u16, source: std::io::Error },
    #[error("no rtmp session with {host}:{port} after {after:?}")]
    ConnectTimeout { host: String, port: u16, after: Duration },
    #[error("{host} is no valid tls server name")]
    ServerName { host: String },
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] std::io::Error),
    /// SRS does this when the stream still has another publisher (its log says StreamBusy).
    #[error("server closed the connection as publishing began (a busy stream, or not allowed)")]
    ClosedEarly,
    #[error("server closed the connection")]
    Closed,
    #[error("server took no data for {0:?}")]
    WriteTimeout(Duration),
    /// Its host does not answer any more, or its process does not read.
    #[error("server acknowledged nothing for {0:?}")]
    NotAcknowledged(Duration),
    /// The server refused, or did not speak RTMP.
    #[error(transparent)]
    Session(#[from] overdub_rtmp::Error),
    #[error("stream ended before a server was reached")]
    NeverConnected,
}
