//! MPEG-TS segments (RFC 8216 3.2) through the `ts` crate. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use overdub_ts as ts;

use super::choice::{self, AudioChoice, AudioStream, choose_audio};
use super::segment::{Sink, Wanted};
use super::sniff::{self, Format};
use super::{SegmentError, StampSource, StampedPicture, splice};
use crate::media::{AudioCodec, AudioParams, Cue, CueKind, Flicks, StampedFrame, VideoCodec, VideoParams};

/// Reads consecutive segments. Of a segment's streams the first video and one audio that Overdub carries are taken, of
/// the program that the demuxer selects.
#[derive(Debug, Default)]
pub(super) struct Mpegts {
    demuxer: ts::Demuxer,
    /// The initialization section in force.
    init: Option<Bytes>,
    choice: AudioChoice,
    program: Option<Arc<ts::Program>>,
    video: Option<u16>,
    /// As the map lists it. It outlives a discontinuity, so that the choice stays what it is.
    audio: Option<ts::Stream>,
    /// PIDs with timed metadata.
    id3: Vec<u16>,
    seen: Seen,
}

/// What came of the segment in work.
#[derive(Debug, Default)]
struct Seen {
    /// Where in the input it begins.
    start: u64,
    video: bool,
    audio: bool,
    /// PIDs with payload that is scrambled.
    scrambled: Vec<u16>,
}

impl Mpegts {
    pub(super) fn new(choice: AudioChoice) -> Self {
        Self { choice, ..Self::default() }
    }

    /// Which audio is taken, from the next program on that a table tells.
    pub(super) fn set_choice(&mut self, choice: AudioChoice) {
        self.choice = choice;
    }

    /// Nothing of what came before reaches into the next segment. What was waiting for its end in the last one comes
    /// out with [`Mpegts::end`] before.
    pub(super) fn restart(&mut self) {
        self.demuxer.restart();
        (self.init, self.program, self.video) = (None, None, None);
        self.id3.clear();
    }

    /// What waits for its end comes out: nothing follows, or, where `lost`, segments are missing before what does.
    pub(super) fn end(&mut self, lost: bool, wanted: Wanted, sink: &mut Sink<'_>) {
        if lost {
            self.demuxer.lose();
        } else {
            self.demuxer.finish();
        }
        self.take(wanted, sink);
    }

    /// Reads a segment, and before it the initialization section that is in force, where that is another.
    pub(super) fn demux(
        &mut self,
        init: Option<&Bytes>,
        data: Bytes,
        wanted: Wanted,
        sink: &mut Sink<'_>,
    ) -> Result<(), SegmentError> {
        if let Some(init) = init
            && self.init.as_ref() != Some(init)
            && sniff::format(init) == Ok(Format::Ts)
        {
            self.demuxer.push_init(init.clone());
            self.init = Some(init.clone());
        }
        self.seen = Seen { start: self.demuxer.stats().bytes, ..Seen::default() };
        self.demuxer.begin_segment(data.len() as u64);
        self.demuxer.push(data);
        self.demuxer.end_segment();
        self.take(wanted, sink);
        self.verdict(wanted)
    }

    /// The audio streams of the program.
    pub(super) fn audio_streams(&self) -> Vec<AudioStream> {
        let selected = self.audio.as_ref().map(|stream| stream.pid);
        self.program.as_ref().map(|program| choice::list(&program.streams, selected)).unwrap_or_default()
    }

