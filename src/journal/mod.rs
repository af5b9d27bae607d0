//! What a stream needs to go on after its process is gone: one file per stream, `state/{streamId}.journal`.
//!
//! - `record`: what is kept. Pure.
//! - `codec`: its text, versioned and checksummed. Pure.
//! - `store`: the files, written by a thread of their own, whole or not at all.
//!
//! A journal holds the stream's settings as they were given, secrets included: files are made with mode 0600.

mod codec;
mod record;
mod store;

pub use codec::{DecodeError, MAX_BYTES, VERSION, decode, encode};
pub use record::{BatchMark, Place, Record, SegmentMark, Track, WallMillis};
pub use store::{Journals, Stats, Unreadable};
