//! Into a real SRS, 5 or later, read back by RTMP, HTTP-FLV and HLS. It runs only with `SRS=binary`, and says
//! so when it does not: there is no package of SRS that a test could ask for.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use overdub::media::Packet;
use overdub::publish::{Settings, Status};
use overdub_rtmp::flv::{AudioTag, VideoCodec, VideoKind, VideoTag};
use tempfile::TempDir;

use crate::clip;
use crate::run::{ALONE, Publishing};
use crate::tags::tags;
use crate::tools::{run, tool};

/// An SRS in the foreground, in a folder of its own.
pub(crate) struct Srs {
    folder: TempDir,
    binary: String,
    rtmp: u16,
    http: u16,
    process: Child,
}

impl Srs {
    /// Whether `SRS` names a binary; says so when it does not.
    pub(crate) fn is_there() -> bool {
        let there = std::env::var_os("SRS").is_some();
        if !there {
            // Past the test harness, which would swallow it.
            let _ = writeln!(std::io::stderr(), "not run: set SRS=/path/to/srs to test against a real SRS");
        }
        there
    }

    /// `None`, said aloud, when `SRS` names no binary.
    pub(crate) async fn start() -> Option<Self> {
        if !Self::is_there() {
            return None;
        }
        let binary = std::env::var("SRS").ok()?;
        let folder = tempfile::tempdir().unwrap();
        let [rtmp, http] = free_ports();
        let path = folder.path().display();
        let config = format!(
            "listen {rtmp};\ndaemon off;\nmax_connections 100;\npid {path}/srs.pid;\nsrs_log_tank file;\n\
             srs_log_file {path}/srs.log;\nhttp_server {{ enabled on; listen {http}; dir {path}; }}\n\
             vhost __defaultVhost__ {{ tcp_nodelay on; min_latency on;\n\
             play {{ gop_cache on; }}\n\
             publish {{ firstpkt_timeout 5000; normal_timeout 5000; }}\n\
             http_remux {{ enabled on; mount [vhost]/[app]/[stream].flv; guess_has_av off; }}\n\
             hls {{ enabled on; hls_path {path}; hls_fragment 2; hls_window 30; hls_cleanup off; \
             hls_dispose 0; }} }}\n"
        );
        std::fs::write(folder.path().join("srs.conf"), config).unwrap();
        let process = Self::spawn(&binary, &folder);
        let srs = Self { folder, binary, rtmp, http, process };
        srs.wait_until_it_listens().await;
        Some(srs)
    }

    fn spawn(binary: &str, folder: &TempDir) -> Child {
        let mut srs = Command::new(binary);
        srs.arg("-c").arg(folder.path().join("srs.conf")).current_dir(folder.path());
        srs.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("SRS names a program")
    }

    async fn wait_until_it_listens(&self) {
        for _ in 0..100 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.rtmp)).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("SRS does not listen: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("srs.log")).unwrap_or_default()
    }

    pub(crate) fn start_again(&mut self) {
        self.process = Self::spawn(&self.binary, &self.folder);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.rtmp).into()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn rtmp_url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/key", self.rtmp)
    }

    fn http_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/live/{path}", self.http)
    }
}

