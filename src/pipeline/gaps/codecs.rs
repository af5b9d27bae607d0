//! What stands for a source in a hole decodes, whatever its pictures and its sound are coded in.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{HALF_A_FRAME, SEGMENT, assert_decodes, ffmpeg, play};
use crate::config::StreamOptions;
use crate::media::{AudioCodec, AudioParams, AudioTrack, Flicks, Moment, mp4, silent_frame};
use crate::pipeline::rig::{self, Run};

const SECONDS: u64 = 20;
/// How long the source is away, after half of it.
const AWAY: Duration = Duration::from_secs(30);

/// FFmpeg's encoding of a test picture and a tone, with `args` for how, in segments of 2 s.
pub(super) fn encode(args: &[&str], seconds: u64, output: &Path) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"]);
    command.args(["-f", "lavfi", "-i", "sine=r=48000,aformat=channel_layouts=stereo"]);
    command.args(["-t", &seconds.to_string(), "-c:a", "aac", "-pix_fmt", "yuv420p"]).args(args);
    command.args(["-f", "segment", "-segment_time", "2", "-segment_format", "mpegts"]).arg(output);
    let status =
        command.status().unwrap_or_else(|error| panic!("ffmpeg is needed ({error}): apt-get install ffmpeg"));
    assert!(status.success(), "FFmpeg {args:?}: {status}");
}

/// The output of a source that is away in its middle, and back with a discontinuity.
async fn interrupted(args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    encode(args, SECONDS, &folder.path().join("%d.ts"));
    let data = |n: u64| Bytes::from(std::fs::read(folder.path().join(format!("{n}.ts"))).unwrap());
    let segments = SECONDS / SEGMENT.as_secs();
    let source = (0..segments).map(|n| {
        let away = if n < segments / 2 { Duration::ZERO } else { AWAY };
        (Moment::ZERO + SEGMENT * (n as u32 + 1) + away, rig::segment(n, n == segments / 2, data(n)))
    });
    play(StreamOptions::default(), source.collect()).await
}

#[tokio::test(start_paused = true)]
async fn held_pictures_decode_whatever_the_groups_of_pictures_are() {
    const X264: &str = "keyint=50:min-keyint=50:scenecut=0:ref=4";
    const X265: &str = "log-level=none:keyint=50:min-keyint=50:scenecut=0:bframes=3";
    const B_FRAMES: &str = "bframes=3:b-pyramid=normal";
    let x264 = |more: &str| format!("{X264}:{more}");
    let x265 = |more: &str| format!("{X265}:{more}");
    let cases = [
        ("H.264, CAVLC", "libx264", x264("cabac=0:bframes=0:8x8dct=0:weightp=0")),
        ("H.264, CAVLC and B-frames", "libx264", x264(&format!("cabac=0:{B_FRAMES}"))),
        ("H.264, CABAC", "libx264", x264("bframes=0")),
        ("H.264, CABAC and B-frames", "libx264", x264(B_FRAMES)),
        ("H.264, several slices", "libx264", x264(&format!("slices=4:{B_FRAMES}"))),
        ("H.264, interlaced", "libx264", x264(&format!("tff=1:{B_FRAMES}"))),
        ("H.264, open groups", "libx264", x264(&format!("open-gop=1:{B_FRAMES}"))),
        ("HEVC, closed groups", "libx265", x265("open-gop=0")),
        ("HEVC, open groups", "libx265", x265("open-gop=1")),
    ];
    for (name, codec, params) in &cases {
        let option = if *codec == "libx264" { "-x264-params" } else { "-x265-params" };
        let run = interrupted(&["-c:v", codec, "-preset", "veryfast", option, params]).await;
        run.assert_in_order_and_in_time(name);
        run.assert_no_gap(name, HALF_A_FRAME);
        let hold = run.status.stats.hold;
        println!("{name}: {hold:?}");
        assert!(hold.count == 1 && !hold.without_picture && hold.seconds > 29.0, "{name}: {hold:?}");
        if *name == "H.264, open groups" {
            // The source goes on in the middle of what its encoder made, with commands about reference pictures
            // (ITU-T H.264 8.2.5.4) from before the hole: no IDR picture comes any more that would spare us this.
            let said = ffmpeg(name, &["-v", "warning"], &[], run.mp4(true));
            let about = ["mmco: unref short failure", "non monotonically increasing dts"];
            let other = said.lines().find(|line| !about.iter().any(|known| line.contains(known)));
            assert_eq!(other.filter(|line| !line.is_empty()), None, "{name}: {said}");
        } else {
            assert_decodes(name, run.mp4(true));
        }
    }
}

