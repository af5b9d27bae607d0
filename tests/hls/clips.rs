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

impl Packets {
    pub(crate) fn add(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.video, other.video), (&mut self.audio, other.audio)] {
            for (hash, count) in theirs {
                *mine.entry(hash).or_default() += count;
            }
        }
    }
}

/// How a clip is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Picture and sound in transport streams.
    Muxed,
    /// Transport streams, with the sound in a playlist of its own.
    Apart,
    /// Picture and sound in fragmented MP4.
    Fragmented,
}

pub(crate) struct Clip {
    pub(crate) segments: Vec<Bytes>,
    /// The segments of sound that is apart.
    pub(crate) sound: Vec<Bytes>,
    pub(crate) init: Option<Bytes>,
    pub(crate) packets: Vec<Packets>,
}

pub(crate) const FRAMES_PER_SECOND: u32 = 25;

impl Clip {
    /// `seconds` segments of one second. Every picture and every audio frame is unlike any other, so that a
    /// hash says which it is. `offset`: the first timestamp in seconds.
    pub(crate) fn make(form: Form, size: &str, audio_rate: u32, offset: f64, seconds: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let picture = format!("testsrc2=size={size}:rate={FRAMES_PER_SECOND}");
        let noise = format!("anoisesrc=r={audio_rate}:a=0.2:seed={audio_rate}");
        let mut ffmpeg = ffmpeg();
        ffmpeg.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &noise]);
        ffmpeg.args(["-t", &seconds.to_string(), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]);
        ffmpeg.args(["-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:a", "aac", "-ac", "2", "-b:a", "64k", "-output_ts_offset", &offset.to_string()]);
        let segments = ["-f", "segment", "-segment_time", "1", "-segment_format", "mpegts"];
        match form {
            Form::Muxed => ffmpeg.args(segments).arg("%03d.ts"),
            // A second output: the options before it are its own.
            Form::Apart => {
                let of_the_sound =
                    ["-map", "1:a", "-t", &seconds.to_string(), "-c:a", "aac", "-ac", "2", "-b:a", "64k"];
                ffmpeg.args(["-map", "0:v"]).args(segments).arg("%03d.ts");
                ffmpeg.args(of_the_sound).args(["-output_ts_offset", &offset.to_string()]).args(segments);
                ffmpeg.arg("sound-%03d.ts")
            }
            Form::Fragmented => {
                ffmpeg.args([
                    "-f",
                    "hls",
                    "-hls_time",
                    "1",
                    "-hls_list_size",
                    "0",
                    "-hls_segment_type",
                    "fmp4",
                ]);
                ffmpeg.args(["-hls_segment_filename", "%03d.ts", "list.m3u8"])
            }
        };
        let made =
            ffmpeg.current_dir(folder.path()).status().expect("ffmpeg is installed (apt-get install ffmpeg)");
        assert!(made.success(), "ffmpeg makes the clip");
        let read = |name: String| Bytes::from(std::fs::read(folder.path().join(name)).expect("a segment"));
        let segments: Vec<Bytes> = (0..seconds).map(|n| read(format!("{n:03}.ts"))).collect();
        let sound: Vec<Bytes> = match form {
            Form::Apart => (0..seconds).map(|n| read(format!("sound-{n:03}.ts"))).collect(),
            Form::Muxed | Form::Fragmented => Vec::new(),
        };
        let init = (form == Form::Fragmented).then(|| read("init.mp4".to_owned()));
        let packets = (0..seconds).map(|n| {
            let one = folder.path().join("one");
            let mut packets = Packets::default();
            for segment in [segments.get(n), sound.get(n)].into_iter().flatten() {
                let whole = [init.as_deref().unwrap_or_default(), segment].concat();
                std::fs::write(&one, whole).expect("room for a segment");
                packets.add(packets_of(&one));
            }
            packets
        });
        let packets = packets.collect();
        Self { segments, sound, init, packets }
    }
}

pub(crate) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y"]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// How FFmpeg writes the hash of every packet it copies. Written at once, so that what was there before an end by
/// force counts.
pub(crate) const HASHES: [&str; 12] =
    ["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "framehash", "-hash", "md5", "-flush_packets", "1"];

pub(crate) fn packets_of(file: &Path) -> Packets {
    let output = ffmpeg().arg("-i").arg(file).args(HASHES).arg("-").output().expect("ffmpeg runs");
    read_hashes(&String::from_utf8_lossy(&output.stdout))
}

/// `stream, dts, pts, duration, size, hash` a line, behind `#media_type stream: kind`.
pub(crate) fn read_hashes(text: &str) -> Packets {
    let mut packets = Packets::default();
    let pictures = text.lines().find_map(|line| line.strip_prefix("#media_type ")?.strip_suffix(": video"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split(',').map(str::trim);
        let (stream, hash) = (fields.next(), fields.nth(4));
        let kind = if stream == pictures { &mut packets.video } else { &mut packets.audio };
        if let Some(hash) = hash {
            *kind.entry(hash.to_owned()).or_default() += 1;
        }
    }
    packets
}
