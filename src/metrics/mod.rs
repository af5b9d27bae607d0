//! What monitoring reads: snapshots as Prometheus text.
//!
//! Nothing is kept here: each scrape is made from the statuses of the streams that run, so labels are bounded by
//! them and a stream that is forgotten leaves nothing behind. Units are seconds and bytes, names end with them;
//! totals end with `_total`.

mod families;
mod process;
mod streams;

pub use families::{Families, Labels};
pub use process::Process;
pub use streams::{Connections, Service, StreamView, text};
