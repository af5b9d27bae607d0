//! Untouched video and processed audio onto one output timeline.

mod fit;
mod interleave;

pub use fit::{FitReport, Fitter, Processed};
pub use interleave::Interleaver;
