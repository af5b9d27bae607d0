//! Gathers pieces into batches.
//!
//! [`Batcher`] is pure: pieces and `now` go in, closed [`crate::media::Batch`]es come out. `grid` keeps the sound on
//! its frames, `output_axis` places periods on the output, `hole` says how far apart, and `late` when a source
//! that is late will stay so.

mod batcher;
mod borders;
mod grid;
mod hole;
mod late;
mod open;
mod output_axis;
#[cfg(test)]
mod tests;

pub use batcher::{Batcher, Holes, Settings};
pub use grid::{Grid, GridStats};
pub use output_axis::Anchor;
