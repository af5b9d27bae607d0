//! Processed audio onto the slot of the original (DESIGN section 3). Pure.
//!
//! The slot of a batch is where its original audio stood, to the frame. What came back is put there: priming and
//! context off the front, what is too long off the end, what is too short filled with silence. Nothing can be cut
//! within a frame, so the first sample of the slot's sound stands within half a frame of the slot's start. Where the
//! rates differ, a frame that straddles the border of two slots belongs to the one that has more of it, and the next
//! slot's audio begins where it ended; that remainder and the priming's are rounded once, together, so that the
//! error stays within half a frame and never adds up.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::{AudioParams, AudioTrack, Flicks, silent_frame_like};

/// What came back from the processor, decoded from its container.
#[derive(Clone, Copy, Debug)]
pub struct Processed<'a> {
    pub params: &'a Arc<AudioParams>,
    pub frames: &'a [Bytes],
    /// Samples at the front that belong to no sound: declared, or by the setting `processorPriming`.
    pub priming: u64,
    /// Samples at the end that belong to no sound.
    pub trailing: u64,
    /// How long the sound of its neighbours is that was sent with the batch, at the front and at the end.
    pub context: (Flicks, Flicks),
}

/// What [`Fitter::fit`] did to one answer, in frames of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FitReport {
    /// Taken off the front: priming and context.
    pub priming_removed: usize,
    /// Sound taken off the end because there was too much of it.
    pub trimmed: usize,
    /// Silent frames put in at the end.
    pub padded: usize,
    /// By how much the sound stands later than the original's at the start of the slot; at most half a frame, and
    /// negative where it is early.
    pub error: Flicks,
}

/// Puts sound into slots, one after the other.
#[derive(Debug, Default)]
pub struct Fitter {
    /// Where the last slot's audio really ended, with its configuration.
    carried: Option<(Arc<AudioParams>, Flicks)>,
}

impl Fitter {
    /// `processed` in the slot of `original`.
    pub fn fit(&mut self, original: &AudioTrack, processed: Processed<'_>) -> (AudioTrack, FitReport) {
        let Processed { params, frames: all, priming, trailing, context } = processed;
        let frame = params.frame_duration();
        let start = self.start(original, params);
        let wanted = to_nearest(original.end() - start, frame);

        let samples =
            |count: u64| Flicks::from_samples(i64::try_from(count).unwrap_or(i64::MAX), params.sample_rate);
        // Where the slot's sound begins in the answer, and how late the first frame that is kept will stand.
        let lead = samples(priming) + context.0;
        let late = start - original.start;
        let removed = to_nearest(lead + late, frame).min(all.len());
        let usable = &all[removed..];
        let taken = usable.len().min(wanted);
        let mut frames = usable[..taken].to_vec();
        let like = all.first().map_or(&[][..], |frame| frame);
        if let Some(silent) = silent_frame_like(params, like).or_else(|| frames.last().cloned()) {
            // A codec without a known silent frame repeats its last: nothing else is sure to decode.
            frames.resize(wanted, silent);
        }
        let not_of_the_slot = to_nearest(samples(trailing) + context.1, frame);
        let report = FitReport {
            priming_removed: removed,
            trimmed: (usable.len() - taken).saturating_sub(not_of_the_slot),
            padded: frames.len() - taken,
            error: late + lead - samples(removed as u64 * u64::from(params.frame_len)),
        };
        (self.placed(params, start, frames), report)
    }

    /// Silence, of which `frame` is a frame, in the slot of `original`.
    pub fn silence(&mut self, original: &AudioTrack, params: &Arc<AudioParams>, frame: &Bytes) -> AudioTrack {
        let start = self.start(original, params);
        let wanted = to_nearest(original.end() - start, params.frame_duration());
        self.placed(params, start, vec![frame.clone(); wanted])
    }

    /// The slot was filled with the original, or not at all: nothing is carried over it.
    pub fn skip(&mut self) {
        self.carried = None;
    }

    fn placed(&mut self, params: &Arc<AudioParams>, start: Flicks, frames: Vec<Bytes>) -> AudioTrack {
        let track = AudioTrack { params: Arc::clone(params), start, frames };
        self.carried = Some((Arc::clone(params), track.end()));
        track
    }

    fn start(&self, original: &AudioTrack, params: &Arc<AudioParams>) -> Flicks {
        // Half a frame of rounding on either grid; what is further off belongs to another place in the stream.
        let tolerance = original.params.frame_duration().max(params.frame_duration());
        match &self.carried {
            Some((known, end)) if known == params && (*end - original.start).abs() <= tolerance => *end,
            _ => original.start,
        }
    }
}

