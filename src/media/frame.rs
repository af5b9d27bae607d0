//! Samples and the tracks that they form.

use std::sync::Arc;

use bytes::Bytes;

use super::{AudioParams, Flicks, VideoParams};

/// One access unit, length-prefixed (4 bytes), without access unit delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSample {
    /// Decoding time on the period's source axis.
    pub dts: Flicks,
    /// Presentation time on the same axis.
    pub pts: Flicks,
    /// Distance to the next sample's DTS.
    pub duration: Flicks,
    /// Decoding can begin here: an IDR picture, or what the codec allows instead.
    pub random_access: bool,
    pub data: Bytes,
}

/// A run of access units of one configuration, in decoding order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTrack {
    pub params: Arc<VideoParams>,
    pub samples: Vec<VideoSample>,
}

/// A run of audio frames of one configuration on the frame grid: frame `k` stands at
/// `start + k * frame length`, exactly. There are no holes: what was missing is a silent frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTrack {
    pub params: Arc<AudioParams>,
    /// Presentation time of the first frame.
    pub start: Flicks,
    /// The frames, raw (AAC without ADTS header).
    pub frames: Vec<Bytes>,
}

impl AudioTrack {
    /// When frame `k` is presented.
    pub fn pts(&self, k: usize) -> Flicks {
        let samples = k as i64 * i64::from(self.params.frame_len);
        self.start + Flicks::from_samples(samples, self.params.sample_rate)
    }

    /// How long the whole run lasts.
    pub fn duration(&self) -> Flicks {
        self.pts(self.frames.len()) - self.start
    }

    /// Where the run ends.
    pub fn end(&self) -> Flicks {
        self.pts(self.frames.len())
    }
}

impl VideoTrack {
    /// DTS of the first sample.
    pub fn start(&self) -> Option<Flicks> {
        self.samples.first().map(|sample| sample.dts)
    }

    /// DTS of the last sample plus its duration.
    pub fn end(&self) -> Option<Flicks> {
        self.samples.last().map(|sample| sample.dts + sample.duration)
    }
}
