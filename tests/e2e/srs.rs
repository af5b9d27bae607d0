//! A real SRS (5 or later), named by the environment variable `SRS`.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use super::tools::{Running, Workdir, free_port, say, until};
use super::web;

pub struct Srs {
    process: Running,
    rtmp: u16,
    http: u16,
    api: u16,
}

/// The binary to test with; says how to name one when there is none.
pub fn binary(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("SRS").map(PathBuf::from);
    if named.is_none() {
        say(&format!("{test}: NOT RUN, it needs an SRS binary (make test-srs SRS=/path/to/srs)"));
    }
    named
}

impl Srs {
    pub async fn start(binary: &std::path::Path, dir: &Workdir) -> Self {
        let (rtmp, http, api) = (free_port(), free_port(), free_port());
        let root = dir.join("srs");
        std::fs::create_dir_all(root.join("html")).expect("a folder for SRS");
        // Relative paths only: SRS runs in its folder. With guess_has_av a viewer who comes before the audio
        // gets video alone for the whole session.
        let config = format!(
            "listen 127.0.0.1:{rtmp};
max_connections 100;
daemon off;
srs_log_tank console;
pid srs.pid;
http_api {{ enabled on; listen 127.0.0.1:{api}; }}
http_server {{ enabled on; listen 127.0.0.1:{http}; dir html; }}
vhost __defaultVhost__ {{
  http_remux {{ enabled on; mount [vhost]/[app]/[stream].flv; guess_has_av off; }}
  hls {{ enabled on; hls_path html; hls_fragment 2; hls_window 600; hls_dispose 0; hls_ctx off; hls_ts_ctx off; }}
}}
"
        );
        std::fs::write(root.join("srs.conf"), config).expect("a configuration for SRS");
        let mut command = Command::new(binary);
        command.args(["-c", "srs.conf"]).current_dir(&root);
        let mut process = Running::start("SRS", &mut command, dir.join("srs.log"));
        process.listens(rtmp).await;
        process.listens(http).await;
        Self { process, rtmp, http, api }
    }

    pub fn rtmp_url(&self, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{stream}", self.rtmp)
    }

    pub fn flv_url(&self, stream: &str) -> String {
        format!("http://127.0.0.1:{}/live/{stream}.flv", self.http)
    }

    pub fn hls_url(&self, stream: &str) -> String {
        format!("http://127.0.0.1:{}/live/{stream}.m3u8", self.http)
    }

    /// Waits until `stream` is published: an FLV viewer who comes earlier would rename it.
    pub async fn is_published(&self, stream: &str, limit: Duration) {
        until(limit, &format!("{stream} at SRS"), async || {
            let streams = web::get(self.api, "/api/v1/streams/").await?.json();
            let mut streams = streams["streams"].as_array()?.iter();
            streams.any(|s| s["name"] == stream && s["publish"]["active"] == true).then_some(())
        })
        .await;
    }

    /// Waits until HLS has `count` segments of `stream`.
    pub async fn has_segments(&self, stream: &str, count: usize, limit: Duration) {
        until(limit, &format!("HLS of {stream} at SRS"), async || {
            let playlist = web::get(self.http, &format!("/live/{stream}.m3u8")).await?;
            (playlist.status == 200 && playlist.body.matches("#EXTINF").count() >= count).then_some(())
        })
        .await;
    }

    pub async fn stop(&mut self) {
        assert!(self.process.is_running(), "SRS died\n{}", self.process.tail());
        self.process.terminate();
        self.process.wait(Duration::from_secs(30)).await;
    }

    /// How many connections have published so far.
    pub fn publishers(&self) -> usize {
        self.process.log().matches("client identified, type=fmle-publish").count()
    }

    pub fn tail(&self) -> String {
        self.process.tail()
    }
}
