//! Initialization sections whose bytes change under their address: `hls::run` asks again where it must, and no more.

use std::time::Duration;

use axum::body::Bytes;

use crate::http::{all, asked};
use crate::origin::{Answer, Ask, segment, segment_number, start};
use crate::run::{Got, assert_clean, run, settings};

const WINDOW: u64 = 6;

/// The newest segment at `at`, of half a second each.
fn newest(at: Duration) -> u64 {
    WINDOW - 1 + u64::try_from(at.as_millis()).unwrap() / 500
}

/// A live window at `at` with `tags(number, first)` before each segment.
fn list(at: Duration, numbered_from: u64, tags: impl Fn(u64, bool) -> String) -> Answer {
    let newest = newest(at);
    let first = newest + 1 - WINDOW;
    let mut text =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n", first - numbered_from);
    for number in first..=newest {
        let tags = tags(number, number == first);
        text += &format!("{tags}#EXTINF:0.500,\nseg-{number}.ts\n");
    }
    Answer::text(text)
}

const MAP: &str = "#EXT-X-MAP:URI=\"init.mp4\"\n";

/// The list of an encoder that starts anew with each segment that `restarts` says.
fn restarting(ask: &Ask, restarts: fn(u64) -> bool) -> Answer {
    let first = newest(ask.at) + 1 - WINDOW;
    let passed = (0..first).filter(|number| restarts(*number)).count();
    let answer = list(ask.at, 0, |number, first| match (restarts(number), first) {
        (true, _) => format!("#EXT-X-DISCONTINUITY\n{MAP}"),
        (false, true) => MAP.to_owned(),
        (false, false) => String::new(),
    });
    let Answer::Body(text) = answer else { return answer };
    let text = String::from_utf8(text.to_vec()).unwrap();
    Answer::text(text.replacen(
        "#EXT-X-MEDIA",
        &format!("#EXT-X-DISCONTINUITY-SEQUENCE:{passed}\n#EXT-X-MEDIA"),
        1,
    ))
}

fn inits(got: &Got) -> Vec<(u64, &[u8])> {
    let init = |init: &'_ Option<Bytes>| init.as_ref().map_or(0, Bytes::len);
    assert!(got.segments.iter().all(|segment| init(&segment.init) > 0));
    got.segments.iter().map(|s| (s.media_sequence, s.init.as_deref().unwrap_or_default())).collect()
}

const RESTART: u64 = 9;

/// The second section is written just before the segment that needs it is listed.
fn restarted(ask: &Ask) -> bool {
    newest(ask.at + Duration::from_millis(50)) >= RESTART
}

#[tokio::test]
async fn a_section_that_changes_with_a_discontinuity_is_fetched_again() {
    for (map, body) in [(MAP, "first"), ("#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"5@0\"\n", "first+tail")] {
        let (url, log) = start(move |ask| match (ask.path.as_str(), segment_number(&ask.path)) {
            ("/init.mp4", _) => {
                let body = if restarted(ask) { body.replace("first", "other") } else { body.to_owned() };
                Answer::text(body)
            }
            (_, Some(number)) => Answer::Body(segment(number)),
            _ => {
                let Answer::Body(text) = restarting(ask, |number| number == RESTART) else { unreachable!() };
                Answer::text(String::from_utf8(text.to_vec()).unwrap().replace(MAP, map))
            }
        })
        .await;
        let mut run = run(settings(url));
        let got = run.take(12).await;
        assert_clean(&got, &[]);
        for (number, init) in inits(&got) {
            assert_eq!(init, if number < RESTART { b"first" } else { b"other" }, "{number}");
        }
        let marked: Vec<u64> =
            got.segments.iter().filter(|s| s.discontinuity).map(|s| s.media_sequence).collect();
        assert_eq!(marked, [RESTART]);
        run.stop().await;
        assert_eq!(asked(&log, "/init.mp4"), 2);
    }
}

