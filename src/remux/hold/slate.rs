//! A clip that plays in holes. Pure.

use std::sync::Arc;

use super::still;
use crate::media::{AudioCodec, AudioParams, AudioTrack, Batch, Flicks, VideoCodec, VideoTrack};

/// Why a clip cannot play in a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlateError {
    #[error("has no picture")]
    NoPicture,
    #[error("does not begin with a picture that decodes on its own")]
    NoBeginning,
}

/// A clip from its first random-access picture on, to be looped.
#[derive(Clone, Debug)]
pub struct Slate {
    video: VideoTrack,
    audio: Option<AudioTrack>,
    /// On the clip's own axis.
    start: Flicks,
    length: Flicks,
}

impl Slate {
    /// The clip in `batch`, which was read from a file.
    ///
    /// # Errors
    ///
    /// Where it cannot be looped.
    pub fn new(batch: Batch) -> Result<Self, SlateError> {
        let mut video = batch.video.ok_or(SlateError::NoPicture)?;
        let codec = video.params.codec;
        let first = video
            .samples
            .iter()
            .position(|sample| sample.random_access && still::still(codec, &sample.data).is_some())
            .ok_or(SlateError::NoBeginning)?;
        video.samples.drain(..first);
        // What is shown before the first picture refers to others.
        let begins = video.samples.first().map(|sample| sample.pts).unwrap_or_default();
        video.samples.retain(|sample| sample.pts >= begins);
        let (start, end) = video.start().zip(video.end()).ok_or(SlateError::NoPicture)?;
        if let Some(sample) = video.samples.first_mut() {
            sample.data = still::resumed(codec, &sample.data);
        }
        let audio = batch.audio.filter(|audio| !audio.frames.is_empty());
        // Never zero: a clip of one picture lasts as long as it.
        let length = (end - start).max(Flicks::from_millis(1));
        Ok(Self { video, audio, start, length })
    }

    pub(super) fn codec(&self) -> VideoCodec {
        self.video.params.codec
    }

    pub(super) fn audio_codec(&self) -> Option<AudioCodec> {
        self.audio.as_ref().map(|audio| audio.params.codec)
    }

    pub(super) fn video(&self) -> &VideoTrack {
        &self.video
    }

    /// When picture `k` of the loop is decoded, from the loop's beginning.
    pub(super) fn picture_at(&self, k: u64) -> Flicks {
        let count = self.video.samples.len() as u64;
        let sample = &self.video.samples[(k % count) as usize];
        Flicks::new(self.length.get().saturating_mul((k / count) as i64)) + sample.dts - self.start
    }

    /// The frame that sounds `since` after the loop's beginning, with its configuration.
    pub(super) fn frame_at(&self, since: Flicks) -> Option<(&Arc<AudioParams>, &bytes::Bytes)> {
        let audio = self.audio.as_ref()?;
        let into = Flicks::new(since.get().rem_euclid(self.length.get())) + self.start;
        let unit = audio.params.frame_duration().get().max(1);
        let index = ((into - audio.start).get() + unit / 2).div_euclid(unit);
        let last = audio.frames.len() - 1;
        let index = usize::try_from(index).unwrap_or(0).min(last);
        Some((&audio.params, &audio.frames[index]))
    }
}
