//! `hls::run` against an origin on loopback that fails in every way that DESIGN section 9 lists.

use std::time::Duration;

use crate::origin::{Answer, Ask, Log, live_playlist, segment, segment_number, start, window_of};
use crate::run::{assert_clean, run, settings};
use hex_literal::hex;
use overdub::clock::Clock;
use overdub::hls::{self, Error, Event, Segment, Settings, Status};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Live segments of the tests; the target duration is 1 s.
const SEGMENT_MS: u64 = 500;
const WINDOW: u64 = 8;

/// A live origin whose segments answer through `segment_answer(ask, number)` first.
async fn live(segment_answer: impl Fn(&Ask, u64) -> Option<Answer> + Send + Sync + 'static) -> (Url, Log) {
    start(move |ask| match segment_number(&ask.path) {
        Some(number) => segment_answer(ask, number).unwrap_or_else(|| Answer::Body(segment(number))),
        None => Answer::text(live_playlist(ask.at, SEGMENT_MS, WINDOW)),
    })
    .await
}

/// The first segment of a live start at the origin's beginning: three from the end of two windows.
const FIRST: u64 = 2 * WINDOW - 3;

#[tokio::test]
async fn a_live_playlist_is_followed_without_hole_or_repeat() {
    let (url, log) = live(|_, _| None).await;
    let mut run = run(settings(url));
    let got = run.take(10).await;
    assert_eq!((got.segments[0].media_sequence, got.target), (FIRST, Some(Duration::from_secs(1))));
    assert_clean(&got, &[]);
    assert!(!got.segments.iter().any(|segment| segment.discontinuity));
    let status = run.status.borrow().clone();
    assert_eq!((status.gaps, status.retries, status.restarts), (0, 0, 0), "{status:?}");
    assert_eq!(status.kind, Some(hls::SourceKind::Live));
    run.stop().await;
    // RFC 8216 6.3.4: a target duration between readings that brought something.
    let reloads: Vec<Duration> =
        log.lock().unwrap().iter().filter(|(_, path)| path.ends_with("m3u8")).map(|(at, _)| *at).collect();
    for pair in reloads.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(490), "{reloads:?}");
    }
}

async fn survives(fault: fn() -> Answer, times: u32) {
    let (url, _) = live(move |ask, number| (number == FIRST + 2 && ask.before < times).then(fault)).await;
    let mut run = run(settings(url));
    let got = run.take(8).await;
    assert_clean(&got, &[]);
    assert_eq!(run.status.borrow().retries, u64::from(times));
    run.stop().await;
}

#[tokio::test]
async fn a_segment_that_is_not_there_yet_is_waited_for() {
    survives(|| Answer::Status(404), 2).await;
}

#[tokio::test]
async fn server_errors_are_survived() {
    survives(|| Answer::Status(503), 3).await;
}

#[tokio::test]
async fn a_truncated_body_is_fetched_again() {
    survives(|| Answer::Truncated(segment(7)), 2).await;
}

#[tokio::test]
async fn a_reset_connection_is_survived() {
    survives(|| Answer::Reset, 2).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_again() {
    survives(|| Answer::Hang, 1).await;
}

#[tokio::test]
async fn a_body_that_stops_is_fetched_again() {
    survives(|| Answer::HangInBody(segment(7).slice(..100)), 2).await;
}

#[tokio::test]
async fn a_page_instead_of_a_segment_is_not_taken_for_one() {
    survives(|| Answer::text("<html>not here</html>"), 1).await;
    survives(|| Answer::text(""), 1).await;
}

#[tokio::test]
async fn a_segment_that_never_comes_is_a_counted_gap_and_the_stream_goes_on() {
    let (url, _) = live(|_, number| (number == FIRST + 2).then_some(Answer::Status(404))).await;
    let mut run = run(settings(url));
    let got = run.take(10).await;
    assert_clean(&got, &[FIRST + 2]);
    let status = run.status.borrow().clone();
    assert_eq!((status.gaps, status.gap_duration), (1, Duration::from_millis(SEGMENT_MS)));
    assert!(status.last_error.is_some_and(|error| error.contains("HTTP 404")));
    run.stop().await;
}

#[tokio::test]
async fn a_receiver_that_stalls_costs_what_left_the_window_and_no_time_after() {
    // The origin forgets what left its window.
    let (url, _) = live(|ask, number| {
        let produced = u64::try_from(ask.at.as_millis()).unwrap() / SEGMENT_MS;
        (number < WINDOW + produced).then_some(Answer::Status(404))
    })
    .await;
    let mut run = run(settings(url));
    tokio::time::sleep(Duration::from_secs(8)).await;
    let clock = Clock::start();
    let got = run.take(12).await;
    // 16 segments were produced meanwhile; the window of 8 and the room for 4 keep most of the rest.
    let lost: Vec<u64> = got.lost.iter().map(|(sequence, _)| *sequence).collect();
    assert!((1..=12).contains(&lost.len()), "{lost:?}");
    assert_clean(&got, &lost);
    assert!(clock.now().since_start() < Duration::from_secs(4), "{:?}", clock.now());
    run.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_for_ever_is_a_gap_after_its_useful_life() {
    let (url, _) = live(|_, number| (number == FIRST + 1).then_some(Answer::Drip)).await;
    let mut run = run(settings(url));
    let got = run.take(8).await;
    assert_clean(&got, &[FIRST + 1]);
    run.stop().await;
}

#[tokio::test]
async fn a_frozen_playlist_is_reported_and_the_stream_resumes() {
    // Frozen from 1 s to 6 s: what was produced meanwhile is listed again afterwards.
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None => {
            let frozen = (1..6).contains(&ask.at.as_secs());
            let at = if frozen { Duration::from_secs(1) } else { ask.at };
            Answer::text(live_playlist(at, SEGMENT_MS, 16))
        }
    })
    .await;
    let mut run = run(settings(url));
    let mut status = run.status.clone();
    let stalled =
        tokio::spawn(async move { status.wait_for(|status| status.stalled_since.is_some()).await.is_ok() });
    let got = run.take(16).await;
    assert_clean(&got, &[]);
    assert!(stalled.await.unwrap());
    assert_eq!(run.status.borrow().stalled_since, None);
    run.stop().await;
}

