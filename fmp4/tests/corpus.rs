//! Every real MP4 of the corpus against its truth: the tracks, the number of samples, their times and bytes.
#![expect(clippy::disallowed_methods, reason = "tests read files")]

mod support;

use std::fmt::Write as _;

use bytes::Bytes;
use md5::{Digest, Md5};
use overdub_fmp4::{Codec, Movie, Origin, ReadError, TimedSample, Track, parse, parse_segment};
use serde_json::Value;
use support::{Case, cases, corpus};

fn read(case: &Case) -> Result<Movie, ReadError> {
    match &case.init {
        Some(init) => parse_segment(init, &case.bytes),
        None => parse(&case.bytes),
    }
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What the truth says of a stream, computed from a track.
fn summary(track: &Track) -> Vec<(&'static str, Value)> {
    let samples = &track.samples;
    let pts = || samples.iter().map(TimedSample::pts);
    let mut payload = Md5::new();
    samples.iter().for_each(|sample| payload.update(&sample.data));
    vec![
        ("packets", samples.len().into()),
        ("bytes", samples.iter().map(|s| s.data.len()).sum::<usize>().into()),
        ("key_packets", samples.iter().filter(|s| s.sync).count().into()),
        ("first_pts", pts().next().into()),
        ("last_pts", pts().last().into()),
        ("min_pts", pts().min().into()),
        ("max_pts", pts().max().into()),
        ("first_dts", samples.first().map(|s| s.dts).into()),
        ("last_dts", samples.last().map(|s| s.dts).into()),
        ("payload_md5", hex(payload.finalize()).into()),
    ]
}

/// The truth's `packet_list_md5`: over lines of PTS, DTS, size and flags.
fn packet_list(track: &Track, discard: bool) -> String {
    let mut list = String::new();
    for sample in &track.samples {
        let key = if sample.sync { 'K' } else { '_' };
        let hidden = discard && sample.pts() + i64::from(sample.duration) <= 0;
        let shown = if hidden { 'D' } else { '_' };
        let _ = writeln!(list, "{} {} {} {key}{shown}", sample.pts(), sample.dts, sample.data.len());
    }
    hex(Md5::digest(list))
}

/// FFmpeg's mov demuxer moves a plain file whose first presented picture is not at zero so that it is
/// (libavformat/mov.c, mov_fix_index: "If the minimum pts turns out to be greater than zero after fixing
/// the index, then we subtract the dts by that amount"). ISO/IEC 14496-12 8.6.6 does not: an edit may begin
/// within a picture. So many units earlier are the truth's times of such a track.
fn moved_by_ffmpeg(track: &Track) -> i64 {
    let Some(edit) = track.info.config.edit else { return 0 };
    if track.info.handler != *b"vide" || track.samples.iter().any(|s| s.origin == Origin::Fragment) {
        return 0;
    }
    let delay = i64::try_from(edit.delay).expect("a real file's delay");
    let presented = track.samples.iter().map(TimedSample::pts).filter(|pts| *pts >= delay);
    presented.min().map_or(0, |first| first - delay)
}

fn differences(case: &Case, movie: &Movie) -> Vec<String> {
    let empty = Vec::new();
    let streams = case.truth["ffprobe"]["streams"].as_array().unwrap_or(&empty);
    let mut wrong = Vec::new();
    if streams.len() != movie.tracks.len() {
        wrong.push(format!("{} tracks, {} in the truth", movie.tracks.len(), streams.len()));
    }
    // FFmpeg's H.264 parser takes the key flag from a picture that it cannot parse: where the file's offsets
    // lead to something else than pictures, the flags of the file and of the truth cannot be compared.
    let unparsable = case.truth["warnings"]["ffprobe_streams"].to_string().contains("Invalid NAL unit size");
    for (i, (stream, track)) in streams.iter().zip(&movie.tracks).enumerate() {
        let mut track = track.clone();
        let moved = moved_by_ffmpeg(&track);
        track.samples.iter_mut().for_each(|sample| sample.dts -= moved);
        for (field, ours) in summary(&track) {
            let theirs = &stream[field];
            if *theirs == ours || stream["packets"] == 0 || (field == "key_packets" && unparsable) {
                continue;
            }
            wrong.push(format!("track {i}: {field} {ours}, truth {theirs}"));
        }
        let list = stream["packet_list_md5"].as_str().filter(|_| !unparsable);
        if list.is_some_and(|md5| md5 != packet_list(&track, false) && md5 != packet_list(&track, true)) {
            wrong.push(format!("track {i}: packet_list_md5"));
        }
    }
    wrong
}

#[test]
fn every_file_has_the_samples_and_times_of_its_truth() {
    let Some(corpus) = corpus() else { return };
    let mut failures = String::new();
    let (mut files, mut samples) = (0, 0);
    for case in cases(&corpus) {
        // Where the judge could not open the file (an init segment of another file, no media data) there
        // is nothing to compare with.
        let opened = case.truth["ffprobe"]["streams"].as_array().is_some_and(|streams| !streams.is_empty());
        let movie = match read(&case) {
            Ok(movie) => movie,
            Err(error) => {
                if opened {
                    let _ = writeln!(failures, "{}: {error}", case.name);
                }
                continue;
            }
        };
        if !opened {
            continue;
        }
        files += 1;
        samples += movie.tracks.iter().map(|t| t.samples.len()).sum::<usize>();
        for difference in differences(&case, &movie) {
            let _ = writeln!(failures, "{}: {difference}", case.name);
        }
        for error in movie.damage.errors() {
            let _ = writeln!(failures, "{}: damage: {error}", case.name);
        }
    }
    println!("{files} files, {samples} samples");
    assert!(failures.is_empty(), "{failures}");
    assert!(files > 0, "an empty corpus at {}", corpus.display());
}

#[test]
fn the_configuration_records_of_real_files_are_whole() {
    let Some(corpus) = corpus() else { return };
    let mut seen = std::collections::BTreeSet::new();
    for case in cases(&corpus) {
        let Ok(movie) = read(&case) else { continue };
        for (stream, track) in
            case.truth["ffprobe"]["streams"].as_array().into_iter().flatten().zip(&movie.tracks)
        {
            let codec = stream["codec_name"].as_str().unwrap_or("none").to_owned();
            let record = match &track.info.config.codec {
                Codec::Avc { avcc: record, .. }
                | Codec::Hevc { hvcc: record, .. }
                | Codec::Aac { asc: record, .. } => record,
                Codec::Opus { dops, .. } => {
                    // FFmpeg puts the magic `OpusHead` of RFC 7845 before it.
                    assert_eq!(
                        Some(dops.len() as u64 + 8),
                        stream["extradata_size"].as_u64(),
                        "{}",
                        case.name
                    );
                    seen.insert(codec);
                    continue;
                }
                _ => continue,
            };
            assert_eq!(Some(record.len() as u64), stream["extradata_size"].as_u64(), "{}", case.name);
            seen.insert(codec);
        }
    }
    assert!(["aac", "h264", "hevc", "opus"].iter().all(|codec| seen.contains(*codec)), "{seen:?}");
}

/// Files cut off anywhere give an error or the samples before the cut, each as it is in the whole file.
#[test]
fn a_truncated_real_file_loses_only_what_is_behind_the_cut() {
    let Some(corpus) = corpus() else { return };
    for case in cases(&corpus) {
        let Ok(whole) = read(&case) else { continue };
        let step = (case.bytes.len() / 40).max(1);
        for cut in (0..case.bytes.len()).step_by(step) {
            let Ok(part) =
                read(&Case { bytes: case.bytes.slice(..cut), init: case.init.clone(), ..empty_case() })
            else {
                continue;
            };
            for (part, whole) in part.tracks.iter().zip(&whole.tracks) {
                let kept = part.samples.iter().filter(|sample| whole.samples.contains(sample)).count();
                assert_eq!(kept, part.samples.len(), "{} cut at {cut}", case.name);
            }
        }
    }
}

fn empty_case() -> Case {
    Case { name: String::new(), truth: Value::Null, init: None, bytes: Bytes::new() }
}
