//! Whether what a stream needs is there, asked once.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{publish_settings, roundtrip_settings, source};
use crate::clock::Clock;
use crate::config::{RtmpUrl, StreamSettings};
use crate::{hls, publish, roundtrip};

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
        Err(error) => {
            Err(format!("{}: {}", settings.source_url, last.map_or(error, |last| last.to_string())))
        }
    }
}

/// The first segment of the source, and of its audio where that has a playlist of its own.
///
/// # Errors
///
/// What is wrong, in one line.
pub async fn first_segments(
    settings: &StreamSettings,
    clock: Clock,
    limit: Duration,
) -> Result<Vec<hls::Segment>, String> {
    let (out, mut events) = mpsc::channel(1);
    let (status, seen) = watch::channel(hls::Status::default());
    let run = hls::run(source::settings(settings), clock, 0, out, status, CancellationToken::new());
    let first = async {
        let (mut found, mut separate): (Vec<hls::Segment>, bool) = (Vec::new(), false);
        while let Some(event) = events.recv().await {
            match event {
                hls::Event::Renditions { separate_audio } => separate = separate_audio,
                hls::Event::Segment(segment)
                    if found.iter().all(|known| known.rendition != segment.rendition) =>
                {
                    found.push(segment);
                }
                _ => {}
            }
            if found.len() > usize::from(separate) {
                break;
            }
        }
        found
    };
    tokio::pin!(first);
    let found = tokio::select! {
        biased;
        found = &mut first => Ok(found),
        ended = run => match ended {
            // What was delivered last may not have been taken yet.
            Ok(()) => Ok(first.await),
            Err(error) => Err(error.to_string()),
        },
        () = clock.sleep(limit) => Err(format!("no segment within {limit:?}")),
    };
    let last = seen.borrow().last_error.clone();
    match found {
        Ok(found) if found.is_empty() => {
            Err(last
                .map_or_else(|| format!("{} has no segments", settings.source_url), |last| last.to_string()))
        }
        Ok(found) => Ok(found),
        Err(error) => {
            Err(format!("{}: {}", settings.source_url, last.map_or(error, |last| last.to_string())))
        }
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
    if !found {
        let reason =
            status.last_error.clone().unwrap_or_else(|| format!("no answer within {limit:?}").into());
        return Err(format!("{reason}; start it, or set audioProcessorUrl (until then the fallback plays)"));
    }
    Ok(match status.max_payload {
        Some(bytes) => format!("connected; it takes messages up to {bytes} bytes"),
        None => "connected".to_owned(),
    })
}

/// Connects to an RTMP server as a stream does, TLS included. Nothing is published: the stream may be on air.
///
/// # Errors
///
/// What is wrong and what to do, in one line.
pub async fn output(
    settings: &StreamSettings,
    url: &RtmpUrl,
    clock: Clock,
    limit: Duration,
) -> Result<String, String> {
    let settings = publish::Settings { connect_timeout: limit, ..publish_settings(settings, url) };
    match publish::greet(&settings, clock).await {
        Ok(()) => Ok("an RTMP server answers".to_owned()),
        Err(error) => Err(format!("{error}; start the server, or set srsRtmpUrl")),
    }
}
