//! Whether what a stream needs is there, asked once.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{roundtrip_settings, source};
use crate::clock::Clock;
use crate::config::{RtmpUrl, StreamSettings};
use crate::{hls, roundtrip};

/// Reads the playlist and the first segment.
///
/// # Errors
///
/// What is wrong and what to do, in one line.
pub async fn source(settings: &StreamSettings, clock: Clock, limit: Duration) -> Result<String, String> {
    let (out, mut events) = mpsc::channel(1);
    let (status, seen) = watch::channel(hls::Status::default());
    let run = hls::run(source::settings(settings), clock, 0, out, status, CancellationToken::new());
    let first = async {
        while let Some(event) = events.recv().await {
            if let hls::Event::Segment(segment) = event {
                return Some(segment.data.len());
            }
        }
        None
    };
    let found = tokio::select! {
        ended = run => ended.map(|()| None).map_err(|error| error.to_string()),
        first = first => Ok(first),
        () = clock.sleep(limit) => Err(format!("no segment within {limit:?}")),
    };
    let last = seen.borrow().last_error.clone();
    match found {
        Ok(Some(bytes)) => Ok(format!("{} is there, a segment has {bytes} bytes", settings.source_url)),
        Ok(None) => Err(format!("{} has no segments", settings.source_url)),
        Err(error) => Err(format!("{}: {}", settings.source_url, last.unwrap_or(error))),
    }
}

/// Connects to the processor as a stream does.
///
/// # Errors
///
/// What is wrong and what to do, in one line.
pub async fn processor(settings: &StreamSettings, clock: Clock, limit: Duration) -> Result<String, String> {
    let (_requests, requested) = mpsc::channel(1);
    let (outcomes, _decided) = mpsc::channel(1);
    let (status, mut seen) = watch::channel(roundtrip::Status::default());
    let (_playout, played) = watch::channel(None);
    let stop = CancellationToken::new();
    let run = roundtrip::run(
        roundtrip_settings(settings),
        clock,
        requested,
        outcomes,
        status,
        played,
        stop.clone(),
    );
    let connected = async { seen.wait_for(|status| status.connected).await.is_ok() };
    let found = tokio::select! {
        () = run => false,
        connected = connected => connected,
        () = clock.sleep(limit) => false,
    };
    stop.cancel();
    let status = seen.borrow();
    match found {
        true => Ok(match status.max_payload {
            Some(bytes) => format!("connected; it takes messages up to {bytes} bytes"),
            None => "connected".to_owned(),
        }),
        false => {
            let reason = status.last_error.clone().unwrap_or_else(|| format!("no answer within {limit:?}"));
            Err(format!("{reason}; start it, or set audioProcessorUrl (until then the fallback plays)"))
        }
    }
}

/// Whether an RTMP server answers. Nothing is published: the stream may be on air.
///
/// # Errors
///
/// What is wrong and what to do, in one line.
pub async fn output(url: &RtmpUrl, limit: Duration) -> Result<String, String> {
    let target = url.target();
    let connect = TcpStream::connect((target.host.as_str(), target.port));
    let hint = "start the server, or set srsRtmpUrl";
    let mut stream = match timeout(limit, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("{error}; {hint}")),
        Err(_) => return Err(format!("no connection within {limit:?}; {hint}")),
    };
    if url.as_str().starts_with("rtmps") {
        return Ok("the port is open".to_owned());
    }
    // The first packets of a handshake: version 3, a time, zeros, bytes that mean nothing (RTMP 5.2.2, 5.2.3).
    let mut hello = vec![0x5a; 1 + 1_536];
    hello[0] = 3;
    hello[1..9].fill(0);
    let handshake = async {
        stream.write_all(&hello).await?;
        stream.read_u8().await
    };
    match timeout(limit, handshake).await {
        Ok(Ok(3)) => Ok("an RTMP server answers".to_owned()),
        Ok(Ok(_)) => Err(format!("what answers is no RTMP server; {hint}")),
        Ok(Err(error)) => Err(format!("the handshake failed: {error}; {hint}")),
        Err(_) => Err(format!("no handshake within {limit:?}; {hint}")),
    }
}
