//! Tracks as fragmented MP4: the one place where media types meet the `fmp4` crate.
//!
//! Payloads are chained, not copied. Video is on a 90 kHz timescale, audio on its sample rate, so that both
//! are exact.

use bytes::Bytes;
use overdub_fmp4::{Chunks, Codec, Fragment, Sample, TrackConfig, TrackRun, WriteError, init_segment};

use super::mpeg_audio::Mp3Header;
use super::{
    AudioCodec, AudioParams, AudioTrack, Flicks, VideoCodec, VideoParams, VideoSample, VideoTrack, asc,
    frame_len,
};

/// Track numbers in every file that Overdub writes.
pub const VIDEO_TRACK: u32 = 1;
pub const AUDIO_TRACK: u32 = 2;

/// Units per second of a video track.
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// A fragment with video is cut at the first random-access picture after this long: short enough to seek
/// in, long enough that headers are nothing beside the payload.
const FRAGMENT: Flicks = Flicks::from_millis(2_000);

/// The init segment's entry for a video track.
pub fn video_config(params: &VideoParams) -> TrackConfig {
    let width = u16::try_from(params.width).unwrap_or(u16::MAX);
    let height = u16::try_from(params.height).unwrap_or(u16::MAX);
    let config = params.config.clone();
    let codec = match params.codec {
        VideoCodec::Avc => Codec::Avc { avcc: config, width, height },
        VideoCodec::Hevc => Codec::Hevc { hvcc: config, width, height },
    };
    TrackConfig { id: VIDEO_TRACK, timescale: VIDEO_TIMESCALE, codec, language: None, edit: None }
}

/// The init segment's entry for an audio track.
pub fn audio_config(params: &AudioParams) -> TrackConfig {
    let (sample_rate, channels) = (params.sample_rate, params.channels);
    let config = params.config.clone();
    let codec = match params.codec {
        AudioCodec::Aac => Codec::Aac { asc: config, sample_rate, channels },
        AudioCodec::MpegAudio => Codec::MpegAudio { sample_rate, channels },
        AudioCodec::Ac3 => Codec::Ac3 { dac3: config, sample_rate, channels },
        AudioCodec::Eac3 => Codec::Eac3 { dec3: config, sample_rate, channels },
        AudioCodec::Opus => Codec::Opus { dops: config, channels },
    };
    TrackConfig { id: AUDIO_TRACK, timescale: sample_rate, codec, language: None, edit: None }
}

/// The parameters of an audio track that was read, of which `first` is the first frame: what its sample entry
/// leaves open (the length of a frame) the frame tells. `None` where the codec is not carried, or its
/// configuration cannot be understood.
pub fn audio_params(codec: &Codec, first: &[u8]) -> Option<AudioParams> {
    let of = |codec, config: &Bytes, sample_rate, channels, codec_string: &str| {
        let frame_len = frame_len::of(codec, first)?;
        let (config, codec_string) = (config.clone(), codec_string.to_owned());
        Some(AudioParams { codec, config, sample_rate, channels, frame_len, codec_string })
    };
    match codec {
        Codec::Aac { asc: config, channels, .. } => {
            let aac = asc::parse(config)?;
            Some(AudioParams {
                codec: AudioCodec::Aac,
                config: config.clone(),
                sample_rate: aac.sample_rate,
                channels: aac.channels.unwrap_or(*channels),
                frame_len: aac.frame_len,
                codec_string: aac.codec_string,
            })
        }
        Codec::MpegAudio { sample_rate, channels } => {
            // The sample entry of mono says 2 as well: the frames know better.
            let header = Mp3Header::parse(first);
            let (sample_rate, channels) =
                header.map_or((*sample_rate, *channels), |header| (header.sample_rate, header.channels));
            let codec_string =
                if first.get(1).is_some_and(|byte| byte >> 3 & 3 == 3) { "mp4a.6b" } else { "mp4a.69" };
            of(AudioCodec::MpegAudio, &Bytes::new(), sample_rate, channels, codec_string)
        }
        Codec::Ac3 { dac3, sample_rate, channels } => {
            of(AudioCodec::Ac3, dac3, *sample_rate, *channels, "ac-3")
        }
        Codec::Eac3 { dec3, sample_rate, channels } => {
            of(AudioCodec::Eac3, dec3, *sample_rate, *channels, "ec-3")
        }
        Codec::Opus { dops, channels } => of(AudioCodec::Opus, dops, 48_000, *channels, "opus"),
        _ => None,
    }
}

