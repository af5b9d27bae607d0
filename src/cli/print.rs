//! Lines on a terminal or in a pipe. A reader who has gone away is no reason to panic.
//!
//! These lines quote names from files and servers: nothing in them reaches a terminal as a command.

use std::io::{self, Write};

use serde::Serialize;

use crate::outside;

pub(super) fn line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", outside::printable(text));
}

/// One line, without secrets.
pub(super) fn error_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", outside::shown(text, outside::MAX_ADDRESS));
}

/// `value` as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?);
    Ok(())
}
