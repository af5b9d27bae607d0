//! Connects, streams, reconnects: "run once, retry around".

use std::path::PathBuf;
use std::time::Duration;

use overdub_rtmp::{Target, Timestamp};
use rand::RngExt;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::feed::{Feed, Next};
use super::liveness::{Due, Liveness};
use super::pacer::{Outlet, Stamp};
use super::status::{Bitrate, Lates};
use super::tags::Announced;
use super::{Error, State, Status};
use crate::clock::Clock;
use crate::media::{Flicks, Moment, Packet};
use crate::playout::Playout;
use crate::redact;

/// How often the status is refreshed while media flows.
const REPORT: Duration = Duration::from_millis(500);

/// Pause after the first failure; it doubles from failure to failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause: a restarted server is found within seconds, and one attempt in three seconds harms nobody.
/// SRS takes some seconds to forget a publisher that was cut off (StreamBusy), which this outlasts.
const MAX_PAUSE: Duration = Duration::from_secs(3);

/// A connection that lived this long was a success: only then do pauses start small again. SRS lets a second
/// publisher of a busy stream begin, and closes only then.
const SETTLED: Duration = Duration::from_secs(3);

/// How to publish.
#[derive(Clone)]
pub struct Settings {
    /// `rtmp://` or `rtmps://host[:port]/app[/instance]/key[?query]`.
    pub url: String,
    /// For name, TCP, TLS and the RTMP negotiation together.
    pub connect_timeout: Duration,
    /// The longest that a server may take no byte while some wait.
    pub write_timeout: Duration,
    /// Certificates that `rtmps` trusts beside the built-in and the system's ones.
    pub ca_file: Option<PathBuf>,
    /// When no connection has lasted by then, [`run`] returns the last error; `None` tries for ever.
    pub give_up: Option<Duration>,
}

impl Settings {
    /// The defaults for an address: 5 s for each wait, and never giving up.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(5),
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
    Connection::greet(&target, settings, clock).await
}

/// Publishes `packets` (in DTS order) to one RTMP address, each at the moment that `playout` says.
///
/// Connects at once, before anything is due, and keeps the connection alive until then. While there is no
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
        url: redact::rtmp_url(&settings.url),
        feed: Feed::new(packets, playout, clock),
        settings,
        target,
        clock,
        stop,
        report: Report { status, ..Report::new() },
        connections: 0,
        settled: false,
    };
    let url = output.url.clone();
    output.report.change(|status| status.url = url);
    let result = output.run().await;
    output.report.change(|status| {
        status.state = State::Ended;
        status.last_error = result.as_ref().err().map(ToString::to_string).or(status.last_error.take());
    });
    result
}

/// One output.
struct Output {
    settings: Settings,
    target: Target,
    url: String,
    feed: Feed,
    clock: Clock,
    stop: CancellationToken,
    report: Report,
    connections: u64,
    /// Some connection lasted.
    settled: bool,
}

