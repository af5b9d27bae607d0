//! Every endpoint with good and bad inputs, without a socket.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use overdub::control::Setup;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::fake::{Api, Launched, assert_error, set_up, settings};

#[tokio::test]
async fn a_stream_is_started_once_seen_stopped_and_remembered() {
    let api = Api::new();
    assert_eq!(api.get("/api/pipeline/status").await.1, json!({"isRunning": false, "phase": "idle"}));

    let (status, started) = api.start("a").await;
    assert_eq!(status, 200);
    assert_eq!((&started["success"], &started["streamId"]), (&json!(true), &json!("a")));
    assert!(started["message"].is_string() && started.get("alreadyRunning").is_none());
    let (status, again) = api.start("a").await;
    assert_eq!((status.as_u16(), &again["alreadyRunning"]), (200, &json!(true)));
    assert_eq!(api.launches(), 1);

    let (_, running) = api.get("/api/pipeline/status").await;
    assert_eq!((&running["isRunning"], &running["streamId"]), (&json!(true), &json!("a")));
    assert!(!running.to_string().contains("secret"));

    assert_eq!(api.stop("").await.0, 200);
    assert_eq!(api.stop(r#"{"streamId":"a"}"#).await.0, 200, "stopping what is stopped is fine");
    assert_eq!(api.get("/api/pipeline/status?streamId=a").await.1["isRunning"], false);
    assert_eq!(api.get("/api/pipelines/a").await.0, 200);

    assert_eq!(api.start("a").await.0, 200);
    assert_eq!(api.launches(), 2, "a stopped stream starts again");
}

#[tokio::test]
async fn other_settings_for_a_running_stream_are_a_conflict() {
    let api = Api::new();
    api.start("a").await;
    let mut other = settings("a");
    other["bufferDuration"] = json!(10);
    assert_error(&api.post("/api/pipeline/start", other.to_string()).await, 409, Some("streamId"));
    api.stop("").await;
    assert_eq!(api.post("/api/pipeline/start", other.to_string()).await.0, 200);
}

#[tokio::test]
async fn bad_requests_name_the_field() {
    let api = Api::new();
    let start = "/api/pipeline/start";
    let with = |name: &str, value: Value| {
        let mut body = settings("a");
        body[name] = value;
        body.to_string()
    };
    for (body, field) in [
        (with("streamId", json!("../../evil")), Some("streamId")),
        (with("streamId", json!("%2e%2e")), Some("streamId")),
        (with("streamId", json!("a\u{0}b")), Some("streamId")),
        (with("streamId", json!(7)), Some("streamId")),
        (with("streamId", Value::Null), Some("streamId")),
        (with("sourceUrl", json!("file:///etc/passwd")), Some("sourceUrl")),
        (with("srsRtmpUrl", json!({"url": "rtmp://h/a/b"})), Some("srsRtmpUrl")),
        (with("bufferDuration", json!("1 fortnight")), Some("bufferDuration")),
        (with("unknown", json!(1)), Some("unknown")),
        ("{".to_owned(), None),
        ("null".to_owned(), None),
        ("[1]".to_owned(), None),
        ("\u{0}".to_owned(), None),
        (String::new(), Some("streamId")),
    ] {
        assert_error(&api.post(start, body).await, 400, field);
    }
    assert_error(&api.stop(r#"{"streamId":7}"#).await, 400, Some("streamId"));
    assert_error(&api.stop(r#"{"id":"a"}"#).await, 400, Some("id"));
    assert_eq!(api.launches(), 0);
}

#[tokio::test]
async fn every_refusal_is_json() {
    let api = Api::new();
    assert_error(&api.get("/").await, 404, None);
    assert_error(&api.get("/api/pipeline/start").await, 405, None);
    assert_error(&api.post("/api/health", "{}").await, 405, None);
    assert_error(&api.post("/api/pipeline/start", vec![b' '; 100 << 10]).await, 413, None);
    let form = Request::post("/api/pipeline/start").body(Body::from(settings("a").to_string())).unwrap();
    assert_error(&api.send(form).await, 415, None);
    assert_error(&api.get("/api/pipeline/status?streamId=a&streamId=b").await, 400, None);
    for path in [
        "/api/pipeline/status?streamId=nobody",
        "/api/pipelines/nobody",
        "/api/pipelines/..%2f..",
        "/api/pipelines/%ff",
        "/preview/nobody/index.m3u8",
        "/preview/%ff/index.m3u8",
    ] {
        assert_error(&api.get(path).await, 404, Some("streamId"));
    }
    assert_error(&api.stop(r#"{"streamId":"nobody"}"#).await, 404, Some("streamId"));
    assert_error(&api.stop("").await, 404, None);
    api.start("a").await;
    assert_error(&api.get("/preview/a/index.m3u8").await, 404, None);
}

#[tokio::test]
async fn several_streams_have_to_be_named() {
    let api = Api::new();
    api.start("a").await;
    api.start("b").await;
    for answer in [api.get("/api/pipeline/status").await, api.stop("{}").await] {
        assert_error(&answer, 400, Some("streamId"));
        assert_eq!(answer.1["streamIds"], json!(["a", "b"]));
    }
    let (_, list) = api.get("/api/pipelines").await;
    assert_eq!(list["pipelines"].as_array().map(Vec::len), Some(2));

    api.stop(r#"{"streamId":"a"}"#).await;
    assert_eq!(api.get("/api/pipeline/status").await.1["streamId"], "b", "the one that runs is meant");

    let delete = Request::delete("/api/pipelines/b").body(Body::empty()).unwrap();
    assert_eq!(api.send(delete).await.0, 200);
    assert_error(&api.get("/api/pipelines/b").await, 404, Some("streamId"));
}

#[tokio::test]
async fn two_starts_at_once_make_one_stream() {
    let api = Api::new();
    let (one, other) = tokio::join!(api.start("a"), api.start("a"));
    assert_eq!((one.0.as_u16(), other.0.as_u16()), (200, 200));
    assert_eq!(api.launches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_the_end_of_the_stream_before() {
    let may_end = Arc::new(Notify::new());
    let api = Api::with(Launched { may_end: Some(Arc::clone(&may_end)), ..Launched::default() });
    api.start("a").await;
    // It plays what it has captured; the caller is told so and not kept.
    let (status, stopping) = api.stop("").await;
    assert_eq!(status, 200);
    assert!(stopping["message"].as_str().unwrap().contains("stopping"), "{stopping}");

    let mut start = std::pin::pin!(api.start("a"));
    assert!(futures_util::poll!(&mut start).is_pending());
    tokio::task::yield_now().await;
    assert_eq!(api.launches(), 1);
    // Both the stop and the start wait for it.
    may_end.notify_one();
    may_end.notify_one();
    tokio::task::yield_now().await;
    may_end.notify_waiters();
    may_end.notify_one();
    assert_eq!(start.await.0, 200);
    assert_eq!(api.launches(), 2);
}

#[tokio::test]
async fn health_tells_what_runs_and_readiness_ends_with_the_shutdown() {
    let api = Api::new();
    api.start("a").await;
    let (status, health) = api.get("/api/health").await;
    assert_eq!(status, 200);
    assert_eq!((&health["status"], &health["running"]), (&json!("ok"), &json!(1)));
    assert!(health["uptime"].is_number() && health["version"].is_string());
    assert_eq!(api.get("/api/ready").await.0, 200);

    api.control.registry.shut_down().await;
    assert_error(&api.get("/api/ready").await, 503, None);
    assert_error(&api.start("b").await, 503, None);
    assert_eq!(api.get("/api/pipeline/status?streamId=a").await.1["isRunning"], false);
}

#[tokio::test]
async fn the_settings_of_a_stream_are_shown_without_their_secrets() {
    let api = Api::new();
    api.start("a").await;
    let (status, shown) = api.get("/api/pipelines/a/settings").await;
    assert_eq!(status, 200);
    assert_eq!(shown["sourceUrl"], "http://source/a.m3u8?…");
    assert_eq!((&shown["streamId"], &shown["bufferDuration"]), (&json!("a"), &json!(30.0)));
    assert!(shown.get("sourceAuth").is_none());
    assert_error(&api.post("/api/pipeline/start", shown.to_string()).await, 400, Some("sourceUrl"));
    assert_error(&api.get("/api/pipelines/nobody/settings").await, 404, Some("streamId"));
}

#[tokio::test]
async fn what_is_set_for_all_streams_is_shown_without_its_secrets() {
    let stream_defaults = serde_json::from_value(json!({
        "bufferDuration": "10s", "srsRtmpUrl": "rtmp://u:secret@srs/live/{streamId}",
        "sourceHeaders": {"x-key": "secret"}, "audioProcessorUrl": "http://p:5000/?key=secret",
    }));
    let setup = Setup { stream_defaults: stream_defaults.unwrap(), ..set_up() };
    let api = Api::set_up(Launched::default(), setup);
    let (status, answer) = api.get("/api/pipeline/defaults").await;
    let expected = json!({
        "bufferDuration": 10.0, "srsRtmpUrl": ["rtmp://srs/live/{streamId}"],
        "sourceHeaders": {"x-key": "…"}, "audioProcessorUrl": "http://p:5000/?…",
    });
    assert_eq!((status.as_u16(), answer), (200, expected));
    assert_eq!(Api::new().get("/api/pipeline/defaults").await.1, json!({}));
}

#[tokio::test]
async fn a_restart_ends_a_stream_and_starts_it_as_it_was() {
    let api = Api::new();
    api.start("a").await;
    let restart = async || api.post("/api/pipelines/a/restart", "").await;
    assert_eq!(restart().await.0, 200);
    assert_eq!(api.launches(), 2);
    {
        let launched = api.launched.settings.lock().unwrap();
        assert!(launched[0] == launched[1], "secrets included");
    }
    api.stop("").await;
    assert_eq!(restart().await.0, 200, "a stopped one starts too");
    assert_eq!(api.get("/api/pipeline/status").await.1["isRunning"], true);
    assert_error(&api.post("/api/pipelines/nobody/restart", "").await, 404, Some("streamId"));
    api.control.registry.shut_down().await;
    assert_error(&restart().await, 503, None);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_a_stream_that_plays_on_is_answered_before_it_has_ended() {
    let may_end = Arc::new(Notify::new());
    let api = Api::with(Launched { may_end: Some(Arc::clone(&may_end)), ..Launched::default() });
    api.start("a").await;
    let (status, answer) = api.post("/api/pipelines/a/restart", "").await;
    assert_eq!(status, 200);
    assert!(answer["message"].as_str().unwrap().contains("as soon as"), "{answer}");
    assert_eq!(api.launches(), 1);
    may_end.notify_one();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.launches(), 2);
}
