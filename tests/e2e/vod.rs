//! A playlist that is complete from the start, behind a master playlist, as public test streams are.

use std::time::Duration;

use super::live::{SHORT, assert_rising, ending};
use super::nginx::Nginx;
use super::overdub::{Echo, Run, RunSettings};
use super::recorder::Recorder;
use super::source::{self, Clip};
use super::tools::{Workdir, now, say};

/// Batches that may wait, play and be gathered at once, doubled: what must not be exceeded is "all of it".
const AHEAD_SECONDS: u32 = 2 * 3 * SHORT.batch;
/// A debug build with 45 s of 3 Mbit/s in hand (17 MB) and nothing held twice.
const MEMORY_LIMIT_KIB: u64 = 200 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_vod_behind_a_master_playlist_plays_whole_at_its_own_pace() {
    let dir = Workdir::new("vod");
    let clip = Clip::of(SHORT.clip).await;
    let mut nginx = Nginx::start(&dir).await;
    let echo = Echo::start(&dir).await;
    let server = source::vod(&dir, &clip, SHORT.segment).await;
    let recorder = Recorder::start(&nginx.url("vod"), &dir.join("pulled.flv")).await;
    let settings = RunSettings {
        source: &server.url("master.m3u8"),
        target: &nginx.url("vod"),
        processor: &echo.url,
        stream_id: "vod",
        batch_seconds: SHORT.batch,
        budget_seconds: SHORT.budget,
    };
    let started = now();
    let mut run = Run::start(&dir, &settings);
    let watched = async {
        tokio::time::sleep(Duration::from_secs(u64::from(SHORT.clip) / 2)).await;
        run.peak_memory_kib()
    };
    let peak = watched.await.expect("run is still at it when half of the clip's time has passed");
    let status = run.wait(SHORT.limit()).await;
    assert!(status.success(), "run ended with {status}\n{}", run.tail());
    let took = started.elapsed().as_secs_f64();
    assert!(took >= f64::from(SHORT.clip), "{} s of stream were played in {took:.1} s", SHORT.clip);

    let verdict = ending("vod", &clip, &mut nginx, recorder).await;
    assert_eq!(verdict.first, (0, 0), "it begins with the first of the source");
    assert_eq!(verdict.missing_at_end, (0, 0), "it ends with the last of the source");
    assert_rising("vod", &nginx.recording("vod"));

    let asked = server.asked();
    let first = asked.iter().find(|(_, path)| path.ends_with(".ts")).expect("segments were fetched").0;
    let last = asked.iter().rfind(|(_, path)| path.ends_with(".ts")).expect("segments were fetched").0;
    let spread = last.duration_since(first).as_secs_f64();
    say(&format!("vod: fetched over {spread:.1} s, played in {took:.1} s, at most {peak} KiB of memory"));
    assert!(
        spread >= f64::from(SHORT.clip - AHEAD_SECONDS) / 2.0,
        "the last segment was fetched after {spread:.1} s"
    );
    assert!(peak < MEMORY_LIMIT_KIB, "{peak} KiB of memory");
}
