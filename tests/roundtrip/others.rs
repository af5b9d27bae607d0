//! Each make of processor: ours (socketioxide), Node's socket.io, python-socketio.

use std::time::Duration;

use bytes::Bytes;
use overdub::echo::Options;

use crate::harness::{Client, Echo, adts};
use crate::processors::{Kind, Processor};

const AMPLE: Duration = Duration::from_secs(20);

/// Fragmented MP4 as the service sends it.
const FMP4: &[u8] = include_bytes!("../../src/roundtrip/answer/fixtures/aac_fragmented.mp4");

/// Answers come back as they were sent: MP4, ADTS, small, with the byte that separates polling packets, and large.
async fn answers_come_back_unchanged(url: &str) {
    let mut client = Client::start(url);
    let audio = [Bytes::from_static(FMP4), adts(3, 20, 0x5A), adts(50, 400, 0x1E), adts(1_024, 8_184, 0x1E)];
    assert!(audio[3].len() > 8_000_000);
    for (number, audio) in (0..).zip(&audio) {
        client.request(number, audio, AMPLE).await;
    }
    for (number, audio) in (0..).zip(&audio) {
        let outcome = client.outcome().await;
        assert_eq!(outcome.number, number);
        let processed = outcome.result.unwrap_or_else(|failure| panic!("batch {number}: {failure}"));
        assert!(processed.raw == audio, "batch {number} came back changed");
        assert!(outcome.latency.is_some());
        assert!(outcome.metadata.expect("metadata").get("processingTime").is_some());
    }
    let status = client.finish().await;
    assert_eq!((status.processed, status.fallbacks_total(), status.bad_messages), (4, 0, 0), "{status:#?}");
    assert_eq!((status.acknowledged, status.connections), (4, 1), "{status:#?}");
    assert_eq!(status.max_payload, Some(64 * 1024 * 1024));
}

/// What was with a processor that is killed is sent again to the one that takes its place.
async fn unanswered_fragments_survive_a_kill(kind: Kind) {
    let slow = Processor::start(kind, 0, Duration::from_secs(60)).await;
    let port = slow.port;
    let mut client = Client::start(&slow.url());
    let audio = adts(10, 100, 0x1E);
    for number in 0..4 {
        client.request(number, &audio, AMPLE).await;
    }
    client.until("a full window", |status| status.acknowledged == 3).await;
    slow.kill().await;
    client.until("the loss", |status| !status.connected).await;
    let _fast = Processor::start(kind, port, Duration::from_millis(50)).await;
    for number in 0..4 {
        let outcome = client.outcome().await;
        assert_eq!(outcome.number, number);
        outcome.result.unwrap_or_else(|failure| panic!("batch {number}: {failure}"));
    }
    let status = client.finish().await;
    assert_eq!((status.sent, status.resent, status.connections), (4, 3, 2), "{status:#?}");
}

/// Streams share a processor and not a connection: what one is told does not reach the other.
async fn streams_share_a_processor(url: &str) {
    let mut clients = [Client::start(url), Client::start(url)];
    for (fill, client) in (1..).zip(&clients) {
        client.request(0, &adts(5, 50, fill), AMPLE).await;
    }
    for (fill, client) in (1..).zip(&mut clients) {
        let processed = client.outcome().await.result.expect("processed");
        assert!(processed.raw == adts(5, 50, fill));
    }
    for client in clients {
        assert_eq!(client.finish().await.unknown_ids, 0);
    }
}

#[tokio::test]
async fn our_echo_answers_unchanged() {
    let echo = Echo::start(Options::default()).await;
    answers_come_back_unchanged(&echo.url).await;
    streams_share_a_processor(&echo.url).await;
}

#[tokio::test]
async fn nodes_socket_io_answers_unchanged() {
    let node = Processor::start(Kind::Node, 0, Duration::from_millis(50)).await;
    answers_come_back_unchanged(&node.url()).await;
    streams_share_a_processor(&node.url()).await;
}

#[tokio::test]
async fn python_socketio_answers_unchanged() {
    let python = Processor::start(Kind::Python, 0, Duration::from_millis(50)).await;
    answers_come_back_unchanged(&python.url()).await;
    streams_share_a_processor(&python.url()).await;
}

#[tokio::test]
async fn our_echo_as_a_process_answers_unchanged() {
    let ours = Processor::start(Kind::Overdub, 0, Duration::from_millis(50)).await;
    answers_come_back_unchanged(&ours.url()).await;
    streams_share_a_processor(&ours.url()).await;
}

#[tokio::test]
async fn our_killed_echo_loses_nothing() {
    unanswered_fragments_survive_a_kill(Kind::Overdub).await;
}

#[tokio::test]
async fn a_killed_node_processor_loses_nothing() {
    unanswered_fragments_survive_a_kill(Kind::Node).await;
}

#[tokio::test]
async fn a_killed_python_processor_loses_nothing() {
    unanswered_fragments_survive_a_kill(Kind::Python).await;
}
