//! `overdub run` on a live source, with each of three processors, into nginx-rtmp.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::nginx::Nginx;
use super::overdub::{Echo, Run, RunSettings};
use super::packets::Media;
use super::processors::{Kind, Processor};
use super::recorder::{Recorder, Recording};
use super::source::{Clip, LiveSource};
use super::tools::{Workdir, free_port, long_form, say, until};
use super::{flv, judge, smooth};

/// How long a scene plays and in what pieces.
#[derive(Clone, Copy)]
pub struct Form {
    /// Length of the clip; the stream is as long and ends with it.
    pub clip: u32,
    pub segment: u32,
    pub batch: u32,
    pub budget: u32,
}

/// Ten batches in less than a minute.
pub const SHORT: Form = Form { clip: 45, segment: 2, batch: 4, budget: 4 };
/// What the product is for: three minutes after the first batches, with the settings that it has by itself.
pub const LONG: Form = Form { clip: 216, segment: 6, batch: 30, budget: 12 };

impl Form {
    /// When everything must be over: the clip, what lies between source and output, and a margin for a
    /// machine with other work.
    pub fn limit(self) -> Duration {
        Duration::from_secs(u64::from(self.clip + 2 * (self.batch + self.segment) + self.budget + 45))
    }
}

/// Judges a finished recording against its clip and says what was measured.
pub async fn assert_clean(name: &str, clip: &Clip, recording: &Recording) -> judge::Verdict {
    let media = Media::read(&recording.file).await;
    let verdict = judge::judge(&clip.media, &media).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let uneven = smooth::judge(&recording.arrivals).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    say(&format!("{name}: {verdict}; off its pace by {uneven:.0} ms at most"));
    verdict
}

/// Nothing of the source's end is missing, and at its beginning no more than the live window passes over.
pub fn assert_whole(name: &str, verdict: &judge::Verdict, form: Form) {
    assert_eq!(verdict.missing_at_end, (0, 0), "{name}: the output ends with the source");
    // The stream is taken up three segments from the live edge, which stood at the third or fourth segment.
    let latest = 30 * 3 * form.segment as usize;
    assert!(verdict.first.0 <= latest, "{name}: begins only with picture {} of the source", verdict.first.0);
}

/// What nginx wrote itself: FFmpeg repairs times on its way, nginx does not.
pub fn assert_rising(name: &str, file: &std::path::Path) {
    for kind in [flv::Kind::Video, flv::Kind::Audio] {
        let tags = flv::read(file);
        let times: Vec<u32> = tags.iter().filter(|t| t.kind == kind && !t.header).map(|t| t.time).collect();
        assert!(!times.is_empty(), "{name}: nginx saw no {kind:?}");
        if let Some(bad) = times.windows(2).find(|w| w[1] <= w[0]) {
            panic!("{name}: {kind:?} goes from {} ms to {} ms", bad[0], bad[1]);
        }
    }
}

/// The end of a scene whose publisher has ended: what was recorded of it is the source.
pub async fn ending(name: &str, clip: &Clip, nginx: &mut Nginx, mut recorder: Recorder) -> judge::Verdict {
    recorder.settled().await;
    nginx.stop().await;
    assert_clean(name, clip, &recorder.finish().await).await
}

/// The end of a scene whose publisher has ended with its source.
pub async fn whole_ending(name: &str, clip: &Clip, form: Form, nginx: &mut Nginx, recorder: Recorder) {
    let verdict = ending(name, clip, nginx, recorder).await;
    assert_whole(name, &verdict, form);
    assert_rising(name, &nginx.recording(name));
}

/// Source, `run`, nginx, viewer; everything judged.
async fn live(name: &str, form: Form, dir: &Workdir, processor: &str) {
    live_beside(name, form, dir, processor, async |_| Vec::new()).await;
}

