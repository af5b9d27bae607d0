//! What goes wrong between publisher and server, the same for each server: the output is back within seconds, at
//! a keyframe, on timestamps that go on, and another output beside it never notices.
//!
//! The table that is printed at the end is the one in docs/publishing.md.

use std::fmt::{Display, Formatter, Write as _};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use overdub::media::Packet;
use overdub::publish::{Settings, Status};
use overdub::sink;
use tokio::time::sleep;

use crate::clip;
use crate::nginx::Nginx;
use crate::relay::{Arrival, Line, Relay, What};
use crate::run::{ALONE, Publishing};
use crate::sink::{Sink, anywhere};
use crate::srs::Srs;
use crate::tools::now;

/// How long a server of these tests keeps a publisher that says nothing.
const IDLE: Duration = Duration::from_secs(5);

/// Play before the fault.
const BEFORE: Duration = Duration::from_secs(3);

/// A stream that is longer than any scene.
const SECONDS: u32 = 60;

/// The longest step from picture to picture without a loss, in ms.
const STEP: i64 = 1000 / clip::RATE + 1;

/// Each kind of server.
enum Server {
    Sink { sink: Option<Sink>, address: SocketAddr },
    Nginx(Nginx),
    Srs(Srs),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sink,
    Nginx,
    Srs,
}

impl Server {
    async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Sink => {
                let sink = strict(anywhere()).await;
                Self::Sink { address: sink.address, sink: Some(sink) }
            }
            Kind::Nginx => {
                let nginx = Nginx::start();
                listens(nginx.address()).await;
                Self::Nginx(nginx)
            }
            Kind::Srs => Self::Srs(Srs::start().await.expect("it was asked for")),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Sink { address, .. } => *address,
            Self::Nginx(nginx) => nginx.address(),
            Self::Srs(srs) => srs.address(),
        }
    }

    async fn kill(&mut self) {
        match self {
            Self::Sink { sink, .. } => drop(sink.take().expect("it runs").stop().await),
            Self::Nginx(nginx) => nginx.kill(),
            Self::Srs(srs) => srs.kill(),
        }
    }

    async fn start_again(&mut self) {
        match self {
            Self::Sink { sink, address } => *sink = Some(strict(*address).await),
            Self::Nginx(nginx) => nginx.start_again(),
            Self::Srs(srs) => srs.start_again(),
        }
        listens(self.address()).await;
    }
}

async fn strict(address: SocketAddr) -> Sink {
    Sink::with(address, sink::Settings { idle: IDLE, ..sink::Settings::default() }).await
}

async fn listens(address: SocketAddr) {
    let connected = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), connected).await.expect("the server listens");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The connection is reset.
    Cut,
    /// Its packets vanish; a new connection would pass at once.
    HalfOpen,
    /// No packet passes for ten seconds, of no connection.
    NetworkAway,
    /// A quarter of the stream's rate for ten seconds.
    Slow,
    /// Killed, and started two seconds later.
    Killed,
    /// Somebody else publishes under the name, for eight seconds.
    Busy,
}

/// What a fault did.
struct Outcome {
    fault: Fault,
    /// From the fault until the publisher knew.
    noticed: Option<Duration>,
    /// From the moment that the server could be had again until a keyframe reached it.
    back: Duration,
    /// Between the last picture before and the first after, in ms of the stream.
    hole: i64,
    /// What the status said.
    error: String,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let fault = match self.fault {
            Fault::Cut => "connection reset",
            Fault::HalfOpen => "half-open: packets of this connection vanish",
            Fault::NetworkAway => "no packet passes for 10 s",
            Fault::Slow => "a quarter of the rate for 10 s",
            Fault::Killed => "killed, started again after 2 s",
            Fault::Busy => "another publisher has the name",
        };
        let Self { noticed, back, hole, error, .. } = self;
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let noticed = noticed.map_or("stays connected".to_owned(), seconds);
        let (back, hole) = (seconds(*back), seconds(Duration::from_millis(*hole as u64)));
        write!(f, "| {fault} | {noticed} | {back} | {hole} | {error} |")
    }
}

