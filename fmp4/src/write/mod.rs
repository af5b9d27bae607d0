//! Writing: one init segment, then fragments.

mod chunks;
mod error;
mod fragment;
mod fragmenter;
mod init;
#[cfg(test)]
mod tests;

pub use chunks::Chunks;
pub use error::WriteError;
pub use fragment::{Fragment, ProducerTime, Sample, SegmentBoxes, TrackRun};
pub use fragmenter::{CutRule, Fragmenter};
pub use init::{Edit, TrackConfig, init_segment};
