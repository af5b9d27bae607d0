//! MP4 files of every shape that FFmpeg writes, and some that it does not, read as ffprobe reads them.
#![expect(clippy::disallowed_methods, reason = "tests write files and run a judge")]

mod boxes;
mod judge;
mod patches;
mod table;

use std::fmt::Write as _;
use std::fs;

use overdub_fmp4::parse;

use judge::{differences, ffmpeg, lost_by_a_cut};
use table::{CUT, Judge, PATCHED, SHAPES, SOURCES};

#[test]
fn every_shape_is_read_as_ffprobe_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("subs.srt"), "1\n00:00:00,500 --> 00:00:01,000\nHi\n\n").expect("subtitles");
    for (name, args) in SOURCES {
        ffmpeg(folder, args, name);
    }
    let (mut failures, mut files, mut samples) = (String::new(), 0, 0);
    let mut check = |name: &str, judged: &str| {
        let (count, wrong) = differences(&folder.join(name), &folder.join(judged));
        files += 1;
        samples += count;
        for difference in wrong {
            let _ = writeln!(failures, "{name}: {difference}");
        }
    };
    for (name, args) in SHAPES {
        ffmpeg(folder, args, name);
        check(name, name);
    }
    for (name, from, judge, patch) in PATCHED {
        let file = fs::read(folder.join(from)).expect("a shape");
        fs::write(folder.join(name), patch(&file)).expect("a file");
        check(name, if *judge == Judge::Original { from } else { name });
    }
    for name in CUT {
        let file = fs::read(folder.join(name)).expect("a shape");
        for place in 1..12 {
            let part = folder.join(format!("cut-{name}"));
            fs::write(&part, &file[..file.len() * place / 12 + place]).expect("a file");
            for difference in lost_by_a_cut(&folder.join(name), &part) {
                let _ = writeln!(failures, "{name}, cut at {place}/12: {difference}");
            }
        }
    }
    println!("{files} files, {samples} samples");
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn uncompressed_sound_is_listed_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sound = "-f lavfi -i testsrc2=s=64x64:d=1 -f lavfi -i sine=d=1 -c:v mjpeg -c:a pcm_u8";
    ffmpeg(folder.path(), sound, "pcm.mov");
    let file = fs::read(folder.path().join("pcm.mov")).expect("a file");
    let movie = parse(&file.into()).expect("a movie");
    assert!(movie.damage.is_empty(), "{:?}", movie.damage);
    assert_eq!(movie.tracks.iter().map(|track| track.samples.len()).collect::<Vec<_>>(), [25, 0]);
    assert_eq!(&movie.tracks[1].info.sample_entry, b"raw ");
}
