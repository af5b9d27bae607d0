//! Gathers pieces into batches.
//!
//! [`Batcher`] is pure: pieces and `now` go in, closed [`crate::media::Batch`]es come out.

mod batcher;
mod borders;
mod grid;
mod output_axis;
#[cfg(test)]
mod tests;

pub use batcher::{Batcher, Settings};
pub use grid::{Grid, GridStats};
pub use output_axis::Anchor;
