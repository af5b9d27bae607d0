//! Into nginx with libnginx-mod-rtmp, read back by FFmpeg.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use overdub::publish::Settings;
use tempfile::TempDir;

use crate::clip;
use crate::run::{ALONE, Publishing};
use crate::tools::{run, tool};

/// Where Debian's libnginx-mod-rtmp puts its module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// An nginx in the foreground, in a folder of its own.
pub(crate) struct Nginx {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl Nginx {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        assert!(Path::new(MODULE).exists(), "{MODULE} is missing: apt-get install libnginx-mod-rtmp");
        let config = format!(
            "load_module {MODULE};\ndaemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log info;\n\
             events {{}}\nrtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; \
             drop_idle_publisher 5s; record all; record_path {path}; }} }} }}\n",
            path = folder.path().display(),
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let process = Self::spawn(folder.path());
        Self { folder, port, process }
    }

    fn spawn(folder: &Path) -> Child {
        let mut nginx = tool("nginx");
        nginx.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "error.log"]);
        nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub(crate) fn start_again(&mut self) {
        self.process = Self::spawn(self.folder.path());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/key", self.port)
    }

    /// What the server recorded.
    fn recording(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("key.flv")).expect("nginx recorded the stream")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// FFmpeg's hash over all packets of one track (`v` or `a`) of a file.
fn hash(file: &[u8], track: &str, folder: &Path) -> String {
    let path = folder.join("hashed.flv");
    std::fs::write(&path, file).unwrap();
    let mut ffmpeg = tool("ffmpeg");
    ffmpeg.args(["-v", "error", "-i"]).arg(path).args(["-map", &format!("0:{track}"), "-c", "copy"]);
    String::from_utf8(run(ffmpeg.args(["-f", "hash", "-"])).stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_records_and_relays_every_packet_unchanged() {
    let _alone = ALONE.lock().await;
    let nginx = Nginx::start();
    let file = clip::flv(8);
    let mut publishing = Publishing::start(Settings::new(nginx.url()), clip::packets(&file));
    publishing.play().await;

    // A viewer comes a second later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let url = nginx.url();
    let viewer = tokio::task::spawn_blocking(move || probe(&url));
    let streams = viewer.await.unwrap();
    assert_eq!(streams, ["aac,48000", "h264,320,180"]);

    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!((status.packets_dropped, status.reconnects, status.last_error), (0, 0, None));
    assert_eq!(status.packets_sent, clip::packets(&file).len() as u64);
    assert!(status.lateness.p99 < Duration::from_millis(500), "{:?}", status.lateness);

    tokio::time::sleep(Duration::from_millis(300)).await;
    let folder = nginx.folder.path();
    for track in ["v", "a"] {
        assert_eq!(hash(&nginx.recording(), track, folder), hash(&file, track, folder), "{track}");
    }
    let times = |file: &[u8]| {
        let media = clip::packets(file).into_iter();
        let mut times: Vec<_> = media.map(|packet| (packet.is_video(), packet.dts, packet.pts)).collect();
        times.sort();
        times
    };
    assert!(times(&nginx.recording()) == times(&file), "every time is the same millisecond");
}

/// What a viewer sees: codec and size or rate of each stream.
fn probe(url: &str) -> Vec<String> {
    let mut ffprobe: Command = tool("ffprobe");
    ffprobe.args(["-v", "error", "-rw_timeout", "5000000", "-analyzeduration", "3000000"]);
    ffprobe.args(["-show_entries", "stream=codec_name,width,height,sample_rate", "-of", "csv=p=0", url]);
    let text = String::from_utf8(run(&mut ffprobe).stdout).unwrap();
    let mut streams: Vec<String> = text.lines().map(str::to_owned).collect();
    streams.sort();
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_gets_the_stream_from_a_keyframe() {
    let _alone = ALONE.lock().await;
    let mut nginx = Nginx::start();
    let file = clip::flv(12);
    let mut publishing = Publishing::start(Settings::new(nginx.url()), clip::packets(&file));
    publishing.play().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    nginx.kill();
    let mut status = publishing.status.clone();
    let lost = status.wait_for(|status| !status.is_connected());
    tokio::time::timeout(Duration::from_secs(5), lost).await.expect("the loss is noticed").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::remove_file(nginx.folder.path().join("key.flv")).unwrap();
    nginx.start_again();
    let back = status.wait_for(overdub::publish::Status::is_connected);
    tokio::time::timeout(Duration::from_secs(6), back).await.expect("it is back within seconds").unwrap();

    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!(status.reconnects, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let got = clip::packets(&nginx.recording());
    let sent = clip::packets(&file);
    let first = got.iter().find(|packet| packet.is_video()).expect("video came again");
    assert!(first.is_random_access());
    // From there on nothing is missing.
    let tail: Vec<_> = sent.iter().filter(|p| p.is_video()).map(|p| &p.data).collect();
    let got: Vec<_> = got.iter().filter(|p| p.is_video()).map(|p| &p.data).collect();
    assert!(got.len() > 100, "{} of {} pictures after the restart", got.len(), tail.len());
    assert!(tail.ends_with(&got));
}
