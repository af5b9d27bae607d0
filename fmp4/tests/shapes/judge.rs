//! ffmpeg makes, ffprobe judges.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use md5::{Digest, Md5};
use overdub_fmp4::{Origin, TimedSample, Track, parse};
use serde_json::Value;

/// Runs ffmpeg in `folder`; `output` is the last argument.
pub(crate) fn ffmpeg(folder: &Path, args: &str, output: &str) {
    let mut command = Command::new("ffmpeg");
    command.current_dir(folder).args(["-v", "error", "-y", "-nostdin"]);
    let run = command.args(args.split_whitespace()).arg(output).output();
    let run = run.unwrap_or_else(|error| panic!("ffmpeg is needed ({error}): apt-get install ffmpeg"));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{output}: {said}");
}

fn ffprobe(file: &Path) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "quiet", "-of", "json", "-show_streams", "-show_packets", "-show_data_hash", "md5"]);
    let run = command.arg(file).output();
    let run = run.unwrap_or_else(|error| panic!("ffprobe is needed ({error}): apt-get install ffmpeg"));
    serde_json::from_slice(&run.stdout).expect("JSON")
}

/// Where FFmpeg's times differ from the file's on purpose.
///
/// - Negative composition offsets: it wants no picture presented before it is decoded (libavformat/mov.c,
///   dts_shift), and decodes a plain file earlier, or presents a fragmented one later. ISO/IEC 14496-12
///   8.6.1.4 lets the times stand.
/// - Of a plain file it leaves out what begins behind the edit (mov_fix_index); here that is the caller's to
///   do (`Track::trailing`).
/// - A plain file whose edit begins within a picture: it moves the track so that the next picture is at the
///   beginning of the edit (mov_fix_index). 8.6.6 does not.
fn as_ffmpeg_moves(track: &mut Track) {
    let plain = track.samples.iter().all(|s| s.origin == Origin::Table);
    let below = track.samples.iter().map(|s| -i64::from(s.composition_offset)).max().unwrap_or(0).max(0);
    let delay = track.info.config.edit.map_or(0, |edit| edit.delay as i64);
    let presented = track.samples.iter().map(TimedSample::pts).filter(|pts| *pts >= delay).min();
    let is_video = track.info.handler == *b"vide" && track.info.config.edit.is_some();
    let moved = presented.filter(|_| plain && is_video).map_or(0, |first| first - delay);
    if let Some(edit) = track.info.config.edit.filter(|edit| plain && edit.duration > 0) {
        let end = (edit.delay + edit.duration) as i64;
        track.samples.retain(|sample| sample.pts() < end);
    }
    for sample in &mut track.samples {
        sample.dts -= moved + if plain { below } else { 0 };
        sample.composition_offset += below as i32;
    }
}

fn ours(track: &Track) -> Vec<String> {
    let line = |s: &TimedSample| {
        let hash = Md5::digest(&s.data).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let key = if s.sync { 'K' } else { '_' };
        format!("{} {} {} {key} {hash}", s.pts(), s.dts, s.data.len())
    };
    let mut track = track.clone();
    as_ffmpeg_moves(&mut track);
    track.samples.iter().map(line).collect()
}

fn theirs(packets: &Value, stream: usize) -> Vec<String> {
    let of_stream = |p: &&Value| p["stream_index"].as_u64() == Some(stream as u64);
    let line = |p: &Value| {
        let text = |field: &str| p[field].as_str().unwrap_or("?").to_owned();
        let hash = text("data_hash").replace("MD5:", "");
        let (pts, dts) = (&p["pts"], &p["dts"]);
        format!("{pts} {dts} {} {} {hash}", text("size"), &text("flags")[..1])
    };
    packets.as_array().into_iter().flatten().filter(of_stream).map(line).collect()
}

/// How many samples the file has, and where we and ffprobe differ, which reads the file `judged`.
pub(crate) fn differences(file: &Path, judged: &Path) -> (usize, Vec<String>) {
    let judged = ffprobe(judged);
    let bytes = Bytes::from(std::fs::read(file).expect("a file"));
    let streams = judged["streams"].as_array().cloned().unwrap_or_default();
    let mut wrong = Vec::new();
    let movie = match parse(&bytes) {
        Ok(movie) => movie,
        Err(error) => return (0, vec![format!("{error} ({} streams)", streams.len())]),
    };
    wrong.extend(movie.damage.errors().iter().map(|error| format!("damage: {error}")));
    if streams.len() != movie.tracks.len() {
        wrong.push(format!("{} tracks, {} streams", movie.tracks.len(), streams.len()));
    }
    let mut count = 0;
    for (i, track) in movie.tracks.iter().enumerate() {
        let (ours, theirs) = (ours(track), theirs(&judged["packets"], i));
        count += ours.len();
        let codec = String::from_utf8_lossy(&track.info.sample_entry).into_owned();
        if ours.len() != theirs.len() {
            wrong.push(format!("track {i} {codec}: {} samples, {} packets", ours.len(), theirs.len()));
        }
        let differ: Vec<_> = ours.iter().zip(&theirs).enumerate().filter(|(_, (a, b))| a != b).collect();
        for (n, (a, b)) in differ.iter().take(2) {
            wrong.push(format!("track {i} {codec} #{n}: {a} | {b} ({} differ)", differ.len()));
        }
    }
    (count, wrong)
}

/// Of a file that was cut off: which of the samples that ffprobe still finds whole we have lost, and what we
/// found that is not in the whole file.
pub(crate) fn lost_by_a_cut(whole: &Path, part: &Path) -> Vec<String> {
    let read = |file: &Path| parse(&Bytes::from(std::fs::read(file).expect("a file")));
    let (judged, judged_part) = (ffprobe(whole), ffprobe(part));
    let movie = read(whole).expect("a whole file");
    let found = read(part).map(|movie| movie.tracks).unwrap_or_default();
    let mut wrong = Vec::new();
    for (i, track) in movie.tracks.iter().enumerate() {
        let samples = found.get(i).map(ours).unwrap_or_default();
        if !ours(track).starts_with(&samples) {
            wrong.push(format!("track {i}: samples that the whole file has not"));
        }
        let (all, left) = (theirs(&judged["packets"], i), theirs(&judged_part["packets"], i));
        // By their bytes: the last one may be cut, and its time may be a guess.
        let hash = |line: &String| line.rsplit(' ').next().map(str::to_owned);
        let intact = left.iter().zip(&all).take_while(|(a, b)| hash(a) == hash(b)).count();
        if samples.len() < intact {
            wrong.push(format!("track {i}: {} samples, {intact} packets", samples.len()));
        }
    }
    wrong
}