#[tokio::test]
async fn a_playlist_that_fails_for_a_while_costs_nothing_within_its_window() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None if (1..4).contains(&ask.at.as_secs()) => match ask.before % 4 {
            0 => Answer::Status(502),
            1 => Answer::Hang,
            2 => Answer::text("<html>maintenance</html>"),
            _ => Answer::Status(404),
        },
        None => Answer::text(live_playlist(ask.at, SEGMENT_MS, 16)),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(14).await;
    assert_clean(&got, &[]);
    run.stop().await;
}

#[tokio::test]
async fn servers_that_lag_by_two_segments_are_tolerated() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None => {
            let lag = Duration::from_millis(if ask.before % 2 == 1 { 2 * SEGMENT_MS } else { 0 });
            Answer::text(live_playlist(ask.at.saturating_sub(lag), SEGMENT_MS, WINDOW))
        }
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(12).await;
    assert_clean(&got, &[]);
    assert!(!got.segments.iter().any(|segment| segment.discontinuity));
    assert_eq!(run.status.borrow().restarts, 0);
    run.stop().await;
}

#[tokio::test]
async fn a_sequence_restart_is_a_discontinuity_and_numbers_go_on() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None if ask.at < Duration::from_secs(2) => Answer::text(window_of(5000, 5006, SEGMENT_MS)),
        None => {
            let end = 1 + u64::try_from((ask.at - Duration::from_secs(2)).as_millis()).unwrap() / SEGMENT_MS;
            Answer::text(window_of(end.saturating_sub(6), end, SEGMENT_MS))
        }
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(10).await;
    let sequences: Vec<u64> = got.segments.iter().map(|segment| segment.media_sequence).collect();
    assert_eq!(sequences, [5003, 5004, 5005, 0, 1, 2, 3, 4, 5, 6]);
    let begins: Vec<u64> =
        got.segments.iter().filter(|s| s.discontinuity).map(|s| s.media_sequence).collect();
    assert_eq!(begins, [0]);
    assert_eq!(got.segments.last().unwrap().number, 1009);
    assert_eq!(run.status.borrow().restarts, 1);
    run.stop().await;
}

#[tokio::test]
async fn a_vod_behind_a_master_is_paced_by_its_receiver_and_ends() {
    let (url, log) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => Answer::text(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nlow/v.m3u8?token=low\n\
             #EXT-X-STREAM-INF:BANDWIDTH=200,RESOLUTION=640x360\nhigh/v.m3u8?token=high\n",
        ),
        "/high/v.m3u8" => Answer::text(window_of(0, 20, 1000) + "#EXT-X-ENDLIST\n"),
        path => segment_number(path).map_or(Answer::Status(410), |number| Answer::Body(segment(number))),
    })
    .await;
    let mut run = run(settings(url));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let fetched = log.lock().unwrap().iter().filter(|(_, path)| path.ends_with(".ts")).count();
    assert!(fetched <= 5, "{fetched} fetched ahead of a receiver with room for 4");
    let got = run.take(usize::MAX).await;
    assert!(got.ended);
    assert_eq!(got.segments.len(), 20);
    assert_clean(&got, &[]);
    assert!(got.segments[0].url.ends_with("/high/seg-0.ts"));
    assert_eq!(run.status.borrow().variant.as_deref(), Some("640x360, 0.0 Mbit/s"));
    run.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn relative_addresses_resolve_against_where_a_redirect_led() {
    let (url, _) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => Answer::Redirect("/edge/7/live.m3u8".to_owned()),
        "/edge/7/live.m3u8" => Answer::text(window_of(0, 3, 1000) + "#EXT-X-ENDLIST\n"),
        path if path.starts_with("/edge/7/") => {
            segment_number(path).map_or(Answer::Status(410), |number| Answer::Body(segment(number)))
        }
        _ => Answer::Status(404),
    })
    .await;
    let mut run = run(settings(url));
    assert_eq!(run.take(usize::MAX).await.segments.len(), 3);
}

