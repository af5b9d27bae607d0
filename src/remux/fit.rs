//! Processed audio onto the slot of the original (DESIGN section 3). Pure.
//!
//! The slot of a batch is where its original audio stood, to the frame. What came back is put there: priming
//! off the front, what is too long off the end, what is too short filled with silence. Where the rates
//! differ, a frame that straddles the border of two slots belongs to the one that has more of it, and the
//! next slot's audio begins where it ended, so the error at a slot's start stays within half a frame.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::{AudioParams, AudioTrack, Flicks, silent_frame};

/// What came back from the processor, decoded from its container.
#[derive(Clone, Copy, Debug)]
pub struct Processed<'a> {
    pub params: &'a Arc<AudioParams>,
    pub frames: &'a [Bytes],
    /// Samples at the front that belong to no slot: declared, or by the setting `processorPriming`.
    pub priming: u64,
}

/// What [`Fitter::fit`] did to one answer, in frames of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FitReport {
    pub priming_removed: usize,
    pub trimmed: usize,
    pub padded: usize,
}

/// Puts answers into their slots, one after the other.
#[derive(Debug, Default)]
pub struct Fitter {
    /// Where the last slot's audio really ended, with its configuration.
    carried: Option<(Arc<AudioParams>, Flicks)>,
}

impl Fitter {
    /// `processed` in the slot of `original`.
    pub fn fit(&mut self, original: &AudioTrack, processed: Processed<'_>) -> (AudioTrack, FitReport) {
        let params = processed.params;
        let frame = params.frame_duration();
        let start = self.start(original, params);
        let slot = original.end() - start;
        let wanted = to_nearest(slot, frame);

        let frame_len = u64::from(params.frame_len.max(1));
        let priming = (processed.priming + frame_len / 2) / frame_len;
        let priming = usize::try_from(priming).unwrap_or(usize::MAX).min(processed.frames.len());
        let usable = &processed.frames[priming..];
        let taken = usable.len().min(wanted);
        let mut frames = usable[..taken].to_vec();
        if let Some(silent) = silent_frame(params).or_else(|| frames.last().cloned()) {
            // A codec without a known silent frame repeats its last: nothing else is sure to decode.
            frames.resize(wanted, silent);
        }
        let report = FitReport {
            priming_removed: priming,
            trimmed: usable.len() - taken,
            padded: frames.len() - taken,
        };
        let track = AudioTrack { params: Arc::clone(params), start, frames };
        self.carried = Some((Arc::clone(params), track.end()));
        (track, report)
    }

    /// The slot was filled otherwise (a fallback): nothing is carried over it.
    pub fn skip(&mut self) {
        self.carried = None;
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
    use crate::media::AudioCodec;

    fn params(rate: u32) -> Arc<AudioParams> {
        Arc::new(AudioParams {
            codec: AudioCodec::Aac,
            config: Bytes::from_static(&[0x11, 0x90]),
            sample_rate: rate,
            channels: 2,
            frame_len: 1024,
            codec_string: "mp4a.40.2".into(),
        })
    }

    fn original(start: Flicks, frames: usize) -> AudioTrack {
        AudioTrack { params: params(48_000), start, frames: vec![Bytes::from_static(b"original"); frames] }
    }

    fn answer(count: usize) -> Vec<Bytes> {
        (0..count).map(|k| Bytes::from(k.to_string())).collect()
    }

    #[test]
    fn an_unchanged_answer_is_unchanged() {
        let frames = answer(1406);
        let params = params(48_000);
        let (track, report) = Fitter::default().fit(
            &original(Flicks::from_millis(7), 1406),
            Processed { params: &params, frames: &frames, priming: 0 },
        );
        assert_eq!((track.frames, report), (frames, FitReport::default()));
        assert_eq!(track.start, Flicks::from_millis(7));
    }

    #[test]
    fn priming_comes_off_the_front_to_the_nearest_frame() {
        let params = params(48_000);
        for (priming, removed) in [(0, 0), (511, 0), (512, 1), (1024, 1), (1600, 2), (2112, 2)] {
            let frames = answer(103);
            let (track, report) = Fitter::default()
                .fit(&original(Flicks::ZERO, 100), Processed { params: &params, frames: &frames, priming });
            assert_eq!((track.frames.len(), report.priming_removed), (100, removed), "{priming}");
            assert_eq!(track.frames[0], frames[removed]);
        }
    }

    #[test]
    fn what_is_too_short_is_filled_with_silence_and_what_is_too_long_is_cut() {
        let params = params(48_000);
        let (track, report) = Fitter::default().fit(
            &original(Flicks::ZERO, 100),
            Processed { params: &params, frames: &answer(97), priming: 0 },
        );
        assert_eq!((track.frames.len(), report.padded), (100, 3));
        assert_eq!(track.frames[99], silent_frame(&params).unwrap());
        let (track, report) = Fitter::default().fit(
            &original(Flicks::ZERO, 100),
            Processed { params: &params, frames: &answer(103), priming: 0 },
        );
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
            let (track, _) = fitter.fit(&slot, Processed { params: &other, frames: &frames, priming: 0 });
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
        fitter.fit(&slot, Processed { params: &other, frames: &answer(100), priming: 0 });
        fitter.skip();
        let next = original(slot.end() + slot.duration(), 100);
        let (track, _) = fitter.fit(&next, Processed { params: &other, frames: &answer(100), priming: 0 });
        assert_eq!(track.start, next.start);
    }
}
