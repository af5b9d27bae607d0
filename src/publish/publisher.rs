//! Connects, streams, reconnects: "run once, retry around".

use std::path::PathBuf;
use std::time::Duration;

use overdub_rtmp::Target;
use rand::RngExt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::approach::Learned;
use super::connection::{Connection, Greeted, Reconnect};
use super::feed::{Feed, Near, Next};
use super::pacer::Outlet;
use super::report::Report;
use super::{Error, State, Status};
use crate::clock::Clock;
use crate::media::Packet;
use crate::outside::{ShownUrl, Text};
use crate::playout::Playout;

/// Pause after the first failure; it doubles from failure to failure.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause: a restarted server is found within seconds, and one attempt in three seconds harms nobody.
/// SRS takes some seconds to forget a publisher that was cut off (StreamBusy), which this outlasts.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(3);

/// A connection that lived this long was a success: only then do pauses start small again. SRS lets a second
/// publisher of a busy stream begin, and closes only then.
pub(super) const SETTLED: Duration = Duration::from_secs(3);

/// How long before the first packet is due the connection is opened: time enough for name, TLS and a hook that takes
/// some seconds, and half of the ten seconds after which servers close a publisher without media (MediaMTX, Ant Media).
const OPEN_LEAD: Duration = Duration::from_secs(5);

/// How long after a server closed a greeted connection for its silence it is greeted again.
const GREET_EVERY: Duration = Duration::from_secs(15);

/// When a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// At once, whether anything is due or not.
    AtOnce,
    /// Shortly before the first packet is due. Until then the server is only greeted (TCP, TLS and RTMP's handshake), so
    /// that a wrong address is known early. Publishing goes on on the greeted connection, since some listeners take
    /// only one (`ffmpeg -listen 1`).
    WithMedia,
}

/// How to publish.
#[derive(Clone)]
pub struct Settings {
    /// `rtmp://` or `rtmps://host[:port]/app[/instance]/key[?query]`.
    pub url: String,
    /// For name, TCP, TLS and RTMP's handshake together.
    pub connect_timeout: Duration,
    /// From there until media may be sent: the server may ask a hook who publishes.
    pub publish_timeout: Duration,
    pub opening: Opening,
    /// The longest that a server may take no byte while some wait.
    pub write_timeout: Duration,
    /// Certificates that `rtmps` trusts beside the built-in and the system's ones.
    pub ca_file: Option<PathBuf>,
    /// When no connection has lasted by then, [`run`] returns the last error; `None` tries for ever.
    pub give_up: Option<Duration>,
}

impl Settings {
    /// Services and hooks take their time to answer `publish`: nginx-rtmp's wait 10 s, SRS's 30 s.
    pub const DEFAULT_PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);

    /// The defaults for an address: 5 s for each wait but a hook's, opened at once, and never giving up.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(5),
            publish_timeout: Self::DEFAULT_PUBLISH_TIMEOUT,
            opening: Opening::AtOnce,
            write_timeout: Duration::from_secs(5),
            ca_file: None,
            give_up: None,
        }
    }
}

/// Whether an RTMP server answers at the address, within the connect timeout. Nothing is published: the stream may be on
/// air.
///
/// # Errors
///
/// A bad address, or what kept the connection or the handshake from being made.
pub async fn greet(settings: &Settings, clock: Clock) -> Result<(), Error> {
    let target = Target::parse(&settings.url)?;
    Connection::greet(&target, settings, clock).await.map(drop)
}

/// Publishes `packets` (in DTS order) to one RTMP address, each at the moment that `playout` says.
///
/// Connects as [`Settings::opening`] says, and keeps the connection alive until something is due. While there is no
/// connection, packets are dropped as they become due, so that the channel moves on by the clock; after a
/// reconnect it resumes at the next random-access picture. Returns when the channel is closed and its last
/// packet sent, or when `stop` is cancelled; in both cases the stream is ended properly.
///
/// # Errors
///
/// A bad address at once; the last error when `give_up` ran out, or when the channel ended before any
/// connection was made. Every other failure is shown in `status` and retried.
pub async fn run(
    settings: Settings,
    clock: Clock,
    playout: watch::Receiver<Option<Playout>>,
    packets: mpsc::Receiver<Packet>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let target = Target::parse(&settings.url)?;
    let mut output = Output {
        url: ShownUrl::rtmp(&settings.url),
        feed: Feed::new(packets, playout, clock),
        settings,
        target,
        clock,
        stop,
        report: Report::new(status),
        reconnect: None,
        learned: Learned::default(),
        connections: 0,
        settled: false,
    };
    let url = output.url.clone();
    output.report.change(|status| status.url = url);
    let result = output.run().await;
    output.report.change(|status| {
        status.state = State::Ended;
        status.last_error = result.as_ref().err().map(Text::of).or(status.last_error.take());
    });
    result
}

