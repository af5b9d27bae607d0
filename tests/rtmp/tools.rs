//! Others' programs.

use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The time outside: what is judged here runs on the real clock.
#[expect(clippy::disallowed_methods, reason = "the tests look at the product from the outside")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Debian packages that bring the tools.
const INSTALL: &str = "apt-get install ffmpeg nginx libnginx-mod-rtmp";

/// A command that is known to exist.
pub(crate) fn tool(name: &str) -> Command {
    let found = Command::new(name).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    // nginx knows no -version and says so; what counts is that it could be started.
    assert!(found.is_ok(), "{name} is missing: {INSTALL}");
    Command::new(name)
}

/// Runs a command and returns what it wrote, which is shown when it fails.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the tool starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    output
}
