//! What a batch sounds like, with the processor's answer and without (DESIGN section 4). Pure.

use std::sync::Arc;

use bytes::Bytes;

use super::fit::{FitReport, Fitter, Processed};
use crate::config::{ConfigurationChange, Fallback};
use crate::media::{AudioParams, AudioTrack, OutputAudio, silent_frame_like};

/// Which sound a batch got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    Processed,
    Original,
    Silence,
    /// No audio at all.
    Nothing,
}

/// Chooses the sound of a batch and remembers the configurations that play.
#[derive(Debug, Default)]
pub struct Sound {
    fallback: Fallback,
    change: ConfigurationChange,
    outputs: OutputAudio,
    /// Of what was published last, with a silent frame where one can be made.
    current: Option<Playing>,
    /// Of the processor's last answer.
    answered: Option<Playing>,
    changes: u64,
}

type Playing = (Arc<AudioParams>, Option<Bytes>);

impl Sound {
    pub fn new(fallback: Fallback, change: ConfigurationChange, outputs: OutputAudio) -> Self {
        Self { fallback, change, outputs, current: None, answered: None, changes: 0 }
    }

    /// How often the configuration changed in the output.
    pub fn configuration_changes(&self) -> u64 {
        self.changes
    }

    /// The answer, in the slot of `original`. Whatever its configuration, it is what the stream is for.
    pub fn processed(
        &mut self,
        fitter: &mut Fitter,
        original: &AudioTrack,
        processed: Processed<'_>,
    ) -> (AudioTrack, FitReport) {
        let (track, report) = fitter.fit(original, processed);
        self.play(&track);
        self.answered.clone_from(&self.current);
        (track, report)
    }

    /// The fallback for a batch whose own sound is `original`.
    pub fn fallback(&mut self, fitter: &mut Fitter, original: &AudioTrack) -> (Option<AudioTrack>, Used) {
        let track = match self.fallback {
            Fallback::DropAudio => None,
            Fallback::Original if self.may_play(original) => {
                fitter.skip();
                self.play(original);
                return (Some(original.clone()), Used::Original);
            }
            Fallback::Original | Fallback::Silence => {
                let (params, frame) = self.silence_for(original);
                Some(fitter.silence(original, &params, &frame))
            }
        };
        let Some(track) = track else {
            fitter.skip();
            return (None, Used::Nothing);
        };
        self.play(&track);
        (Some(track), Used::Silence)
    }

    /// Whether the outputs carry the original, and its configuration may stand beside that of the answers.
    fn may_play(&self, original: &AudioTrack) -> bool {
        let carried = self.outputs.carries(original.params.codec, first(original));
        let same = || self.answered.as_ref().is_none_or(|(answered, _)| *answered == original.params);
        carried && (self.change == ConfigurationChange::Allow || same())
    }

    /// The configuration in which to be silent: where it may not change, that of the answers, else what plays, else
    /// the original's, else one that everything takes.
    fn silence_for(&self, original: &AudioTrack) -> (Arc<AudioParams>, Bytes) {
        let answered = self.answered.as_ref().filter(|_| self.change == ConfigurationChange::Silence);
        let own = (Arc::clone(&original.params), silent_frame_like(&original.params, first(original)));
        let own = Some(&own).filter(|(params, _)| self.outputs.carries(params.codec, first(original)));
        let candidates = [answered, self.current.as_ref(), own];
        let known = candidates
            .into_iter()
            .flatten()
            .find_map(|(params, frame)| Some((Arc::clone(params), frame.clone()?)));
        known.unwrap_or_else(|| (Arc::new(AudioParams::plain_aac()), PLAIN_SILENCE))
    }

    fn play(&mut self, track: &AudioTrack) {
        if let Some((current, _)) = &self.current
            && *current == track.params
        {
            return;
        }
        self.changes += u64::from(self.current.is_some());
        let silent = silent_frame_like(&track.params, first(track));
        self.current = Some((Arc::clone(&track.params), silent));
    }
}

fn first(track: &AudioTrack) -> &[u8] {
    track.frames.first().map_or(&[], |frame| frame)
}

