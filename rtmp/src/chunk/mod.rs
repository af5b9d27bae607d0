//! The chunk layer (Adobe RTMP 1.0, section 5.3): messages cut into chunks, of several streams interleaved.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::Timestamp;

pub use decode::Decoder;
pub use encode::{Encoder, Header, Output};

/// Payload bytes per chunk until Set Chunk Size says otherwise (5.4.1).
pub const DEFAULT_SIZE: usize = 128;

/// Chunk streams that a peer may use at once. Real ones use five or six; each costs about 100 bytes here.
pub const MAX_STREAMS: usize = 64;

/// Timestamps from here on stand in a field of their own (5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;

/// A whole message, before its type is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Chunk stream id, 2 to 65599; says nothing about the content.
    pub chunk_stream: u32,
    pub timestamp: Timestamp,
    /// Message type id (section 6.1.1).
    pub kind: u8,
    /// Message stream id: 0 for the connection itself, else what createStream returned.
    pub stream: u32,
    pub payload: Bytes,
}
