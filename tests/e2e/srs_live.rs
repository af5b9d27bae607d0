//! The three-minute stream into a real SRS, read back in each of the ways that its viewers have.

use std::time::Duration;

use tokio::process::Command;

use super::judge;
use super::live::{Form, LONG, SHORT, assert_clean};
use super::overdub::{Echo, Run, RunSettings};
use super::packets::Media;
use super::recorder::Recorder;
use super::source::{Clip, LiveSource};
use super::srs::{Srs, binary};
use super::tools::{Running, Workdir, long_form, say};

/// One viewer of each kind.
struct Viewers {
    rtmp: Recorder,
    flv: Option<Recorder>,
    hls: Option<Recorder>,
}

impl Viewers {
    /// An RTMP viewer may wait for the publisher; the others must come after it (see srs.rs).
    async fn waiting(srs: &Srs, name: &str, dir: &Workdir) -> Self {
        let rtmp = Recorder::start(&srs.rtmp_url(name), &dir.join("rtmp.flv")).await;
        Self { rtmp, flv: None, hls: None }
    }

    /// The others, as soon as the stream is there.
    async fn join(&mut self, srs: &Srs, name: &str, dir: &Workdir, limit: Duration) {
        srs.is_published(name, limit).await;
        self.flv = Some(Recorder::start(&srs.flv_url(name), &dir.join("http.flv")).await);
        srs.has_segments(name, 2, Duration::from_secs(60)).await;
        // From its first segment: what HLS has is the whole stream.
        let first = ["-live_start_index", "0"];
        self.hls = Some(Recorder::start_with(&first, &srs.hls_url(name), &dir.join("hls.flv")).await);
    }

    /// When the publisher has ended: ends SRS and judges what each viewer has.
    async fn assert_clean(mut self, srs: &mut Srs, name: &str, clip: &Clip) {
        self.rtmp.settled().await;
        let (mut flv, mut hls) = (self.flv.expect("joined"), self.hls.expect("joined"));
        flv.settled().await;
        // Segments of two seconds come when the playlist is read again.
        hls.quiet_for(Duration::from_secs(6)).await;
        srs.stop().await;
        let verdict = assert_clean(&format!("{name} by RTMP"), clip, &self.rtmp.finish().await).await;
        // SRS writes to viewers when 8 messages wait (mw_msgs), and those that wait at the end for ever.
        let (video, audio) = verdict.missing_at_end;
        assert!(video + audio < 8, "the output ends with the source, but {video} and {audio} are missing");
        assert_clean(&format!("{name} by HTTP-FLV"), clip, &flv.finish().await).await;
        // HLS comes in whole segments, so its pace is not looked at.
        let media = Media::read(&hls.finish().await.file).await;
        let verdict =
            judge::judge(&clip.media, &media).unwrap_or_else(|fault| panic!("{name} by HLS: {fault}"));
        say(&format!("{name} by HLS: {verdict}"));
        assert_eq!(verdict.missing_at_end, (0, 0), "the output ends with the source");
    }
}

async fn into_srs(name: &str, form: Form, binary: &std::path::Path) {
    let dir = Workdir::new(name);
    let clip = Clip::of(form.clip).await;
    let mut srs = Srs::start(binary, &dir).await;
    let echo = Echo::start(&dir).await;
    let mut viewers = Viewers::waiting(&srs, name, &dir).await;
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
    viewers.join(&srs, name, &dir, limit).await;
    let status = run.wait(form.limit()).await;
    assert!(status.success(), "run ended with {status}\n{}\n{}\n{}", run.tail(), srs.tail(), source.tail());
    viewers.assert_clean(&mut srs, name, &clip).await;
}

/// The scene with FFmpeg in the product's place: what fails here is SRS's doing or the scene's.
#[tokio::test(flavor = "multi_thread")]
async fn srs_scene_passes_what_ffmpeg_publishes() {
    let Some(binary) = binary("FFmpeg through SRS") else { return };
    let dir = Workdir::new("srs-scene");
    let clip = Clip::of(20).await;
    let mut srs = Srs::start(&binary, &dir).await;
    let mut viewers = Viewers::waiting(&srs, "scene", &dir).await;
    let mut publisher = Command::new("ffmpeg");
    publisher.args(["-hide_banner", "-nostdin", "-v", "warning", "-re", "-i"]).arg(&clip.file);
    publisher.args(["-c", "copy", "-f", "flv", &srs.rtmp_url("scene")]);
    let mut publisher = Running::start("ffmpeg", &mut publisher, dir.join("publisher.log"));
    viewers.join(&srs, "scene", &dir, Duration::from_secs(20)).await;
    let status = publisher.wait(Duration::from_secs(60)).await;
    assert!(status.success(), "{}", publisher.tail());
    viewers.assert_clean(&mut srs, "FFmpeg through SRS", &clip).await;
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