/// The silent frame of [`AudioParams::plain_aac`], beside a codec that has none, as [`crate::media::silent_frame`] makes it.
const PLAIN_SILENCE: Bytes = Bytes::from_static(&[0x21, 0x00, 0x00, 0x00, 0x00, 0x1c]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{AudioCodec, Flicks, silent_frame};

    fn track(codec: AudioCodec, rate: u32) -> AudioTrack {
        let params = AudioParams { codec, sample_rate: rate, ..AudioParams::plain_aac() };
        AudioTrack {
            params: Arc::new(params),
            start: Flicks::from_millis(5),
            frames: vec![Bytes::from_static(b"frame"); 100],
        }
    }

    fn original_or(change: ConfigurationChange) -> Sound {
        Sound::new(Fallback::Original, change, OutputAudio::Basic)
    }

    /// An answer at 44.1 kHz for the slot of `original`.
    fn answer(sound: &mut Sound, fitter: &mut Fitter, original: &AudioTrack) -> AudioTrack {
        let track = track(AudioCodec::Aac, 44_100);
        let processed = Processed {
            params: &track.params,
            frames: &track.frames,
            priming: 0,
            trailing: 0,
            context: (Flicks::ZERO, Flicks::ZERO),
        };
        sound.processed(fitter, original, processed).0
    }

    #[test]
    fn the_original_plays_where_the_output_can_carry_it() {
        let original = track(AudioCodec::Aac, 48_000);
        let mut sound = original_or(ConfigurationChange::Allow);
        let played = sound.fallback(&mut Fitter::default(), &original);
        assert_eq!(played, (Some(original), Used::Original));
    }

    #[test]
    fn an_original_in_ac_3_plays_where_the_outputs_take_it() {
        let original = track(AudioCodec::Ac3, 48_000);
        let mut sound = Sound::new(Fallback::Original, ConfigurationChange::Allow, OutputAudio::Enhanced);
        assert_eq!(sound.fallback(&mut Fitter::default(), &original), (Some(original), Used::Original));
    }

    #[test]
    fn an_original_that_the_output_cannot_carry_becomes_silence() {
        assert_eq!(silent_frame(&AudioParams::plain_aac()), Some(PLAIN_SILENCE));
        for codec in [AudioCodec::Ac3, AudioCodec::Opus, AudioCodec::MpegAudio] {
            let mut sound = original_or(ConfigurationChange::Allow);
            let (silence, used) = sound.fallback(&mut Fitter::default(), &track(codec, 48_000));
            let silence = silence.unwrap();
            assert_eq!(
                (silence.params.codec, silence.frames.len(), used),
                (AudioCodec::Aac, 100, Used::Silence)
            );
            assert_eq!(silence.start, Flicks::from_millis(5));
        }
    }

    #[test]
    fn an_original_in_another_configuration_plays_and_is_counted_or_is_silenced() {
        let original = track(AudioCodec::Aac, 48_000);
        let (mut sound, mut fitter) = (original_or(ConfigurationChange::Allow), Fitter::default());
        answer(&mut sound, &mut fitter, &original);
        assert_eq!(sound.fallback(&mut fitter, &original).1, Used::Original);
        assert_eq!(sound.configuration_changes(), 1);

        let (mut sound, mut fitter) = (original_or(ConfigurationChange::Silence), Fitter::default());
        answer(&mut sound, &mut fitter, &original);
        let (fallback, used) = sound.fallback(&mut fitter, &original);
        let fallback = fallback.unwrap();
        assert_eq!((fallback.params.sample_rate, fallback.frames.len(), used), (44_100, 92, Used::Silence));
        assert_eq!(sound.configuration_changes(), 0);
    }

    #[test]
    fn the_processors_sound_is_heard_also_where_the_original_played_before() {
        let original = track(AudioCodec::Aac, 48_000);
        let (mut sound, mut fitter) = (original_or(ConfigurationChange::Silence), Fitter::default());
        assert_eq!(sound.fallback(&mut fitter, &original).1, Used::Original);
        let heard = answer(&mut sound, &mut fitter, &original);
        assert_eq!(heard.frames[0], "frame");
        assert_eq!(sound.configuration_changes(), 1);
        assert_eq!(sound.fallback(&mut fitter, &original).1, Used::Silence);
        assert_eq!(sound.configuration_changes(), 1, "it does not change back and forth");
    }

    #[test]
    fn dropping_the_audio_leaves_none() {
        let mut sound = Sound::new(Fallback::DropAudio, ConfigurationChange::Allow, OutputAudio::Basic);
        let dropped = sound.fallback(&mut Fitter::default(), &track(AudioCodec::Aac, 48_000));
        assert_eq!(dropped, (None, Used::Nothing));
    }
}
