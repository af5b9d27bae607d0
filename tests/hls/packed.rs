//! Packed audio of every codec (RFC 8216 3.4) through the source and the demuxer, against the packets that FFmpeg
//! sees in it.

use std::path::Path;
use std::process::Command;

use axum::body::Bytes;
use overdub::demux::{Demuxer, Input};
use overdub::media::{AudioCodec, Flicks, Origin, StampedFrame};

use crate::clips::ffmpeg;
use crate::origin::{Answer, segment_number, start, window_of};
use crate::run::{run, settings};

const RATE: u32 = 48_000;
const FRAMES_IN_A_SEGMENT: usize = 60;
const WRAP: i64 = 1 << 33;
/// The stamp of the first segment: the clock wraps within it.
const FIRST: i64 = WRAP - 50_000;

struct Kind {
    codec: AudioCodec,
    encoder: &'static str,
    format: &'static str,
    frame: i64,
    /// What stands before each frame that is no part of a sample.
    header: usize,
}

const KINDS: [Kind; 4] = [
    Kind { codec: AudioCodec::Aac, encoder: "aac", format: "adts", frame: 1_024, header: 7 },
    Kind { codec: AudioCodec::MpegAudio, encoder: "libmp3lame", format: "mp3", frame: 1_152, header: 0 },
    Kind { codec: AudioCodec::Ac3, encoder: "ac3", format: "ac3", frame: 1_536, header: 0 },
    Kind { codec: AudioCodec::Eac3, encoder: "eac3", format: "eac3", frame: 1_536, header: 0 },
];

/// Six seconds of noise, packet by packet as FFmpeg cuts it.
fn packets(kind: &Kind, folder: &Path) -> Vec<Bytes> {
    let file = folder.join(format!("noise.{}", kind.format));
    let mut encode = ffmpeg();
    encode.args(["-f", "lavfi", "-i", &format!("anoisesrc=r={RATE}:a=0.2:seed=7"), "-t", "6", "-ac", "2"]);
    encode.args(["-c:a", kind.encoder, "-b:a", "128k", "-f", kind.format]);
    if kind.format == "mp3" {
        encode.args(["-write_xing", "0", "-id3v2_version", "0"]);
    }
    assert!(encode.arg(&file).status().expect("ffmpeg is installed (apt-get install ffmpeg)").success());
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0"]).arg(&file);
    let sizes = String::from_utf8(probe.output().expect("ffprobe is there").stdout).expect("numbers");
    let mut rest = Bytes::from(std::fs::read(&file).expect("it was written"));
    let sizes = sizes.lines().map(|line| line.trim_end_matches(',').parse::<usize>().expect("a number"));
    let packets: Vec<Bytes> = sizes.map(|size| rest.split_to(size)).collect();
    assert!(rest.is_empty() && packets.len() > 2 * FRAMES_IN_A_SEGMENT);
    packets
}

/// ID3 with the stamp of the first frame behind it (RFC 8216 3.4).
fn tag(ticks: i64) -> Vec<u8> {
    let owner = b"com.apple.streaming.transportStreamTimestamp\0";
    let length = u8::try_from(owner.len() + 8).expect("short");
    let mut tag = b"ID3\x04\0\0\0\0\0".to_vec();
    tag.push(length + 10);
    tag.extend(b"PRIV\0\0\0");
    tag.extend([length, 0, 0]);
    tag.extend(owner);
    tag.extend((ticks % WRAP).to_be_bytes());
    tag
}

#[tokio::test]
async fn packed_audio_of_every_codec_comes_out_frame_by_frame_at_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in KINDS {
        let packets = packets(&kind, folder.path());
        let segments: Vec<Bytes> = packets
            .chunks(FRAMES_IN_A_SEGMENT)
            .zip(0_i64..)
            .map(|(frames, n)| {
                let ticks = n * FRAMES_IN_A_SEGMENT as i64 * kind.frame * 90_000 / i64::from(RATE);
                [tag(FIRST + ticks), frames.concat()].concat().into()
            })
            .collect();
        let count = segments.len();
        let (url, _) = start(move |ask| match segment_number(&ask.path) {
            Some(number) => Answer::Body(segments[usize::try_from(number).expect("few")].clone()),
            None => {
                let list = window_of(0, count as u64, 1_000) + "#EXT-X-ENDLIST\n";
                Answer::text(list.replace(".ts", &format!(".{}", kind.format)))
            }
        })
        .await;
        let got = run(settings(url)).take(usize::MAX).await;

        let mut demuxer = Demuxer::new();
        let mut pieces = Vec::new();
        for segment in got.segments {
            let input = Input {
                rendition: segment.rendition,
                init: segment.init,
                data: segment.data,
                offset: segment.offset,
                discontinuity: segment.discontinuity,
                discontinuity_sequence: segment.discontinuity_sequence,
                media_sequence: Some(segment.media_sequence),
            };
            let (segment, captured_at) = (segment.number, segment.captured_at);
            pieces.extend(
                demuxer.handle_segment(&input, &Origin { segment, captured_at, program_date_time: None }),
            );
        }
        pieces.extend(demuxer.flush());
        let frames: Vec<&StampedFrame> =
            pieces.iter().flat_map(|piece| piece.audio.iter().flat_map(|(_, frames)| frames)).collect();
        assert_eq!(frames.len(), packets.len(), "{:?}", kind.codec);
        for ((frame, packet), n) in frames.iter().zip(&packets).zip(0_i64..) {
            let at = Flicks::from_ticks(FIRST - WRAP) + Flicks::from_samples(n * kind.frame, RATE);
            assert_eq!(frame.pts, at, "{:?}, frame {n}", kind.codec);
            assert_eq!(frame.data, packet.slice(kind.header..), "{:?}, frame {n}", kind.codec);
        }
        let params = pieces.iter().flat_map(|piece| piece.audio.iter().map(|(params, _)| params));
        for params in params {
            assert_eq!((params.codec, params.sample_rate, params.channels), (kind.codec, RATE, 2));
        }
        assert!(pieces.iter().all(|piece| piece.period == 0), "{:?}: one period", kind.codec);
    }
}
