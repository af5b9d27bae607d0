//! Panics as lines of the log. The standard hook writes what was panicked with as it is, over several lines, and it may
//! quote what a peer sent.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::{io, thread};

use crate::outside::Text;

/// From here on panics are logged. A backtrace, where `RUST_BACKTRACE` asks for one, goes to stderr as it is: it names
/// nothing but our own functions.
pub fn log_panics() {
    panic::set_hook(Box::new(log));
}

fn log(info: &PanicHookInfo<'_>) {
    let said = Text::new(info.payload_as_str().unwrap_or("something that is no text"));
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(thread, place, "panicked: {said}");
    } else {
        // Somebody who has gone away is no reason for another one.
        let _ = writeln!(io::stderr().lock(), "panicked: {said} thread={thread:?} place={place}");
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let _ = writeln!(io::stderr().lock(), "{backtrace}");
    }
}
