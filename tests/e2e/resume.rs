//! The service is killed and started again: the stream goes on where it was.

use std::time::Duration;

use overdub::clock::Clock;
use overdub::demo::Surroundings;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::overdub::Service;
use super::tools::{Workdir, now, say, until};

pub const STREAM: &str = "resumed";
const BATCH: u32 = 4;
const BUDGET: u32 = 4;

/// A source, a processor and an RTMP server that outlive the service.
pub async fn surroundings() -> (Surroundings, CancellationToken) {
    let stop = CancellationToken::new();
    let surroundings = Surroundings::start(Clock::start(), &stop).await.expect("ports on loopback");
    (surroundings, stop)
}

pub fn settings(around: &Surroundings, artifacts: &str) -> Value {
    json!({
        "streamId": STREAM, "sourceUrl": around.source_url(), "srsRtmpUrl": around.rtmp_url(STREAM),
        "audioProcessorUrl": around.processor_url(), "bufferDuration": BATCH, "processingBudget": BUDGET,
        "artifacts": artifacts,
    })
}

/// How much of the output's time passed that nobody saw, in milliseconds, from one publication to the next.
fn unseen(around: &Surroundings) -> Vec<i64> {
    let reports = around.reports().all();
    for report in &reports {
        assert_eq!(report.violations, [], "what arrived is sound");
    }
    let times = |pair: &[overdub::sink::Report]| pair[1].video.first_ms.zip(pair[0].video.last_ms);
    reports.windows(2).filter_map(times).map(|(next, last)| next - last - 40).collect()
}

pub async fn published_more(around: &Surroundings, publication: usize, seconds: u32) {
    let limit = Duration::from_secs(60);
    until(limit, "output", async || {
        let reports = around.reports().all();
        let report = reports.get(publication)?;
        (report.video.packets > u64::from(seconds) * 25).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_service_goes_on_where_it_was() {
    let dir = Workdir::new("killed");
    let (around, _stop) = surroundings().await;
    let service = Service::start(&dir).await;
    assert_eq!(service.start_stream(settings(&around, "segments")).await.status, 200);
    published_more(&around, 0, 6).await;
    let before = service.status(STREAM).await;
    service.kill().await;
    let killed = now();
    tokio::time::sleep(Duration::from_secs(2)).await;

    let service = Service::start(&dir).await;
    let away = killed.elapsed();
    let status =
        service.reaches(STREAM, "resumed", Duration::from_secs(10), |s| s["resumed"].is_object()).await;
    assert!(status["resumed"]["segments"].as_u64() > Some(0), "{status}");
    assert_eq!(status["resumed"]["lost"], Value::Null, "{status}");
    published_more(&around, 1, 6).await;
    let status = service.status(STREAM).await;
    let number = |status: &Value| status["batches"].as_array().and_then(|all| all.last()?["number"].as_u64());
    assert!(number(&status) > number(&before), "{status}");
    let lost = unseen(&around);
    say(&format!(
        "killed and {:.1} s later started again: viewers missed {:.1} s, {} of {} batches without the processor",
        away.as_secs_f64(),
        lost[0] as f64 / 1e3,
        status["stats"]["batchesFallback"],
        status["stats"]["batchesCaptured"],
    ));
    // The output's time went on while nobody was there; what is missing is that and the way to the next picture
    // at which play can begin: 1.5 s of margin, 2 s of a group of pictures, and the start of the process.
    let limit = away + Duration::from_millis(5_500);
    assert_eq!(lost.len(), 1);
    assert!((0..limit.as_millis() as i64).contains(&lost[0]), "{lost:?} of {away:?}");

    let stopped = service.stop_stream(STREAM).await;
    assert_eq!(stopped.status, 200, "{}", stopped.body);
    service.stop().await;
    let service = Service::start(&dir).await;
    assert_eq!(service.status_code(STREAM).await, 404, "what was stopped is not resumed");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_service_goes_on_without_its_disk_from_the_source() {
    let dir = Workdir::new("terminated");
    let (around, _stop) = surroundings().await;
    let service = Service::start(&dir).await;
    assert_eq!(service.start_stream(settings(&around, "none")).await.status, 200);
    published_more(&around, 0, 4).await;
    service.stop().await;

    let service = Service::start(&dir).await;
    let status =
        service.reaches(STREAM, "resumed", Duration::from_secs(10), |s| s["resumed"].is_object()).await;
    assert!(status["resumed"]["lost"].is_string(), "{status}");
    published_more(&around, 1, 6).await;
    let lost = unseen(&around);
    say(&format!("terminated and started again: viewers missed {:.1} s", lost[0] as f64 / 1e3));
    assert!((0..15_000).contains(&lost[0]), "{lost:?}");
    service.stop().await;
}
