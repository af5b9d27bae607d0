//! Untouched video and processed audio onto one output timeline.
//!
//! Pure: [`Fitter`] puts an answer into its slot, [`Sound`] says what plays where there is none,
//! [`Interleaver`] merges the tracks.

mod fallback;
mod fit;
mod interleave;

pub use fallback::{Sound, Used};
pub use fit::{FitReport, Fitter, Processed};
pub use interleave::Interleaver;
