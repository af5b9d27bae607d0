//! MPEG-TS segments (RFC 8216 3.2) through the `ts` crate. Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_ts as ts;

use super::segment::{Sink, Wanted};
use super::{StampSource, StampedPicture, splice};
use crate::media::{AudioCodec, AudioParams, Cue, CueKind, Flicks, StampedFrame, VideoCodec, VideoParams};

/// Reads consecutive segments. Of a segment's streams the first video and the first audio that Overdub carries
/// are taken, of the program that the demuxer selects.
#[derive(Debug, Default)]
pub(super) struct Mpegts {
    demuxer: ts::Demuxer,
    video: Option<u16>,
    audio: Option<u16>,
    /// PIDs with timed metadata.
    id3: Vec<u16>,
}

impl Mpegts {
    /// Nothing of what came before reaches into the next segment: what was waiting for its end in the last one
    /// was cut off there.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Segments are missing before the next one: what waits for its end will not get it.
    pub(super) fn hole(&mut self, wanted: Wanted, sink: &mut Sink<'_>) {
        self.demuxer.finish();
        self.drain(wanted, sink);
    }

    pub(super) fn demux(&mut self, data: Bytes, wanted: Wanted, sink: &mut Sink<'_>) {
        self.demuxer.push(data);
        self.drain(wanted, sink);
        self.demuxer.end_segment();
        self.drain(wanted, sink);
    }

    fn drain(&mut self, wanted: Wanted, sink: &mut Sink<'_>) {
        while let Some(event) = self.demuxer.next_event() {
            match event {
                ts::Event::Program(program) if program.selected => self.select(&program, wanted),
                ts::Event::Params { pid, params: ts::Params::Video(params) } if self.video == Some(pid) => {
                    if let Some(params) = video_params(&params) {
                        sink.periods.video_params(Arc::new(params));
                    }
                }
                ts::Event::Params { pid, params: ts::Params::Audio(params) } if self.audio == Some(pid) => {
                    if let Some(params) = audio_params(&params) {
                        sink.periods.audio_params(Arc::new(params));
                    }
                }
                ts::Event::Sample(sample) => self.sample(sample, sink),
                ts::Event::Section { near, data, .. } => {
                    if let Some(splice) = splice::parse(&data, near) {
                        let splice::Splice { kind, time, duration } = splice;
                        sink.cue(Cue { segment: sink.segment, time, duration, kind, data });
                    }
                }
                ts::Event::Damage(damage) => sink.damage.event(&damage),
                _ => {}
            }
        }
    }

    fn sample(&mut self, sample: ts::Sample, sink: &mut Sink<'_>) {
        let ours = self.video == Some(sample.pid) || self.audio == Some(sample.pid);
        if ours && sample.damaged {
            sink.damage.dropped += 1;
        } else if self.video == Some(sample.pid) {
            sink.periods.picture(StampedPicture {
                dts: flicks(sample.dts),
                pts: flicks(sample.pts),
                source: source(&sample),
                random_access: sample.random_access,
                intra: sample.intra,
                data: sample.data,
            });
        } else if self.audio == Some(sample.pid) {
            let source = source(&sample);
            sink.periods.frame(StampedFrame { pts: flicks(sample.pts), data: sample.data }, source);
        } else if self.id3.contains(&sample.pid) && !sample.damaged {
            let time = Some(flicks(sample.pts));
            let (kind, segment) = (CueKind::Id3, sink.segment);
            sink.cue(Cue { segment, time, duration: None, kind, data: sample.data });
        }
    }

    /// Keeps the streams that it has as long as the program lists them.
    fn select(&mut self, program: &ts::Program, wanted: Wanted) {
        let first = |wanted: fn(ts::Codec) -> bool, current: Option<u16>| {
            let mut matching = program.streams.iter().filter(|stream| stream.codec.is_some_and(wanted));
            let kept = matching.clone().find(|stream| Some(stream.pid) == current);
            kept.or_else(|| matching.next()).map(|stream| stream.pid)
        };
        self.video = first(|codec| video_codec(codec).is_some(), self.video).filter(|_| wanted.video);
        self.audio = first(|codec| audio_codec(codec).is_some(), self.audio).filter(|_| wanted.audio);
        let id3 = program.streams.iter().filter(|stream| stream.codec == Some(ts::Codec::TimedId3));
        self.id3 = id3.map(|stream| stream.pid).collect();
    }
}

fn source(sample: &ts::Sample) -> StampSource {
    if sample.stamped { StampSource::Header } else { StampSource::Counted }
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
