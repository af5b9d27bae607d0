//! Lines on a terminal or in a pipe. A reader who has gone away is no reason to panic.

use std::io::{self, Write};

use serde::Serialize;

pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

pub(super) fn error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `value` as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?);
    Ok(())
}
