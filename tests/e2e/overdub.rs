//! The product, as its users start it.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Command;

use super::tools::{Finished, Running, Workdir, free_port, run, until};
use super::web;

/// The binary, with no setting from the outside.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overdub"));
    for name in
        ["PORT", "SOURCE_URL", "STREAM_ID", "AUDIO_PROCESSOR_URL", "SRS_RTMP_URL", "STORAGE_BASE_PATH"]
    {
        command.env_remove(name);
    }
    command
}

/// `overdub ARGS` to its end.
pub async fn finished<S: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = S>,
    limit: Duration,
) -> Finished {
    run(command().args(args), limit).await
}

/// `overdub run`, in the background.
pub struct Run {
    process: Running,
}

/// What `overdub run` is told.
pub struct RunSettings<'a> {
    pub source: &'a str,
    /// Where to publish: one address, or several with blanks between them.
    pub target: &'a str,
    pub processor: &'a str,
    pub stream_id: &'a str,
    pub batch_seconds: u32,
    pub budget_seconds: u32,
}

impl Run {
    pub fn start(dir: &Workdir, settings: &RunSettings<'_>) -> Self {
        let mut command = command();
        command.args(["run", settings.source]).args(settings.target.split(' '));
        command.args(["--processor", settings.processor]);
        command.args(["--stream-id", settings.stream_id]);
        command.args(["--buffer-duration", &settings.batch_seconds.to_string()]);
        command.args(["--processing-budget", &settings.budget_seconds.to_string()]);
        command.arg("--storage").arg(dir.join("storage"));
        let log = dir.join(format!("run-{}.log", settings.stream_id));
        Self { process: Running::start("overdub run", &mut command, log) }
    }

    /// Waits for its end, of its own accord.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit).await
    }

    /// The most memory it has held so far; `None` when it has ended.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// The memory that it holds; `None` when it has ended.
    pub fn memory_kib(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.process.interrupt();
    }

    pub fn tail(&self) -> String {
        self.process.tail()
    }
}

/// `overdub echo` on a free port.
pub struct Echo {
    _process: Running,
    pub url: String,
}

impl Echo {
    pub async fn start(dir: &Workdir) -> Self {
        let port = free_port();
        let mut command = command();
        command.args(["echo", "--port", &port.to_string()]);
        let mut process = Running::start("overdub echo", &mut command, dir.join("echo.log"));
        process.listens(port).await;
        Self { _process: process, url: format!("http://127.0.0.1:{port}") }
    }
}

/// `overdub serve` on a free port.
pub struct Service {
    pub process: Running,
    pub port: u16,
    /// Header lines that every request carries, each ending in CR LF.
    pub headers: String,
}

impl Service {
    pub async fn start(dir: &Workdir) -> Self {
        Self::start_as(dir, command()).await
    }

    /// The same by a command to which the arguments of `overdub` are added.
    pub async fn start_as(dir: &Workdir, mut command: Command) -> Self {
        let port = free_port();
        command.args(["serve", "--port", &port.to_string(), "--storage"]).arg(dir.join("storage"));
        let mut process = Running::start("overdub serve", &mut command, dir.join("serve.log"));
        process.listens(port).await;
        Self { process, port, headers: String::new() }
    }

    /// The answer to a request, which must come.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&serde_json::Value>) -> web::Answer {
        let answer = web::request_with(self.port, method, path, &self.headers, body).await;
        answer.unwrap_or_else(|| panic!("{method} {path}: no answer\n{}", self.process.tail()))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Starts a stream; `settings` is the body of POST /api/pipeline/start.
    pub async fn start_stream(&self, settings: serde_json::Value) -> web::Answer {
        self.ask("POST", "/api/pipeline/start", Some(&settings)).await
    }

    pub async fn status(&self, stream_id: &str) -> serde_json::Value {
        let path = format!("/api/pipeline/status?streamId={stream_id}");
        self.ask("GET", &path, None).await.json()
    }

    pub async fn metrics(&self) -> String {
        self.ask("GET", "/metrics", None).await.body
    }

    /// Waits until the status of a stream is as `wanted` says, and gives it.
    pub async fn reaches(
        &self,
        stream_id: &str,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        until(limit, &format!("{stream_id}: {what}"), async || {
            Some(self.status(stream_id).await).filter(&wanted)
        })
        .await
    }

    /// The service goes on: it is there and says so.
    pub async fn assert_healthy(&mut self) {
        assert!(self.process.is_running(), "the service ended\n{}", self.process.tail());
        let health = self.ask("GET", "/api/health", None).await;
        assert_eq!(health.status, 200, "health: {}", health.body);
    }

    pub async fn stop_stream(&self, stream_id: &str) -> web::Answer {
        self.ask("POST", "/api/pipeline/stop", Some(&serde_json::json!({"streamId": stream_id}))).await
    }

    /// The HTTP status of the stream's status.
    pub async fn status_code(&self, stream_id: &str) -> u16 {
        let path = format!("/api/pipelines/{stream_id}");
        self.ask("GET", &path, None).await.status
    }

    /// SIGTERM; its end is awaited by [`Service::ends`].
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Its exit code, within `limit`.
    pub async fn ends(&mut self, limit: Duration) -> Option<i32> {
        self.process.wait(limit).await.code()
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.process.kill().await;
    }

    /// Ctrl-C, and a clean end.
    pub async fn stop(mut self) {
        self.process.interrupt();
        let status = self.process.wait(Duration::from_secs(30)).await;
        assert!(status.success(), "serve ended with {status}\n{}", self.process.tail());
    }
}
