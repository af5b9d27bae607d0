//! Untouched video and processed audio onto one output timeline.
//!
//! Pure: [`Fitter`] puts an answer into its slot, [`Sound`] says what plays where there is none,
//! [`Interleaver`] merges the tracks, [`Hold`] goes on where the source has nothing, and [`Release`] hands out by the
//! playout clock what comes of these.

mod fallback;
mod fit;
mod hold;
mod interleave;
mod release;

pub use fallback::{Sound, Used};
pub use fit::{FitReport, Fitter, Processed};
pub use hold::{Filler, Hold, HoldStatus, Slate, SlateError};
pub use interleave::Interleaver;
pub use release::{LEAD, Release};
