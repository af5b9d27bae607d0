//! An RTMP server that checks what it is sent, for the demo and the tests: it plays nothing, and it says what
//! real servers let pass (none of those measured rejects bad timestamps).
//!
//! - `check`: one publication against the rules. Pure.
//! - `pace`: how far media comes before or after its time. Pure.
//! - `units`: decoder configurations and NAL units inside tags. Pure.
//! - `report`: what was seen, and what was wrong with it.
//! - `server`: accepts publishers and keeps their reports.

mod check;
mod pace;
mod report;
mod server;
#[cfg(test)]
mod tests;
mod units;

pub use check::Limits;
pub use report::{MAX_VIOLATIONS, Report, Track, TrackKind, Violation};
pub use server::{Behaviour, Reports, Server, Settings};
