//! The unit that goes to the processor.

use std::ops::Range;

use super::{AudioContext, AudioTrack, Flicks, Moment, VideoTrack};

/// A run of segments of one period (DESIGN section 3): what is demuxed, processed and published together.
///
/// Sample times are on the period's source axis; `shift` carries them onto the output axis, on which the
/// first sample ever published stands at zero and which goes on across periods.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Overdub's own number, never used twice for a stream.
    pub number: u64,
    /// Which period of the run this belongs to, from 0.
    pub period: u64,
    /// Overdub's own numbers of the segments inside.
    pub segments: Range<u64>,
    /// When the last of them had arrived.
    pub captured_at: Moment,
    /// Output time of a sample = its source time + `shift`.
    pub shift: Flicks,
    /// Output time of the earliest sample (by DTS).
    pub start: Flicks,
    /// How long the batch plays.
    pub duration: Flicks,
    /// EXT-X-PROGRAM-DATE-TIME of its first segment, as the playlist said it.
    pub program_date_time: Option<String>,
    pub video: Option<VideoTrack>,
    pub audio: Option<AudioTrack>,
    /// What `audio` is sent to the processor with.
    pub context: AudioContext,
    /// No random-access picture came in time: the batch begins in mid-GOP.
    pub mid_gop: bool,
}

impl Batch {
    /// Pictures and audio frames in it.
    pub fn samples(&self) -> usize {
        let video = self.video.as_ref().map_or(0, |track| track.samples.len());
        video + self.audio.as_ref().map_or(0, |track| track.frames.len())
    }
}