/// The same with other outputs, of which nothing is expected.
async fn live_beside(
    name: &str,
    form: Form,
    dir: &Workdir,
    processor: &str,
    others: impl AsyncFnOnce(&Nginx) -> Vec<String>,
) {
    let clip = Clip::of(form.clip).await;
    let mut nginx = Nginx::start(dir).await;
    let recorder = Recorder::start(&nginx.url(name), &dir.join("pulled.flv")).await;
    let source = LiveSource::start(dir, name, &clip, form.segment, 0).await;
    source.has_segments(3).await;
    let targets = [others(&nginx).await, vec![nginx.url(name)]].concat().join(" ");
    let settings = RunSettings {
        source: &source.url(),
        target: &targets,
        processor,
        stream_id: name,
        batch_seconds: form.batch,
        budget_seconds: form.budget,
    };
    let mut run = Run::start(dir, &settings);
    let status = run.wait(form.limit()).await;
    assert!(status.success(), "{name}: run ended with {status}\n{}\n{}", run.tail(), source.tail());
    whole_ending(name, &clip, form, &mut nginx, recorder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_comes_through_untouched_with_our_processor() {
    let dir = Workdir::new("live-echo");
    let echo = Echo::start(&dir).await;
    live("echo", SHORT, &dir, &echo.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_comes_through_untouched_with_nodes_socket_io() {
    let dir = Workdir::new("live-node");
    let node = Processor::start(Kind::Node, 0, Duration::from_millis(100)).await;
    live("node", SHORT, &dir, &node.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_comes_through_untouched_with_python_socketio() {
    let dir = Workdir::new("live-python");
    let python = Processor::start(Kind::Python, 0, Duration::from_millis(100)).await;
    live("python", SHORT, &dir, &python.url()).await;
}

/// Of the same stream: nobody listens, nobody answers, and a connection that falls silent in mid-stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_comes_through_untouched_beside_outputs_that_are_dead() {
    let dir = Workdir::new("live-beside");
    let echo = Echo::start(&dir).await;
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let failing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = |listener: &TcpListener| format!("rtmp://{}/live/other", listener.local_addr().unwrap());
    let addresses = vec![format!("rtmp://127.0.0.1:{}/live/other", free_port()), url(&mute), url(&failing)];
    live_beside("beside", SHORT, &dir, &echo.url, async |nginx| {
        let server = nginx.port();
        tokio::spawn(async move {
            let (mut client, _) = failing.accept().await.unwrap();
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await.unwrap();
            let relay = tokio::io::copy_bidirectional(&mut client, &mut server);
            // Ten seconds into the output; then both ends are held and nothing is passed on, for good.
            let _ = tokio::time::timeout(Duration::from_secs(30), relay).await;
            std::future::pending::<()>().await;
        });
        addresses
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_run_cleanly() {
    let (name, dir) = ("interrupted", Workdir::new("live-interrupted"));
    let clip = Clip::of(SHORT.clip).await;
    let echo = Echo::start(&dir).await;
    let mut nginx = Nginx::start(&dir).await;
    let recorder = Recorder::start(&nginx.url(name), &dir.join("pulled.flv")).await;
    let source = LiveSource::start(&dir, name, &clip, SHORT.segment, 0).await;
    source.has_segments(3).await;
    let settings = RunSettings {
        source: &source.url(),
        target: &nginx.url(name),
        processor: &echo.url,
        stream_id: name,
        batch_seconds: SHORT.batch,
        budget_seconds: SHORT.budget,
    };
    let mut run = Run::start(&dir, &settings);
    until(SHORT.limit(), "ten seconds of output", async || (recorder.received() > 800).then_some(())).await;
    run.interrupt();
    let status = run.wait(Duration::from_secs(30)).await;
    assert!(status.success(), "run ended with {status}\n{}", run.tail());
    ending(name, &clip, &mut nginx, recorder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_live_stream_of_three_minutes_comes_through_untouched() {
    if long_form("three minutes through nginx") {
        let dir = Workdir::new("live-long");
        let echo = Echo::start(&dir).await;
        live("long", LONG, &dir, &echo.url).await;
    }
}