impl Drop for Srs {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Reads a URL for `seconds` and returns what FFmpeg found: streams, and packets per stream.
fn pull(url: &str, seconds: u32) -> Vec<String> {
    let mut ffprobe = tool("ffprobe");
    ffprobe.args(["-v", "error", "-read_intervals", &format!("%+{seconds}"), "-count_packets"]);
    ffprobe.args(["-show_entries", "stream=codec_name,nb_read_packets", "-of", "csv=p=0", url]);
    let text = String::from_utf8(run(&mut ffprobe).stdout).unwrap();
    let mut streams: Vec<String> = text.lines().map(str::to_owned).collect();
    streams.sort();
    streams
}

/// That the pull found both tracks, with at least so many packets of each.
#[track_caller]
fn assert_plays(what: &str, streams: &[String], video: &str, at_least: u32) {
    let count = |codec: &str| {
        let line = streams.iter().find_map(|line| line.strip_prefix(codec)?.strip_prefix(','));
        line.and_then(|count| count.parse().ok()).unwrap_or(0)
    };
    assert!(count(video) >= at_least && count("aac") >= at_least, "{what}: {streams:?}");
    println!("{what}: {streams:?}");
}

async fn pull_later(url: String, seconds: u32) -> Vec<String> {
    tokio::task::spawn_blocking(move || pull(&url, seconds)).await.unwrap()
}

/// What came of a file without end within `seconds`.
async fn curl(url: String, seconds: u32) -> Vec<u8> {
    let get = move || {
        let mut curl = Command::new("curl");
        let curl = curl.args(["--silent", "--max-time", &seconds.to_string(), &url]);
        curl.output().expect("curl is missing: apt-get install curl").stdout
    };
    tokio::task::spawn_blocking(get).await.unwrap()
}

fn packets(seconds: u32) -> Vec<Packet> {
    clip::packets(&clip::flv(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_plays_the_stream_by_rtmp_flv_and_hls() {
    let Some(srs) = Srs::start().await else { return };
    let _alone = ALONE.lock().await;
    let mut publishing = Publishing::start(Settings::new(srs.rtmp_url()), packets(20));
    publishing.play().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (rtmp, flv) = tokio::join!(pull_later(srs.rtmp_url(), 5), pull_later(srs.http_url("key.flv"), 5));
    assert_plays("rtmp", &rtmp, "h264", 100);
    assert_plays("http-flv", &flv, "h264", 100);
    let hls = pull_later(srs.http_url("key.m3u8"), 4).await;
    assert_plays("hls", &hls, "h264", 80);
    let (result, status) = publishing.end().await;
    result.unwrap();
    println!("{status:?}");
    assert_eq!((status.reconnects, status.packets_dropped, status.last_error), (0, 0, None));
    for word in ["StreamBusy", "drop", "timestamp jump"] {
        assert!(!srs.log().contains(word), "SRS's log speaks of {word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_hands_on_hevc_and_aac_that_came_by_enhanced_rtmp() {
    let Some(srs) = Srs::start().await else { return };
    let _alone = ALONE.lock().await;
    let mut publishing = Publishing::start(Settings::new(srs.rtmp_url()), clip::hevc_and_aac(14));
    publishing.play().await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    // FFmpeg before 6.1 reads HEVC from HLS only; the FLV is read by our own parser.
    let (hls, flv) = tokio::join!(pull_later(srs.http_url("key.m3u8"), 3), curl(srs.http_url("key.flv"), 3));
    assert_plays("hevc by hls", &hls, "hevc", 50);
    let (mut pictures, mut frames) = (0, 0);
    for (kind, _, body) in tags(&flv) {
        match kind {
            9 => {
                let tag = VideoTag::parse(&body).expect("a tag of Enhanced RTMP");
                assert_eq!(tag.codec, VideoCodec::Hevc);
                pictures += u32::from(matches!(tag.kind, VideoKind::Frame { .. }));
            }
            8 => frames += u32::from(matches!(AudioTag::parse(&body), Ok(AudioTag::AacFrame(_)))),
            _ => {}
        }
    }
    println!("hevc by http-flv: {pictures} pictures, {frames} frames of sound");
    assert!(pictures >= 50 && frames >= 100);
    let (result, status) = publishing.end().await;
    result.unwrap();
    println!("{status:?}");
    assert_eq!((status.reconnects, status.packets_dropped, status.last_error), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_keeps_an_idle_publisher_that_sends_keep_alives() {
    let Some(srs) = Srs::start().await else { return };
    let _alone = ALONE.lock().await;
    let mut publishing = Publishing::start(Settings::new(srs.rtmp_url()), packets(4));
    publishing.status.wait_for(Status::is_connected).await.unwrap();
    tokio::time::sleep(Duration::from_secs(32)).await;
    publishing.play_from(publishing.clock.now());
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!((status.reconnects, status.packets_dropped, status.last_error), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_killed_and_started_again_has_the_stream_within_seconds() {
    let Some(mut srs) = Srs::start().await else { return };
    let _alone = ALONE.lock().await;
    let mut publishing = Publishing::start(Settings::new(srs.rtmp_url()), packets(20));
    publishing.play().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    srs.kill();
    srs.start_again();
    let mut status = publishing.status.clone();
    status.wait_for(|status| !status.is_connected()).await.unwrap();
    let back = status.wait_for(Status::is_connected);
    tokio::time::timeout(Duration::from_secs(8), back).await.expect("it is back").unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_plays("after the restart", &pull_later(srs.rtmp_url(), 4).await, "h264", 80);
    let (result, status) = publishing.end().await;
    result.unwrap();
    println!("{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publisher_waits_until_srs_lets_go_of_the_first() {
    let Some(srs) = Srs::start().await else { return };
    let _alone = ALONE.lock().await;
    let mut first = Publishing::start(Settings::new(srs.rtmp_url()), packets(30));
    first.play().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = Publishing::start(Settings::new(srs.rtmp_url()), packets(30));
    second.play_from(second.clock.now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    println!("while busy: {:?}", second.status.borrow());
    assert!(second.status.borrow().last_error.is_some());
    first.stop.cancel();
    first.end().await.0.unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_plays("the second", &pull_later(srs.rtmp_url(), 3).await, "h264", 60);
    second.stop.cancel();
    let (result, status) = second.end().await;
    result.unwrap();
    println!("{status:?}");
}
