//! What is in a file, packet by packet, told by FFmpeg: times and the MD5 of the payload.
//!
//! Both sides of a comparison go through the same bitstream filters, which take away what containers
//! legitimately change: start codes against lengths, ADTS headers against AudioSpecificConfig, and the NAL
//! units that are not the picture's own (SPS 7, PPS 8, access unit delimiter 9, filler 12).

use std::path::Path;
use std::time::Duration;

use super::tools::{judge_tool, run};

/// 90 kHz: fine enough for TS exactly, and FLV's milliseconds are 90 of it.
pub const CLOCK: i64 = 90_000;
/// One millisecond.
pub const MS: i64 = CLOCK / 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// In 90 kHz.
    pub dts: i64,
    pub pts: i64,
    pub duration: i64,
    /// MD5 of the payload, in hex.
    pub hash: String,
}

/// Both tracks of a file in decoding order.
#[derive(Clone, Debug, Default)]
pub struct Media {
    pub video: Vec<Packet>,
    pub audio: Vec<Packet>,
}

const VIDEO_FILTER: &str = "h264_mp4toannexb,filter_units=remove_types=7-9|12";
const AUDIO_FILTER: &str = "aac_adtstoasc";

impl Media {
    /// What to ask FFmpeg for the comparable packets of the first H.264 track, those before the first
    /// keyframe included.
    pub const VIDEO: &[&str] = &["-map", "0:v:0", "-c", "copy", "-copyinkf", "-bsf:v", VIDEO_FILTER];
    /// The same of the first AAC track.
    pub const AUDIO: &[&str] = &["-map", "0:a:0", "-c", "copy", "-bsf:a", AUDIO_FILTER];

    /// The first H.264 and the first AAC track of `file`.
    pub async fn read(file: &Path) -> Self {
        Self { video: packets(file, Self::VIDEO).await, audio: packets(file, Self::AUDIO).await }
    }
}

/// Packets (or, without `-c copy`, decoded frames) as FFmpeg's framehash lists them.
pub async fn packets(file: &Path, what: &[&str]) -> Vec<Packet> {
    packets_by(&[], file, what).await
}

/// The same with a decoder chosen.
pub async fn packets_by(decoder: &[&str], file: &Path, what: &[&str]) -> Vec<Packet> {
    let mut command = judge_tool("ffmpeg");
    // Corpus files begin with long stretches of one stream only.
    command.args(["-v", "error", "-probesize", "50M", "-analyzeduration", "100M", "-copyts"]);
    command.args(decoder).arg("-i").arg(file);
    command.args(what).args(["-f", "framehash", "-hash", "md5", "-"]);
    let listed = run(&mut command, Duration::from_secs(120)).await;
    let listed = listed.success(&format!("listing the packets of {}", file.display()));
    parse(&listed.stdout)
}

/// `stream, dts, pts, duration, size, hash[, side data]` after a header that gives the time base.
fn parse(text: &str) -> Vec<Packet> {
    let mut base = (1, CLOCK);
    let mut packets = Vec::new();
    for line in text.lines() {
        if let Some(tb) = line.strip_prefix("#tb 0: ") {
            let (num, den) = tb.split_once('/').expect("a time base is a fraction");
            base = (num.parse().expect("a number"), den.parse().expect("a number"));
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let number = |i: usize| -> i64 { fields[i].parse().unwrap_or_else(|e| panic!("{line}: {e}")) };
            let ticks = |value: i64| {
                let exact = i128::from(value) * i128::from(CLOCK) * i128::from(base.0);
                i64::try_from((exact + i128::from(base.1) / 2).div_euclid(i128::from(base.1)))
                    .expect("a time")
            };
            packets.push(Packet {
                dts: ticks(number(1)),
                pts: ticks(number(2)),
                duration: ticks(number(3)),
                hash: fields[5].to_owned(),
            });
        }
    }
    packets
}
