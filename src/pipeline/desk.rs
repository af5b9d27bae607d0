//! What becomes of a decided batch: its audio, its file, its packets. Pure, so that a large batch can be decided on
//! another thread.

use bytes::Bytes;
use overdub_fmp4::WriteError;

use super::ingest::{Captured, Timing};
use super::offset::Offset;
use crate::media::{AudioContext, AudioParams, AudioTrack, Batch, Flicks, mp4};
use crate::remux::{FitReport, Fitter, Processed, Release, Sound, Used};
use crate::roundtrip::{self, Outcome};

/// Decides batches in their order, and keeps their packets until they are near their time.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) fitter: Fitter,
    pub(super) sound: Sound,
    pub(super) release: Release,
    pub(super) offset: Offset,
}

/// What became of one batch.
pub(super) struct Decided {
    pub(super) number: u64,
    pub(super) start: Flicks,
    pub(super) outcome: Option<Outcome>,
    /// What is heard, and how the answer was put there; none where the batch has no audio.
    pub(super) sounds: Option<(Used, Option<FitReport>)>,
    /// The answer as it came, where it is used.
    pub(super) answer: Option<Bytes>,
    pub(super) file: Result<Vec<Bytes>, WriteError>,
    pub(super) is_published: bool,
}

impl Desk {
    pub(super) fn decide(&mut self, captured: &Captured, outcome: Option<Outcome>) -> Decided {
        let batch = &captured.batch;
        let answer = match &outcome {
            Some(Outcome { result: Ok(processed), .. }) => Some(processed),
            _ => None,
        };
        let raw = batch.audio.as_ref().and(answer).map(|answer| answer.raw.clone());
        let (audio, sounds) = match (&batch.audio, answer) {
            (Some(original), Some(answer)) => {
                let answer = to_fit(answer, &batch.context, &original.params);
                let (track, report) = self.sound.processed(&mut self.fitter, original, answer);
                (Some(track), Some((Used::Processed, Some(report))))
            }
            (Some(original), None) => {
                let (track, used) = self.sound.fallback(&mut self.fitter, original);
                (track, Some((used, None)))
            }
            (None, _) => (None, None),
        };
        let file = mp4::file(batch.video.as_ref(), audio.as_ref(), batch.start - batch.shift);
        self.queue(batch, audio.as_ref(), captured.timing);
        Decided {
            number: batch.number,
            start: batch.start,
            sounds,
            answer: raw,
            file: file.map(|chunks| chunks.into_iter().collect()),
            is_published: captured.timing != Timing::Past,
            outcome,
        }
    }

    fn queue(&mut self, batch: &Batch, audio: Option<&AudioTrack>, timing: Timing) {
        match timing {
            Timing::Past => return,
            // Of which the beginning may not be published.
            Timing::Late => {}
            Timing::InTime => self.offset.expect(batch),
        }
        self.release.handle_batch(batch, audio);
    }
}

/// An answer as its slot takes it; `context` was sent with the slot's sound, in the configuration `sent`.
pub(super) fn to_fit<'a>(
    answer: &'a roundtrip::Processed,
    context: &AudioContext,
    sent: &AudioParams,
) -> Processed<'a> {
    let length = |frames: &[Bytes]| Flicks::new(sent.frame_duration().get() * frames.len() as i64);
    Processed {
        params: &answer.params,
        frames: &answer.frames,
        priming: answer.priming,
        trailing: answer.trailing,
        context: (length(&context.before), length(&context.after)),
    }
}
