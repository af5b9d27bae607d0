//! Segment bytes to samples on exact time.

mod grid;
mod piece;

pub use grid::{Grid, GridStats, StampedFrame};
pub use piece::{Origin, Piece};
