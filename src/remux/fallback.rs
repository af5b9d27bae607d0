//! What a batch sounds like where the processor's answer is missing (DESIGN section 4). Pure.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{ConfigurationChange, Fallback};
use crate::media::{AudioCodec, AudioParams, AudioTrack, silent_frame};

/// Chooses the sound of a batch and remembers the configuration that plays.
#[derive(Debug)]
pub struct Sound {
    fallback: Fallback,
    change: ConfigurationChange,
    current: Option<Arc<AudioParams>>,
    changes: u64,
}

impl Sound {
    pub fn new(fallback: Fallback, change: ConfigurationChange) -> Self {
        Self { fallback, change, current: None, changes: 0 }
    }

    /// How often the configuration changed in the output.
    pub fn configuration_changes(&self) -> u64 {
        self.changes
    }

    /// The processed audio, or where its configuration may not replace the current one, silence.
    pub fn processed(&mut self, track: AudioTrack) -> AudioTrack {
        self.admit(track)
    }

    /// The fallback for a batch whose own sound is `original`.
    pub fn fallback(&mut self, original: &AudioTrack) -> Option<AudioTrack> {
        match self.fallback {
            Fallback::Original if is_carried(original.params.codec) => Some(self.admit(original.clone())),
            Fallback::Original | Fallback::Silence => {
                let params = self.current.clone().unwrap_or_else(|| match silent_frame(&original.params) {
                    Some(_) => Arc::clone(&original.params),
                    None => Arc::new(plain_aac()),
                });
                let silence = silence(original, &params)?;
                Some(self.admit(silence))
            }
            Fallback::DropAudio => None,
        }
    }

    fn admit(&mut self, track: AudioTrack) -> AudioTrack {
        let changed = self.current.as_ref().is_some_and(|current| *current != track.params);
        if changed && self.change == ConfigurationChange::Silence {
            let current = self.current.as_ref().and_then(|params| silence(&track, params));
            if let Some(silence) = current {
                return silence;
            }
        }
        self.changes += u64::from(changed);
        self.current = Some(Arc::clone(&track.params));
        track
    }
}

/// What the RTMP outputs carry without an extension that SRS would ignore (H.264 and HEVC aside).
fn is_carried(codec: AudioCodec) -> bool {
    matches!(codec, AudioCodec::Aac | AudioCodec::MpegAudio)
}

/// Silence in `params` over the slot of `track`.
fn silence(track: &AudioTrack, params: &Arc<AudioParams>) -> Option<AudioTrack> {
    let frame = silent_frame(params)?;
    let (slot, unit) = (track.duration().get(), params.frame_duration().get().max(1));
    let count = usize::try_from((slot + unit / 2) / unit).unwrap_or(0);
    Some(AudioTrack { params: Arc::clone(params), start: track.start, frames: vec![frame; count] })
}

/// AAC-LC, 48 kHz, stereo: what every player takes, for silence beside a codec that has none.
fn plain_aac() -> AudioParams {
    AudioParams {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x11, 0x90]),
        sample_rate: 48_000,
        channels: 2,
        frame_len: 1024,
        codec_string: "mp4a.40.2".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Flicks;

    fn track(codec: AudioCodec, rate: u32) -> AudioTrack {
        let params = AudioParams { codec, sample_rate: rate, ..plain_aac() };
        AudioTrack {
            params: Arc::new(params),
            start: Flicks::from_millis(5),
            frames: vec![Bytes::from_static(b"frame"); 100],
        }
    }

    #[test]
    fn the_original_plays_where_the_output_can_carry_it() {
        let original = track(AudioCodec::Aac, 48_000);
        let mut sound = Sound::new(Fallback::Original, ConfigurationChange::Allow);
        assert_eq!(sound.fallback(&original), Some(original));
    }

    #[test]
    fn an_original_that_the_output_cannot_carry_becomes_silence() {
        let mut sound = Sound::new(Fallback::Original, ConfigurationChange::Allow);
        let silence = sound.fallback(&track(AudioCodec::Ac3, 48_000)).unwrap();
        assert_eq!((silence.params.codec, silence.frames.len()), (AudioCodec::Aac, 100));
        assert_eq!(silence.start, Flicks::from_millis(5));
    }

    #[test]
    fn another_configuration_is_allowed_and_counted_or_silenced() {
        let mut sound = Sound::new(Fallback::Original, ConfigurationChange::Allow);
        sound.processed(track(AudioCodec::Aac, 44_100));
        sound.fallback(&track(AudioCodec::Aac, 48_000));
        assert_eq!(sound.configuration_changes(), 1);

        let mut sound = Sound::new(Fallback::Original, ConfigurationChange::Silence);
        sound.processed(track(AudioCodec::Aac, 44_100));
        let fallback = sound.fallback(&track(AudioCodec::Aac, 48_000)).unwrap();
        assert_eq!((fallback.params.sample_rate, fallback.frames.len()), (44_100, 92));
        assert_eq!(sound.configuration_changes(), 0);
    }

    #[test]
    fn dropping_the_audio_leaves_none() {
        let mut sound = Sound::new(Fallback::DropAudio, ConfigurationChange::Allow);
        assert_eq!(sound.fallback(&track(AudioCodec::Aac, 48_000)), None);
    }
}
