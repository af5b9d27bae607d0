//! One monotonic interleaved run of packets out of batches whose tracks end at different times. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::media::{AudioTrack, Batch, Flicks, Packet, PacketKind};
use crate::memory;

/// Merges the tracks of consecutive batches by DTS. The tail of the longer track of a batch waits for the
/// next batch, because its other track has samples that belong before it.
#[derive(Debug, Default)]
pub struct Interleaver {
    video: VecDeque<Packet>,
    audio: VecDeque<Packet>,
    has_video: bool,
    has_audio: bool,
    /// What the queues take.
    bytes: u64,
}

impl Interleaver {
    /// A batch with the audio that it is to be published with.
    pub fn handle_batch(&mut self, batch: &Batch, audio: Option<&AudioTrack>) {
        self.has_video = batch.video.is_some();
        self.has_audio = audio.is_some();
        let pictures = batch.video.iter().flat_map(|track| &track.samples).map(|sample| &sample.data);
        let frames = audio.iter().flat_map(|track| &track.frames);
        self.bytes += pictures.chain(frames).map(|data| memory::queued(data.len())).sum::<u64>();
        if let Some(track) = &batch.video {
            self.video.extend(track.samples.iter().map(|sample| Packet {
                kind: PacketKind::Video {
                    params: Arc::clone(&track.params),
                    random_access: sample.random_access,
                },
                dts: sample.dts + batch.shift,
                pts: sample.pts + batch.shift,
                duration: sample.duration,
                batch: batch.number,
                data: sample.data.clone(),
            }));
        }
        if let Some(track) = audio {
            let duration = track.params.frame_duration();
            self.audio.extend(track.frames.iter().enumerate().map(|(k, data)| {
                let pts = track.pts(k) + batch.shift;
                Packet {
                    kind: PacketKind::Audio { params: Arc::clone(&track.params) },
                    dts: pts,
                    pts,
                    duration,
                    batch: batch.number,
                    data: data.clone(),
                }
            }));
        }
    }

    /// What waits takes, beside what is counted with its bytes.
    pub fn queued(&self) -> u64 {
        self.bytes
    }

    /// The DTS of the packet that comes next, with or without waiting.
    pub fn next_dts(&self) -> Option<Flicks> {
        match (self.video.front(), self.audio.front()) {
            (Some(video), Some(audio)) => Some(video.dts.min(audio.dts)),
            (video, audio) => video.or(audio).map(|packet| packet.dts),
        }
    }

    /// Whether [`Interleaver::poll`] would yield the next packet.
    pub fn is_complete(&self) -> bool {
        match (self.video.front(), self.audio.front()) {
            (Some(_), None) => !self.has_audio,
            (None, Some(_)) => !self.has_video,
            (video, _) => video.is_some(),
        }
    }

    /// Where what is queued ends, by its first track; `None` when nothing is.
    pub fn end(&self) -> Option<Flicks> {
        let last = self.video.back().or(self.audio.back());
        last.map(|packet| packet.dts + packet.duration)
    }

    /// The next packet, if no batch to come can have one that belongs before it.
    pub fn poll(&mut self) -> Option<Packet> {
        if self.is_complete() { self.poll_now() } else { None }
    }

    /// The next packet without waiting for the next batch: its time has come, or the stream has ended.
    pub fn poll_now(&mut self) -> Option<Packet> {
        let packet = match (self.video.front(), self.audio.front()) {
            (Some(video), Some(audio)) if audio.dts < video.dts => self.audio.pop_front(),
            (Some(_), _) => self.video.pop_front(),
            (None, _) => self.audio.pop_front(),
        }?;
        self.bytes -= memory::queued(packet.data.len());
        Some(packet)
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.video.len() + self.audio.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::{AudioParams, Moment, VideoCodec, VideoParams, VideoSample, VideoTrack};

    fn batch(number: u64, video_ms: std::ops::Range<i64>, audio_frames: usize, audio_start: Flicks) -> Batch {
        let samples = video_ms
            .step_by(40)
            .map(|t| VideoSample {
                dts: Flicks::from_millis(t),
                pts: Flicks::from_millis(t),
                duration: Flicks::from_millis(40),
                random_access: false,
                data: Bytes::new(),
            })
            .collect();
        let params = VideoParams {
            codec: VideoCodec::Avc,
            config: Bytes::new(),
            width: 0,
            height: 0,
            codec_string: String::new(),
        };
        Batch {
            number,
            period: 0,
            segments: 0..1,
            captured_at: Moment::ZERO,
            shift: Flicks::ZERO,
            start: Flicks::ZERO,
            duration: Flicks::ZERO,
            program_date_time: None,
            video: Some(VideoTrack { params: Arc::new(params), samples }),
            audio: Some(AudioTrack {
                params: Arc::new(AudioParams::plain_aac()),
                start: audio_start,
                frames: vec![Bytes::new(); audio_frames],
            }),
            context: crate::media::AudioContext::default(),
            mid_gop: false,
        }
    }

    #[test]
    fn packets_of_two_staggered_batches_leave_in_one_order() {
        let mut interleaver = Interleaver::default();
        let first = batch(0, 0..2_000, 70, Flicks::ZERO);
        let second = batch(1, 2_000..4_000, 100, first.audio.as_ref().unwrap().end());
        let mut order = Vec::new();
        for batch in [&first, &second] {
            interleaver.handle_batch(batch, batch.audio.as_ref());
            order.extend(std::iter::from_fn(|| interleaver.poll()));
            assert_eq!(interleaver.queued(), interleaver.len() as u64 * memory::queued(0));
        }
        assert!(order.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
        order.extend(std::iter::from_fn(|| interleaver.poll_now()));
        assert_eq!(order.len(), 50 + 70 + 50 + 100);
        assert_eq!((interleaver.next_dts(), interleaver.queued()), (None, 0));
    }

    #[test]
    fn a_batch_without_audio_waits_for_nothing() {
        let mut interleaver = Interleaver::default();
        interleaver.handle_batch(&batch(0, 0..400, 0, Flicks::ZERO), None);
        assert_eq!(std::iter::from_fn(|| interleaver.poll()).count(), 10);
    }
}
