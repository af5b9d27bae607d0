//! Over and over: streams started and stopped, connections opened and dropped, the process killed while it writes its
//! journals. Files, threads, memory, journals and the storage folder are as before.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::measure::{Taken, taken};
use crate::neighbour::Neighbour;
use crate::overdub::{Service, command};
use crate::scene::{TOKEN, guarded};
use crate::tools::{Workdir, long_form, now, until};
use crate::websocket::{connect, join};

/// Streams that are started and stopped, or connections that are open, at once.
const AT_ONCE: usize = 20;
/// Until everything has been given back: tokio ends idle blocking threads after 10 s, reqwest idle connections after 30.
const SETTLED: Duration = Duration::from_secs(45);
/// Growth of resident memory that is no leak: what the allocator keeps for next time, in KiB.
const SLACK: u64 = 16 << 10;

async fn service(dir: &Workdir) -> Service {
    guarded(dir, command()).await
}

fn now_taken(service: &Service) -> Taken {
    taken(service.id()).expect("the service runs")
}

/// Waits until files and threads are what they were, and memory too but for a little.
async fn as_before(service: &Service, before: Taken, what: &str) {
    let began = now();
    loop {
        let after = now_taken(service);
        let given_back = after.files <= before.files
            && after.threads <= before.threads
            && after.resident_kib <= before.resident_kib + SLACK;
        if given_back {
            eprintln!(
                "{what}: {} -> {} files, {} -> {} threads, {:.1} -> {:.1} MB",
                before.files,
                after.files,
                before.threads,
                after.threads,
                before.resident_kib as f64 / 976.6,
                after.resident_kib as f64 / 976.6
            );
            return;
        }
        assert!(began.elapsed() < SETTLED, "{what}: {before:?} became {after:?}, and stays so");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Names of all files below `folder`, but for the last numbers of batches, of which each stream's name keeps one: no number
/// is given twice.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|extension| extension == "numbers") => {}
            false => drop(found.insert(path.display().to_string())),
        }
    }
    found
}

/// The settings of stream `number`.
fn settings(neighbour: &Neighbour, number: usize) -> Value {
    let mut settings = neighbour.settings();
    settings["streamId"] = json!(format!("stream-{number}"));
    settings["srsRtmpUrl"] = json!(neighbour.rtmp_url(&format!("stream-{number}")));
    settings
}

