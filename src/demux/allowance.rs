//! How much one segment may hold. Pure.
//!
//! The transport stream demuxer keeps to the same limits itself, since it holds all samples of a segment at once.

use overdub_ts::{BYTES_PER_SAMPLE, FREE_SAMPLES, MAX_SEGMENT_MEDIA};

use crate::media::Flicks;

/// What is left of the allowance of a segment that is no transport stream.
#[derive(Debug)]
pub(super) struct Allowance {
    samples: u64,
    /// Of pictures and of audio.
    media: [Flicks; 2],
}

/// Which track a sample is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Video,
    Audio,
}

impl Allowance {
    /// That of a segment of so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            samples: FREE_SAMPLES + bytes / BYTES_PER_SAMPLE,
            media: [Flicks::from_ticks(MAX_SEGMENT_MEDIA.0); 2],
        }
    }

    /// Whether one more sample, which lasts so long, is within it.
    pub(super) fn takes(&mut self, kind: Kind, duration: Flicks) -> bool {
        let Some(media) = self.media.get_mut(kind as usize) else { return false };
        if self.samples == 0 || *media <= Flicks::ZERO {
            return false;
        }
        self.samples -= 1;
        *media -= duration.max(Flicks::ZERO);
        true
    }
}
