//! The processor as the trouble: killed in mid-batch, or taking everything and answering nothing.

use std::time::Duration;

use serde_json::{Value, json};

use super::live::{Form, LONG, SHORT, whole_ending};
use super::nginx::Nginx;
use super::overdub::{Run, RunSettings, Service};
use super::processors::{Kind, Processor};
use super::recorder::Recorder;
use super::source::{Clip, LiveSource};
use super::tools::{Workdir, long_form, now, say, until};

/// Between the kill and the start of the next one: a supervisor's pause.
const AWAY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_killed_in_mid_batch_leaves_no_gap_and_its_successor_goes_on() {
    let (name, dir, form) = ("killed", Workdir::new("processor-killed"), SHORT);
    let clip = Clip::of(form.clip).await;
    let mut nginx = Nginx::start(&dir).await;
    let recorder = Recorder::start(&nginx.url(name), &dir.join("pulled.flv")).await;
    let slow = Processor::start(Kind::Overdub, 0, Duration::from_millis(1_500)).await;
    let (port, url) = (slow.port, slow.url());
    let mut service = Service::start(&dir).await;
    let source = LiveSource::start(&dir, name, &clip, form.segment, 0).await;
    source.has_segments(3).await;
    let answer = service
        .start_stream(json!({
            "streamId": name, "sourceUrl": source.url(), "srsRtmpUrl": nginx.url(name), "audioProcessorUrl": url,
            "bufferDuration": form.batch, "processingBudget": form.budget,
        }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let answered = |status: &Value| status["modules"]["audioProcessor"]["answered"].as_u64();
    // In mid-batch: one has been answered, the next is being worked on.
    let status = service
        .reaches(name, "a fragment in work", form.limit(), |status| {
            answered(status) >= Some(1) && status["modules"]["audioProcessor"]["inFlight"] != json!(0)
        })
        .await;
    let before = answered(&status);
    slow.kill().await;
    let killed = now();
    tokio::time::sleep(AWAY).await;
    let _successor = Processor::start(Kind::Overdub, port, Duration::from_millis(100)).await;
    let started = now();
    service.reaches(name, "answers again", form.limit(), |status| answered(status) > before).await;
    say(&format!(
        "processor killed in mid-batch: the next answer came {:.1} s after the kill, {:.1} s after its successor listened",
        killed.elapsed().as_secs_f64(),
        started.elapsed().as_secs_f64()
    ));
    let status = service.reaches(name, "over", form.limit(), |status| status["isRunning"] == false).await;
    let stats = &status["stats"];
    say(&format!(
        "processor killed in mid-batch: {} of {} batches processed, fallbacks {}",
        stats["batchesProcessed"], stats["batchesCaptured"], stats["fallbackReasons"]
    ));
    assert!(stats["batchesFallback"].as_u64() <= Some(1), "{status:#}");
    assert!(status["modules"]["audioProcessor"]["reconnects"].as_u64() >= Some(1), "{status:#}");
    service.assert_healthy().await;
    whole_ending(name, &clip, form, &mut nginx, recorder).await;
    service.stop().await;
}

/// Of the source, in Mbit/s.
const RATE: u32 = 6;
/// What the process holds without a stream, and allocators' overhead, in a debug build.
const BASE_KIB: u64 = 64 << 10;
/// What was captured is held once on its way to the output, and for as long again (54 s) in the preview's window; what
/// is being received, demultiplexed and written, and what the allocator keeps of freed pieces, is as much as both.
const COPIES: u64 = 4;

/// Resident memory stays below bitrate times latency times [`COPIES`], whoever does not answer.
async fn stays_bounded(dir: &Workdir, form: Form) {
    let clip = Clip::at(form.clip, RATE).await;
    let nginx = Nginx::start(dir).await;
    let silent = Processor::start_with(Kind::Overdub, 0, Duration::ZERO, &["--fault", "drop:1"]).await;
    let source = LiveSource::start(dir, "silent", &clip, form.segment, 0).await;
    source.has_segments(3).await;
    let settings = RunSettings {
        source: &source.url(),
        target: &nginx.url("silent"),
        processor: &silent.url(),
        stream_id: "silent",
        batch_seconds: form.batch,
        budget_seconds: form.budget,
    };
    let mut run = Run::start(dir, &settings);
    let mut memory = Vec::new();
    // Until it ends with its source.
    until(form.limit(), "the end of the source", async || match run.memory_kib() {
        Some(kib) => {
            memory.push(kib);
            None
        }
        None => Some(()),
    })
    .await;
    let status = run.wait(form.limit()).await;
    assert!(status.success(), "run ended with {status}\n{}", run.tail());
    let latency = u64::from(form.batch + form.segment + form.budget);
    let bound = u64::from(RATE) * 1_000_000 / 8 * latency * COPIES / 1024 + BASE_KIB;
    let peak = memory.iter().copied().max().unwrap_or_default();
    let median = |of: &[u64]| {
        let mut of = of.to_vec();
        of.sort_unstable();
        of[of.len() / 2]
    };
    let eighths: Vec<u64> = memory.chunks((memory.len() / 8).max(1)).take(8).map(median).collect();
    say(&format!(
        "{RATE} Mbit/s for {} s, latency {latency} s, no answer ever: {} MiB at most, the bound is {} MiB; \
         medians of eighths of the time, MiB: {:?}",
        form.clip,
        peak >> 10,
        bound >> 10,
        eighths.iter().map(|kib| kib >> 10).collect::<Vec<_>>()
    ));
    assert!(peak <= bound, "{peak} KiB are over the bound of {bound} KiB");
    // In less than a minute the preview's window and the allocator's arenas are not yet full.
    let (full, early, late) = (form.clip >= 300, eighths[3], eighths[7]);
    assert!(!full || late <= early + early / 4, "it grew from {early} to {late} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_when_the_processor_never_answers() {
    stays_bounded(&Workdir::new("processor-silent"), SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_memory_is_bounded_for_ten_minutes_when_the_processor_never_answers() {
    if long_form("ten minutes without an answer") {
        stays_bounded(&Workdir::new("processor-silent-long"), Form { clip: 600, ..LONG }).await;
    }
}
