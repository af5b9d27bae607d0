//! Five streams at once in one service, started over HTTP, beside one that cannot work.

use std::time::Duration;

use serde_json::json;

use super::live::{Form, LONG, SHORT, assert_clean, assert_rising, assert_whole};
use super::nginx::Nginx;
use super::overdub::{Echo, Service};
use super::recorder::Recorder;
use super::source::{Clip, LiveSource};
use super::tools::{Workdir, long_form};

const STREAMS: u32 = 5;

async fn five(dir: &Workdir, form: Form) {
    let clip = Clip::of(form.clip).await;
    let mut nginx = Nginx::start(dir).await;
    let echo = Echo::start(dir).await;
    let mut service = Service::start(dir).await;
    let mut scenes = Vec::new();
    for i in 0..STREAMS {
        let name = format!("stream-{i}");
        let recorder = Recorder::start(&nginx.url(&name), &dir.join(format!("{name}.flv"))).await;
        // Each begins elsewhere in the clip, so that no stream can pass for another.
        let source = LiveSource::start(dir, &name, &clip, form.segment, 2 * i).await;
        scenes.push((name, recorder, source));
    }
    let settings = |name: &str, source: &str| {
        json!({
            "streamId": name, "sourceUrl": source, "srsRtmpUrl": nginx.url(name), "audioProcessorUrl": echo.url,
            "bufferDuration": form.batch, "processingBudget": form.budget,
        })
    };
    for (name, _, source) in &scenes {
        source.has_segments(3).await;
        let answer = service.start_stream(settings(name, &source.url())).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let again = service.start_stream(settings(name, &source.url())).await;
        assert_eq!((again.status, &again.json()["alreadyRunning"]), (200, &json!(true)), "{}", again.body);
    }
    let broken = service.start_stream(settings("broken", &scenes[0].2.server.url("nothing.m3u8"))).await;
    assert_eq!(broken.status, 200, "{}", broken.body);

    for (name, ..) in &scenes {
        let publishing = |s: &serde_json::Value| s["phase"] == "publishing";
        let limit = Duration::from_secs(u64::from(2 * (form.batch + form.segment) + form.budget + 30));
        service.reaches(name, "publishing", limit, publishing).await;
    }
    for (name, _, source) in &scenes {
        let over = |s: &serde_json::Value| s["isRunning"] == false;
        let status = service.reaches(name, "over with its source", form.limit(), over).await;
        assert!(status["lastError"].is_null(), "{name}: {status}\n{}", source.tail());
    }
    service.assert_healthy().await;
    for (_, recorder, _) in &mut scenes {
        recorder.settled().await;
    }
    nginx.stop().await;
    for (name, recorder, _) in scenes {
        let recording = recorder.finish().await;
        let verdict = assert_clean(&name, &clip, &recording).await;
        // The sources began 0, 2, 4, ... seconds into the clip.
        let skipped = Form { segment: form.segment + STREAMS, ..form };
        assert_whole(&name, &verdict, skipped);
        assert_rising(&name, &nginx.recording(&name));
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_streams_at_once_come_through_untouched_beside_a_broken_one() {
    five(&Workdir::new("five"), SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_five_streams_of_three_minutes_come_through_untouched() {
    if long_form("five streams for three minutes") {
        five(&Workdir::new("five-long"), LONG).await;
    }
}
