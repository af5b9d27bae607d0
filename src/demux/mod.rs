//! Segment bytes to samples on exact time, cut where a period ends.
//!
//! Pure: [`Demuxer`] takes segments and yields pieces. What a segment is, its content says: MPEG-TS, fragmented
//! MP4 or packed audio (RFC 8216 section 3), each segment for itself. A separate audio rendition is a second
//! sequence of segments; its frames join the pictures by their times.

mod access;
mod allowance;
mod choice;
mod cmaf;
mod demuxer;
mod error;
mod join;
mod mpegts;
mod nal;
mod packed;
mod periods;
mod segment;
mod sniff;
mod splice;
mod stamps;
#[cfg(test)]
mod tests;
mod untimed;

pub use access::RandomAccess;
pub use choice::{AudioChoice, AudioStream, choose_audio};
pub use demuxer::Demuxer;
pub use error::{Damage, SegmentError};
pub use mpegts::{audio_params, video_params};
pub use periods::{Periods, StampedPicture};
pub use segment::Input;
pub use stamps::{CleanTimes, RawTimes, StampSource, Stamps};
