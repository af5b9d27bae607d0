//! A source, a processor and an RTMP server whose every string is an attack on whoever reads the log, the status or the
//! metrics: line ends, terminal commands, quotes, markup, other reading directions, and a hundred times too long.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use overdub::demo::clip;
use overdub_rtmp::amf0::Value as Amf;
use overdub_rtmp::message::{Command, Message};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::overdub::{Service, command};
use super::scripted::Scripted;
use super::tools::{Workdir, now, until};

/// What a line of the log begins with, so that one that was forged looks like one.
const FORGED: &str = "2026-01-01T00:00:00.000000Z ERROR overdub: FORGED";

/// What stands between the characters that do harm and can be found again.
const MARK: &str = "FORGED";

/// Texts are at most this long, names and addresses shorter or as long (docs/DEPLOYMENT.md).
const MAX_TEXT: usize = 1_024;
const MAX_ADDRESS: usize = 4_096;

/// As long as no legitimate field is.
const MAX_LINE: usize = 16_384;

fn words() -> String {
    let once = format!(
        "\r\n{FORGED}\n\u{1b}[2J\u{1b}]0;title\u{7}\u{8}\0\t\u{7f}\u{85}\u{9b}31m\u{2028}\u{2029}\u{202e}\u{2066}\"'\\`<script>alert(1)</script>"
    );
    once.repeat(30)
}

/// The same for one line of a playlist between quotes.
fn line() -> String {
    words().replace(['\r', '\n', '"'], " ")
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// A live source, by raw HTTP: libraries do not write what it says.
async fn source() -> u16 {
    let (listener, port) = listen().await;
    let began = now();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = answer(&path, began.elapsed());
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    port
}

fn answer(path: &str, elapsed: Duration) -> Vec<u8> {
    let word = line();
    let path = path.split('?').next().unwrap_or_default();
    let ok = |kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 {MARK}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let playlist = |text: String| ok("application/vnd.apple.mpegurl", text.as_bytes());
    match path {
        "/master.m3u8" => playlist(format!(
            "#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"v\"\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{word}\",NAME=\"{word}{{$v}}\",\
             LANGUAGE=\"{word}\",CHARACTERISTICS=\"{word}\",DEFAULT=YES\n\
             #EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.64001e,mp4a.40.2,{word}\",AUDIO=\"{word}\",NAME=\"{word}\"\n\
             media.m3u8\n"
        )),
        "/media.m3u8" => {
            let newest = elapsed.as_secs() / 2 + 4;
            let mut text = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n",
                newest.saturating_sub(4)
            );
            for number in newest.saturating_sub(4)..newest {
                text += &format!(
                    "#EXT-X-DATERANGE:ID=\"{number}{word}\",CLASS=\"{word}\",START-DATE=\"\u{1b}[2J\u{7}\"\n\
                     #EXT-X-PROGRAM-DATE-TIME:\u{1b}[2J{number}\n#EXTINF:2,{word}\n"
                );
                text += &match number % 8 {
                    5 => format!("gone-{number}.ts?a=\u{1b}[2J\n"),
                    7 => format!("led-away-{number}.ts\n"),
                    _ => format!("{number}.ts\n"),
                };
            }
            playlist(text)
        }
        "/drm.m3u8" => playlist(format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD={},URI=\"k\",KEYFORMAT=\"{word}\"\n#EXTINF:2,\n0.ts\n\
             #EXT-X-ENDLIST\n",
            word.replace(',', " ")
        )),
        // An address that is used is not cut.
        "/far.m3u8" => playlist(format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}.ts\n#EXT-X-ENDLIST\n",
            "far/".repeat(50_000)
        )),
        "/broken.m3u8" => format!("HTTP/1.1 200 \u{1b}[2J\r\n\u{1b}{FORGED}: \u{7}\r\n\r\n").into_bytes(),
        _ => match path.trim_matches('/').split('.').next().and_then(|name| name.parse().ok()) {
            Some(number) => ok("video/mp2t", &clip::segment(number)),
            None if path.starts_with("/led-away") => format!(
                "HTTP/1.1 302 {MARK}\r\nLocation: http://{MARK}.invalid/%1b%0a\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes(),
            None => {
                format!("HTTP/1.1 404 {MARK}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
            }
        },
    }
}

/// A processor that refuses first, and then lets in and answers each fragment with an error.
async fn processor() -> u16 {
    let (listener, port) = listen().await;
    let count = AtomicUsize::new(0);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                // It hangs up in the middle of this or that.
                let _ = talk(stream, number).await;
            });
        }
    });
    port
}