fn to_nearest(span: Flicks, unit: Flicks) -> usize {
    let unit = unit.get().max(1);
    usize::try_from((span.get() + unit / 2).div_euclid(unit)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{AudioCodec, silent_frame};

    fn params(rate: u32) -> Arc<AudioParams> {
        Arc::new(AudioParams::aac_lc(rate, 2).unwrap())
    }

    fn original(start: Flicks, frames: usize) -> AudioTrack {
        AudioTrack { params: params(48_000), start, frames: vec![Bytes::from_static(b"original"); frames] }
    }

    fn processed<'a>(params: &'a Arc<AudioParams>, frames: &'a [Bytes], priming: u64) -> Processed<'a> {
        Processed { params, frames, priming, trailing: 0, context: (Flicks::ZERO, Flicks::ZERO) }
    }

    fn answer(count: usize) -> Vec<Bytes> {
        (0..count).map(|k| Bytes::from(k.to_string())).collect()
    }

    #[test]
    fn an_unchanged_answer_is_unchanged() {
        let frames = answer(1406);
        let params = params(48_000);
        let (track, report) =
            Fitter::default().fit(&original(Flicks::from_millis(7), 1406), processed(&params, &frames, 0));
        assert_eq!((track.frames, report), (frames, FitReport::default()));
        assert_eq!(track.start, Flicks::from_millis(7));
    }

    #[test]
    fn priming_comes_off_the_front_to_the_nearest_frame() {
        let params = params(48_000);
        for (priming, removed) in [(0, 0), (511, 0), (512, 1), (1024, 1), (1600, 2), (2112, 2)] {
            let frames = answer(103);
            let (track, report) =
                Fitter::default().fit(&original(Flicks::ZERO, 100), processed(&params, &frames, priming));
            assert_eq!((track.frames.len(), report.priming_removed), (100, removed), "{priming}");
            assert_eq!(track.frames[0], frames[removed]);
        }
    }

    #[test]
    fn what_is_too_short_is_filled_with_silence_and_what_is_too_long_is_cut() {
        let params = params(48_000);
        let (track, report) =
            Fitter::default().fit(&original(Flicks::ZERO, 100), processed(&params, &answer(97), 0));
        assert_eq!((track.frames.len(), report.padded), (100, 3));
        assert_eq!(track.frames[99], silent_frame(&params).unwrap());
        let (track, report) =
            Fitter::default().fit(&original(Flicks::ZERO, 100), processed(&params, &answer(103), 0));
        assert_eq!((track.frames.len(), report.trimmed), (100, 3));
    }

    #[test]
    fn another_sample_rate_never_drifts() {
        let mut fitter = Fitter::default();
        let other = params(44_100);
        let mut slot = original(Flicks::ZERO, 1406);
        let mut last_end = Flicks::ZERO;
        for _ in 0..2880 {
            let frames = answer(1300);
            let (track, _) = fitter.fit(&slot, processed(&other, &frames, 0));
            assert_eq!(track.start, last_end);
            assert!((track.start - slot.start).abs().get() * 2 <= other.frame_duration().get());
            last_end = track.end();
            slot.start = slot.end();
        }
    }

    #[test]
    fn a_fallback_between_two_answers_drops_what_was_carried() {
        let mut fitter = Fitter::default();
        let other = params(44_100);
        let slot = original(Flicks::ZERO, 100);
        fitter.fit(&slot, processed(&other, &answer(100), 0));
        fitter.skip();
        let next = original(slot.end() + slot.duration(), 100);
        let (track, _) = fitter.fit(&next, processed(&other, &answer(100), 0));
        assert_eq!(track.start, next.start);
    }

    #[test]
    fn priming_and_a_remainder_are_rounded_together() {
        // 44.1 kHz with 1600 samples of priming: each alone may be half a frame off, together they may not be more.
        let mut fitter = Fitter::default();
        let other = params(44_100);
        let mut slot = original(Flicks::ZERO, 281);
        let half = Flicks::new(other.frame_duration().get() / 2);
        let mut worst = Flicks::ZERO;
        for _ in 0..1_000 {
            let frames = answer(264);
            let (track, report) = fitter.fit(&slot, processed(&other, &frames, 1_600));
            // The frame that stands first began this many samples after the slot's sound.
            let first: i64 = std::str::from_utf8(&track.frames[0]).unwrap().parse().unwrap();
            let sound = slot.start + Flicks::from_samples(first * 1024 - 1_600, 44_100);
            assert_eq!(report.error, track.start - sound);
            assert!(report.error.abs() <= half, "{report:?}");
            worst = worst.max(report.error.abs());
            slot.start = slot.end();
        }
        assert!(worst.get() * 10 > half.get() * 9, "the test came nowhere near: {worst:?}");
    }

    #[test]
    fn context_comes_off_both_ends_and_is_not_counted_as_too_much() {
        let params = params(48_000);
        let frames = answer(1 + 2 + 100 + 2);
        let two = Flicks::from_samples(2 * 1024, 48_000);
        let with = Processed { context: (two, two), ..processed(&params, &frames, 1_024) };
        let (track, report) = Fitter::default().fit(&original(Flicks::ZERO, 100), with);
        assert_eq!(track.frames, frames[3..103]);
        assert_eq!(report, FitReport { priming_removed: 3, ..FitReport::default() });
    }

    #[test]
    fn mp3_is_filled_with_silent_frames_of_its_own() {
        let mp3 = AudioParams {
            codec: AudioCodec::MpegAudio,
            frame_len: 1152,
            ..AudioParams::clone(&params(48_000))
        };
        let frames = vec![Bytes::from_static(&[0xFF, 0xFB, 0x90, 0x64]); 80];
        let mp3 = Arc::new(mp3);
        let (track, report) =
            Fitter::default().fit(&original(Flicks::ZERO, 100), processed(&mp3, &frames, 0));
        assert_eq!((track.frames.len(), report.padded), (89, 9));
        assert_eq!(track.frames[88].len(), 168);
    }

    #[test]
    fn silence_goes_on_where_the_sound_ended() {
        let mut fitter = Fitter::default();
        let other = params(44_100);
        let slot = original(Flicks::ZERO, 281);
        let (first, _) = fitter.fit(&slot, processed(&other, &answer(259), 0));
        let next = original(slot.end(), 281);
        let silence = fitter.silence(&next, &other, &silent_frame(&other).unwrap());
        assert_eq!(silence.start, first.end());
        assert_ne!(silence.start, next.start);
    }
}