#[tokio::test]
async fn a_compressed_playlist_is_read() {
    // printf '#EXTM3U\\n#EXT-X-TARGETDURATION:1\\n#EXTINF:1,\\nseg-0.ts\\n...#EXT-X-ENDLIST\\n' | gzip, 3 segments.
    const GZIP: &[u8] = &hex!(
        "1f8b080000000000020353768d08f1350ee55206d2ba11ba218e41eeae212ea1418e219efe7e568660714f3f372b431daee2d4745d03bd92627431432c62463031a099ae7e2e3e9ec1215c00b7edbb1f6b000000"
    );
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None => Answer::Gzip(GZIP.into()),
    })
    .await;
    let mut run = run(settings(url));
    assert_eq!(run.take(usize::MAX).await.segments.len(), 3);
}

#[tokio::test]
async fn when_a_redirect_s_target_dies_the_address_that_was_given_is_asked_again() {
    let (url, log) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => Answer::Redirect(format!("/edge-{}/live.m3u8", ask.before)),
        "/edge-0/live.m3u8" if ask.at.as_secs() >= 2 => Answer::Status(502),
        path if path.ends_with(".m3u8") => Answer::text(live_playlist(ask.at, SEGMENT_MS, WINDOW)),
        path => segment_number(path).map_or(Answer::Status(410), |number| Answer::Body(segment(number))),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(12).await;
    assert_clean(&got, &[]);
    run.stop().await;
    let asked = |path: &str| log.lock().unwrap().iter().filter(|(_, asked)| asked == path).count();
    assert_eq!(asked("/live.m3u8"), 2, "the living server is kept to");
    assert!(asked("/edge-1/live.m3u8") > 1);
}

#[tokio::test]
async fn user_and_password_of_the_source_reach_its_segments_and_are_never_shown() {
    let (mut url, _) = start(|ask| match ask.header("authorization") {
        None => Answer::Status(401),
        Some(_) if ask.path == "/live.m3u8" => Answer::text(window_of(0, 2, 1000) + "#EXT-X-ENDLIST\n"),
        Some(_) => Answer::Body(segment(segment_number(&ask.path).unwrap())),
    })
    .await;
    url.set_username("user").unwrap();
    url.set_password(Some("secret")).unwrap();
    url.set_query(Some("token=secret"));
    let mut run = run(settings(url));
    assert_eq!(run.take(usize::MAX).await.segments.len(), 2);
    assert!(!format!("{:?}", run.status.borrow()).contains("secret"));
}

#[tokio::test]
async fn an_expired_media_playlist_makes_the_master_be_read_again() {
    let (url, _) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => {
            Answer::text(format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nv.m3u8?session={}\n", ask.before))
        }
        // The first session expires after 2 s.
        "/v.m3u8" if ask.uri.ends_with("session=0") && ask.at.as_secs() >= 2 => Answer::Status(403),
        "/v.m3u8" => Answer::text(live_playlist(ask.at, SEGMENT_MS, 16)),
        path => segment_number(path).map_or(Answer::Status(410), |number| Answer::Body(segment(number))),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(14).await;
    assert_clean(&got, &[]);
    run.stop().await;
}

#[tokio::test]
async fn a_segment_whose_address_has_run_out_is_asked_for_as_it_is_listed_now() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        // The token that it is listed with at first has run out at once.
        Some(number) => match ask.uri.rsplit_once("token=").and_then(|(_, at)| at.parse::<u64>().ok()) {
            Some(at) if number != FIRST + 4 || at >= 2 => Answer::Body(segment(number)),
            _ => Answer::Status(403),
        },
        None => {
            let token = format!(".ts?token={}", ask.at.as_secs());
            Answer::text(live_playlist(ask.at, SEGMENT_MS, WINDOW).replace(".ts", &token))
        }
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(10).await;
    assert_clean(&got, &[]);
    assert!(run.status.borrow().retries > 0);
    run.stop().await;
}