    fn take(&mut self, wanted: Wanted, sink: &mut Sink<'_>) {
        let mut events: VecDeque<ts::Event> = std::iter::from_fn(|| self.demuxer.next_event()).collect();
        let selected = |event: &ts::Event| match event {
            ts::Event::Program(program) if program.selected => Some(Arc::clone(program)),
            _ => None,
        };
        let mut programs: VecDeque<Arc<ts::Program>> = events.iter().filter_map(selected).collect();
        while let Some(event) = events.pop_front() {
            match event {
                ts::Event::Program(program) if program.selected => {
                    programs.pop_front();
                    self.select(program, &programs, wanted);
                }
                ts::Event::Params { pid, params: ts::Params::Video(params) } if self.video == Some(pid) => {
                    if let Some(params) = video_params(&params) {
                        sink.periods.video_params(Arc::new(params));
                    }
                }
                ts::Event::Params { pid, params: ts::Params::Audio(params) } if self.is_audio(pid) => {
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
                ts::Event::Damage(damage) => {
                    if let (ts::DamageKind::Scrambled, Some(pid)) = (damage.kind, damage.pid) {
                        self.seen.scrambled.push(pid);
                    }
                    sink.damage.event(&damage);
                }
                _ => {}
            }
        }
    }

    /// Why nothing came, where something was to come.
    fn verdict(&self, wanted: Wanted) -> Result<(), SegmentError> {
        let Some(program) = &self.program else { return Err(SegmentError::NoStreams) };
        let carried = |stream: &ts::Stream| {
            stream.codec.is_some_and(|codec| video_codec(codec).is_some() || is_audio(codec))
        };
        if !program.streams.iter().any(carried) {
            let types = program.streams.iter().map(|stream| match stream.encrypted {
                true => format!("type 0x{:02x}, encrypted", stream.stream_type),
                false => format!("type 0x{:02x}", stream.stream_type),
            });
            return Err(SegmentError::NothingCarried {
                entries: types.collect::<Vec<_>>().join(", ").into(),
            });
        }
        let video = self.video.filter(|_| wanted.video && !self.seen.video);
        let audio = self.audio.as_ref().filter(|_| wanted.audio && !self.seen.audio).map(|stream| stream.pid);
        let scrambled = |pid: &u16| self.seen.scrambled.contains(pid);
        match video.into_iter().chain(audio).find(scrambled) {
            Some(pid) => Err(SegmentError::Scrambled { pid }),
            None => Ok(()),
        }
    }

    fn is_audio(&self, pid: u16) -> bool {
        self.audio.as_ref().is_some_and(|stream| stream.pid == pid)
    }

    fn sample(&mut self, sample: ts::Sample, sink: &mut Sink<'_>) {
        let (is_video, is_audio) = (self.video == Some(sample.pid), self.is_audio(sample.pid));
        if (is_video || is_audio) && sample.damaged {
            sink.damage.dropped += 1;
        } else if is_video {
            if !self.seen.video && sample.offset < self.seen.start {
                sink.periods.continues();
            }
            self.seen.video = true;
            sink.periods.picture(StampedPicture {
                dts: flicks(sample.dts),
                pts: flicks(sample.pts),
                source: source(&sample),
                random_access: sample.random_access,
                intra: sample.intra,
                data: sample.data,
            });
        } else if is_audio {
            self.seen.audio = true;
            let source = source(&sample);
            sink.periods.frame(StampedFrame { pts: flicks(sample.pts), data: sample.data }, source);
        } else if self.id3.contains(&sample.pid) && !sample.damaged {
            let time = Some(flicks(sample.pts));
            let (kind, segment) = (CueKind::Id3, sink.segment);
            sink.cue(Cue { segment, time, duration: None, kind, data: sample.data });
        }
    }

    /// Keeps the streams that it has as long as the program lists them. `later`: how the same segment tells it after,
    /// where the content of streams may show what they are that the map leaves open.
    fn select(&mut self, program: Arc<ts::Program>, later: &VecDeque<Arc<ts::Program>>, wanted: Wanted) {
        let pids = |program: &ts::Program| program.streams.iter().map(|it| it.pid).collect::<Vec<_>>();
        let here = pids(&program);
        let same = |next: &&Arc<ts::Program>| next.number == program.number && pids(next) == here;
        let shown = later.iter().take_while(same).last().unwrap_or(&program);
        let is_video = |stream: &&ts::Stream| stream.codec.is_some_and(|codec| video_codec(codec).is_some());
        let mut videos = shown.streams.iter().filter(is_video);
        let kept = videos.clone().find(|stream| Some(stream.pid) == self.video);
        let video = kept.or_else(|| videos.next()).map(|stream| stream.pid);
        self.video = video.filter(|_| wanted.video);
        let audio = choose_audio(&shown.streams, &self.choice, self.audio.as_ref());
        // A program without audio does not forget which one was taken.
        if let Some(audio) = audio.filter(|_| wanted.audio) {
            if self.audio.as_ref().is_some_and(|before| before.pid != audio.pid) {
                tracing::info!(pid = audio.pid, language = audio.language, "another audio stream is taken");
            }
            self.audio = Some(audio.clone());
        }
        let id3 = program.streams.iter().filter(|stream| stream.codec == Some(ts::Codec::TimedId3));
        self.id3 = id3.map(|stream| stream.pid).collect();
        self.program = Some(program);
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

/// Audio in a codec that is carried.
pub(super) fn is_audio(codec: ts::Codec) -> bool {
    audio_codec(codec).is_some()
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
