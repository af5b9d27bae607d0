//! How evenly streams leave, and what that costs, beside `ffmpeg -re -c copy -f flv` in the same run:
//! `cargo bench --bench publishing`.
//!
//! One process publishes all streams, as the service does; FFmpeg needs a process for each. Both send the same file
//! at the same time to one receiver, which notes when each frame comes. Jitter is how far a frame comes from its time:
//! its DTS on the clock of the arrivals, whose zero is the median of the stream. CPU time is the scheduler's count
//! (`/proc/PID/task/*/schedstat`), user and system together, without the start.
//!
//! `OVERDUB_BENCH_SECONDS` (120) and `OVERDUB_BENCH_STREAMS` (20) say how long and how many.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use overdub::clock::Clock;
use overdub::media::Flicks;
use overdub::playout::Playout;
use overdub::publish::{self, Settings, Status};
use overdub_rtmp::{Server, ServerEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/rtmp/clip.rs"]
mod clip;
#[path = "../tests/support/tags.rs"]
mod tags;
#[path = "../tests/rtmp/tools.rs"]
mod tools;

/// Left out at the start: connecting, and FFmpeg's first burst.
const SETTLING: Duration = Duration::from_secs(5);

/// Between the starts of two streams, so that they are not due at the same moments.
const STAGGER: Duration = Duration::from_millis(37);

/// When each frame of each stream came, and its DTS in ms.
type Arrivals = Arc<Mutex<HashMap<String, Vec<(Instant, i64)>>>>;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--publisher") {
        return publish_all(&args[at + 1], &args[at + 2..]);
    }
    let setting = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let (seconds, streams) = (setting("OVERDUB_BENCH_SECONDS", 120), setting("OVERDUB_BENCH_STREAMS", 20));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clip.flv");
    let length = u32::try_from(seconds + 3 * SETTLING.as_secs()).expect("a length");
    std::fs::write(&file, clip::long_flv(length)).expect("a file");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let arrivals = Arrivals::default();
    let address = runtime.block_on(receive(Arc::clone(&arrivals)));
    let url = |who: &str, n: u64| format!("rtmp://{address}/live/{who}-{n}");
    let mut overdub = Command::new(std::env::current_exe().expect("this program"));
    overdub.arg("--publisher").arg(&file).args((0..streams).map(|n| url("overdub", n)));
    let ours = vec![overdub.spawn().expect("this program")];
    let theirs: Vec<Child> = (0..streams)
        .map(|n| {
            wait(&runtime, STAGGER);
            ffmpeg(&file, &url("ffmpeg", n))
        })
        .collect();

    wait(&runtime, SETTLING);
    let (before, began) = ([cpu(&ours), cpu(&theirs)], tools::now());
    wait(&runtime, Duration::from_secs(seconds));
    let (after, ended) = ([cpu(&ours), cpu(&theirs)], tools::now());
    let minutes = (ended - began).as_secs_f64() / 60.0 * streams as f64;

    println!("{streams} streams of {} Mbit/s each, {seconds} s, both at once", clip::LONG_RATE / 1_000_000);
    println!("| publisher | frames | jitter p50 | p99 | max | CPU time for a stream-minute |");
    println!("|---|---|---|---|---|---|");
    let mut costs = Vec::new();
    for (index, name) in ["overdub", "ffmpeg"].into_iter().enumerate() {
        let cost = (after[index] - before[index]).as_secs_f64() / minutes;
        let jitter = jitter(&arrivals, name, began, ended);
        let at = |part: f64| jitter[((jitter.len() - 1) as f64 * part) as usize];
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        let frames = jitter.len();
        println!("| {name} | {frames} | {p50:.1} ms | {p99:.1} ms | {max:.1} ms | {:.1} ms |", cost * 1000.0);
        costs.push(cost);
    }
    println!("\nCPU time: {:.0} % of FFmpeg's", costs[0] / costs[1] * 100.0);
    for mut child in ours.into_iter().chain(theirs) {
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }
}

