//! What this crate writes, judged by ffprobe: no warning, and the packets that were written.
#![expect(clippy::disallowed_methods, reason = "tests write files and run a judge")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use overdub_fmp4::{
    Chunks, Fragment, Movie, Sample, SegmentBoxes, TimedSample, Track, TrackRun, init_segment, parse,
    parse_segment,
};
use support::{Case, cases, corpus};

/// Runs ffprobe; anything that it says beside its answer fails the test.
fn ffprobe(file: &Path, args: &[&str]) -> String {
    let output = Command::new("ffprobe").args(["-v", "warning"]).args(args).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("ffprobe is needed ({error}): apt-get install ffmpeg"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Files whose pictures or sound ffprobe itself warns about, whatever container they are in, are no test.
fn is_clean(case: &Case) -> bool {
    let quiet = |of: &str| case.truth["warnings"][of]["lines"] == 0;
    case.truth["ffprobe"]["rc"] == 0 && quiet("ffprobe_streams") && quiet("ffmpeg_decode")
}

/// `tracks` written again: an init segment and fragments that begin at sync samples of the first track.
fn rewrite(tracks: &[Track], segment: &SegmentBoxes) -> Bytes {
    let configs: Vec<_> = tracks.iter().map(|track| track.info.config.clone()).collect();
    let mut out = Chunks::from(init_segment(&configs).expect("a writable init segment"));
    let cuts: Vec<i64> =
        tracks[0].samples.iter().filter(|s| s.sync).step_by(20).map(|s| s.dts).skip(1).collect();
    let mut from = i64::MIN;
    for (n, to) in cuts.into_iter().chain([i64::MAX]).enumerate() {
        let scale = i128::from(tracks[0].info.config.timescale);
        let run = |track: &Track| {
            // The border in the time of this track.
            let own = i128::from(track.info.config.timescale);
            let within = |s: &&TimedSample| {
                let dts = i128::from(s.dts) * scale;
                i128::from(from) * own <= dts && dts < i128::from(to) * own
            };
            let samples: Vec<_> = track.samples.iter().filter(within).collect();
            let first = samples.first()?.dts - track.info.shift();
            let again = |s: &&TimedSample| Sample {
                duration: s.duration,
                composition_offset: s.composition_offset,
                sync: s.sync,
                data: s.data.clone(),
            };
            Some(TrackRun {
                track_id: track.info.config.id,
                base_decode_time: u64::try_from(first).expect("media time"),
                samples: samples.iter().map(again).collect(),
            })
        };
        let runs: Vec<_> = tracks.iter().filter_map(run).collect();
        if !runs.is_empty() {
            let sequence_number = n as u32 + 1;
            let fragment = Fragment { sequence_number, tracks: runs, segment: segment.clone() };
            out.append(fragment.encode().expect("a fragment"));
        }
        from = to;
    }
    out.to_bytes()
}

fn times_and_sizes(track: &Track) -> Vec<String> {
    lines(track, 0)
}

/// As ffprobe shows a track, its presentation `later` than it is.
fn lines(track: &Track, later: i64) -> Vec<String> {
    let line = |s: &TimedSample| format!("{},{},{}", s.pts() + later, s.dts, s.data.len());
    track.samples.iter().map(line).collect()
}

fn judge(file: &Path, movie: &Movie) {
    for (i, track) in movie.tracks.iter().enumerate() {
        let stream = i.to_string();
        let entries = "packet=pts,dts,size";
        let answer = ffprobe(file, &["-select_streams", &stream, "-show_entries", entries, "-of", "csv=p=0"]);
        let theirs: Vec<_> =
            answer.lines().map(|line| line.trim_end_matches(',')).filter(|l| !l.is_empty()).collect();
        let side_data_left_out: Vec<_> = theirs.iter().filter(|line| line.contains(',')).collect();
        assert_eq!(side_data_left_out.len(), track.samples.len(), "{}", file.display());
        // FFmpeg shifts the presentation of a track with negative composition offsets (libavformat/mov.c,
        // dts_shift) so that none is before its decoding; ISO/IEC 14496-12 8.6.1.4 lets the times stand.
        let later = track.samples.iter().map(|s| -i64::from(s.composition_offset)).max().unwrap_or(0).max(0);
        for (theirs, ours) in side_data_left_out.into_iter().zip(lines(track, later)) {
            assert!(theirs.starts_with(&ours), "{}: {theirs} {ours}", file.display());
        }
    }
}

#[test]
fn real_files_written_again_are_accepted_without_a_warning_and_read_back_the_same() {
    let Some(corpus) = corpus() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut codecs = std::collections::BTreeMap::new();
    for case in cases(&corpus).iter().filter(|case| is_clean(case)) {
        let movie = match &case.init {
            Some(init) => parse_segment(init, &case.bytes),
            None => parse(&case.bytes),
        };
        let Ok(mut movie) = movie else { continue };
        movie.tracks.retain(|track| !track.samples.is_empty());
        let known =
            movie.tracks.iter().all(|t| t.info.config.codec.is_video() || t.info.config.codec.is_audio());
        let kind: Vec<_> = movie.tracks.iter().map(|track| track.info.sample_entry).collect();
        let seen: &mut u32 = codecs.entry(kind.concat()).or_default();
        if !known || movie.tracks.is_empty() || *seen == 3 {
            continue;
        }
        *seen += 1;
        let file = folder.path().join("again.mp4");
        for segment in [SegmentBoxes::default(), SegmentBoxes { segment_type: true, ..Default::default() }] {
            let bytes = rewrite(&movie.tracks, &segment);
            fs::write(&file, &bytes).expect("written");
            let again = parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert!(again.damage.is_empty(), "{}: {:?}", case.name, again.damage);
            for (before, after) in movie.tracks.iter().zip(&again.tracks) {
                assert_eq!(before.info.config.codec, after.info.config.codec, "{}", case.name);
                assert_eq!(times_and_sizes(before), times_and_sizes(after), "{}", case.name);
                let same = before
                    .samples
                    .iter()
                    .zip(&after.samples)
                    .all(|(b, a)| b.data == a.data && b.sync == a.sync);
                assert!(same, "{}", case.name);
            }
            println!("{}", case.name);
            judge(&file, &again);
        }
    }
    let names: Vec<_> =
        codecs.iter().filter(|(_, n)| **n > 0).map(|(k, _)| k.escape_ascii().to_string()).collect();
    for codec in ["avc1", "hvc1", "mp4a", "Opus", "ac-3", "ec-3"] {
        assert!(names.iter().any(|name| name.contains(codec)), "no clean {codec} in the corpus: {names:?}");
    }
}

/// Made by FFmpeg's own muxer in each of its ways, so that reading is judged without any corpus.
const MADE: [(&str, &str); 10] = [
    ("plain.mp4", "-c:v libx264 -bf 2 -c:a aac"),
    ("faststart.mp4", "-c:v libx264 -bf 2 -c:a libmp3lame -movflags faststart"),
    ("quicktime.mov", "-c:v libx264 -bf 2 -c:a aac"),
    ("moof_base.mp4", "-c:v libx264 -bf 2 -c:a aac -movflags frag_keyframe+empty_moov+default_base_moof"),
    ("absolute_base.mp4", "-c:v libx264 -bf 2 -c:a ac3 -movflags frag_keyframe+empty_moov+delay_moov"),
    ("moov_first_fragment.mp4", "-c:v libx264 -bf 2 -c:a eac3 -movflags frag_keyframe+delay_moov"),
    (
        "negative_offsets.mp4",
        "-c:v libx264 -bf 2 -c:a aac -movflags frag_keyframe+empty_moov+negative_cts_offsets",
    ),
    ("dash.mp4", "-c:v libx264 -bf 2 -c:a libopus -movflags dash+global_sidx+frag_keyframe"),
    (
        "separate.mp4",
        "-c:v libx265 -x265-params log-level=none -tag:v hvc1 -c:a aac -movflags separate_moof+empty_moov+frag_keyframe",
    ),
    ("no_edits.mp4", "-c:v libx264 -bf 2 -c:a mp2 -use_editlist 0"),
];

#[test]
fn every_kind_of_file_that_ffmpeg_makes_is_read_as_ffprobe_reads_it_and_written_again() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, options) in MADE {
        let file = folder.path().join(name);
        let inputs =
            "-f lavfi -i testsrc=d=2:s=128x72:r=25 -f lavfi -i sine=d=2:r=48000 -g 12 -pix_fmt yuv420p";
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin"])
            .args(inputs.split(' '))
            .args(options.split(' '))
            .arg(&file)
            .status();
        let status =
            status.unwrap_or_else(|error| panic!("ffmpeg is needed ({error}): apt-get install ffmpeg"));
        assert!(status.success(), "{name}");
        let movie =
            parse(&fs::read(&file).expect("made").into()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(movie.damage.is_empty(), "{name}: {:?}", movie.damage);
        assert_eq!(movie.tracks.len(), 2, "{name}");
        judge(&file, &movie);
        let again = parse(&rewrite(&movie.tracks, &SegmentBoxes::default())).expect("our own file");
        for (before, after) in movie.tracks.iter().zip(&again.tracks) {
            assert_eq!(times_and_sizes(before), times_and_sizes(after), "{name}");
        }
        let file = folder.path().join("again.mp4");
        fs::write(&file, rewrite(&movie.tracks, &SegmentBoxes::default())).expect("written");
        judge(&file, &again);
    }
}
