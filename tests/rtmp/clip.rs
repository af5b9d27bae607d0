//! A clip made by FFmpeg, as packets on the output axis.

use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes};
use overdub::media::{AudioCodec, AudioParams, Flicks, Packet, PacketKind, VideoCodec, VideoParams};
use overdub_rtmp::Timestamp;
use overdub_rtmp::flv::{AudioTag, FILE_HEADER, TagKind, VideoKind, VideoTag, write_tag};

use crate::tags::tags;
use crate::tools::{run, tool};

/// Pictures per second, and pictures from one IDR picture to the next.
pub(crate) const RATE: i64 = 25;
pub(crate) const GOP: i64 = 25;

/// `seconds` of moving picture (B-frames) and tone, as an FLV file.
pub(crate) fn flv(seconds: u32) -> Vec<u8> {
    encode(seconds, &[])
}

fn encode(seconds: u32, options: &[&str]) -> Vec<u8> {
    let mut ffmpeg = tool("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i"]).arg(format!("testsrc2=s=320x180:r={RATE}"));
    ffmpeg.args(["-f", "lavfi", "-i", "sine=440:r=48000", "-t", &seconds.to_string()]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "veryfast", "-g", &GOP.to_string(), "-bf", "2"]);
    ffmpeg.args(options);
    ffmpeg.args(["-c:a", "aac", "-ac", "2", "-f", "flv", "-"]);
    run(&mut ffmpeg).stdout
}

/// Bits per second of the pictures of [`long`].
pub(crate) const LONG_RATE: u32 = 2_000_000;

/// `seconds` of a live stream's rate, as an FLV file: ten seconds again and again.
pub(crate) fn long_flv(seconds: u32) -> Vec<u8> {
    static TEN: OnceLock<Vec<(u8, i64, Bytes)>> = OnceLock::new();
    let ten = TEN.get_or_init(|| {
        let rate = LONG_RATE.to_string();
        let options = ["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate, "-x264-params", "nal-hrd=cbr"];
        tags(&encode(10, &options))
    });
    let mut file = FILE_HEADER.to_vec();
    for round in 0..i64::from(seconds.div_ceil(10)) {
        for (kind, ms, body) in ten {
            // What is at time zero and no frame stands at the file's beginning alone.
            let kind = match (*kind, body[1]) {
                (8, 1) => TagKind::Audio,
                (9, 1) => TagKind::Video,
                (8, _) if round == 0 => TagKind::Audio,
                (9, _) if round == 0 => TagKind::Video,
                (18, _) if round == 0 => TagKind::Script,
                _ => continue,
            };
            write_tag(kind, Timestamp::from_millis(ms + round * 10_000), body, &mut file);
        }
    }
    file
}

/// The same as packets.
pub(crate) fn long(seconds: u32) -> Vec<Packet> {
    packets(&long_flv(seconds))
}

/// The media of an FLV file in its order, shifted so that the first DTS is zero.
pub(crate) fn packets(file: &[u8]) -> Vec<Packet> {
    let mut video: Option<Arc<VideoParams>> = None;
    let mut audio: Option<Arc<AudioParams>> = None;
    let mut packets = Vec::new();
    for (kind, ms, body) in tags(file) {
        let dts = Flicks::from_millis(ms);
        if kind == 9 {
            let tag = VideoTag::parse(&body).expect("FFmpeg writes AVC");
            match tag.kind {
                VideoKind::SequenceHeader => video = Some(Arc::new(video_params(tag.data))),
                VideoKind::Frame { keyframe, composition } => packets.push(Packet {
                    kind: PacketKind::Video {
                        params: video.clone().expect("a sequence header comes first"),
                        random_access: keyframe,
                    },
                    dts,
                    pts: dts + Flicks::from_millis(i64::from(composition)),
                    duration: Flicks::from_millis(1000 / RATE),
                    batch: 0,
                    data: tag.data,
                }),
                VideoKind::EndOfSequence => {}
            }
        } else if kind == 8 {
            match AudioTag::parse(&body).expect("FFmpeg writes AAC") {
                AudioTag::AacSequenceHeader(config) => audio = Some(Arc::new(audio_params(config))),
                AudioTag::AacFrame(data) => {
                    let params = audio.clone().expect("a sequence header comes first");
                    let duration = params.frame_duration();
                    packets.push(Packet {
                        kind: PacketKind::Audio { params },
                        dts,
                        pts: dts,
                        duration,
                        batch: 0,
                        data,
                    });
                }
                other => panic!("FFmpeg writes AAC, not {other:?}"),
            }
        }
    }
    packets
}

/// `seconds` of HEVC, from an MP4 file whose packets ffprobe lists, with AAC.
pub(crate) fn hevc_and_aac(seconds: u32) -> Vec<Packet> {
    let mut packets: Vec<_> =
        packets(&flv(seconds)).into_iter().filter(|packet| !packet.is_video()).collect();
    packets.extend(hevc_packets(seconds));
    packets.sort_by_key(|packet| packet.dts);
    packets
}

fn hevc_packets(seconds: u32) -> Vec<Packet> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut ffmpeg = tool("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i"]).arg(format!("testsrc2=s=320x180:r={RATE}"));
    ffmpeg.args(["-t", &seconds.to_string(), "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"]);
    ffmpeg.args(["-x265-params", &format!("log-level=none:keyint={GOP}:bframes=0")]).arg(&path);
    run(&mut ffmpeg);
    let mut ffprobe = tool("ffprobe");
    ffprobe.args(["-v", "error", "-show_entries", "packet=dts,pos,size,flags", "-of", "csv=p=0"]);
    let list = String::from_utf8(run(ffprobe.arg(&path)).stdout).unwrap();
    let file = Bytes::from(std::fs::read(&path).unwrap());
    let params = Arc::new(VideoParams {
        codec: VideoCodec::Hevc,
        config: child_box(&file, b"hvcC"),
        width: 320,
        height: 180,
        codec_string: "hvc1.1.6.L60.90".to_owned(),
    });
    let duration = Flicks::from_millis(1000 / RATE);
    let packet = |(index, line): (usize, &str)| {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, size, pos, flags, ..] = fields[..] else { panic!("{line}") };
        let (pos, size): (usize, usize) = (pos.parse().unwrap(), size.parse().unwrap());
        let dts = Flicks::from_millis(index as i64 * 1000 / RATE);
        let random_access = flags.starts_with('K');
        let kind = PacketKind::Video { params: Arc::clone(&params), random_access };
        Packet { kind, dts, pts: dts, duration, batch: 0, data: file.slice(pos..pos + size) }
    };
    list.lines().enumerate().map(packet).collect()
}

/// The payload of the first box of this type anywhere in a file.
fn child_box(file: &Bytes, name: &[u8; 4]) -> Bytes {
    let at = file.windows(4).position(|four| four == name).expect("the box is there");
    let size = file.slice(at - 4..at).get_u32() as usize;
    file.slice(at + 4..at - 4 + size)
}

fn video_params(config: Bytes) -> VideoParams {
    let codec_string = "avc1.64000d".to_owned();
    VideoParams { codec: VideoCodec::Avc, config, width: 320, height: 180, codec_string }
}

fn audio_params(config: Bytes) -> AudioParams {
    AudioParams {
        codec: AudioCodec::Aac,
        config,
        sample_rate: 48_000,
        channels: 2,
        frame_len: 1024,
        codec_string: "mp4a.40.2".to_owned(),
    }
}
