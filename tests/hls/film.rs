//! A film in one MP4 file in place of a playlist.

use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use overdub::hls::{Error, Event, Segment, SourceKind};

use crate::clips::{ffmpeg, packets_of};
use crate::origin::{Answer, Ask, start};
use crate::run::{Run, run, settings};

/// Twenty seconds with sound, muxed as these flags say.
fn film(flags: &[&str]) -> (tempfile::TempDir, Bytes) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ffmpeg = ffmpeg();
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i"]);
    ffmpeg.args(["anoisesrc=r=48000:a=0.2:seed=5", "-t", "20", "-c:v", "libx264", "-preset", "ultrafast"]);
    ffmpeg.args(["-bf", "2", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"]);
    let made = ffmpeg.args(flags).arg("film.mp4").current_dir(folder.path()).status();
    assert!(made.expect("ffmpeg is installed (apt-get install ffmpeg)").success());
    let bytes = std::fs::read(folder.path().join("film.mp4")).expect("a film").into();
    (folder, bytes)
}

/// What a server answers that knows byte ranges.
fn ranged(film: &Bytes, ask: &Ask) -> Answer {
    let range = ask.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else { return Answer::Body(film.clone()) };
    let first: usize = first.parse().expect("a number");
    let end = last.parse::<usize>().map_or(film.len(), |last| film.len().min(last + 1));
    if first >= end {
        return Answer::With(416, vec![("content-range", format!("bytes */{}", film.len()))], Bytes::new());
    }
    let part = format!("bytes {first}-{}/{}", end - 1, film.len());
    Answer::With(206, vec![("content-range", part)], film.slice(first..end))
}

/// The segments of a run that ends, and what was lost.
async fn all(run: &mut Run) -> (Vec<Segment>, Vec<String>) {
    let (mut segments, mut lost) = (Vec::new(), Vec::new());
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), run.events.recv()).await;
        match event.expect("it goes on") {
            Some(Event::Segment(segment)) => segments.push(segment),
            Some(Event::Lost { reason, .. }) => lost.push(reason.to_string()),
            Some(Event::TargetDuration(target)) => assert!((6..=8).contains(&target.as_secs())),
            Some(Event::Renditions { separate_audio }) => assert!(!separate_audio),
            Some(Event::Ended) | None => return (segments, lost),
        }
    }
}

/// The segments as one file.
fn joined(segments: &[Segment], folder: &Path) -> std::path::PathBuf {
    let mut bytes = segments[0].init.as_ref().expect("an initialization section").to_vec();
    segments.iter().for_each(|segment| bytes.extend_from_slice(&segment.data));
    let file = folder.join("joined.mp4");
    std::fs::write(&file, bytes).expect("room for a film");
    file
}

#[tokio::test]
async fn a_film_is_played_whole_whatever_its_layout_and_its_server() {
    let layouts: [(&str, &[&str]); 3] = [
        ("moov at the end", &[]),
        ("moov in front", &["-movflags", "+faststart"]),
        ("fragments", &["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
    ];
    for (name, flags) in layouts {
        let (folder, film) = film(flags);
        let expected = packets_of(&folder.path().join("film.mp4"));
        for knows_ranges in [true, false] {
            let served = film.clone();
            let (url, _) = start(move |ask| match knows_ranges {
                true => ranged(&served, ask),
                false => Answer::Body(served.clone()),
            })
            .await;
            let mut run = run(settings(url));
            let (segments, lost) = all(&mut run).await;
            assert_eq!((segments.len(), lost.len()), (4, 0), "{name}: {lost:?}");
            let numbers: Vec<u64> = segments.iter().map(|segment| segment.number).collect();
            assert_eq!(numbers, [1000, 1001, 1002, 1003]);
            let got = packets_of(&joined(&segments, folder.path()));
            assert_eq!(got.video, expected.video, "{name}");
            assert_eq!(got.audio, expected.audio, "{name}");
            let status = run.status.borrow().clone();
            assert_eq!((status.kind, status.segments), (Some(SourceKind::Vod), 4));
            run.task.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_film_is_begun_where_the_settings_say_and_survives_its_server() {
    let (_folder, film) = film(&["-movflags", "+faststart"]);
    // Its blocks are so small that several are needed: an answer may be shorter than what was asked for.
    let (url, _) = start(move |ask| match ask.before {
        2 => Answer::Status(503),
        3 => Answer::Reset,
        _ => ranged(&film, ask),
    })
    .await;
    let mut settings = settings(url);
    settings.start_offset = Some(7.0);
    let mut run = run(settings);
    let (segments, lost) = all(&mut run).await;
    let sequences: Vec<u64> = segments.iter().map(|segment| segment.media_sequence).collect();
    assert_eq!((sequences, lost), (vec![1, 2, 3], Vec::new()));
}

#[tokio::test]
async fn a_film_that_changes_under_its_address_ends_there() {
    let (_folder, film) = film(&[]);
    let (url, _) = start(move |ask| {
        // The moov is at the end: the second block is another file's.
        let etag = ("etag", format!("\"{}\"", ask.before.min(2)));
        match ranged(&film, ask) {
            Answer::With(status, mut headers, body) => {
                headers.push(etag);
                // Small parts, so that there are several.
                let end = body.len().min(100_000);
                Answer::With(status, headers, body.slice(..end))
            }
            other => other,
        }
    })
    .await;
    let mut run = run(settings(url));
    let (segments, _) = all(&mut run).await;
    assert!(segments.is_empty());
    let error = run.task.await.unwrap().expect_err("the rest is of another film");
    assert!(matches!(&error, Error::File { reason, .. } if reason.contains("replaced")), "{error}");
}

#[tokio::test]
async fn a_file_without_a_film_is_refused_with_the_reason() {
    let (url, _) = start(|_| Answer::Body(Bytes::from_static(b"\0\0\0\x0cftypisom\0\0\0\x08mdat"))).await;
    let mut run = run(settings(url));
    assert!(all(&mut run).await.0.is_empty());
    let error = run.task.await.unwrap().expect_err("there is nothing to play");
    assert!(error.to_string().contains("no moov"), "{error}");
}
