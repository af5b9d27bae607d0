//! `overdub serve` as its users start it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// From start to "overdub on"; a debug build on a busy machine takes seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running service; killed when dropped.
pub(crate) struct Service {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
}

impl Service {
    /// On a free port, with its files in `folder` and these settings from the environment.
    pub(crate) async fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overdub"));
        command.args(["serve", "--port", "0", "--storage"]).arg(folder.join("storage")).env_clear();
        command.envs(environment.iter().copied());
        let log = std::fs::File::create(folder.join("serve.log")).expect("a log file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().expect("the service starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let first = timeout(START_TIMEOUT, lines.next_line()).await.expect("in time").expect("a line");
        let url = first.as_deref().and_then(|line| line.strip_prefix("overdub on ")).map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("the service said {first:?}"));
        Self { child, url }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }
}
