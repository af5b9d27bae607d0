//! Audio processors as child processes: Node's socket.io, python-socketio, and our own echo (socketioxide).
//!
//! What they need is installed on first use, pinned by their lock files: `npm ci` beside the script, and a
//! virtual environment under `target/tmp`. A missing tool is a failure that says what to install.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::install;

/// From start to "listening"; a cold Python on a busy machine takes seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Which server the processor is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Node,
    Python,
    Overdub,
}

/// A running processor; killed when dropped.
#[derive(Debug)]
pub(crate) struct Processor {
    child: Child,
    pub(crate) port: u16,
}

impl Processor {
    /// Starts one on `port` of 127.0.0.1, 0 for a free one, that answers after `delay`, and waits until it
    /// listens.
    pub(crate) async fn start(kind: Kind, port: u16, delay: Duration) -> Self {
        Self::start_with(kind, port, delay, &[]).await
    }

    /// The same with more arguments.
    pub(crate) async fn start_with(kind: Kind, port: u16, delay: Duration, more: &[&str]) -> Self {
        let program = tokio::task::spawn_blocking(move || kind.install()).await.expect("installed");
        let mut command = tokio::process::Command::new(program);
        let (port, delay) = (port.to_string(), delay.as_millis().to_string());
        match kind.script() {
            Some(script) => command.arg(script).args([port, delay]),
            None => command.args(["echo", "--port", &port, "--delay", &format!("{delay}ms")]),
        };
        command.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{kind:?} processor: {error}"));
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let port = tokio::time::timeout(START_TIMEOUT, listening(&mut lines))
            .await
            .unwrap_or_else(|_| panic!("{kind:?} processor did not listen within {START_TIMEOUT:?}"))
            .unwrap_or_else(|| panic!("{kind:?} processor ended before it listened"));
        // Read on, so that the processor never waits for a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, port }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it without warning, as SIGKILL does, and waits until its port is free.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the processor was running");
    }
}

impl Kind {
    fn folder(self) -> PathBuf {
        let name = match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Overdub => "",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processors").join(name)
    }

    /// None: it is our own.
    pub(crate) fn script(self) -> Option<PathBuf> {
        Some(self.folder().join(match self {
            Self::Node => "processor.js",
            Self::Python => "processor.py",
            Self::Overdub => return None,
        }))
    }

    /// Installs what the script needs, once, and returns the interpreter to run it with.
    fn install(self) -> PathBuf {
        let folder = self.folder();
        match self {
            Self::Overdub => env!("CARGO_BIN_EXE_overdub").into(),
            Self::Node => {
                let environments = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node");
                fs::create_dir_all(&environments).expect("target/tmp can be written");
                let _lock = install::lock(&environments, "processor");
                install::once(
                    &folder.join("package-lock.json"),
                    &folder.join("node_modules/.installed"),
                    || {
                        let mut npm = Command::new("npm");
                        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
                        install::succeed(
                            &mut npm,
                            "install Node.js 18 or later with npm (Debian: apt-get install nodejs npm)",
                        );
                    },
                );
                "node".into()
            }
            Self::Python => install::python("processor", &folder.join("requirements.txt")).join("python"),
        }
    }
}

async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<u16> {
    while let Ok(Some(line)) = lines.next_line().await {
        let port = line
            .strip_prefix("listening ")
            .or_else(|| line.strip_prefix("echo processor on http://127.0.0.1:"));
        if let Some(port) = port {
            return port.trim().parse().ok();
        }
    }
    None
}
