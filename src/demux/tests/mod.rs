//! Segments made here, through the whole of the stage.

mod formats;
mod hostile;
mod join;
mod renditions;
mod times;

use std::sync::Arc;

use bytes::Bytes;
use hex_literal::hex;

use super::{Demuxer, Input};
use crate::media::{
    AudioParams, Flicks, Moment, Origin, Piece, Rendition, VideoCodec, VideoParams, VideoSample, mp4,
};

/// x264's for 320x180 and 640x360:
/// `ffmpeg -f lavfi -i testsrc2=size=320x180:rate=25 -frames:v 1 -c:v libx264 -f h264 OUT`.
const SPS_320: &[u8] = &hex!("6764000CACD941419F9F011000000300100000030320F1429960");
const SPS_640: &[u8] = &hex!("6764001EACD940A02FF97011000003000100000300320F162D96");
const PPS: &[u8] = &hex!("68EBE3CB22C0");

fn origin(segment: u64) -> Origin {
    Origin { segment, captured_at: Moment::ZERO, program_date_time: None }
}

fn ms(millis: i64) -> Flicks {
    Flicks::from_millis(millis)
}

/// An avcC with these sets.
fn avcc(sps: &[u8]) -> Bytes {
    let mut record = vec![1, sps[1], sps[2], sps[3], 0xFF, 0xE1];
    record.extend((sps.len() as u16).to_be_bytes());
    record.extend(sps);
    record.push(1);
    record.extend((PPS.len() as u16).to_be_bytes());
    record.extend(PPS);
    record.into()
}

fn video(sps: &[u8], width: u32, height: u32) -> VideoParams {
    VideoParams { codec: VideoCodec::Avc, config: avcc(sps), width, height, codec_string: String::new() }
}

fn aac(config: &'static [u8], sample_rate: u32) -> Arc<AudioParams> {
    Arc::new(AudioParams { config: Bytes::from_static(config), sample_rate, ..AudioParams::plain_aac() })
}

fn aac_48() -> Arc<AudioParams> {
    aac(&hex!("1190"), 48_000)
}

/// 25 pictures a second from `start` to `end`, an IDR picture each second.
fn pictures(start: i64, end: i64) -> Vec<VideoSample> {
    (start..end)
        .step_by(40)
        .map(|at| {
            let idr = at % 1_000 == 0;
            let nal = if idr { [0, 0, 0, 5, 0x65, 0x88] } else { [0, 0, 0, 5, 0x41, 0xE0] };
            let data = [&nal[..], &(at as u32).to_be_bytes()[1..]].concat().into();
            VideoSample { dts: ms(at), pts: ms(at), duration: ms(40), random_access: idr, data }
        })
        .collect()
}

/// A fragment without its init segment; `track` is (number, timescale, base time, duration and data of each).
fn fragment(track_id: u32, base: u64, samples: Vec<(u32, bool, Bytes)>) -> Bytes {
    let samples = samples.into_iter().map(|(duration, sync, data)| overdub_fmp4::Sample {
        duration,
        composition_offset: 0,
        sync,
        data,
    });
    let run = overdub_fmp4::TrackRun { track_id, base_decode_time: base, samples: samples.collect() };
    overdub_fmp4::Fragment::new(1, vec![run]).encode().unwrap().to_bytes()
}

/// A video segment from `start` to `end`.
fn video_segment(start: i64, end: i64) -> Bytes {
    let samples = pictures(start, end);
    let base = u64::try_from(samples[0].dts.to_ticks()).unwrap();
    let samples = samples.into_iter().map(|sample| (3_600, sample.random_access, sample.data)).collect();
    fragment(mp4::VIDEO_TRACK, base, samples)
}

/// An audio segment with frames `range` of 1024 samples at the params' rate.
fn audio_segment(range: std::ops::Range<u64>) -> Bytes {
    let samples = range.clone().map(|k| (1_024, true, Bytes::copy_from_slice(&k.to_be_bytes()))).collect();
    fragment(mp4::AUDIO_TRACK, range.start * 1_024, samples)
}

fn main_input(init: &Bytes, data: Bytes, discontinuity: bool, sequence: u64) -> Input {
    Input {
        rendition: Rendition::Main,
        init: Some(init.clone()),
        data,
        offset: 0,
        discontinuity,
        discontinuity_sequence: sequence,
        media_sequence: None,
    }
}

fn audio_input(init: &Bytes, data: Bytes, discontinuity: bool, sequence: u64) -> Input {
    Input { rendition: Rendition::Audio, ..main_input(init, data, discontinuity, sequence) }
}

fn video_init(params: &VideoParams) -> Bytes {
    mp4::init(Some(params), None).unwrap()
}

fn audio_init(params: &AudioParams) -> Bytes {
    mp4::init(None, Some(params)).unwrap()
}

/// Period, number of pictures and of frames of each piece.
fn shape(pieces: &[Piece]) -> Vec<(u64, usize, usize)> {
    let count = |piece: &Piece| {
        let video = piece.video.as_ref().map_or(0, |(_, samples)| samples.len());
        let audio = piece.audio.as_ref().map_or(0, |(_, frames)| frames.len());
        (piece.period, video, audio)
    };
    pieces.iter().map(count).collect()
}

fn demux_all(demuxer: &mut Demuxer, inputs: &[Input]) -> Vec<Piece> {
    let each = inputs.iter().enumerate();
    each.flat_map(|(index, input)| demuxer.handle_segment(input, &origin(index as u64))).collect()
}
