//! MPEG-TS segments through the `ts` crate into pieces. Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_ts as ts;

use super::{Periods, StampedPicture};
use crate::media::{AudioCodec, AudioParams, Flicks, Origin, Piece, StampedFrame, VideoCodec, VideoParams};

/// What was broken in the segments so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Damage events of the transport stream.
    pub events: u64,
    /// Access units and frames left out because of it.
    pub dropped: u64,
    /// The last event, as a person should read it.
    pub last: Option<String>,
}

/// Demuxes consecutive segments of one source. Of a segment's streams the first video and the first audio
/// that Overdub carries are taken, of the program that the demuxer selects.
#[derive(Debug, Default)]
pub struct SegmentDemuxer {
    demuxer: ts::Demuxer,
    periods: Periods,
    video: Option<u16>,
    audio: Option<u16>,
    damage: Damage,
}

impl SegmentDemuxer {
    pub fn new() -> Self {
        Self::default()
    }

    /// The pieces of the next segment. With `discontinuity` nothing of what came before reaches into it.
    pub fn demux(&mut self, data: Bytes, discontinuity: bool, origin: &Origin) -> Vec<Piece> {
        if discontinuity {
            // What was waiting for its end in the last segment was cut off there.
            self.demuxer = ts::Demuxer::new();
            self.video = None;
            self.audio = None;
        }
        self.periods.begin(discontinuity);
        self.demuxer.push(data);
        self.drain();
        self.demuxer.end_segment();
        self.drain();
        self.periods.end(origin)
    }

    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    fn drain(&mut self) {
        while let Some(event) = self.demuxer.next_event() {
            match event {
                ts::Event::Program(program) if program.selected => self.select(&program),
                ts::Event::Params { pid, params: ts::Params::Video(params) } if self.video == Some(pid) => {
                    if let Some(params) = video_params(&params) {
                        self.periods.video_params(Arc::new(params));
                    }
                }
                ts::Event::Params { pid, params: ts::Params::Audio(params) } if self.audio == Some(pid) => {
                    if let Some(params) = audio_params(&params) {
                        self.periods.audio_params(Arc::new(params));
                    }
                }
                ts::Event::Sample(sample) => self.sample(sample),
                ts::Event::Damage(damage) => {
                    self.damage.events += 1;
                    self.damage.last = Some(damage.to_string());
                }
                _ => {}
            }
        }
    }

    fn sample(&mut self, sample: ts::Sample) {
        let ours = self.video == Some(sample.pid) || self.audio == Some(sample.pid);
        if ours && sample.damaged {
            self.damage.dropped += 1;
        } else if self.video == Some(sample.pid) {
            self.periods.picture(StampedPicture {
                dts: flicks(sample.dts),
                pts: flicks(sample.pts),
                random_access: sample.random_access,
                data: sample.data,
            });
        } else if self.audio == Some(sample.pid) {
            self.periods.frame(StampedFrame { pts: flicks(sample.pts), data: sample.data });
        }
    }

    /// Keeps the streams that it has as long as the program lists them.
    fn select(&mut self, program: &ts::Program) {
        let first = |wanted: fn(ts::Codec) -> bool, current: Option<u16>| {
            let mut matching = program.streams.iter().filter(|stream| stream.codec.is_some_and(wanted));
            let kept = matching.clone().find(|stream| Some(stream.pid) == current);
            kept.or_else(|| matching.next()).map(|stream| stream.pid)
        };
        self.video = first(|codec| video_codec(codec).is_some(), self.video);
        self.audio = first(|codec| audio_codec(codec).is_some(), self.audio);
    }
}

fn flicks(ticks: ts::Ticks) -> Flicks {
    Flicks::from_ticks(ticks.0)
}

/// The media type's view of the demuxer's video parameters; `None` for a codec that is not carried.
pub fn video_params(params: &ts::VideoParams) -> Option<VideoParams> {
    Some(VideoParams {
        codec: video_codec(params.codec)?,
        config: params.config.clone(),
        width: params.width,
        height: params.height,
        codec_string: params.codec_string.clone(),
    })
}

/// The same for audio.
pub fn audio_params(params: &ts::AudioParams) -> Option<AudioParams> {
    Some(AudioParams {
        codec: audio_codec(params.codec)?,
        config: params.config.clone(),
        sample_rate: params.sample_rate,
        channels: params.channels,
        frame_len: params.frame_len,
        codec_string: params.codec_string.clone(),
    })
}

fn video_codec(codec: ts::Codec) -> Option<VideoCodec> {
    match codec {
        ts::Codec::H264 => Some(VideoCodec::Avc),
        ts::Codec::Hevc => Some(VideoCodec::Hevc),
        _ => None,
    }
}

fn audio_codec(codec: ts::Codec) -> Option<AudioCodec> {
    match codec {
        ts::Codec::AacAdts | ts::Codec::AacLatm => Some(AudioCodec::Aac),
        ts::Codec::MpegAudio => Some(AudioCodec::MpegAudio),
        ts::Codec::Ac3 => Some(AudioCodec::Ac3),
        ts::Codec::Eac3 => Some(AudioCodec::Eac3),
        ts::Codec::Opus => Some(AudioCodec::Opus),
        _ => None,
    }
}
