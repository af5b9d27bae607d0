//! Packed audio segments (RFC 8216 3.4): frames behind an ID3 tag that says when the first one plays. Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_ts::{Codec, Ticks, Unwrapper, elementary};

use super::allowance::{Allowance, Kind};
use super::mpegts::audio_params;
use super::segment::{Sink, Times};
use super::{SegmentError, StampSource};
use crate::media::{AudioParams, Flicks, StampedFrame, id3};

/// Reads consecutive segments of one rendition.
#[derive(Debug, Default)]
pub(super) struct Packed {
    clock: Unwrapper,
    /// Where the last segment ended.
    end: Option<Flicks>,
    /// A timestamp says where that is.
    timed: bool,
    /// Counts the runs of segments that follow one another.
    run: u64,
    params: Option<(Arc<overdub_ts::AudioParams>, Arc<AudioParams>)>,
}

impl Packed {
    /// Nothing of what came before reaches into the next segment. A segment without a stamp still goes on where
    /// the last one ended: no other place is better.
    pub(super) fn restart(&mut self) {
        self.clock = Unwrapper::new();
        self.hole();
    }

    /// Segments are missing before the next one.
    pub(super) fn hole(&mut self) {
        self.timed = false;
        self.run += 1;
    }

    /// Reads a segment with `tags` bytes of ID3 before its frames.
    pub(super) fn demux(
        &mut self,
        codec: Codec,
        tags: usize,
        data: &Bytes,
        sink: &mut Sink<'_>,
    ) -> Result<Times, SegmentError> {
        let stamp = id3::timestamp(data.get(..tags).unwrap_or_default());
        let start = match stamp {
            Some(stamp) => {
                let Ticks(ticks) = self.clock.unwrap(stamp);
                self.timed = true;
                Flicks::from_ticks(ticks)
            }
            None => self.end.unwrap_or(Flicks::ZERO),
        };
        let body = data.slice(tags.min(data.len())..);
        let mut frames = elementary::frames(codec, body).ok_or(SegmentError::NoFrames)?;
        // The time of a frame is counted from the stamp in samples, so that no rounding adds up; a new rate
        // counts from where the old one ended.
        let (mut base, mut samples, mut rate) = (start, 0_i64, 0);
        let mut any = false;
        let mut allowance = Allowance::of(data.len());
        for frame in frames.by_ref() {
            any = true;
            if frame.params.sample_rate != rate {
                base += Flicks::from_samples(samples, rate);
                (samples, rate) = (0, frame.params.sample_rate);
            }
            if !allowance.takes(Kind::Audio, Flicks::from_samples(frame.samples.into(), rate)) {
                sink.damage.event(&SegmentError::TooMuch { bytes: data.len() });
                break;
            }
            self.announce(&frame.params, sink);
            let pts = base + Flicks::from_samples(samples, rate);
            sink.periods.frame(StampedFrame { pts, data: frame.data }, StampSource::Table);
            samples = samples.saturating_add(frame.samples.into());
        }
        if frames.skipped() > 0 {
            let skipped = frames.skipped();
            sink.damage.event(&format!("packed audio: {skipped} bytes outside of whole frames"));
        }
        if !any {
            return Err(SegmentError::NoFrames);
        }
        self.end = Some(base + Flicks::from_samples(samples, rate));
        Ok(if self.timed { Times::Wrap } else { Times::Untimed { run: self.run } })
    }

    fn announce(&mut self, params: &Arc<overdub_ts::AudioParams>, sink: &mut Sink<'_>) {
        let known = self.params.as_ref().filter(|(known, _)| Arc::ptr_eq(known, params) || known == params);
        let ours = match known {
            Some((_, ours)) => Arc::clone(ours),
            None => match audio_params(params) {
                Some(ours) => Arc::new(ours),
                None => return,
            },
        };
        self.params = Some((Arc::clone(params), Arc::clone(&ours)));
        sink.periods.audio_params(ours);
    }
}
