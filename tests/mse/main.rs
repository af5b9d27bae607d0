//! What the crates write, judged by a browser: Media Source Extensions in Chromium take it, play it and
//! seek in it, for every codec that this Chromium says it supports.

#[path = "../support/browser.rs"]
mod browser;
mod cases;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use browser::Browser;
use cases::Case;

/// Twelve cases of five seconds, each played to its end, on a machine that does much else beside.
const PATIENCE: Duration = Duration::from_secs(240);
/// Times in the browser are in microseconds, and a fragment's border may be rounded; a lost picture or frame
/// is at least 20 ms.
const TOLERANCE: f64 = 0.015;

/// What the page saw of a case.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Seen {
    supported: bool,
    appended: usize,
    /// In seconds.
    buffered: Vec<(f64, f64)>,
    width: u32,
    frames: usize,
    dropped: usize,
    audio_bytes: u64,
    ended: bool,
    error: Option<String>,
}

#[derive(Clone)]
struct Server {
    cases: Arc<Vec<Case>>,
    reports: mpsc::Sender<Vec<Seen>>,
}

async fn list(State(server): State<Server>) -> Json<Value> {
    Json(server.cases.iter().map(|case| json!({ "mime": case.mime, "parts": case.parts.len() })).collect())
}

async fn part(
    State(server): State<Server>,
    Path((case, part)): Path<(usize, usize)>,
) -> Result<Bytes, StatusCode> {
    let part = server.cases.get(case).and_then(|case| case.parts.get(part));
    part.cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn report(State(server): State<Server>, Json(seen): Json<Vec<Seen>>) {
    server.reports.send(seen).await.expect("the test waits");
}

/// What is wrong with what was seen of a supported case.
fn faults(case: &Case, seen: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |right: bool, what: String| {
        if !right {
            faults.push(what);
        }
    };
    check(seen.error.is_none(), format!("{:?}", seen.error));
    check(seen.appended == case.parts.len(), format!("{} of {} parts", seen.appended, case.parts.len()));
    match seen.buffered[..] {
        [(start, end)] => {
            let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE;
            check(near(start, case.start) && near(end, case.end), format!("not {}-{}", case.start, case.end));
        }
        _ => check(false, format!("{} ranges", seen.buffered.len())),
    }
    check(seen.ended, "not played to its end".to_owned());
    if case.pictures > 0 {
        // Played whole, though in parts: some may be shown twice, few may come too late.
        check(seen.frames * 2 > case.pictures && seen.width > 0, format!("{} pictures", seen.frames));
        check(seen.dropped == 0, format!("{} corrupted pictures", seen.dropped));
    }
    check(!case.sound || seen.audio_bytes > 1_000, format!("{} bytes of sound", seen.audio_bytes));
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_source_extensions_take_play_and_seek_in_what_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = Arc::new(cases::all(folder.path()));
    let (reports, mut reported) = mpsc::channel(1);
    let routes = Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/cases", get(list))
        .route("/part/{case}/{part}", get(part))
        .route("/report", post(report))
        .with_state(Server { cases: Arc::clone(&cases), reports });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    let mut browser = Browser::open(&url);
    let seen = tokio::time::timeout(PATIENCE, reported.recv()).await;
    let seen = match seen {
        Ok(seen) => seen.expect("the server runs"),
        Err(_) => {
            panic!("no report; {}", browser.ended().unwrap_or_else(|| "chromium still runs".to_owned()))
        }
    };
    server.abort();
    assert_eq!(seen.len(), cases.len());

    let mut table = format!(
        "{:28} {:9} {:>8} {:>17} {:>8} {:>11}\n",
        "codec", "supported", "appended", "buffered, s", "pictures", "sound bytes"
    );
    let mut failures = String::new();
    for (case, seen) in cases.iter().zip(&seen) {
        let ranges: Vec<_> =
            seen.buffered.iter().map(|(start, end)| format!("{start:.3}-{end:.3}")).collect();
        let (supported, ranges) = (if seen.supported { "yes" } else { "no" }, ranges.join(" "));
        let Seen { appended, frames, audio_bytes, .. } = seen;
        let _ = writeln!(
            table,
            "{:28} {supported:9} {appended:>8} {ranges:>17} {frames:>8} {audio_bytes:>11}",
            case.name
        );
        if !seen.supported && case.everywhere {
            let _ = writeln!(failures, "{}: {} is not supported", case.name, case.mime);
        }
        for fault in faults(case, seen).into_iter().filter(|_| seen.supported) {
            let _ = writeln!(failures, "{}: {fault}", case.name);
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "{table}\n{failures}");
}
