//! Segment bytes to samples on exact time.

mod grid;
mod periods;
mod piece;

pub use grid::{Grid, GridStats, StampedFrame};
pub use periods::{Periods, StampedPicture};
pub use piece::{Origin, Piece};
