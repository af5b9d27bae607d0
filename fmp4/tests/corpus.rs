//! Every real MP4 of the corpus against its truth: the tracks, the number of samples, their times and bytes.
#![expect(clippy::disallowed_methods, reason = "tests read files")]

mod support;

use std::fmt::Write as _;

use md5::{Digest, Md5};
use overdub_fmp4::{Movie, Track, parse, parse_segment};
use serde_json::Value;
use support::{Case, cases, corpus};

fn read(case: &Case) -> Result<Movie, overdub_fmp4::ReadError> {
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
    let pts = || samples.iter().map(overdub_fmp4::TimedSample::pts);
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

fn differences(case: &Case, movie: &Movie) -> Vec<String> {
    let empty = Vec::new();
    let streams = case.truth["ffprobe"]["streams"].as_array().unwrap_or(&empty);
    let mut wrong = Vec::new();
    if streams.len() != movie.tracks.len() {
        wrong.push(format!("{} tracks, {} in the truth", movie.tracks.len(), streams.len()));
    }
    for (i, (stream, track)) in streams.iter().zip(&movie.tracks).enumerate() {
        for (field, ours) in summary(track) {
            let theirs = &stream[field];
            if *theirs != ours && !(theirs.is_null() && ours.is_null()) && stream["packets"] != 0 {
                wrong.push(format!("track {i}: {field} {ours}, truth {theirs}"));
            }
        }
        let list = stream["packet_list_md5"].as_str();
        if list.is_some_and(|md5| md5 != packet_list(track, false) && md5 != packet_list(track, true)) {
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
        let movie = match read(&case) {
            Ok(movie) => movie,
            Err(error) => {
                let _ = writeln!(failures, "{}: {error}", case.name);
                continue;
            }
        };
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
}
