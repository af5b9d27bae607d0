//! Answers as SRS 7.0.18 gave them, what they mean on an invented clock, and an API that misbehaves.

use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::{any as by_any_method, get};
use overdub_rtmp::Target;
use proptest::prelude::*;
use tokio::sync::watch::channel;
use tokio_util::sync::CancellationToken;

use super::api::{self, Error, Name, Playlist};
use super::watch::{Phase, Watch};
use super::{Settings, run};
use crate::clock::Clock;
use crate::config::KickGhost;
use crate::media::Moment;

const STREAMS: &str = r#"{"code":0,"server":"vid-aj95f3u","service":"23as70qj","pid":"14941","streams":[
    {"id":"vid-1","name":"key","vhost":"vid-gq49y63","app":"live","tcUrl":"rtmp://h/live","url":"/live/key",
     "live_ms":1795581870704,"clients":3,"frames":496,"send_bytes":4384,"recv_bytes":378864,
     "kbps":{"recv_30s":430,"send_30s":860},"publish":{"active":true,"cid":"33501h54"},
     "video":{"codec":"H264","profile":"Baseline","level":"1.2","width":320,"height":180},
     "audio":{"codec":"AAC","sample_rate":44100,"channel":2,"profile":"LC"}},
    {"id":"vid-2","name":"key","vhost":"vid-h","app":"live","tcUrl":"rtmp://v/live","url":"v.example/live/key",
     "clients":1,"recv_bytes":1,"publish":{"active":false,"cid":"old"},"video":null,"audio":null}]}"#;
const CLIENT: &str = r#"{"code":0,"client":{"id":"33501h54","ip":"10.0.0.9","type":"fmle-publish","publish":true,
    "alive":27.81,"send_bytes":4384,"recv_bytes":2329870}}"#;

fn name(address: &str) -> Name {
    Name::of(&Target::parse(address).unwrap())
}

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn publisher(cid: &str, recv_bytes: u64) -> api::Stream {
    let publish = api::Publish { active: true, cid: cid.into() };
    api::Stream { publish, recv_bytes, clients: 1, ..api::Stream::default() }
}

fn known() -> api::Client {
    api::Client { ip: "10.0.0.9".into(), alive: 60.0 }
}

#[test]
fn a_stream_is_found_by_the_names_that_srs_gives_it() {
    for (address, found) in [
        ("rtmp://h/live/key?token=1", Some("/live/key")),
        ("rtmp://h:1936/live/key?vhost=v.example&token=1", Some("v.example/live/key")),
        ("rtmp://h/live?vhost=v.example/key", Some("v.example/live/key")),
        ("rtmp://v.example/live/key", Some("v.example/live/key")),
        ("rtmp://h/live/key?vhost=__defaultVhost__", Some("/live/key")),
        ("rtmp://h/live/other", None),
        ("rtmp://h/other/key", None),
    ] {
        let stream = api::stream(STREAMS.as_bytes(), &name(address)).unwrap();
        assert_eq!(stream.map(|stream| stream.url).as_deref(), found, "{address}");
    }
}

#[test]
fn what_srs_says_is_in_the_status() {
    let stream = api::stream(STREAMS.as_bytes(), &name("rtmp://h/live/key")).unwrap();
    let mut watch = Watch::new(KickGhost::Own);
    assert_eq!(watch.streams(at(0), Phase::Settled, stream.as_ref()), None);
    watch.playlist(at(0), Some((7, 5)));
    let json = serde_json::to_value(watch.status()).unwrap();
    let expected = serde_json::json!({
        "reachable": true, "lastError": null, "ghost": null, "kicked": 0,
        "stream": {"active": true, "viewers": 2, "recvKbps": 430.0, "sendKbps": 860.0, "video": "H264", "audio": "AAC"},
        "hls": {"available": true, "segments": 5, "mediaSequence": 7},
    });
    assert_eq!(json, expected);
}

