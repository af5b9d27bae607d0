//! What tests need of npm and PyPI, installed on first use and pinned by files in the repository. A missing tool is a
//! failure that says what to install.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python environment below `target/tmp` with what `requirements` pins; its `bin` folder.
pub(crate) fn python(name: &str, requirements: &Path) -> PathBuf {
    let environments = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    fs::create_dir_all(&environments).expect("target/tmp can be written");
    let _lock = lock(&environments, name);
    let environment = environments.join(name);
    once(requirements, &environment.join(".installed"), || {
        let hint = "install Python 3.10 or later with venv (Debian: apt-get install python3-venv)";
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&environment), hint);
        let mut pip = Command::new(environment.join("bin/pip"));
        succeed(pip.args(["install", "--quiet", "--requirement"]).arg(requirements), hint);
    });
    environment.join("bin")
}

/// Test binaries run side by side; one of them installs while it holds this.
pub(crate) fn lock(folder: &Path, name: &str) -> File {
    let lock = File::create(folder.join(format!("{name}.lock"))).expect("lock file");
    lock.lock().expect("lock");
    lock
}

/// Runs `install` unless `stamp` says that it was done for the present content of `pinned`.
pub(crate) fn once(pinned: &Path, stamp: &Path, install: impl FnOnce()) {
    let wanted = fs::read(pinned).unwrap_or_else(|error| panic!("{}: {error}", pinned.display()));
    if fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return;
    }
    install();
    fs::write(stamp, wanted).unwrap_or_else(|error| panic!("{}: {error}", stamp.display()));
}

pub(crate) fn succeed(command: &mut Command, hint: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {hint}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}; {hint}\n{stderr}", output.status);
}
