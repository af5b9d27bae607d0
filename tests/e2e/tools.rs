//! Processes that die with their value, limits on every wait, free ports, lines that are always seen.

use std::ffi::OsStr;
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

/// What a test compares arrivals with.
#[expect(clippy::disallowed_methods, reason = "these tests measure the product on the real clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// A line that libtest does not swallow when the test passes: what was measured, what was left out and why.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "e2e: {line}");
}

/// Whether the long forms were asked for; says how to ask when they were not.
pub fn long_form(test: &str) -> bool {
    let asked = std::env::var_os("OVERDUB_LONG").is_some_and(|v| v == "1");
    if !asked {
        say(&format!("{test}: NOT RUN, it takes minutes (make test-long, or OVERDUB_LONG=1)"));
    }
    asked
}

/// `future`, or a failure that says what was waited for.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Asks `question` ten times a second until it answers.
pub async fn until<T>(limit: Duration, what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    within(limit, what, async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// A folder that goes with its value; `OVERDUB_KEEP=1` keeps it and says where it is.
pub struct Workdir {
    dir: Option<tempfile::TempDir>,
    path: PathBuf,
}

impl Workdir {
    pub fn new(name: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder below target/tmp");
        let path = dir.path().to_owned();
        if std::env::var_os("OVERDUB_KEEP").is_some() {
            say(&format!("{name}: files stay in {}", dir.keep().display()));
            return Self { dir: None, path };
        }
        Self { dir: Some(dir), path }
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        debug_assert!(self.dir.as_ref().is_none_or(|dir| dir.path() == self.path));
        self.path.join(name)
    }
}

/// What a finished process left.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// This, or a failure with everything the process said.
    pub fn success(self, what: &str) -> Self {
        assert!(self.status.success(), "{what}: {}\n{}{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end within `limit`.
pub async fn run(command: &mut Command, limit: Duration) -> Finished {
    let shown = format!("{:?}", command.as_std());
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("{shown}: {e} (make setup installs what the tests need)"));
    let output = within(limit, &shown, child.wait_with_output()).await.expect("a process can be waited for");
    Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// FFmpeg or ffprobe, quiet and never asking. It yields to what must keep real time.
pub fn judge_tool(program: &str) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "10", program, "-hide_banner"]);
    if program == "ffmpeg" {
        command.args(["-nostdin", "-y"]);
    }
    command
}

/// A process of a scene: it writes into a log of its own and dies with this value.
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with both outputs in `log`.
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("a log file");
        let second = file.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(file).stderr(second).kill_on_drop(true);
        let shown = format!("{:?}", command.as_std());
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{shown}: {e} (make setup installs what the tests need)"));
        Self { name: name.to_owned(), child, log }
    }

    /// Everything it said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of it, for a failure message.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("--- end of the log of {}\n{}", self.name, lines[lines.len().saturating_sub(25)..].join("\n"))
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => status.expect("a process can be waited for"),
            Err(_) => panic!("{} still runs after {limit:?}\n{}", self.name, self.tail()),
        }
    }

    /// Waits until it listens on `port`.
    pub async fn listens(&mut self, port: u16) {
        let limit = Duration::from_secs(20);
        let started = now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(self.is_running(), "{} ended instead of listening\n{}", self.name, self.tail());
            assert!(started.elapsed() < limit, "{} does not listen on {port}\n{}", self.name, self.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        if let Some(id) = self.child.id() {
            signal("INT", id);
        }
    }

    /// SIGKILL, and its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a process can be killed");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        if let Some(id) = self.child.id() {
            signal("TERM", id);
        }
    }
}

/// Sends a signal to a process that we started.
fn signal(name: impl AsRef<OsStr>, id: u32) {
    let mut command = std::process::Command::new("kill");
    let _ = command.arg("-s").arg(name).arg(id.to_string()).stderr(Stdio::null()).status();
}