#[tokio::test]
async fn a_numbering_that_begins_anew_fetches_the_section_again_without_a_discontinuity() {
    let (url, _) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/init.mp4", _) => Answer::text(if restarted(ask) { "other" } else { "first" }),
        (_, Some(number)) => Answer::Body(segment(number)),
        // The old segments are gone with the old encoder.
        _ if restarted(ask) => {
            let Answer::Body(text) =
                list(ask.at, 0, |_, first| if first { MAP.to_owned() } else { String::new() })
            else {
                unreachable!()
            };
            let text = String::from_utf8(text.to_vec()).unwrap();
            let (_, kept) = text.split_once(&format!("seg-{}.ts\n", RESTART - 1)).unwrap_or(("", &text));
            let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n{MAP}");
            Answer::text(if kept == text { text.clone() } else { head + kept })
        }
        _ => list(ask.at, 0, |_, first| if first { MAP.to_owned() } else { String::new() }),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(10).await;
    for segment in &got.segments {
        let number = u64::from_be_bytes(segment.data[4..12].try_into().unwrap());
        let expected: &[u8] = if number < RESTART { b"first" } else { b"other" };
        assert_eq!(segment.init.as_deref(), Some(expected), "{number}");
    }
    run.stop().await;
}

#[tokio::test]
async fn a_section_that_stays_what_it_was_is_not_sent_again() {
    // Each segment begins anew, as behind some remuxers.
    let (url, log) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/init.mp4", _) if ask.header("if-none-match") == Some("\"1\"") => Answer::Status(304),
        ("/init.mp4", _) => {
            Answer::With(200, vec![("etag", "\"1\"".to_owned())], Bytes::from_static(b"first"))
        }
        (_, Some(number)) => Answer::Body(segment(number)),
        _ => restarting(ask, |_| true),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(12).await;
    assert_clean(&got, &[]);
    let first = got.segments[0].init.as_ref().unwrap();
    for segment in &got.segments {
        assert_eq!(segment.init.as_ref().unwrap().as_ptr(), first.as_ptr(), "the same bytes in one place");
    }
    run.stop().await;
    // Those of the first window need one section; each later one is asked for once, by its tag.
    let times = asked(&log, "/init.mp4");
    assert!(times <= 12, "{times}");
}

#[tokio::test]
async fn a_complete_playlist_needs_one_request_for_its_section() {
    let (url, log) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/init.mp4", _) => Answer::text("first"),
        (_, Some(number)) => Answer::Body(segment(number)),
        _ => {
            let segments: String =
                (0..20).map(|n| format!("#EXT-X-DISCONTINUITY\n{MAP}#EXTINF:1,\nseg-{n}.ts\n")).collect();
            Answer::text(format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{segments}#EXT-X-ENDLIST\n"))
        }
    })
    .await;
    let got = all(settings(url)).await;
    assert_eq!(got.segments.len(), 20);
    assert_eq!(asked(&log, "/init.mp4"), 1);
}

#[tokio::test]
async fn a_section_that_cannot_be_fetched_again_costs_no_segment_while_the_old_one_is_there() {
    for fault in [|| Answer::Status(404), || Answer::Status(503), || Answer::Hang] {
        let (url, _) = start(move |ask| match (ask.path.as_str(), segment_number(&ask.path)) {
            ("/init.mp4", _) if ask.before > 0 => fault(),
            ("/init.mp4", _) => Answer::text("first"),
            (_, Some(number)) => Answer::Body(segment(number)),
            _ => restarting(ask, |number| number == RESTART),
        })
        .await;
        let mut run = run(settings(url));
        let got = run.take(12).await;
        assert_clean(&got, &[]);
        assert!(inits(&got).iter().all(|(_, init)| *init == b"first"));
        run.stop().await;
    }
}

#[tokio::test]
async fn a_section_that_is_not_there_yet_is_waited_for_rather_than_replaced_by_the_old_one() {
    let (url, _) = start(|ask| match (ask.path.as_str(), segment_number(&ask.path)) {
        ("/init.mp4", _) if ask.before == 1 => Answer::Status(503),
        ("/init.mp4", _) => Answer::text(if ask.before > 0 { "other" } else { "first" }),
        (_, Some(number)) => Answer::Body(segment(number)),
        _ => restarting(ask, |number| number == RESTART),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(12).await;
    assert_clean(&got, &[]);
    for (number, init) in inits(&got) {
        assert_eq!(init, if number < RESTART { b"first" } else { b"other" }, "{number}");
    }
    run.stop().await;
}
