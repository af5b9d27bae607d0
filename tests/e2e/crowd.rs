//! Whoever looks on, or means harm, does not disturb a stream.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::live::{SHORT, assert_clean, assert_whole};
use super::nginx::Nginx;
use super::overdub::{Echo, Service};
use super::recorder::Recorder;
use super::source::{Clip, LiveSource};
use super::tools::{Workdir, say, within};
use super::web;

const IDLE_CLIENTS: usize = 100;

type Events = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Joins the event channel and asks for every line.
async fn join(port: u16) -> Events {
    let url = format!("ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket");
    let (mut events, _) = connect_async(url).await.expect("the channel is open");
    events.send(Message::text("40")).await.expect("taken");
    // What is said before the answer is said too early, and ends the connection; heartbeats begin before it.
    let joined = async {
        while let Some(Ok(frame)) = events.next().await {
            match frame.to_text() {
                Ok("2") => events.send(Message::text("3")).await.expect("taken"),
                Ok(text) if text.starts_with("40") => return,
                _ => {}
            }
        }
        panic!("the channel closed before it was joined");
    };
    within(Duration::from_secs(10), "joining the event channel", joined).await;
    events.send(Message::text(r#"421["filter",{"level":"trace"}]"#)).await.expect("taken");
    events
}

/// Answers heartbeats and reads on until its end; how many events came.
async fn listen(mut events: Events) -> usize {
    let mut seen = 0;
    while let Some(Ok(frame)) = events.next().await {
        let Message::Text(text) = frame else { continue };
        if text.as_str() == "2" {
            // Where this fails, so does the next read.
            let _ = events.send(Message::text("3")).await;
        } else if text.starts_with("42") {
            seen += 1;
        }
    }
    seen
}

/// What no stream can be called, as it would stand in JSON and in an address.
const HOSTILE: [&str; 10] = [
    "../x",
    "..",
    "%2e%2e",
    "%2e%2e%2fx",
    "..%5cx",
    "a/../../x",
    "/etc/passwd",
    "a\u{0}b",
    "a\r\nSet-Cookie: x",
    ".hidden",
];

/// Every call with each of these names: none is answered as if the stream were there.
async fn abuse(port: u16) {
    for id in HOSTILE {
        let start = json!({"streamId": id, "sourceUrl": "http://127.0.0.1:9/a.m3u8"});
        let answer = web::post(port, "/api/pipeline/start", start).await;
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!("streamId")), "{id:?}");
        for path in ["/api/pipeline/stop", "/api/storage/clean"] {
            let answer = web::post(port, path, json!({"streamId": id})).await;
            assert_eq!(answer.status, 404, "{path} {id:?}: {}", answer.body);
        }
        // What no HTTP request can carry would end the request early.
        let id: String = id.chars().filter(|c| !c.is_control()).collect();
        for (method, path) in [
            ("GET", format!("/api/pipeline/status?streamId={id}")),
            ("GET", format!("/api/storage/stats?streamId={id}")),
            ("GET", format!("/api/pipelines/{id}")),
            ("DELETE", format!("/api/pipelines/{id}")),
            ("POST", format!("/api/pipelines/{id}/restart")),
            ("GET", format!("/preview/{id}/index.m3u8")),
            ("GET", format!("/preview/good/{id}")),
        ] {
            let path = path.replace(' ', "%20");
            let answer = web::request(port, method, &path, None).await.expect("an answer");
            assert!(
                (400..500).contains(&answer.status),
                "{method} {path}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
    for path in ["/api/pipeline/start", "/api/pipeline/stop", "/api/storage/clean"] {
        assert_eq!(flood(port, path).await, 413, "{path}");
    }
}

/// Posts 10 MB; the status of the answer, which may come before everything was sent.
async fn flood(port: u16, path: &str) -> u16 {
    let size = 10 << 20;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    let (mut reader, mut writer) = stream.into_split();
    let send = async move {
        let chunk = vec![b' '; 64 << 10];
        for _ in 0..size / chunk.len() {
            if writer.write_all(&chunk).await.is_err() {
                break;
            }
        }
        // Held open until the answer is there.
        std::future::pending::<()>().await;
    };
    let receive = async move {
        let mut answer = [0; 12];
        reader.read_exact(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer[9..]).parse().expect("a status")
    };
    let either = async {
        tokio::select! {
            status = receive => status,
            () = send => unreachable!("it never ends"),
        }
    };
    within(Duration::from_secs(30), path, either).await
}

/// What lies beside the storage, in it, and in its two folders: where a name with `..` in it would lead.
fn around(dir: &Workdir) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["", "storage", "storage/original_stream", "storage/processed_fragments"] {
        for entry in std::fs::read_dir(dir.join(folder)).expect("a folder") {
            found.push(format!("{folder}/{}", entry.expect("an entry").file_name().display()));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_event_clients_and_hostile_requests_disturb_no_stream() {
    let form = SHORT;
    let dir = Workdir::new("crowd");
    let clip = Clip::of(form.clip).await;
    let mut nginx = Nginx::start(&dir).await;
    let echo = Echo::start(&dir).await;
    let mut service = Service::start(&dir).await;
    let mut recorder = Recorder::start(&nginx.url("good"), &dir.join("pulled.flv")).await;
    let source = LiveSource::start(&dir, "good", &clip, form.segment, 0).await;
    source.has_segments(3).await;
    let settings = json!({
        "streamId": "good", "sourceUrl": source.url(), "srsRtmpUrl": nginx.url("good"), "audioProcessorUrl": echo.url,
        "bufferDuration": form.batch, "processingBudget": form.budget,
    });
    assert_eq!(service.start_stream(settings).await.status, 200);

    let mut listeners = tokio::task::JoinSet::new();
    for _ in 0..IDLE_CLIENTS {
        listeners.spawn(listen(join(service.port).await));
    }
    let deaf = join(service.port).await;
    let limit = Duration::from_secs(u64::from(2 * (form.batch + form.segment) + form.budget + 30));
    service.reaches("good", "publishing", limit, |s| s["phase"] == "publishing").await;
    let before = around(&dir);
    abuse(service.port).await;
    assert_eq!(around(&dir), before, "nothing was written for a hostile name");

    let over = |s: &serde_json::Value| s["isRunning"] == false;
    let status = service.reaches("good", "over with its source", form.limit(), over).await;
    assert!(status["lastError"].is_null(), "{status}");
    service.assert_healthy().await;
    assert_eq!(listeners.try_join_next().map(drop), None, "no client was sent away");
    recorder.settled().await;
    nginx.stop().await;
    let verdict = assert_clean("crowd", &clip, &recorder.finish().await).await;
    assert_whole("crowd", &verdict, form);
    service.stop().await;
    drop(deaf);
    let mut fewest = usize::MAX;
    while let Some(seen) = listeners.join_next().await {
        fewest = fewest.min(seen.expect("it listened to the end"));
    }
    say(&format!("crowd: each of {IDLE_CLIENTS} clients saw {fewest} events at least"));
    assert!(fewest > 10, "each was told what happened");
}
