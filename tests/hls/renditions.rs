//! `hls::run` against master playlists: sound apart, initialization sections, variants that fail.

use std::time::Duration;

use crate::origin::{Answer, live_playlist, segment, segment_number, start, window_of};
use crate::run::{assert_clean, run, settings};
use overdub::hls::{Event, Segment};
use overdub::media::Rendition;

const MASTER: &str = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"fr\",LANGUAGE=\"fr\",URI=\"/fr/a.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",LANGUAGE=\"en\",URI=\"/en/a.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=100,AUDIO=\"a\"\n/video/v.m3u8\n";

/// The events of a run until `enough`, or its end.
async fn events(run: &mut crate::run::Run, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut got = Vec::new();
    while !enough(&got) {
        let event = tokio::time::timeout(Duration::from_secs(20), run.events.recv()).await;
        let Some(event) = event.unwrap_or_else(|_| panic!("no event for 20 s after {got:?}")) else { break };
        got.push(event);
    }
    got
}

fn of(events: &[Event], rendition: Rendition) -> Vec<Segment> {
    let segments = events.iter().filter_map(|event| match event {
        Event::Segment(segment) if segment.rendition == rendition => Some(segment.clone()),
        _ => None,
    });
    segments.collect()
}

#[tokio::test]
async fn sound_apart_comes_beside_the_picture_with_its_own_numbers_and_maps() {
    let (url, log) = start(|ask| {
        let head = |map: &str, first: u64| format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-MAP:URI=\"{map}\",BYTERANGE=\"4@2\"\n"
        );
        let list = |first: u64| -> String {
            (first..first + 6).map(|n| format!("#EXTINF:1,\nseg-{n}.ts\n")).collect::<String>() + "#EXT-X-ENDLIST\n"
        };
        match ask.path.as_str() {
            "/live.m3u8" => Answer::text(MASTER),
            "/video/v.m3u8" => Answer::text(head("init.mp4", 0) + &list(0)),
            "/en/a.m3u8" => Answer::text(head("init.mp4", 700) + &list(700)),
            "/video/init.mp4" => Answer::text("..vvvv.."),
            "/en/init.mp4" => Answer::text("..aaaa.."),
            path => segment_number(path).map_or(Answer::Status(404), |number| Answer::Body(segment(number))),
        }
    })
    .await;
    let mut settings = settings(url);
    settings.variant.audio_language = Some("en".to_owned());
    let mut run = run(settings);
    let got = events(&mut run, |got| matches!(got.last(), Some(Event::Ended))).await;
    assert!(matches!(got[0], Event::Renditions { separate_audio: true }), "{:?}", got[0]);
    let (main, audio) = (of(&got, Rendition::Main), of(&got, Rendition::Audio));
    let sequences = |list: &[Segment]| list.iter().map(|s| s.media_sequence).collect::<Vec<_>>();
    assert_eq!(sequences(&main), (0..6).collect::<Vec<_>>());
    assert_eq!(sequences(&audio), (700..706).collect::<Vec<_>>());
    assert!(main.iter().all(|s| s.init.as_deref() == Some(b"vvvv")));
    assert!(audio.iter().all(|s| s.init.as_deref() == Some(b"aaaa")));
    let asked = |path: &str| log.lock().unwrap().iter().filter(|(_, asked)| asked == path).count();
    assert_eq!((asked("/video/init.mp4"), asked("/en/init.mp4"), asked("/fr/a.m3u8")), (1, 1, 0));
    // Neither runs ahead of the other by more than two target durations, and the numbers are one row.
    let (mut ahead, mut numbers) = (0_i32, Vec::new());
    for event in &got {
        if let Event::Segment(segment) = event {
            numbers.push(segment.number);
            ahead += if segment.rendition == Rendition::Main { 1 } else { -1 };
            assert!(ahead.abs() <= 2, "{ahead}");
        }
    }
    assert_eq!(numbers, (1000..1012).collect::<Vec<_>>());
    run.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn sound_whose_playlist_is_dead_does_not_stop_the_picture() {
    let (url, _) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => Answer::text(MASTER),
        "/video/v.m3u8" => Answer::text(live_playlist(ask.at, 500, 16)),
        "/fr/a.m3u8" if ask.at.as_secs() < 3 => Answer::text(live_playlist(ask.at, 500, 16)),
        "/fr/a.m3u8" => Answer::Status(500),
        path => segment_number(path).map_or(Answer::Status(404), |number| Answer::Body(segment(number))),
    })
    .await;
    let mut run = run(settings(url));
    let got = events(&mut run, |got| of(got, Rendition::Main).len() >= 20).await;
    let main = of(&got, Rendition::Main);
    assert!(main.windows(2).all(|pair| pair[1].media_sequence == pair[0].media_sequence + 1));
    assert!(!of(&got, Rendition::Audio).is_empty());
    run.stop().await;
}

#[tokio::test]
async fn a_variant_that_fails_is_replaced_and_nothing_is_lost_or_repeated() {
    let (url, _) = start(|ask| match ask.path.as_str() {
        "/live.m3u8" => Answer::text(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=200\n/high/v.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=100\n/low/v.m3u8\n",
        ),
        "/high/v.m3u8" if ask.at.as_secs() >= 2 => Answer::Status(500),
        path if path.ends_with("v.m3u8") => Answer::text(live_playlist(ask.at, 500, 24)),
        path => segment_number(path).map_or(Answer::Status(404), |number| Answer::Body(segment(number))),
    })
    .await;
    let mut run = run(settings(url));
    let got = run.take(24).await;
    assert_clean(&got, &[]);
    let begins: Vec<_> = got.segments.iter().filter(|segment| segment.discontinuity).collect();
    assert_eq!(begins.len(), 1, "one period begins, at the change");
    assert!(begins[0].url.contains("/low/"), "{}", begins[0].url);
    let status = run.status.borrow().clone();
    assert_eq!((status.variant_changes, status.gaps), (1, 0), "{status:?}");
    run.stop().await;
}

#[tokio::test]
async fn a_given_offset_is_where_a_source_begins() {
    let (url, _) = start(|ask| match segment_number(&ask.path) {
        Some(number) => Answer::Body(segment(number)),
        None => Answer::text(window_of(0, 10, 1000) + "#EXT-X-ENDLIST\n"),
    })
    .await;
    let mut settings = settings(url);
    settings.start_offset = Some(-3.5);
    let got = run(settings).take(usize::MAX).await;
    assert_eq!(got.segments[0].media_sequence, 6);
}

#[tokio::test]
async fn sound_apart_begins_at_the_given_offset_too() {
    let (url, _) = start(|ask| match (segment_number(&ask.path), ask.path.as_str()) {
        (Some(number), _) => Answer::Body(segment(number)),
        (None, "/live.m3u8") => Answer::text(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"n\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nvideo.m3u8\n",
        ),
        // Numbered by themselves, and cut another way.
        (None, "/sound.m3u8") => Answer::text(window_of(500, 520, 500) + "#EXT-X-ENDLIST\n"),
        (None, _) => Answer::text(window_of(0, 10, 1000) + "#EXT-X-ENDLIST\n"),
    })
    .await;
    let mut settings = settings(url);
    settings.start_offset = Some(6.0);
    let got = events(&mut run(settings), |events| matches!(events.last(), Some(Event::Ended))).await;
    let first = |rendition| of(&got, rendition).first().map(|segment| segment.media_sequence);
    assert_eq!((first(Rendition::Main), first(Rendition::Audio)), (Some(6), Some(512)));
}