/// One output.
pub(super) struct Output {
    pub(super) settings: Settings,
    pub(super) target: Target,
    pub(super) url: ShownUrl,
    pub(super) feed: Feed,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) report: Report,
    /// Where a server wanted its publisher when it closed: tried first, once.
    pub(super) reconnect: Option<Reconnect>,
    /// What the server is known to take.
    pub(super) learned: Learned,
    pub(super) connections: u64,
    /// Some connection lasted.
    pub(super) settled: bool,
}

/// What the wait for media came to.
enum Awaited {
    /// With the connection that was greeted, where the server has kept it.
    Media(Option<Box<Greeted>>),
    /// The packets came to their end.
    End,
    Stopped,
}

/// How one attempt ended.
enum Attempt {
    /// The output is over.
    Done,
    /// The packets came to their end while there was no connection.
    Unconnected,
}

impl Output {
    async fn run(&mut self) -> Result<(), Error> {
        let began = self.clock.now();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut lasted = false;
            let error = match self.attempt(&mut lasted).await {
                Ok(Attempt::Done) => return Ok(()),
                Ok(Attempt::Unconnected) => return self.ended_unconnected(None),
                Err(error) => error,
            };
            if lasted {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(url = &*self.url, %error, ?pause, "not publishing");
            let jittered = pause.mul_f64(rand::rng().random_range(0.75..1.25));
            let retry_at = self.clock.now() + jittered;
            self.report.change(|status| {
                status.state = State::Waiting;
                status.last_error = Some(Text::of(&error));
                status.retry_at = Some(retry_at);
            });
            let over = |limit| self.clock.now().saturating_since(began) >= limit;
            if !self.settled && self.settings.give_up.is_some_and(over) {
                return Err(error);
            }
            tokio::select! {
                () = self.clock.sleep_until(retry_at) => {}
                Next::End = self.feed.next(Outlet::Closed) => return self.ended_unconnected(Some(error)),
                () = self.stop.cancelled() => return Ok(()),
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// One connection from its opening to its end; `lasted` tells whether it was a success until it failed.
    async fn attempt(&mut self, lasted: &mut bool) -> Result<Attempt, Error> {
        self.report.change(|status| (status.state, status.retry_at) = (State::Connecting, None));
        let mut greeted = None;
        if self.settings.opening == Opening::WithMedia {
            match self.media().await? {
                Awaited::Media(kept) => greeted = kept,
                Awaited::End => return Ok(Attempt::Unconnected),
                Awaited::Stopped => return Ok(Attempt::Done),
            }
        }
        self.report.change(|status| status.state = State::Connecting);
        let reconnect = self.reconnect.take();
        let Self { target, settings, learned, clock, feed, stop, .. } = &mut *self;
        let connection = tokio::select! {
            result = Connection::open(target, reconnect.as_ref(), settings, learned, greeted, *clock) => result?,
            Next::End = feed.next(Outlet::Closed) => return Ok(Attempt::Unconnected),
            () = stop.cancelled() => return Ok(Attempt::Done),
        };
        let opened = self.clock.now();
        let result = self.stream(connection).await;
        *lasted = self.clock.now().saturating_since(opened) >= SETTLED;
        match result {
            Ok(()) => Ok(Attempt::Done),
            Err(Error::Closed) if !*lasted => Err(Error::ClosedEarly),
            Err(error) => Err(error),
        }
    }

    /// Waits until media is about to be due. Meanwhile the server is greeted, and the status says what came of it.
    ///
    /// # Errors
    ///
    /// Why the server cannot be had.
    async fn media(&mut self) -> Result<Awaited, Error> {
        loop {
            let mut greeted = tokio::select! {
                biased;
                near = self.feed.near(OPEN_LEAD) => return Ok(awaited(near, None)),
                () = self.stop.cancelled() => return Ok(Awaited::Stopped),
                greeted = Connection::greet(&self.target, &self.settings, self.clock) => greeted?,
            };
            self.report.change(|status| {
                if status.state != State::Ready {
                    tracing::info!(
                        url = &*status.url,
                        "an rtmp server answers; publishing begins with the media"
                    );
                }
                (status.state, status.last_error) = (State::Ready, None);
            });
            tokio::select! {
                near = self.feed.near(OPEN_LEAD) => return Ok(awaited(near, Some(Box::new(greeted)))),
                () = self.stop.cancelled() => return Ok(Awaited::Stopped),
                () = greeted.gone() => {}
            }
            drop(greeted);
            tokio::select! {
                near = self.feed.near(OPEN_LEAD) => return Ok(awaited(near, None)),
                () = self.stop.cancelled() => return Ok(Awaited::Stopped),
                () = self.clock.sleep(GREET_EVERY) => {}
            }
        }
    }

    /// The packets came to their end while there was no connection.
    fn ended_unconnected(&self, error: Option<Error>) -> Result<(), Error> {
        if self.connections > 0 { Ok(()) } else { Err(error.unwrap_or(Error::NeverConnected)) }
    }
}

fn awaited(near: Near, greeted: Option<Box<Greeted>>) -> Awaited {
    match near {
        Near::Due => Awaited::Media(greeted),
        Near::End => Awaited::End,
    }
}
