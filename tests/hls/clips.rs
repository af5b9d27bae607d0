//! Real segments of one second for live runs, made by FFmpeg, and what is in them.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use axum::body::Bytes;

/// The MD5 of each packet's payload, with how often it is there; one map for each kind of stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packets {
    pub(crate) video: HashMap<String, u32>,
    pub(crate) audio: HashMap<String, u32>,
}

pub(crate) struct Clip {
    pub(crate) segments: Vec<Bytes>,
    pub(crate) packets: Vec<Packets>,
}

pub(crate) const FRAMES_PER_SECOND: u32 = 25;

impl Clip {
    /// `seconds` segments of one second. Every picture and every audio frame is unlike any other, so that a
    /// hash says which it is. `offset`: the first timestamp in seconds.
    pub(crate) fn make(size: &str, audio_rate: u32, offset: f64, seconds: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let picture = format!("testsrc2=size={size}:rate={FRAMES_PER_SECOND}");
        let noise = format!("anoisesrc=r={audio_rate}:a=0.2:seed={audio_rate}");
        let mut ffmpeg = ffmpeg();
        ffmpeg.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &noise]);
        ffmpeg.args(["-t", &seconds.to_string(), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]);
        ffmpeg.args(["-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:a", "aac", "-ac", "2", "-b:a", "64k", "-output_ts_offset", &offset.to_string()]);
        ffmpeg.args(["-f", "segment", "-segment_time", "1", "-segment_format", "mpegts", "%03d.ts"]);
        let made =
            ffmpeg.current_dir(folder.path()).status().expect("ffmpeg is installed (apt-get install ffmpeg)");
        assert!(made.success(), "ffmpeg makes the clip");
        let path = |n: usize| folder.path().join(format!("{n:03}.ts"));
        let segments = (0..seconds).map(|n| std::fs::read(path(n)).expect("a segment").into()).collect();
        Self { segments, packets: (0..seconds).map(|n| packets_of(&path(n))).collect() }
    }
}

pub(crate) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y"]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// How FFmpeg writes the hash of every packet it copies: video is stream 0, audio is stream 1.
/// Written at once, so that what was there before an end by force counts.
pub(crate) const HASHES: [&str; 12] =
    ["-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "framehash", "-hash", "md5", "-flush_packets", "1"];

pub(crate) fn packets_of(file: &Path) -> Packets {
    let output = ffmpeg().arg("-i").arg(file).args(HASHES).arg("-").output().expect("ffmpeg runs");
    read_hashes(&String::from_utf8_lossy(&output.stdout))
}

/// `stream, dts, pts, duration, size, hash` a line.
pub(crate) fn read_hashes(text: &str) -> Packets {
    let mut packets = Packets::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(',').map(str::trim);
        let (stream, hash) = (fields.next(), fields.nth(4));
        let kind = if stream == Some("0") { &mut packets.video } else { &mut packets.audio };
        if let Some(hash) = hash {
            *kind.entry(hash.to_owned()).or_default() += 1;
        }
    }
    packets
}
