//! Chromium, without a window, on a page of the test's own server.

use std::process::{Child, Command, Stdio};

/// A running browser; ends with the value.
pub(crate) struct Browser {
    child: Child,
    /// Everything that it writes; gone with it.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens `url`.
    pub(crate) fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let child = Command::new("chromium")
            // Not the sandbox: it cannot start as root, as which CI runs. The page is our own.
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
            ])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio"])
            // Nobody looks at the page, and it is to play all the same.
            .args(["--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows"])
            .args(["--disable-renderer-backgrounding"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromium is needed ({error}): apt-get install chromium"));
        Self { child, _profile: profile }
    }

    /// Why there will be no report, if the browser has ended.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().expect("a child").map(|status| format!("chromium ended: {status}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
