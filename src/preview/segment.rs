//! A cut as bytes: a fragment, and the init segment that decodes it. Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_fmp4::{Fragment, Sample, SegmentBoxes, TrackRun, WriteError};

use super::segmenter::{Cut, audio_params, video_params};
use crate::media::{AudioParams, Flicks, Packet, VideoParams, VideoSample, mp4};

/// One init segment.
#[derive(Debug)]
pub(super) struct Init {
    pub(super) number: u64,
    pub(super) data: Bytes,
}

/// One media segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) init: Arc<Init>,
    /// It does not continue the one before: another configuration, or a hole.
    pub(super) discontinuity: bool,
    pub(super) start: Flicks,
    pub(super) end: Flicks,
    /// Output time of its last sample.
    pub(super) last: Flicks,
    pub(super) chunks: Vec<Bytes>,
    pub(super) size: u64,
}

/// Makes segments, numbered from `next_segment` on; knows which init segment is in force.
#[derive(Debug, Default)]
pub(super) struct Muxer {
    video: Option<Arc<VideoParams>>,
    audio: Option<Arc<AudioParams>>,
    init: Option<Arc<Init>>,
    next_segment: u64,
    next_init: u64,
    /// A segment was lost.
    interrupted: bool,
}

impl Muxer {
    /// `first` is the number of the first segment, and of the first init segment.
    pub(super) fn new(first: u64) -> Self {
        Self { next_segment: first, next_init: first, ..Self::default() }
    }

    /// A track that was there and is missing in this cut stays in the init segment: sound that is dropped
    /// for a batch is no reason for players to set up their decoders anew.
    pub(super) fn mux(&mut self, cut: &Cut) -> Result<Segment, WriteError> {
        let made = self.try_mux(cut);
        self.interrupted = made.is_err();
        made
    }

    fn try_mux(&mut self, cut: &Cut) -> Result<Segment, WriteError> {
        let video = cut.video.first().and_then(video_params).or(self.video.as_ref()).cloned();
        let audio = cut.audio.first().and_then(audio_params).or(self.audio.as_ref()).cloned();
        let changed = video != self.video || audio != self.audio;
        let (first, init) = match &self.init {
            Some(init) if !changed => (false, Arc::clone(init)),
            before => {
                let data = mp4::init(video.as_deref(), audio.as_deref())?;
                (before.is_none(), Arc::new(Init { number: self.next_init, data }))
            }
        };

        let number = self.next_segment;
        let samples: Vec<_> = cut.video.iter().map(picture).collect();
        let mut tracks = Vec::with_capacity(2);
        if !samples.is_empty() {
            tracks.push(mp4::video_run(&samples, Flicks::ZERO));
        }
        if let Some(params) = audio.as_deref().filter(|_| !cut.audio.is_empty()) {
            tracks.push(audio_run(params, &cut.audio));
        }
        // The box has 32 bits and only has to grow from one fragment to the next.
        let mut fragment = Fragment::new((number as u32).wrapping_add(1), tracks);
        fragment.segment = SegmentBoxes { segment_type: true, ..SegmentBoxes::default() };
        let chunks = fragment.encode()?;

        if changed {
            self.next_init = init.number + 1;
        }
        (self.video, self.audio, self.init) = (video, audio, Some(Arc::clone(&init)));
        self.next_segment += 1;
        let packets = cut.video.iter().chain(&cut.audio);
        Ok(Segment {
            number,
            init,
            discontinuity: !first && (changed || cut.after_hole || self.interrupted),
            start: cut.start,
            end: cut.end,
            last: packets.map(|packet| packet.dts).max().unwrap_or(cut.start),
            size: chunks.len(),
            chunks: chunks.iter().cloned().collect(),
        })
    }
}

fn picture(packet: &Packet) -> VideoSample {
    VideoSample {
        dts: packet.dts,
        pts: packet.pts,
        duration: packet.duration,
        random_access: packet.is_random_access(),
        data: packet.data.clone(),
    }
}

/// Frames with their own times: where some were dropped, the one before lasts longer.
fn audio_run(params: &AudioParams, packets: &[Packet]) -> TrackRun {
    let at = |packet: &Packet| packet.dts.to_samples(params.sample_rate);
    let ends = packets.iter().skip(1).map(at).map(Some).chain([None]);
    let samples = packets.iter().zip(ends).map(|(packet, next)| {
        let duration = next.and_then(|next| u32::try_from(next - at(packet)).ok());
        Sample {
            duration: duration.unwrap_or(params.frame_len),
            composition_offset: 0,
            sync: true,
            data: packet.data.clone(),
        }
    });
    TrackRun {
        track_id: mp4::AUDIO_TRACK,
        base_decode_time: packets.first().and_then(|first| u64::try_from(at(first)).ok()).unwrap_or(0),
        samples: samples.collect(),
    }
}
