//! Segment bytes to samples on exact time, cut where a period ends.
//!
//! Pure: [`SegmentDemuxer`] takes segments and yields pieces.

mod mpegts;
mod periods;

pub use mpegts::{Damage, SegmentDemuxer, audio_params, video_params};
pub use periods::{Periods, StampedPicture};