async fn start_and_stop(name: &str, cycles: usize) {
    let (dir, neighbour) = (Workdir::new(name), Neighbour::start().await);
    let service = service(&dir).await;
    let cycle = async |round: usize, number: usize| {
        let id = format!("stream-{number}");
        let started = service.start_stream(settings(&neighbour, number)).await;
        assert_eq!(started.status, 200, "{}", started.body);
        // Each is stopped in another state: before it has asked for anything, and up to its first output.
        tokio::time::sleep(Duration::from_millis((round * 7 + number * 37) as u64 % 40 * 100)).await;
        let stopped = service.stop_stream(&id).await;
        assert_eq!(stopped.status, 200, "{}", stopped.body);
    };
    let rounds = async |rounds: usize| {
        for round in 0..rounds {
            join_all((0..AT_ONCE).map(|number| cycle(round, number))).await;
        }
    };
    rounds(1).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (before, storage) = (now_taken(&service), files(&dir.join("storage")));
    rounds(cycles / AT_ONCE).await;
    as_before(&service, before, &format!("{cycles} starts and stops")).await;
    assert_eq!(files(&dir.join("storage")), storage, "the storage folder is as before");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_started_and_stopped_leave_nothing_behind() {
    start_and_stop("cycles-streams", 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_thousand_streams_leave_nothing_behind() {
    if long_form("a thousand starts and stops") {
        start_and_stop("cycles-streams-long", 1_000).await;
    }
}

async fn open_and_drop(name: &str, connections: usize) {
    let dir = Workdir::new(name);
    let service = service(&dir).await;
    let port = service.port;
    let one = async |number: usize| {
        let stream = match number % 5 {
            0 => TcpStream::connect(("127.0.0.1", port)).await,
            1 => TcpStream::connect(("127.0.0.1", port)).await,
            2 => connect(port, "").await,
            3 => join(port, TOKEN).await,
            _ => connect(port, &format!("&token={TOKEN}")).await,
        };
        let mut stream = stream.expect("a connection");
        if number % 5 == 1 {
            stream.write_all(b"GET /api/pipelines HTTP/1.1\r\nHost: h\r\n").await.expect("taken");
        }
        if number.is_multiple_of(2) {
            // Some are dropped at once, some after a while, and some with a reset in place of an end.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if number.is_multiple_of(3) {
            stream.set_zero_linger().expect("a socket");
        }
    };
    let round = async |connections: usize| {
        for first in (0..connections).step_by(AT_ONCE) {
            join_all((first..first + AT_ONCE).map(&one)).await;
        }
    };
    round(100).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = now_taken(&service);
    round(connections).await;
    as_before(&service, before, &format!("{connections} connections")).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_dropped_leave_nothing_behind() {
    open_and_drop("cycles-connections", 500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_ten_thousand_connections_leave_nothing_behind() {
    if long_form("ten thousand connections") {
        open_and_drop("cycles-connections-long", 10_000).await;
    }
}

/// Streams that write journals while the process is killed.
const STREAMS: usize = 8;

async fn kill_and_restart(name: &str, kills: usize) {
    let (dir, neighbour) = (Workdir::new(name), Neighbour::start().await);
    let state = dir.join("storage/state");
    let mut running = service(&dir).await;
    for number in 0..STREAMS {
        let answer = running.start_stream(settings(&neighbour, number)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    // A start is answered before its journal is on the disk.
    until(Duration::from_secs(20), "the first journals", async || {
        let written = (0..STREAMS).all(|number| state.join(format!("stream-{number}.journal")).exists());
        written.then_some(())
    })
    .await;
    let mut first = None;
    for kill in 0..kills {
        // Journals are written at a stream's start, each second, and taken away at its end: killed in each of these.
        tokio::time::sleep(Duration::from_millis((kill as u64 * 97) % 1_100)).await;
        let passing = settings(&neighbour, STREAMS + kill % 3);
        let id = passing["streamId"].as_str().expect("a name").to_owned();
        let port = running.port;
        let passing = tokio::spawn(async move {
            let headers = format!("Authorization: Bearer {TOKEN}\r\n");
            let stop = json!({ "streamId": id });
            // Cut short by the kill, as often as not.
            for (path, body) in [("start", &passing), ("stop", &stop)] {
                let path = format!("/api/pipeline/{path}");
                crate::web::request_with(port, "POST", &path, &headers, Some(body)).await;
            }
        });
        tokio::time::sleep(Duration::from_millis((kill as u64 * 13) % 150)).await;
        running.kill().await;
        passing.await.expect("no panic");
        running = service(&dir).await;
        for number in 0..STREAMS {
            let id = format!("stream-{number}");
            until(Duration::from_secs(20), "streams that were resumed", async || {
                (running.status_code(&id).await == 200).then_some(())
            })
            .await;
            let resumed = |status: &Value| status["resumed"].is_object();
            running.reaches(&id, "resumed", Duration::from_secs(20), resumed).await;
        }
        first.get_or_insert_with(|| now_taken(&running));
        let unreadable: Vec<String> =
            files(&state).into_iter().filter(|name| name.ends_with("unreadable")).collect();
        assert!(unreadable.is_empty(), "after {kill} kills: {unreadable:?}");
    }
    let (first, last) = (first.expect("a kill"), now_taken(&running));
    eprintln!("{kills} kills: {first:?} after the first, {last:?} after the last");
    let stop = async |number: usize| drop(running.stop_stream(&format!("stream-{number}")).await);
    join_all((0..STREAMS + 3).map(stop)).await;
    running.stop().await;
    let left = files(&dir.join("storage"));
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_it_writes_journals_resumes_and_leaves_nothing_behind() {
    kill_and_restart("cycles-kills", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_hundred_kills_leave_nothing_behind() {
    if long_form("a hundred kills") {
        kill_and_restart("cycles-kills-long", 100).await;
    }
}
