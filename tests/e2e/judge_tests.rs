//! The judge is judged: it passes what FFmpeg publishes and finds every fault that we make in it.

use std::time::Duration;

use tokio::process::Command;

use super::flv;
use super::flv::{Kind, Tag};
use super::judge::judge;
use super::nginx::Nginx;
use super::packets::{MS, Media, Packet};
use super::recorder::Recorder;
use super::smooth::{self, Arrival};
use super::source::Clip;
use super::tools::{Running, Workdir, say};

fn packet(name: String, at: i64, duration: i64) -> Packet {
    Packet { dts: at, pts: at, duration, hash: name }
}

/// Ten seconds: 30 pictures and 46.875 audio frames a second, audio 45 ms after video.
fn source() -> Media {
    Media {
        video: (0..300).map(|i| packet(format!("v{i}"), 126_000 + i * 3000, 3000)).collect(),
        audio: (0..468).map(|i| packet(format!("a{i}"), 130_080 + i * 1920, 1920)).collect(),
    }
}

/// The source from its second second on, as FLV carries it: whole milliseconds, from another origin.
fn recording() -> Media {
    let flv = |p: &Packet| Packet {
        dts: (p.dts - 100_000) / MS * MS,
        pts: (p.pts - 100_000) / MS * MS,
        ..p.clone()
    };
    let source = source();
    Media {
        video: source.video[60..280].iter().map(flv).collect(),
        audio: source.audio[92..440].iter().map(flv).collect(),
    }
}

#[test]
fn a_contiguous_run_in_whole_milliseconds_passes() {
    let verdict = judge(&source(), &recording()).expect("a good recording");
    assert_eq!(verdict.first, (60, 92));
    assert_eq!(verdict.count, (220, 348));
    assert_eq!(verdict.missing_at_end, (20, 28));
    assert!(verdict.drift <= MS, "{verdict}");
}

#[test]
fn each_fault_is_found() {
    type Fault = (&'static str, fn(&mut Media), &'static str);
    let faults: [Fault; 10] = [
        ("a picture left out", |m| drop(m.video.remove(100)), "161th instead of its 160th"),
        ("a picture twice", |m| m.video.insert(100, m.video[99].clone()), "159th instead of its 160th"),
        ("a changed picture", |m| m.video[100].hash = "x".into(), "the source has not"),
        ("an audio frame left out", |m| drop(m.audio.remove(7)), "audio"),
        ("no audio", |m| m.audio.clear(), "no audio at all"),
        ("a DTS that stands still", |m| m.video[100].dts = m.video[99].dts, "DTS goes from"),
        ("a gap of 40 ms", |m| m.video[100..].iter_mut().for_each(|p| p.dts += 40 * MS), "step is off"),
        (
            "a slow drift",
            |m| (0..).zip(&mut m.audio).for_each(|(i, p)| p.dts += i * MS / 10),
            "since the first",
        ),
        ("audio late by 25 ms", |m| m.audio.iter_mut().for_each(|p| p.dts += 25 * MS), "audio is off by 2"),
        ("a changed composition time", |m| m.video[50].pts += 33 * MS, "composition time"),
    ];
    for (name, make, expected) in faults {
        let mut bad = recording();
        make(&mut bad);
        let error = judge(&source(), &bad).err().unwrap_or_else(|| panic!("{name}: passed"));
        assert!(error.contains(expected), "{name}: {error}");
    }
}

/// Tags every 20 ms for 20 s; `arrives` says when the one with a DTS of so many ms comes.
fn arrivals(arrives: impl Fn(u32) -> u32) -> Vec<Arrival> {
    let tag = |time| Tag { kind: Kind::Video, time, header: false, size: 100 };
    let at = |time| Duration::from_millis(arrives(time).into());
    (0..1000).map(|i| Arrival { at: at(i * 20), tag: tag(i * 20) }).collect()
}

#[test]
fn an_even_pace_passes_and_bursts_and_silences_do_not() {
    let worst = smooth::judge(&arrivals(|t| t + 300)).expect("even");
    assert!(worst < 1.0, "{worst}");
    smooth::judge(&arrivals(|t| t / 900 * 900)).expect("bursts of less than a second");
    smooth::judge(&arrivals(|t| t / 4000 * 4000)).expect_err("bursts of four seconds");
    smooth::judge(&arrivals(|t| if t < 10_000 { t } else { t + 1500 })).expect_err("a silence of 1.5 s");
    smooth::judge(&arrivals(|t| t / 2)).expect_err("twice as fast");
    smooth::judge(&arrivals(|_| 0)).expect_err("all at once");
}

#[test]
fn flv_tags_are_the_same_however_the_bytes_come() {
    let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    bytes.extend(b"\x12\0\0\x03\0\0\0\0\0\0\0abc\0\0\0\x0e");
    bytes.extend(b"\x09\0\0\x05\0\0\x28\x01\0\0\0\x17\x01\0\0\0\0\0\0\x10");
    bytes.extend(b"\x08\0\0\x02\0\0\x29\0\0\0\0\xaf\0\0\0\0\x0d");
    let whole = flv::Reader::default().push(&bytes);
    let video = Tag { kind: Kind::Video, time: 0x0100_0028, header: false, size: 5 };
    let audio = Tag { kind: Kind::Audio, time: 0x29, header: true, size: 2 };
    assert_eq!(whole, [Tag { kind: Kind::Script, time: 0, header: false, size: 3 }, video, audio]);
    let mut reader = flv::Reader::default();
    let bytewise: Vec<Tag> = bytes.iter().flat_map(|b| reader.push(&[*b])).collect();
    assert_eq!(bytewise, whole);
}

/// The whole scene with FFmpeg in the product's place: what fails here is the scene's fault.
#[tokio::test(flavor = "multi_thread")]
async fn the_scene_passes_what_ffmpeg_publishes_into_nginx() {
    let dir = Workdir::new("scene");
    let clip = Clip::of(20).await;
    let mut nginx = Nginx::start(&dir).await;
    let url = nginx.url("ffmpeg");
    let mut recorder = Recorder::start(&url, &dir.join("pulled.flv")).await;
    let mut publisher = Command::new("ffmpeg");
    publisher.args(["-hide_banner", "-nostdin", "-v", "warning", "-re", "-i"]).arg(&clip.file);
    publisher.args(["-c", "copy", "-f", "flv", &url]);
    let mut publisher = Running::start("ffmpeg", &mut publisher, dir.join("publisher.log"));
    let status = publisher.wait(Duration::from_secs(60)).await;
    assert!(status.success(), "{}", publisher.tail());
    recorder.settled().await;
    nginx.stop().await;
    let recording = recorder.finish().await;
    let media = Media::read(&recording.file).await;
    let verdict = judge(&clip.media, &media).unwrap_or_else(|fault| panic!("{fault}"));
    // FFmpeg's own pace is not ours to judge; that there is one to look at is.
    assert!(recording.arrivals.len() > 1500, "{} arrivals", recording.arrivals.len());
    let pace = smooth::judge(&recording.arrivals);
    say(&format!("FFmpeg into nginx: {verdict}; pace: {pace:?}"));
    assert_eq!(verdict.missing_at_end, (0, 0), "the recording ends with the source");
}
