//! Soft borders: what goes to the processor around a batch.

use bytes::Bytes;

use super::AudioTrack;

/// Frames of the neighbours of a batch, on its own frame grid. They are sent with it and cut off its answer, so
/// that what an encoder does at the beginning and at the end of a file lies outside of the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioContext {
    /// The last frames before the batch: they have been published with another one.
    pub before: Vec<Bytes>,
    /// The first frames behind it: they will be published with another one.
    pub after: Vec<Bytes>,
}

impl AudioContext {
    /// `slot` with what is before and behind it.
    pub fn around(&self, slot: &AudioTrack) -> AudioTrack {
        if self.before.is_empty() && self.after.is_empty() {
            return slot.clone();
        }
        let frames = self.before.iter().chain(&slot.frames).chain(&self.after).cloned().collect();
        let mut track = AudioTrack { params: slot.params.clone(), start: slot.start, frames };
        track.start -= track.pts(self.before.len()) - track.start;
        track
    }
}