#[test]
fn answers_that_are_not_srss_are_errors() {
    let any = name("rtmp://h/live/key");
    for (body, error) in [
        ("", Error::NotSrs),
        ("<html>", Error::NotSrs),
        ("{}", Error::NotSrs),
        (r#"{"code":0}"#, Error::NotSrs),
        (r#"{"code":0,"streams":{}}"#, Error::NotSrs),
        (r#"{"code":1061}"#, Error::Code(1061)),
    ] {
        assert_eq!(api::stream(body.as_bytes(), &any), Err(error), "{body}");
    }
    assert_eq!(api::client(br#"{"code":2049}"#), Ok(None));
    assert_eq!(api::client(CLIENT.as_bytes()), Ok(Some(api::Client { ip: "10.0.0.9".into(), alive: 27.81 })));
    assert_eq!((api::deleted(br#"{"code":2049}"#), api::deleted(br#"{"code":0}"#)), (Ok(()), Ok(())));
}

#[test]
fn playlists_tell_their_segments_and_where_srs_sends_its_viewers() {
    let media = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:12\n#EXTINF:2.0, no desc\nkey-12.ts\n#EXTINF:2,\na\n";
    assert_eq!(api::playlist(media.as_bytes()), Some(Playlist::Media { segments: 2, sequence: 12 }));
    let master =
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,AVERAGE-BANDWIDTH=1\n/live/key.m3u8?hls_ctx=o921j52v\n";
    let elsewhere = Playlist::Elsewhere("/live/key.m3u8?hls_ctx=o921j52v".to_owned());
    assert_eq!(api::playlist(master.as_bytes()), Some(elsewhere));
    assert_eq!((api::playlist(b"Not Found"), api::playlist(b"")), (None, None));
}

#[test]
fn hls_that_does_not_move_or_has_no_publisher_is_not_available() {
    let mut watch = Watch::new(KickGhost::Own);
    let available = |watch: &Watch| watch.status().hls.as_ref().is_some_and(|hls| hls.available);
    watch.streams(at(0), Phase::Settled, Some(&publisher("us", 1)));
    watch.playlist(at(0), Some((1, 3)));
    assert!(available(&watch));
    watch.playlist(at(29), Some((1, 3)));
    assert!(available(&watch));
    watch.playlist(at(30), Some((1, 3)));
    assert!(!available(&watch));
    watch.playlist(at(31), Some((2, 3)));
    assert!(available(&watch));
    watch.playlist(at(32), None);
    assert!(!available(&watch));
    watch.streams(at(33), Phase::Away, None);
    watch.playlist(at(33), Some((3, 3)));
    assert!(!available(&watch));
}

#[test]
fn our_own_leftover_connection_is_cut_off_at_once_and_once() {
    let mut watch = Watch::new(KickGhost::Own);
    assert_eq!(watch.streams(at(0), Phase::Settled, Some(&publisher("us", 10))), None);
    // The connection broke, and SRS has not noticed.
    assert_eq!(watch.streams(at(6), Phase::Away, Some(&publisher("us", 10))).as_deref(), Some("us"));
    assert_eq!(watch.client(at(6), Some(&known())).as_deref(), Some("us"));
    watch.kicked();
    let ghost = watch.status().ghost.clone().unwrap();
    assert_eq!((ghost.own, &*ghost.client, &*ghost.ip, ghost.alive_seconds), (true, "us", "10.0.0.9", 60.0));
    assert!(watch.streams(at(7), Phase::Away, Some(&publisher("us", 10))).is_some());
    assert_eq!(watch.client(at(7), Some(&known())), None, "it is given time to go");
    watch.streams(at(9), Phase::Away, Some(&publisher("us", 10)));
    assert!(watch.client(at(9), Some(&known())).is_some());
    // Connected again: nobody is in the way, and the former is not us any more.
    assert_eq!(watch.streams(at(10), Phase::Fresh, Some(&publisher("us", 10))), None);
    assert_eq!(watch.status().ghost, None);
    watch.streams(at(14), Phase::Settled, Some(&publisher("us-2", 10)));
    watch.streams(at(15), Phase::Away, Some(&publisher("us", 10)));
    assert_eq!(watch.client(at(15), Some(&known())), None);
    assert_eq!(watch.status().kicked, 1);
}

#[test]
fn a_stranger_is_reported_and_cut_off_only_when_dead_and_allowed() {
    for (kick, cut_off) in [(KickGhost::Off, false), (KickGhost::Own, false), (KickGhost::Dead, true)] {
        let mut watch = Watch::new(kick);
        let mut cut = Vec::new();
        for second in 0..20 {
            // It sends for ten seconds, then falls silent.
            let sent = publisher("them", second.min(10));
            assert_eq!(watch.streams(at(second), Phase::Away, Some(&sent)).as_deref(), Some("them"));
            if watch.client(at(second), Some(&known())).is_some() {
                cut.push(second);
            }
        }
        let ghost = watch.status().ghost.clone().unwrap();
        assert_eq!((ghost.own, ghost.silent_seconds), (false, 9.0));
        assert_eq!(cut.first(), cut_off.then_some(&17), "{kick:?}: {cut:?}");
    }
}

proptest! {
    #[test]
    fn hostile_answers_end_in_a_value_or_an_error(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = api::stream(&body, &name("rtmp://h/live/key"));
        let _ = api::client(&body);
        let _ = api::playlist(&body);
    }
}

/// What the monitor says of an API that answers with `router`.
async fn monitored(router: Router) -> super::Status {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings = Settings {
        api: format!("http://user:opensesame@{address}/").parse().unwrap(),
        hls: Some(format!("http://{address}/live/key.m3u8").parse().unwrap()),
        target: Target::parse("rtmp://h/live/key").unwrap(),
        kick: KickGhost::Own,
        ca_file: None,
    };
    let (status, mut seen) = channel(None);
    let (_connected, connected) = channel(true);
    let stop = CancellationToken::new();
    let task =
        tokio::spawn(run(settings, Clock::start(), connected, |connected| *connected, status, stop.clone()));
    let status = seen.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    stop.cancel();
    task.await.unwrap();
    status
}

#[tokio::test]
async fn an_api_that_answers_well_is_asked_for_everything() {
    let playlist = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:4\n#EXTINF:2,\na.ts\n";
    let router = Router::new()
        .route("/api/v1/streams/", get(|| async { STREAMS }))
        .route("/live/key.m3u8", get(move || async move { playlist }));
    let status = monitored(router).await;
    assert!(status.reachable && status.last_error.is_none(), "{status:?}");
    assert_eq!(status.stream.unwrap().viewers, 2);
    assert!(status.hls.unwrap().available);
}

#[tokio::test]
async fn an_api_that_misbehaves_is_an_error_without_secrets() {
    let huge = get(|| async { vec![b' '; 2 << 20] });
    let silent = get(|| async { std::future::pending::<()>().await });
    let moved =
        by_any_method(|| async { (StatusCode::FOUND, [(header::LOCATION, "http://169.254.169.254/")]) });
    for (route, words) in [
        (huge, "answered more than 1048576 bytes"),
        (silent, "no answer within 2s"),
        (moved, "answered 302 Found"),
        (get(|| async { StatusCode::UNAUTHORIZED }), "answered 401 Unauthorized"),
        (get(|| async { "<html>" }), "the answer is not that of SRS's HTTP API"),
    ] {
        let status = monitored(Router::new().route("/api/v1/streams/", route)).await;
        let error = status.last_error.clone().unwrap();
        assert!(error.contains(words), "{error}");
        assert!(!status.reachable && !format!("{status:?}").contains("opensesame"), "{status:?}");
    }
}