async fn talk(mut stream: TcpStream, number: usize) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let words = words();
    if number == 0 {
        let body = format!("{MARK}\u{1b}[2J{words}");
        let head = format!("HTTP/1.1 500 Oh\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        return Ok(());
    }
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let open = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":10000000}"#;
    socket.send(Frame::text(open)).await?;
    let _ = socket.next().await;
    if number == 1 {
        socket.send(Frame::text(format!("44{}", json!({ "message": words })))).await?;
        return socket.close(None).await;
    }
    if number == 2 {
        let reason = format!("{MARK}\u{1b}[2J\n\u{7}\u{202e}");
        return socket.close(Some(CloseFrame { code: 4_000.into(), reason: reason.into() })).await;
    }
    socket.send(Frame::text(r#"40{"sid":"x"}"#)).await?;
    let said = |event: &str, argument: &Value| Frame::text(format!("42{}", json!([event, argument])));
    socket.send(said("fragment:status", &json!(words))).await?;
    for _ in 0..1_000 {
        socket.send(said(&words, &Value::Null)).await?;
        socket
            .send(said(
                "fragment:error",
                &json!({ "fragment": { "id": words }, "error": words, "code": words }),
            ))
            .await?;
    }
    socket.send(said("fragment:processed", &json!({ "fragment": words }))).await?;
    socket.send(Frame::text(format!("42[{}", json!(words)))).await?;
    socket.send(Frame::text(format!("9{words}"))).await?;
    while let Some(frame) = socket.next().await {
        let frame = frame?;
        let Ok(text) = frame.to_text() else { continue };
        if let Some((_, json)) = text.split_once('-')
            && let Ok(event) = serde_json::from_str::<Value>(json)
        {
            let id = &event[1]["fragment"]["id"];
            socket
                .send(said(
                    "fragment:error",
                    &json!({ "fragment": { "id": id }, "error": words, "code": words }),
                ))
                .await?;
        }
    }
    Ok(())
}

/// An RTMP server that says much about everything. It refuses two publishers, one at `connect` and one at `publish`.
async fn rtmp() -> u16 {
    let connected = Mutex::new(Vec::new());
    let server = Scripted::start(move |call, message| {
        let Message::Command(command) = message else { return };
        let words = words();
        let said = |level: &str, code: &str| {
            Amf::object([
                ("level", Amf::string(level)),
                ("code", Amf::string(code)),
                ("description", Amf::string(&words)),
            ])
        };
        let told = |name: &str, transaction: f64, info: Amf| {
            Message::Command(Command::new(name, transaction, [info]))
        };
        let number = {
            let mut connected = connected.lock().expect("nothing panics with it");
            if command.name == "connect" {
                connected.push(call.number);
            }
            connected.iter().position(|number| *number == call.number)
        };
        match (&*command.name, number) {
            ("connect", Some(0)) => call.say(told("_error", command.transaction, said(&words, &words))),
            ("connect", _) => {
                let success = said(&words, "NetConnection.Connect.Success");
                call.say(told("_result", command.transaction, success));
                (0..500).for_each(|_| call.say(told(&words, 0.0, Amf::Null)));
            }
            ("publish", Some(1)) => {
                call.say(told("onStatus", 0.0, said("error", "NetStream.Publish.BadName")));
            }
            ("publish", _) => {
                call.say(told("onStatus", 0.0, said(&words, "NetStream.Publish.Start")));
                // A status for each moment of its life.
                (0..5_000).for_each(|_| call.say(told("onStatus", 0.0, said(&words, &words))));
            }
            _ => call.answer(command),
        }
    });
    server.await.address.port()
}

/// Every string in `value` with the path to it.
fn strings(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Array(all) => all.iter().for_each(|one| strings(one, path, found)),
        Value::Object(all) => {
            all.iter().for_each(|(name, one)| strings(one, &format!("{path}.{name}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Text,
    Json,
}

/// The log, line by line: nothing in it but lines of ours.
fn check_log(bytes: &[u8], format: Format) -> Vec<String> {
    if let Some(at) = bytes.iter().position(|byte| *byte < 0x20 && *byte != b'\n' || *byte == 0x7f) {
        let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
        panic!("byte {:#04x} in the log: {}", bytes[at], around.escape_ascii());
    }
    let text = std::str::from_utf8(bytes).expect("the log is UTF-8");
    assert!(text.ends_with('\n'), "whole lines");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("overdub on http")).collect();
    for line in &lines {
        assert!(!line.chars().any(is_hidden), "{line}");
        assert!(line.len() <= MAX_LINE, "{} bytes: {line}", line.len());
        match format {
            // The day of the test is not that of the forgery.
            Format::Text => {
                assert!(!line.starts_with(FORGED), "forged: {line}");
                let (time, rest) = line.split_once(' ').expect("a time");
                assert!(time.len() == 27 && time.ends_with('Z'), "no line of ours: {line}");
                let level = rest.trim_start().split(' ').next().unwrap_or_default();
                assert!(
                    ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level),
                    "no line of ours: {line}"
                );
            }
            Format::Json => {
                let read: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                for name in ["timestamp", "level", "target"] {
                    assert!(read[name].is_string(), "{line}");
                }
            }
        }
    }
    lines.into_iter().map(str::to_owned).collect()
}

async fn no_string_of_anybody_gets_through(format: Format) {
    let name = if format == Format::Text { "text" } else { "json" };
    let dir = Workdir::new(&format!("hostile-words-{name}"));
    let (source, processor, rtmp) = tokio::join!(source(), processor(), rtmp());
    let mut command = command();
    command.env("OVERDUB_LOG_FORMAT", name).env("OVERDUB_LOG", "debug");
    let service = Service::start_as(&dir, command).await;
    let settings = |id: &str, path: &str| {
        json!({
            "streamId": id,
            "sourceUrl": format!("http://127.0.0.1:{source}/{path}?v={MARK}%0d%0a%1b%5b2J%07"),
            "audioProcessorUrl": format!("http://127.0.0.1:{processor}"),
            "srsRtmpUrl": format!("rtmp://127.0.0.1:{rtmp}/live/secret-key"),
            "bufferDuration": 2, "processingBudget": 2,
        })
    };
    for (id, path) in
        [("live", "master.m3u8"), ("drm", "drm.m3u8"), ("far", "far.m3u8"), ("broken", "broken.m3u8")]
    {
        let answer = service.start_stream(settings(id, path)).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
    }
    let began = now();
    let log = dir.join("serve.log");
    let read = || std::fs::read(&log).expect("a log");
    // The server's statuses come last of all that is waited for.
    let mut statuses = Vec::new();
    until(Duration::from_secs(90), "all of them to have said their words", async || {
        statuses.push(service.status("live").await);
        let log = String::from_utf8_lossy(&read()).into_owned();
        let from = |target: &str, what: &str| {
            log.lines().any(|line| line.contains(target) && line.contains(what) && line.contains(MARK))
        };
        (from("overdub::hls", "variant chosen")
            && from("overdub::hls", "date range")
            && from("overdub::roundtrip", "HTTP 500")
            && from("overdub::roundtrip", "4000")
            && from("overdub::roundtrip", "fragment failed")
            && from("overdub::roundtrip", "batch not processed")
            && from("overdub::publish", "rtmp server status")
            && from("overdub::publish", "not publishing"))
        .then_some(())
    })
    .await;
    for id in ["drm", "far", "broken", "live"] {
        statuses.push(service.status(id).await);
    }

    let mut found = Vec::new();
    statuses.iter().for_each(|status| strings(status, "", &mut found));
    for (path, text) in &found {
        let limit = if path.to_lowercase().ends_with("url") { MAX_ADDRESS } else { MAX_TEXT };
        assert!(text.len() <= limit, "{path}: {} bytes: {text}", text.len());
        assert!(!text.chars().any(is_hidden), "{path}: {text:?}");
    }
    let shown = |path: &str, what: &str| {
        let is = |(at, text): &(String, String)| at.ends_with(path) && text.contains(what);
        assert!(found.iter().any(is), "no status has {what:?} in {path}: {found:#?}");
    };
    shown("streamFetcher.variant", MARK);
    shown("streamFetcher.lastError", "KEYFORMAT");
    shown(".lastError", "the address has 200003 bytes, more than 4096");
    shown("audioProcessor.processorStatus", MARK);
    shown("batches.reason", MARK);
    shown("outputs.lastError", MARK);

    let metrics = service.metrics().await;
    assert!(!metrics.chars().any(|c| c != '\n' && is_hidden(c)), "{metrics}");
    let variant = metrics.lines().find(|line| line.starts_with("overdub_source_variant_info"));
    assert!(variant.is_some_and(|line| line.contains(MARK) && line.ends_with("\"} 1")), "{variant:?}");
    for line in metrics.lines() {
        let is_ours = line.starts_with('#') || line.starts_with("overdub_") || line.starts_with("process_");
        assert!(is_ours && line.len() <= 2 * MAX_TEXT, "{line}");
    }

    let lines = check_log(&read(), format);
    assert!(!lines.iter().any(|line| line.contains("secret-key")), "no key in the log");
    // Thousands were said; 120 at once and two a second are shown.
    let most = 120 + 2 * began.elapsed().as_secs() + 10;
    let own = if format == Format::Text { "stream{id=live}" } else { r#""id":"live""# };
    for what in ["rtmp server status", "fragment failed"] {
        let shown = lines.iter().filter(|line| line.contains(what) && line.contains(own)).count() as u64;
        assert!((100..=most).contains(&shown), "{what}: {shown} lines, at most {most}");
    }
    // What was left out is told at the end.
    service.stop().await;
    let lines = check_log(&read(), format);
    for what in ["rtmp server status", "fragment failed"] {
        let told = format!("more lines like this were suppressed: {what}");
        assert!(lines.iter().any(|line| line.contains(&told) && line.contains(own)), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_string_of_anybody_gets_through_as_text() {
    no_string_of_anybody_gets_through(Format::Text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_string_of_anybody_gets_through_as_json() {
    no_string_of_anybody_gets_through(Format::Json).await;
}
