//! docs/processor.md: its processors are those that the tests run, and they do what it says.

use std::time::Duration;

use bytes::Bytes;
use overdub::roundtrip::Failure;

use crate::harness::Client;
use crate::processors::{Kind, Processor};

const GUIDE: &str = include_str!("../../docs/processor.md");

/// A third of a second of a tone, as the service sends it.
const TONE: &[u8] = include_bytes!("../../src/roundtrip/answer/fixtures/aac_fragmented.mp4");

const AMPLE: Duration = Duration::from_secs(20);
const DELAY: Duration = Duration::from_millis(10);

#[test]
fn the_guide_shows_the_processors_that_are_tested() {
    for (kind, language) in [(Kind::Node, "js"), (Kind::Python, "python")] {
        let script = std::fs::read_to_string(kind.script().expect("a script")).expect("readable");
        assert!(
            GUIDE.contains(&format!("```{language}\n{script}```")),
            "{kind:?}: the guide shows another one"
        );
        let lines = script.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 34, "{kind:?}: {lines} lines are no longer a short example");
    }
}

/// With a filter the sound goes through FFmpeg, and what it does not understand comes back as an error.
async fn processes_through_ffmpeg(kind: Kind) {
    let processor = Processor::start_with(kind, 0, DELAY, &["volume=0.5"]).await;
    let mut client = Client::start(&processor.url());
    client.request(0, &Bytes::from_static(TONE), AMPLE).await;
    let processed = client.outcome().await.result.expect("processed");
    assert!(processed.raw != TONE && processed.priming == 1024, "{} samples of priming", processed.priming);
    assert_eq!((processed.params.sample_rate, processed.params.channels), (48_000, 2));
    client.request(1, &Bytes::from_static(b"not an mp4"), AMPLE).await;
    let failure = client.outcome().await.result.expect_err("nothing to decode");
    let Failure::ProcessorError(error) = failure else { panic!("{failure}") };
    assert_eq!(error.code.as_deref(), Some("PROCESSING_FAILED"));
    client.finish().await;
}

#[tokio::test]
async fn the_node_processor_processes() {
    processes_through_ffmpeg(Kind::Node).await;
}

#[tokio::test]
async fn the_python_processor_processes() {
    processes_through_ffmpeg(Kind::Python).await;
}