async fn refused(answer: impl Fn(&Ask) -> Answer + Send + Sync + 'static) -> (Error, Duration) {
    let (mut url, _) = start(answer).await;
    url.set_query(Some("token=secret"));
    let clock = Clock::start();
    let mut run = run(settings(url));
    let error = tokio::time::timeout(Duration::from_secs(10), &mut run.task).await;
    let error = error.expect("it gives up").expect("no panic").expect_err("it cannot work");
    let line = error.to_string();
    assert!(!line.contains('\n') && !line.contains("secret"), "{line}");
    (error, clock.now().since_start())
}

#[tokio::test]
async fn what_cannot_get_better_is_refused_at_once_in_one_line() {
    let at_once = Duration::from_secs(1);
    let (error, took) = refused(|_| Answer::text("<!DOCTYPE html><p>hello")).await;
    assert!(error.to_string().ends_with("the body is an HTML page, not a playlist"), "{error}");
    assert!(took < at_once, "{took:?}");
    let (error, took) = refused(|_| Answer::text("#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO\n")).await;
    assert!(error.to_string().ends_with("the master playlist lists no variant"), "{error}");
    assert!(took < at_once, "{took:?}");
    let (error, _) = refused(|_| {
        Answer::text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"k\",KEYFORMAT=\"urn:x\"\n#EXTINF:1,\na.m4s\n")
    })
    .await;
    assert!(error.to_string().ends_with("not supported"), "{error}");
    let (error, took) = refused(|_| Answer::Status(404)).await;
    assert!(matches!(error, Error::Status { status: 404, .. }), "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn what_may_get_better_is_tried_for_the_startup_budget() {
    let (error, took) = refused(|_| Answer::Status(503)).await;
    assert!(matches!(error, Error::Startup { .. }), "{error}");
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let nowhere = Url::parse("http://127.0.0.1:1/live.m3u8?token=secret").unwrap();
    let error = run(settings(nowhere)).task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:1/live.m3u8?… is unreachable: "), "{error}");
    // TLS against a port that does not speak it.
    let (mut url, _) = live(|_, _| None).await;
    url.set_scheme("https").unwrap();
    let error = run(settings(url)).task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("is unreachable: ") && !error.contains('\n'), "{error}");
}

#[tokio::test]
async fn a_source_that_starts_late_is_waited_for() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None if ask.before < 2 => Answer::Status(404),
        None => Answer::text(live_playlist(ask.at, SEGMENT_MS, WINDOW)),
    })
    .await;
    let mut run = run(settings(url));
    assert_clean(&run.take(4).await, &[]);
    run.stop().await;
}

/// The bundled demo origin on a port of its own.
async fn demo(path: &str) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, overdub::demo::source::router(Clock::start())).await });
    Url::parse(&format!("http://{address}/{path}")).unwrap()
}

async fn take_demo(path: &str, count: usize) -> (Vec<Segment>, bool, Status) {
    let (out, mut events) = mpsc::channel(4);
    let (status_out, status) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let source = Settings::new(demo(path).await);
    let task = tokio::spawn(hls::run(source, Clock::start(), 0, out, status_out, stop.clone()));
    let (mut segments, mut ended) = (Vec::new(), false);
    while segments.len() < count && !ended {
        match events.recv().await.expect("the run goes on") {
            Event::TargetDuration(target) => assert_eq!(target, Duration::from_secs(2)),
            Event::Segment(segment) => segments.push(segment),
            Event::Lost { reason, .. } => panic!("{reason}"),
            Event::Renditions { separate_audio } => assert!(!separate_audio),
            Event::Ended => ended = true,
        }
    }
    stop.cancel();
    task.await.unwrap().unwrap();
    let status = status.borrow().clone();
    (segments, ended, status)
}

#[tokio::test]
async fn the_demo_source_is_a_live_stream_that_never_ends() {
    let (segments, _, status) = take_demo("master.m3u8", 6).await;
    let numbers: Vec<u64> = segments.iter().map(|segment| segment.media_sequence).collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
    for segment in &segments {
        assert_eq!(segment.data, overdub::demo::clip::segment(segment.media_sequence));
        assert!(segment.program_date_time.is_some() && !segment.discontinuity);
    }
    assert_eq!(status.variant.as_deref(), Some("640x360, 0.3 Mbit/s, avc1.64001e,mp4a.40.2"));
}

#[tokio::test]
async fn the_demo_clip_is_a_vod_that_ends() {
    let (segments, ended, _) = take_demo("vod-master.m3u8?loops=2", usize::MAX).await;
    assert_eq!((segments.len(), ended), (16, true));
    assert_eq!(segments[15].data, overdub::demo::clip::segment(15));
}