/// One scene: the output that meets the fault, and one beside it that must not notice.
async fn scene(kind: Kind, fault: Fault, packets: Vec<Packet>) -> Outcome {
    let mut server = Server::start(kind).await;
    let relay = Relay::to(server.address()).await;
    let sink = strict(anywhere()).await;
    let url = |address: SocketAddr| Settings::new(format!("rtmp://{address}/live/key"));
    let mut beside = Publishing::start(url(sink.address), packets.clone());
    let other = (fault == Fault::Busy).then(|| Publishing::start(url(server.address()), packets.clone()));
    if let Some(other) = &other {
        let mut status = other.status.clone();
        status.wait_for(Status::is_connected).await.unwrap();
        other.play_from(other.clock.now());
        sleep(Duration::from_secs(1)).await;
    }
    let mut output = Publishing::start(url(relay.address), packets);
    match fault {
        Fault::Busy => output.play_from(output.clock.now()),
        _ => output.play().await,
    }
    beside.play().await;
    sleep(BEFORE).await;

    let began = now();
    let mut seen = output.status.clone();
    let noticed = tokio::spawn(async move {
        let lost = seen.wait_for(|status| !status.is_connected()).await;
        lost.map(|status| (now() - began, status.last_error.clone().unwrap_or_default())).ok()
    });
    match fault {
        Fault::Cut | Fault::HalfOpen => {
            relay.set(if fault == Fault::Cut { Line::Cut } else { Line::Silent });
            sleep(Duration::from_millis(50)).await;
        }
        Fault::NetworkAway => {
            relay.set(Line::Silent);
            sleep(Duration::from_secs(10)).await;
        }
        Fault::Slow => {
            relay.set(Line::Slow(clip::LONG_RATE / 8 / 4));
            sleep(Duration::from_secs(10)).await;
        }
        Fault::Killed => {
            server.kill().await;
            sleep(Duration::from_secs(2)).await;
            server.start_again().await;
        }
        Fault::Busy => {
            sleep(Duration::from_secs(4)).await;
            let other = other.expect("started above");
            other.stop.cancel();
            other.end().await.0.unwrap();
        }
    }
    relay.set(Line::Open);
    let available = now();
    let back = loop {
        assert!(
            now() - available < Duration::from_secs(30),
            "{fault:?}: not back: {:?}",
            *output.status.borrow()
        );
        sleep(Duration::from_millis(20)).await;
        if let Some(at) = back_at(fault, &relay.media(), available) {
            break at - available;
        }
    };
    sleep(Duration::from_secs(2)).await;
    let noticed = match noticed.is_finished() {
        true => noticed.await.unwrap(),
        false => None,
    };

    output.stop.cancel();
    let (result, status) = output.end().await;
    result.unwrap();
    let media = relay.media();
    assert_rules(fault, &media);
    assert_eq!(noticed.is_some(), fault != Fault::Slow, "{fault:?}: {status:?}");

    beside.stop.cancel();
    let (result, status) = beside.end().await;
    result.unwrap();
    assert_eq!((status.reconnects, status.packets_dropped, status.last_error), (0, 0, None), "{fault:?}");
    let report = sink.stop().await.latest("key").unwrap();
    assert_eq!(report.violations, [], "{fault:?}: the output beside");
    let (noticed, error) = noticed.unzip();
    let hole = hole(&media);
    Outcome { fault, noticed, back, hole, error: error.unwrap_or_default().to_string() }
}

/// When the stream was at the server again: the first keyframe that came behind `available`; on a line that was
/// slow, the first that is on time.
fn back_at(fault: Fault, media: &[Vec<Arrival>], available: Instant) -> Option<Instant> {
    let first = *pictures(media).next()?;
    let last = media.last()?;
    let on_time = |picture: &Arrival| {
        let due = first.at + Duration::from_millis((picture.ms - first.ms) as u64);
        picture.at.saturating_duration_since(due) < Duration::from_millis(300)
    };
    let mut keys = last
        .iter()
        .filter(|arrival| arrival.what == (What::Picture { keyframe: true }) && arrival.at >= available);
    keys.find(|key| fault != Fault::Slow || on_time(key)).map(|key| key.at)
}