impl Output {
    async fn run(&mut self) -> Result<(), Error> {
        let began = self.clock.now();
        let mut pause = FIRST_PAUSE;
        loop {
            self.report.change(|status| (status.state, status.retry_at) = (State::Connecting, None));
            let connection = tokio::select! {
                result = Connection::open(&self.target, &self.settings, self.clock) => result,
                Next::End = self.feed.next(Outlet::Closed) => return self.ended_unconnected(None),
                () = self.stop.cancelled() => return Ok(()),
            };
            let opened = self.clock.now();
            let error = match connection {
                Ok(connection) => match self.stream(connection).await {
                    Ok(()) => return Ok(()),
                    Err(Error::Closed) if self.clock.now().saturating_since(opened) < SETTLED => {
                        Error::ClosedEarly
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if self.clock.now().saturating_since(opened) >= SETTLED {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(url = self.url, %error, ?pause, "not publishing");
            let jittered = pause.mul_f64(rand::rng().random_range(0.75..1.25));
            let retry_at = self.clock.now() + jittered;
            self.report.change(|status| {
                status.state = State::Waiting;
                status.last_error = Some(error.to_string());
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

    /// The packets came to their end while there was no connection.
    fn ended_unconnected(&self, error: Option<Error>) -> Result<(), Error> {
        if self.connections > 0 { Ok(()) } else { Err(error.unwrap_or(Error::NeverConnected)) }
    }

    /// Streams until the end, which is `Ok`, or until the connection fails.
    async fn stream(&mut self, mut connection: Connection) -> Result<(), Error> {
        let opened = self.clock.now();
        self.feed.connected();
        self.connections += 1;
        let reconnects = self.connections - 1;
        tracing::info!(url = self.url, reconnects, "publishing");
        self.report.change(|status| {
            status.state = State::Publishing;
            status.reconnects = reconnects;
        });
        let mut announced = Announced::new(|four_cc| connection.takes(four_cc));
        // The packet being written: when it was to leave, and its DTS.
        let mut leaving: Option<(Moment, Flicks)> = None;
        let mut liveness = Liveness::new(self.settings.write_timeout, opened);
        let mut next_report = opened;
        let mut ended = false;
        loop {
            let idle = connection.is_idle();
            if idle && let Some((planned, dts)) = leaving.take() {
                self.report.left(self.clock.now().saturating_since(planned), dts);
            }
            if idle && ended {
                return self.finish(connection).await;
            }
            let outlet = if idle { Outlet::Open } else { Outlet::Busy };
            liveness.unacknowledged(self.clock.now(), connection.unacknowledged());
            tokio::select! {
                () = self.stop.cancelled() => return self.finish(connection).await,
                written = connection.exchange() => match written? {
                    0 => {}
                    count => {
                        liveness.progressed(self.clock.now());
                        self.report.bytes_sent += count as u64;
                    }
                },
                next = self.feed.next(outlet), if !ended => match next {
                    Next::Send(packet, stamp) => {
                        if self.send(&mut connection, &mut announced, &packet, stamp) {
                            leaving = Some((stamp.planned, packet.dts));
                            liveness.progressed(self.clock.now());
                        }
                    }
                    Next::End => ended = true,
                },
                () = self.clock.sleep_until(liveness.wake(idle)) => match liveness.due(self.clock.now(), idle) {
                    Due::Nothing => {}
                    Due::KeepAlive => {
                        connection.keep_alive();
                        liveness.progressed(self.clock.now());
                    }
                    Due::WriteTimeout => return Err(Error::WriteTimeout(self.settings.write_timeout)),
                    Due::NotAcknowledged => return Err(Error::NotAcknowledged(self.settings.write_timeout)),
                },
                () = self.clock.sleep_until(next_report) => {
                    let now = self.clock.now();
                    next_report = now + REPORT;
                    self.settled |= now.saturating_since(opened) >= SETTLED;
                    self.report.refresh(now, self.feed.dropped());
                }
            }
        }
    }

    /// Queues a packet behind the headers that it needs; false when its codec cannot be carried.
    fn send(
        &mut self,
        to: &mut Connection,
        announced: &mut Announced,
        packet: &Packet,
        stamp: Stamp,
    ) -> bool {
        let Some(tag) = announced.tag(packet, stamp) else {
            self.report.unsupported(packet, &self.url);
            return false;
        };
        let at = Timestamp::from_millis(stamp.dts);
        if !announced.covers(packet) {
            for header in announced.update(&self.feed.known()) {
                to.send(at, &header);
            }
        }
        to.send(at, &tag);
        true
    }

    async fn finish(&mut self, connection: Connection) -> Result<(), Error> {
        self.settled = true;
        if let Err(error) = connection.close(self.settings.write_timeout, self.clock).await {
            // All media was sent or may not be: there is nothing left to retry.
            tracing::debug!(url = self.url, %error, "connection ended badly");
        }
        self.report.refresh(self.clock.now(), self.feed.dropped());
        tracing::info!(url = self.url, packets = self.report.packets_sent, "publishing ended");
        Ok(())
    }
}

/// Counters between two refreshes of the status.
struct Report {
    status: watch::Sender<Status>,
    bytes_sent: u64,
    packets_sent: u64,
    unsupported: u64,
    position: Option<Flicks>,
    lates: Lates,
    bitrate: Bitrate,
}

impl Report {
    fn new() -> Self {
        Self {
            status: watch::Sender::default(),
            bytes_sent: 0,
            packets_sent: 0,
            unsupported: 0,
            position: None,
            lates: Lates::default(),
            bitrate: Bitrate::default(),
        }
    }

    fn left(&mut self, late: Duration, dts: Flicks) {
        self.lates.record(late);
        self.packets_sent += 1;
        self.position = Some(dts);
    }

    fn unsupported(&mut self, packet: &Packet, url: &str) {
        if self.unsupported == 0 {
            tracing::warn!(url, kind = ?packet.kind, "codec cannot be carried by this output: not sent");
            self.change(|status| status.last_error = Some("a codec cannot be carried by rtmp".to_owned()));
        }
        self.unsupported += 1;
    }

    fn refresh(&mut self, now: Moment, dropped: u64) {
        let bitrate = self.bitrate.at(now, self.bytes_sent);
        let lateness = self.lates.summary();
        self.status.send_modify(|status| {
            status.bytes_sent = self.bytes_sent;
            status.packets_sent = self.packets_sent;
            status.packets_dropped = dropped + self.unsupported;
            status.position = self.position;
            status.bitrate = bitrate;
            status.lateness = lateness;
            status.late.clone_from(self.lates.counts());
        });
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}
