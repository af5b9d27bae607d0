//! The paced RTMP publisher: packets on the output axis in, one RTMP stream out (DESIGN section 4).
//!
//! - `pacer`: which packet leaves at which moment, and which never. Pure.
//! - `tags`: packets to RTMP tags; which headers a connection still needs. Pure.
//! - `status`: what the outside may know; lateness and bitrate. Pure.
//! - `liveness`: whether the server is still there. Pure.
//! - `bitrates`: how much data the tracks have, for onMetaData. Pure.
//! - `approach`: how the next connection is opened, after what the servers said to the ones before. Pure.
//! - `feed`: the packet channel read at the pacer's pace.
//! - `dial`: TCP and TLS.
//! - `connection`: the RTMP session around it.
//! - `publisher`: waits for media, connects, reconnects.
//! - `streaming`: media over an open connection.
//! - `handover`: the next connection, where a server asks for one.
//! - `report`: the counters behind the status.

mod approach;
mod bitrates;
mod connection;
mod dial;
mod error;
mod feed;
mod handover;
mod liveness;
pub(crate) mod pacer;
mod publisher;
mod report;
#[cfg(test)]
mod sixty_days;
mod status;
mod streaming;
pub(crate) mod tags;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use pacer::{LEAD, MAX_LATE};
pub use publisher::{Opening, Settings, greet, run};
pub use status::{Lateness, State, Status};