fn pictures(media: &[Vec<Arrival>]) -> impl Iterator<Item = &Arrival> {
    media.iter().flatten().filter(|arrival| matches!(arrival.what, What::Picture { .. }))
}

/// The longest step from picture to picture, of whatever connection, in ms; 0 when none is missing.
fn hole(media: &[Vec<Arrival>]) -> i64 {
    let times: Vec<_> = pictures(media).map(|picture| picture.ms).collect();
    let longest = times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0);
    if longest > STEP { longest } else { 0 }
}

/// Each connection begins with metadata, headers and a keyframe; after a loss of pictures comes a keyframe; the
/// times of all connections together never go back, and rise in each track.
fn assert_rules(fault: Fault, media: &[Vec<Arrival>]) {
    for connection in media {
        let head: Vec<_> = connection.iter().take(4).map(|arrival| arrival.what).collect();
        let expected =
            [What::Metadata, What::VideoHeader, What::AudioHeader, What::Picture { keyframe: true }];
        assert_eq!(head, expected, "{fault:?}");
    }
    let frames: Vec<_> = media.iter().flatten().filter(|a| !matches!(a.what, What::Metadata)).collect();
    assert!(frames.is_sorted_by_key(|frame| frame.ms), "{fault:?}: the times of all connections");
    let sound: Vec<_> =
        frames.iter().filter(|frame| frame.what == What::Sound).map(|frame| frame.ms).collect();
    assert!(sound.is_sorted_by(|a, b| a < b), "{fault:?}: sound");
    let pictures: Vec<_> = pictures(media).collect();
    for two in pictures.windows(2) {
        let (before, after) = (two[0], two[1]);
        assert!(before.ms < after.ms, "{fault:?}: pictures");
        let whole = after.ms - before.ms <= STEP || after.what == What::Picture { keyframe: true };
        assert!(whole, "{fault:?}: {} comes after {} and is no keyframe", after.ms, before.ms);
    }
}

const ALL: [Fault; 6] =
    [Fault::Cut, Fault::HalfOpen, Fault::NetworkAway, Fault::Slow, Fault::Killed, Fault::Busy];

/// Every fault before each of these servers, all at once.
async fn all(servers: &[(Kind, &str)]) {
    let _alone = ALONE.lock().await;
    let packets = clip::long(SECONDS);
    let mut scenes = Vec::new();
    for (server, fault) in servers.iter().flat_map(|server| ALL.map(|fault| (server, fault))) {
        scenes.push((server.1, tokio::spawn(scene(server.0, fault, packets.clone()))));
    }
    let mut table = String::new();
    for (name, scene) in scenes {
        let outcome = scene.await.unwrap();
        writeln!(table, "| {name} {outcome}").unwrap();
        let limit = match outcome.fault {
            // The server lets go of the dead connection within twice its own limit, and is asked every three
            // seconds.
            Fault::HalfOpen => 2 * IDLE + Duration::from_secs(5),
            // A connection that was begun in vain is given up after five seconds.
            Fault::NetworkAway => Duration::from_secs(10),
            _ => Duration::from_secs(6),
        };
        assert!(outcome.back < limit, "{table}");
    }
    // Past the test harness, which would swallow it.
    let _ = std::io::stderr().write_all(table.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_over_within_seconds_and_no_other_output_notices() {
    all(&[(Kind::Sink, "strict server"), (Kind::Nginx, "nginx-rtmp")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_before_srs_is_over_within_seconds_and_no_other_output_notices() {
    if Srs::is_there() {
        all(&[(Kind::Srs, "SRS")]).await;
    }
}
