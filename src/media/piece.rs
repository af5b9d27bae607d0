//! What a segment becomes: pieces, each within one period.

use std::sync::Arc;

use bytes::Bytes;

use super::{AudioParams, Flicks, Moment, VideoParams, VideoSample};

/// Where a piece came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Overdub's own number of the segment.
    pub segment: u64,
    /// When the segment had arrived.
    pub captured_at: Moment,
    /// EXT-X-PROGRAM-DATE-TIME of the segment, as the playlist said it.
    pub program_date_time: Option<String>,
}

/// An audio frame with the stamp that it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedFrame {
    pub pts: Flicks,
    pub data: Bytes,
}

/// The samples of one segment that lie in one period. A segment with a boundary inside it becomes several.
#[derive(Clone, Debug)]
pub struct Piece {
    pub origin: Origin,
    /// Which period of the run, from 0.
    pub period: u64,
    /// Its first picture began in the segment before, which ended within it, or seemed to.
    pub continues: bool,
    /// Absent when the piece has no video; never with an empty list of samples.
    pub video: Option<(Arc<VideoParams>, Vec<VideoSample>)>,
    /// The same for audio.
    pub audio: Option<(Arc<AudioParams>, Vec<StampedFrame>)>,
}

impl Piece {
    /// Where it begins and ends on the source axis, by its pictures (DTS) where it has any.
    pub fn span(&self) -> Option<(Flicks, Flicks)> {
        let video = self.video.as_ref().and_then(|(_, samples)| {
            let last = samples.last()?;
            Some((samples.first()?.dts, last.dts + last.duration))
        });
        video.or_else(|| {
            let (params, frames) = self.audio.as_ref()?;
            Some((frames.first()?.pts, frames.last()?.pts + params.frame_duration()))
        })
    }

    /// Pictures and audio frames in it.
    pub fn samples(&self) -> usize {
        let video = self.video.as_ref().map_or(0, |(_, samples)| samples.len());
        video + self.audio.as_ref().map_or(0, |(_, frames)| frames.len())
    }

    /// How long it plays; zero without a sample.
    pub fn duration(&self) -> Flicks {
        self.span().map(|(start, end)| end - start).unwrap_or_default()
    }
}
