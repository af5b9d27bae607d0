//! The three-minute stream into a real SRS, read back in each of the ways that its viewers have.

use std::time::Duration;

use super::judge;
use super::live::{Form, LONG, SHORT, assert_clean};
use super::overdub::{Echo, Run, RunSettings};
use super::packets::Media;
use super::recorder::Recorder;
use super::source::{Clip, LiveSource};
use super::srs::{Srs, binary};
use super::tools::{Workdir, long_form, say};

async fn into_srs(name: &str, form: Form, binary: &std::path::Path) {
    let dir = Workdir::new(name);
    let clip = Clip::of(form.clip).await;
    let mut srs = Srs::start(binary, &dir).await;
    let echo = Echo::start(&dir).await;
    // An RTMP viewer may wait for the publisher; the others must come after it (see srs.rs).
    let mut rtmp = Recorder::start(&srs.rtmp_url(name), &dir.join("rtmp.flv")).await;
    let source = LiveSource::start(&dir, name, &clip, form.segment, 0).await;
    source.has_segments(3).await;
    let settings = RunSettings {
        source: &source.url(),
        target: &srs.rtmp_url(name),
        processor: &echo.url,
        stream_id: name,
        batch_seconds: form.batch,
        budget_seconds: form.budget,
    };
    let mut run = Run::start(&dir, &settings);
    let limit = Duration::from_secs(u64::from(2 * (form.batch + form.segment) + form.budget + 60));
    srs.is_published(name, limit).await;
    let mut flv = Recorder::start(&srs.flv_url(name), &dir.join("http.flv")).await;
    srs.has_segments(name, 2, Duration::from_secs(60)).await;
    // From its first segment: what HLS has is the whole stream.
    let hls_input = ["-live_start_index", "0"];
    let mut hls = Recorder::start_with(&hls_input, &srs.hls_url(name), &dir.join("hls.flv")).await;
    let status = run.wait(form.limit()).await;
    assert!(status.success(), "run ended with {status}\n{}\n{}\n{}", run.tail(), srs.tail(), source.tail());
    for recorder in [&mut rtmp, &mut flv, &mut hls] {
        recorder.settled().await;
    }
    srs.stop().await;

    let verdict = assert_clean(&format!("{name} by RTMP"), &clip, &rtmp.finish().await).await;
    assert_eq!(verdict.missing_at_end, (0, 0), "the output ends with the source");
    assert_clean(&format!("{name} by HTTP-FLV"), &clip, &flv.finish().await).await;
    // HLS comes in whole segments, so its pace is not looked at.
    let media = Media::read(&hls.finish().await.file).await;
    let verdict = judge::judge(&clip.media, &media).unwrap_or_else(|fault| panic!("{name} by HLS: {fault}"));
    say(&format!("{name} by HLS: {verdict}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_hands_on_a_live_stream_untouched() {
    if let Some(binary) = binary("a live stream through SRS") {
        into_srs("srs", SHORT, &binary).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_srs_hands_on_three_minutes_untouched() {
    if long_form("three minutes through SRS")
        && let Some(binary) = binary("three minutes through SRS")
    {
        into_srs("srs-long", LONG, &binary).await;
    }
}
