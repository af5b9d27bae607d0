//! Everything that a bare machine needs to see it work.

pub mod clip;
pub mod source;
