//! How far sound and picture of the output are apart, against the source. Pure.

use std::collections::VecDeque;

use crate::media::{Batch, Flicks, Packet};

/// Batches whose packets may still come: one that is handed out, and what the interleaver holds of the next.
const MAX_BATCHES: usize = 8;

/// Compares where the first picture and the first sound of each batch stand in the output with where the source
/// has them.
#[derive(Debug, Default)]
pub(super) struct Offset {
    expected: VecDeque<Expected>,
    audio: Option<Flicks>,
    video: Option<Flicks>,
}

#[derive(Debug)]
struct Expected {
    batch: u64,
    audio: Option<Flicks>,
    video: Option<Flicks>,
}

impl Offset {
    /// A batch whose packets come next.
    pub(super) fn expect(&mut self, batch: &Batch) {
        if self.expected.len() == MAX_BATCHES {
            self.expected.pop_front();
        }
        let picture = batch.video.as_ref().and_then(|video| video.samples.first());
        self.expected.push_back(Expected {
            batch: batch.number,
            audio: batch.audio.as_ref().map(|audio| audio.start + batch.shift),
            video: picture.map(|picture| picture.pts + batch.shift),
        });
    }

    /// A packet leaves. How much later the sound is than the picture, in milliseconds, where this tells.
    pub(super) fn handle(&mut self, packet: &Packet) -> Option<f64> {
        let expected = self.expected.iter_mut().find(|expected| expected.batch == packet.batch)?;
        if packet.is_video() {
            self.video = Some(packet.pts - expected.video.take()?);
        } else {
            self.audio = Some(packet.pts - expected.audio.take()?);
        }
        Some((self.audio? - self.video?).to_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch::{Batcher, Settings};
    use crate::demo::clip;
    use crate::demux::{Demuxer, Input};
    use crate::media::{Moment, Origin, PacketKind};

    fn batch() -> Batch {
        let origin = Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None };
        let long = std::time::Duration::from_secs(30);
        let mut batcher = Batcher::new(Settings { buffer_duration: long, processing_budget: long }, 7);
        for piece in Demuxer::new().handle_segment(&Input::main(clip::segment(0), false), &origin) {
            batcher.handle_piece(piece);
        }
        batcher.flush().expect("a batch")
    }

    fn packets(batch: &Batch, late: Flicks) -> [Packet; 2] {
        let (video, audio) = (batch.video.as_ref().unwrap(), batch.audio.as_ref().unwrap());
        let packet = |kind, pts| Packet {
            kind,
            dts: pts,
            pts,
            duration: Flicks::ZERO,
            batch: batch.number,
            data: Bytes::new(),
        };
        let picture = PacketKind::Video { params: video.params.clone(), random_access: true };
        let sound = PacketKind::Audio { params: audio.params.clone() };
        [packet(picture, video.samples[0].pts + batch.shift), packet(sound, audio.start + batch.shift + late)]
    }

    #[test]
    fn sound_that_comes_later_than_in_the_source_counts_and_the_source_s_own_offset_does_not() {
        let mut batch = batch();
        let mut offset = Offset::default();
        for (number, late, expected) in [(7, 0, 0.0), (8, 12, 12.0), (9, -3, -3.0)] {
            batch.number = number;
            offset.expect(&batch);
            let [picture, sound] = packets(&batch, Flicks::from_millis(late));
            offset.handle(&picture);
            assert_eq!(offset.handle(&sound), Some(expected), "batch {number}");
            assert_eq!(offset.handle(&sound), None, "only the first of a batch tells");
        }
    }

    #[test]
    fn without_pictures_there_is_nothing_to_compare() {
        let mut batch = batch();
        let [_, sound] = packets(&batch, Flicks::ZERO);
        batch.video = None;
        let mut offset = Offset::default();
        offset.expect(&batch);
        assert_eq!(offset.handle(&sound), None);
    }
}
