//! What stands around the service under load: a live source and an RTMP server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use overdub::clock::wall_clock;
use overdub::media::Moment;
use tokio::process::Command;

use super::media;
use super::process::Process;
use super::receiver::Received;
use super::viewers::Viewers;

/// Source, RTMP server and their ports.
pub struct Around {
    pub source: Process,
    pub server: Process,
    pub source_port: u16,
    pub server_port: u16,
    reports_port: u16,
    /// Publications of servers that were killed.
    publications: usize,
    newest: usize,
    pub viewers: Viewers,
    pub media: PathBuf,
}

impl Around {
    pub async fn start(seconds: u64) -> Self {
        let media = media::segments(seconds);
        let [source_port, server_port, reports_port] = [(); 3].map(|()| free_port());
        let began = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let role = move |role: &str, args: Vec<String>| {
            let mut command = Command::new(this_binary());
            command.arg(role).args(args);
            command
        };
        let folder = media.display().to_string();
        let args = ["--port".to_owned(), source_port.to_string(), "--media".to_owned(), folder];
        let args = [&args[..], &["--began".to_owned(), began.to_string()]].concat();
        let source = Process::start("source", move || role("source", args.clone()));
        let args =
            ["--port", &server_port.to_string(), "--reports", &reports_port.to_string()].map(str::to_owned);
        let server = Process::start("server", move || role("sink", args.to_vec()));
        answers(&format!("http://127.0.0.1:{source_port}/any/live.m3u8")).await;
        answers(&format!("http://127.0.0.1:{reports_port}/")).await;
        Self {
            source,
            server,
            source_port,
            server_port,
            reports_port,
            publications: 0,
            newest: 0,
            viewers: Viewers::default(),
            media,
        }
    }

    /// Looks at what viewers see; a server that hangs or is gone shows nothing.
    pub async fn look(&mut self, now: Moment) {
        let Some(text) = get(&format!("http://127.0.0.1:{}/", self.reports_port)).await else { return };
        let Ok(all) = serde_json::from_str::<Vec<Received>>(&text) else { return };
        self.newest = all.len();
        self.viewers.see(now, self.publications, &all);
    }

    pub async fn kill_server(&mut self) {
        self.server.kill().await;
        self.publications += self.newest.max(1);
        self.newest = 0;
    }
}

pub fn this_binary() -> PathBuf {
    std::env::current_exe().expect("this binary")
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

pub async fn get(url: &str) -> Option<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().ok()?;
    client.get(url).send().await.ok()?.text().await.ok()
}

pub async fn answers(url: &str) {
    for _ in 0..150 {
        if get(url).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}
