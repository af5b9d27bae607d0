//! Gathers pieces into batches.
//!
//! [`Batcher`] is pure: pieces and `now` go in, closed [`Batch`]es come out.

mod batcher;
mod output_axis;
#[cfg(test)]
mod tests;

pub use batcher::{Batcher, Settings};