fn wait(runtime: &tokio::runtime::Runtime, time: Duration) {
    // A sleep begins inside a runtime only.
    runtime.block_on(async { tokio::time::sleep(time).await });
}

fn ffmpeg(file: &Path, url: &str) -> Child {
    let mut command = tools::tool("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-re", "-i"]).arg(file).args(["-c", "copy", "-f", "flv", url]);
    command.spawn().expect("ffmpeg starts")
}

/// CPU time of all threads of some processes.
fn cpu(children: &[Child]) -> Duration {
    let tasks = children.iter().flat_map(|child| {
        std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs").flatten()
    });
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// How far each frame that came between the two moments was from its time, in ms, smallest first.
fn jitter(arrivals: &Arrivals, name: &str, from: Instant, to: Instant) -> Vec<f64> {
    let arrivals = arrivals.lock().expect("no thread failed");
    let mut all = Vec::new();
    for (key, frames) in arrivals.iter().filter(|(key, _)| key.starts_with(name)) {
        let during = frames.iter().filter(|(at, _)| (from..to).contains(at));
        let mut offsets: Vec<f64> =
            during.map(|(at, ms)| (*at - from).as_secs_f64() * 1000.0 - *ms as f64).collect();
        assert!(!offsets.is_empty(), "nothing came of {key}");
        offsets.sort_by(f64::total_cmp);
        let median = offsets[offsets.len() / 2];
        all.extend(offsets.iter().map(|offset| (offset - median).abs()));
    }
    all.sort_by(f64::total_cmp);
    all
}

/// Takes every stream and notes when its frames come.
async fn receive(arrivals: Arrivals) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let arrivals = Arc::clone(&arrivals);
            tokio::spawn(async move {
                let _ = take(stream, &arrivals).await;
            });
        }
    });
    address
}

async fn take(mut stream: TcpStream, arrivals: &Arrivals) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_nodelay(true)?;
    let (mut session, mut input, mut name) = (Server::new(), BytesMut::new(), String::new());
    let mut frames = Vec::new();
    loop {
        input.reserve(64 << 10);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let now = tools::now();
        session.receive(&input)?;
        input.clear();
        while let Some(event) = session.event() {
            match event {
                ServerEvent::Connect { .. } => session.accept(),
                ServerEvent::Publish { key } => {
                    name = key;
                    session.accept();
                }
                // 0 behind the codec is a sequence header.
                ServerEvent::Audio { at, body } | ServerEvent::Video { at, body } if body[1] == 1 => {
                    frames.push((now, i64::from(at.get())));
                }
                _ => {}
            }
        }
        // Often enough for who looks, seldom enough to disturb nobody.
        if frames.len() >= 16 {
            arrivals.lock().expect("no thread failed").entry(name.clone()).or_default().append(&mut frames);
        }
        while session.output().has_remaining() {
            stream.write_buf(session.output()).await?;
        }
    }
}

/// The publisher's process: the file to each address.
fn publish_all(file: &str, urls: &[String]) {
    let packets = clip::packets(&std::fs::read(file).expect("the clip"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let clock = Clock::start();
        let mut statuses = Vec::new();
        for (url, n) in urls.iter().zip(0_u32..) {
            let begins = clock.now() + Duration::from_secs(1) + STAGGER * n;
            let playout = Playout::anchored(begins, Flicks::ZERO, Duration::ZERO, Duration::ZERO);
            let (playout, playout_seen) = watch::channel(Some(playout));
            let (send, receive) = mpsc::channel(64);
            let (status, seen) = watch::channel(Status::default());
            tokio::spawn(publish::run(
                Settings::new(url),
                clock,
                playout_seen,
                receive,
                status,
                CancellationToken::new(),
            ));
            let packets = packets.clone();
            tokio::spawn(async move {
                let _playout = playout;
                for packet in packets {
                    if send.send(packet).await.is_err() {
                        break;
                    }
                }
            });
            statuses.push(seen);
        }
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for status in &statuses {
                let status = status.borrow();
                assert_eq!((status.reconnects, status.packets_dropped), (0, 0), "{:?}", *status);
            }
        }
    });
}
