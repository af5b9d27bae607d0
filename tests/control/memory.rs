//! A stream that holds more than its share, beside one that does not.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use overdub::clock::Clock;
use overdub::config::{ServiceLimits, Span, StorageLimits, StreamOptions};
use overdub::control::{Launcher, Registry, Stream};
use overdub::demo::{Surroundings, clip};
use overdub::heavy::Shares;
use overdub::media::StreamId;
use overdub::pipeline::Shared;
use overdub::status::{Phase, StreamStatus};
use overdub::storage::Disk;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Far more than ten seconds of the clip, and less than two segments of the flood.
const SHARE: u64 = 24 << 20;
/// Of stuffing in a segment of the flood (ISO/IEC 13818-1 2.4.1: PID 0x1FFF).
const NULL_PACKETS: usize = (16 << 20) / 188;

/// The clip as a live source whose segments are stuffed to sixteen megabytes.
async fn flood(clock: Clock) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/a.m3u8", listener.local_addr().unwrap());
    let playlist = move || async move {
        let first = clock.now().since_start().as_secs() / clip::SEGMENT_DURATION.as_secs();
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in first..first + 5 {
            let _ = writeln!(text, "#EXTINF:2.0,\n/segments/{number}");
        }
        text
    };
    let mut null = [0xFF; 188];
    null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10]);
    let stuffing = Bytes::from(null.repeat(NULL_PACKETS));
    let segment =
        move |Path(number): Path<u64>| async move { [&clip::segment(number)[..], &stuffing].concat() };
    let router = Router::new().route("/a.m3u8", get(playlist)).route("/segments/{number}", get(segment));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn status(registry: &Registry, id: &str) -> StreamStatus {
    registry.get(&StreamId::new(id).unwrap()).unwrap().status()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_beyond_its_share_is_started_again_with_the_reason_and_its_neighbour_goes_on() {
    let (clock, leaving) = (Clock::start(), CancellationToken::new());
    let surroundings = Surroundings::start(clock, &leaving).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path(), StorageLimits::default());
    let shared = Shared { clock, disk, journals: None, persistent: true, shares: Shares::default() };
    let limits = ServiceLimits { stream_share: Some(SHARE), ..ServiceLimits::default() };
    let registry = Registry::new(Box::new(Launcher::new(shared, limits)), limits, clock);
    let settings = |id: &str, source: String| {
        let options = StreamOptions {
            stream_id: Some(id.to_owned()),
            source_url: Some(source),
            audio_processor_url: Some(surroundings.processor_url()),
            srs_rtmp_url: Some(overdub::config::OneOrMany::One(surroundings.rtmp_url(id))),
            buffer_duration: Some(Span(Duration::from_secs(4))),
            processing_budget: Some(Span(Duration::from_secs(4))),
            ..StreamOptions::default()
        };
        options.resolve().unwrap()
    };
    registry.start(settings("neighbour", surroundings.source_url())).await.unwrap();
    until("the neighbour plays", || status(&registry, "neighbour").phase == Phase::Publishing).await;
    registry.start(settings("flood", flood(clock).await)).await.unwrap();

    until("it is started again twice", || status(&registry, "flood").memory_restarts >= 2).await;
    let flood = status(&registry, "flood");
    assert_eq!(
        (flood.restarts, flood.is_running, flood.memory.limit),
        (flood.memory_restarts, true, Some(SHARE))
    );
    let reason = flood.restart_reason.unwrap();
    assert!(
        reason.starts_with("the stream holds ") && reason.ends_with("more than its share of 25 MB"),
        "{reason}"
    );

    let neighbour = status(&registry, "neighbour");
    assert_eq!((neighbour.restarts, neighbour.phase), (0, Phase::Publishing));
    assert_eq!(neighbour.stats.batches_fallback, 0, "{neighbour:#?}");
    assert_eq!(neighbour.modules.stream_publisher.outputs[0].dropped, 0);
    assert!((100_000..SHARE).contains(&neighbour.memory.bytes), "{:?}", neighbour.memory);
    let report = surroundings.reports().latest("neighbour").unwrap();
    assert_eq!(report.violation_count, 0, "{:?}", report.violations);

    // Once it has ended and its preview is gone, nothing of it is held.
    let stream: Arc<dyn Stream> = registry.get(&StreamId::new("neighbour").unwrap()).unwrap();
    registry.shut_down().await;
    until("the meter is back at zero", || stream.status().memory.bytes == 0).await;
    leaving.cancel();
    surroundings.ended().await;
}
