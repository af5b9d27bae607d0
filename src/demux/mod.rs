//! Segment bytes to samples on exact time.

mod grid;

pub use grid::{Grid, GridStats, StampedFrame};
