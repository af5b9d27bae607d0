//! FFmpeg as a viewer: pulls a stream while it is published, keeps it, and notes when each tag came.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::flv;
use super::smooth::Arrival;
use super::tools::{now, within};

pub struct Recorder {
    child: Child,
    file: PathBuf,
    log: PathBuf,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    reading: tokio::task::JoinHandle<()>,
    /// How many tags had come when the stream was over. What FFmpeg still held then comes when it ends, and
    /// the time of that says nothing.
    settled_with: Option<usize>,
}

/// A finished recording.
pub struct Recording {
    pub file: PathBuf,
    pub arrivals: Vec<Arrival>,
}

impl Recorder {
    /// Begins to pull `url` into `file`, an FLV. The stream need not be there yet where the server lets
    /// viewers wait.
    pub async fn start(url: &str, file: &Path) -> Self {
        Self::start_with(&[], url, file).await
    }

    /// The same with options of FFmpeg's for this input.
    pub async fn start_with(input: &[&str], url: &str, file: &Path) -> Self {
        let log = file.with_extension("log");
        let mut child = Command::new("ffmpeg")
            .args(["-hide_banner", "-nostdin", "-v", "warning", "-copyts"])
            .args(input)
            .args(["-i", url])
            .args(["-map", "0", "-c", "copy", "-flush_packets", "1", "-flvflags", "no_duration_filesize"])
            .args(["-f", "flv", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("a log file"))
            .kill_on_drop(true)
            .spawn()
            .expect("ffmpeg runs (make setup installs it)");
        let mut pipe = child.stdout.take().expect("stdout is piped");
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrivals);
        let mut out = tokio::fs::File::create(file).await.expect("a file to record into");
        let started = now();
        let reading = tokio::spawn(async move {
            let mut tags = flv::Reader::default();
            let mut bytes = vec![0; 256 * 1024];
            while let Ok(n) = pipe.read(&mut bytes).await {
                if n == 0 {
                    break;
                }
                let at = started.elapsed();
                let new = tags.push(&bytes[..n]).into_iter().map(|tag| Arrival { at, tag });
                seen.lock().expect("no panic under the lock").extend(new);
                out.write_all(&bytes[..n]).await.expect("room for the recording");
            }
            out.flush().await.expect("room for the recording");
        });
        Self { child, file: file.to_owned(), log, arrivals, reading, settled_with: None }
    }

    /// How many tags came so far.
    pub fn received(&self) -> usize {
        self.arrivals.lock().expect("no panic under the lock").len()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until nothing has come for two seconds: a viewer is not told that the publisher has gone.
    pub async fn settled(&mut self) {
        self.quiet_for(Duration::from_secs(2)).await;
    }

    /// Waits until nothing has come for `quiet`.
    pub async fn quiet_for(&mut self, quiet: Duration) {
        let over = async {
            let mut before = usize::MAX;
            while before != self.received() {
                before = self.received();
                tokio::time::sleep(quiet).await;
            }
        };
        within(Duration::from_secs(60), "the end of what is pulled", over).await;
        self.settled_with = Some(self.received());
    }

    /// The recording, once the server has closed the connection. It is the server that must end first:
    /// FFmpeg, when interrupted, throws away the packets that it still holds.
    pub async fn finish(mut self) -> Recording {
        if tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await.is_err() {
            panic!("FFmpeg still pulls\n{}", self.log());
        }
        within(Duration::from_secs(10), "the rest of the recording", &mut self.reading)
            .await
            .expect("the recording was written");
        let log = self.log();
        // FFmpeg repairs what is out of order on its way; a recording that it had to repair proves nothing.
        assert!(!log.to_lowercase().contains("monoton"), "FFmpeg found the times out of order:\n{log}");
        let mut arrivals = self.arrivals.lock().expect("no panic under the lock").clone();
        arrivals.truncate(self.settled_with.unwrap_or(usize::MAX));
        Recording { file: self.file, arrivals }
    }
}