/// The longest silence that FFmpeg hears in `file`, in seconds: nothing above -80 dB.
fn silence(name: &str, file: Vec<u8>) -> f64 {
    let filter = ["-vn", "-af", "silencedetect=noise=-80dB:duration=1"];
    let heard = ffmpeg(name, &["-v", "info", "-nostats"], &filter, file);
    let lengths =
        heard.lines().filter_map(|line| line.rsplit_once("silence_duration: ")?.1.trim().parse().ok());
    lengths.fold(0.0, f64::max)
}

#[tokio::test(start_paused = true)]
async fn the_sound_of_a_hole_is_silence_in_the_codec_of_the_stream() {
    // Half a frame of the longest: 26.1 ms.
    let seam = Flicks::from_millis(14);
    for (name, codec, rate, channels) in [
        ("AAC", "aac", "48000", "2"),
        ("AAC, one channel", "aac", "44100", "1"),
        ("AAC, 5.1", "aac", "48000", "6"),
        ("MP3", "libmp3lame", "44100", "2"),
    ] {
        let run =
            interrupted(&["-c:v", "libx264", "-g", "50", "-c:a", codec, "-ar", rate, "-ac", channels]).await;
        run.assert_in_order_and_in_time(name);
        run.assert_no_gap(name, seam);
        let hold = run.status.stats.hold;
        assert!(hold.count == 1 && !hold.without_sound, "{name}: {hold:?}");
        assert_decodes(name, run.mp4(true));
        let silence = silence(name, run.mp4(true));
        println!("{name}: silence of {silence:.2} s, {hold:?}");
        assert!((silence - AWAY.as_secs_f64()).abs() < 0.3, "{name}: silence of {silence} s, {hold:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sound_that_no_output_carries_is_silence_before_in_and_behind_a_hole() {
    for codec in ["ac3", "libopus"] {
        let run = interrupted(&["-c:v", "libx264", "-g", "50", "-c:a", codec]).await;
        run.assert_in_order_and_in_time(codec);
        // The grids of two batches of silence meet where the source's frames of 32 ms did.
        run.assert_no_gap(codec, Flicks::from_millis(17));
        let hold = run.status.stats.hold;
        assert!(hold.count == 1 && !hold.without_sound, "{codec}: {hold:?}");
        assert_decodes(codec, run.mp4(true));
        let silence = silence(codec, run.mp4(true));
        assert!(
            (silence - SECONDS as f64 - AWAY.as_secs_f64()).abs() < 0.3,
            "{codec}: silence of {silence} s"
        );
    }
}

#[test]
fn opus_silence_decodes_as_silence() {
    for (channels, samples) in [(1, 120), (2, 240), (1, 480), (2, 960), (1, 1_920), (2, 5_760)] {
        let name = format!("{channels} channels, {samples} samples");
        let params = AudioParams {
            codec: AudioCodec::Opus,
            config: Bytes::copy_from_slice(&[0, channels, 0, 0, 0, 0, 0xBB, 0x80, 0, 0, 0]),
            channels: u16::from(channels),
            frame_len: samples,
            ..AudioParams::plain_aac()
        };
        let frames = vec![silent_frame(&params).unwrap(); 192_000 / samples as usize];
        let track = AudioTrack { params: Arc::new(params), start: Flicks::ZERO, frames };
        let file = || mp4::file(None, Some(&track), Flicks::ZERO).unwrap().to_bytes().to_vec();
        assert_decodes(&name, file());
        let silence = silence(&name, file());
        assert!((silence - 4.0).abs() < 0.05, "{name}: silence of {silence} s");
    }
}
