//! Log lines: one event, one line, whatever is in it.
//!
//! Each place that shows lines (stderr or a file, the page) is a [`Sink`] behind a [`Layer`]. All that is done for a line
//! is done there once, for all places and formats: what the event and its spans hold is redacted, escaped and cut
//! ([`crate::outside`]), and what comes too often is counted instead of shown (`limit`). Strings are bounded where they
//! enter the program already; this is the second line of defence, for errors of libraries and for what was overlooked.
//!
//! Pure parts: `limit`, `format`, `record`. Shells: `layer` (from `tracing`), `panics`.

mod format;
mod layer;
mod limit;
mod panics;
mod record;

pub use format::{json, text};
pub use layer::{Layer, Sink, Tick};
pub use panics::log_panics;
pub use record::{Record, Span, Value};
