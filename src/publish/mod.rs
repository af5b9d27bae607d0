//! The paced RTMP publisher: packets on the output axis in, one RTMP stream out (DESIGN section 4).
//!
//! - `pacer`: which packet leaves at which moment, and which never. Pure.
//! - `tags`: packets to RTMP tags; which headers a connection still needs. Pure.
//! - `status`: what the outside may know; lateness and bitrate. Pure.
//! - `liveness`: whether the server is still there. Pure.
//! - `feed`: the packet channel read at the pacer's pace.
//! - `connection`: TCP or TLS around the RTMP session.
//! - `publisher`: connects, streams, reconnects.

mod connection;
mod error;
mod feed;
mod liveness;
pub(crate) mod pacer;
mod publisher;
#[cfg(test)]
mod sixty_days;
mod status;
pub(crate) mod tags;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use pacer::{LEAD, MAX_LATE};
pub use publisher::{Settings, greet, run};
pub use status::{Lateness, State, Status};