/// The init segment for tracks with these parameters.
pub fn init(video: Option<&VideoParams>, audio: Option<&AudioParams>) -> Result<Bytes, WriteError> {
    let tracks: Vec<_> = video.map(video_config).into_iter().chain(audio.map(audio_config)).collect();
    init_segment(&tracks)
}

/// A whole file of its own: the init segment and fragments, with `origin` at time zero. Both tracks may be
/// there, or one.
pub fn file(
    video: Option<&VideoTrack>,
    audio: Option<&AudioTrack>,
    origin: Flicks,
) -> Result<Chunks, WriteError> {
    let mut out = Chunks::default();
    out.push(init(video.map(|track| &*track.params), audio.map(|track| &*track.params))?);
    let samples = video.map_or(&[][..], |track| &track.samples);
    let mut frames = 0..audio.map_or(0, |track| track.frames.len());
    let mut runs = cuts(samples).peekable();
    let mut sequence = 0;
    while let Some(run) = runs.next() {
        // The audio up to the next cut travels with the pictures that it belongs to.
        let end = runs.peek().and_then(|next| next.first()).map(|sample| sample.dts);
        let first = frames.start;
        if let Some(track) = audio {
            frames.start = match end {
                Some(end) => frames.clone().find(|&k| track.pts(k) >= end).unwrap_or(frames.end),
                None => frames.end,
            };
        }
        let mut tracks = Vec::with_capacity(2);
        if !run.is_empty() {
            tracks.push(video_run(run, origin));
        }
        if let Some(track) = audio
            && frames.start > first
        {
            tracks.push(audio_run(track, first..frames.start, origin));
        }
        if !tracks.is_empty() {
            sequence += 1;
            out.append(Fragment::new(sequence, tracks).encode()?);
        }
    }
    Ok(out)
}

/// A run of pictures as it stands in a fragment; `origin` is the track's time zero.
pub fn video_run(samples: &[VideoSample], origin: Flicks) -> TrackRun {
    let dts = |sample: &VideoSample| (sample.dts - origin).to_ticks();
    let first = samples.first().map(dts).unwrap_or_default();
    let mut out = Vec::with_capacity(samples.len());
    for (index, sample) in samples.iter().enumerate() {
        let start = dts(sample);
        let end = match samples.get(index + 1) {
            Some(next) => dts(next),
            None => (sample.dts + sample.duration - origin).to_ticks(),
        };
        let composition = (sample.pts - origin).to_ticks() - start;
        out.push(Sample {
            duration: u32::try_from(end - start).unwrap_or(0),
            composition_offset: i32::try_from(composition).unwrap_or(0),
            sync: sample.random_access,
            data: sample.data.clone(),
        });
    }
    TrackRun { track_id: VIDEO_TRACK, base_decode_time: u64::try_from(first).unwrap_or(0), samples: out }
}

/// Frames `range` of `track` as they stand in a fragment; `origin` is the track's time zero.
pub fn audio_run(track: &AudioTrack, range: std::ops::Range<usize>, origin: Flicks) -> TrackRun {
    let rate = track.params.sample_rate;
    let first =
        (track.start - origin).to_samples(rate) + range.start as i64 * i64::from(track.params.frame_len);
    let samples = track.frames[range]
        .iter()
        .map(|data| Sample {
            duration: track.params.frame_len,
            composition_offset: 0,
            sync: true,
            data: data.clone(),
        })
        .collect();
    TrackRun { track_id: AUDIO_TRACK, base_decode_time: u64::try_from(first).unwrap_or(0), samples }
}

/// Runs that begin at random-access pictures; one empty run where there is no video.
fn cuts(samples: &[VideoSample]) -> impl Iterator<Item = &[VideoSample]> {
    let mut begins = vec![0];
    let mut last = samples.first().map(|sample| sample.dts);
    for (index, sample) in samples.iter().enumerate().skip(1) {
        if sample.random_access && last.is_some_and(|last| sample.dts - last >= FRAGMENT) {
            begins.push(index);
            last = Some(sample.dts);
        }
    }
    begins.push(samples.len());
    let ranges: Vec<_> = begins.windows(2).map(|pair| pair[0]..pair[1]).collect();
    ranges.into_iter().map(|range| &samples[range])
}
