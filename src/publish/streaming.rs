//! Media over an open connection, until its end or the connection's.

use std::time::Duration;

use overdub_rtmp::Timestamp;

use super::connection::Connection;
use super::feed::Next;
use super::handover::Handover;
use super::liveness::{Due, Liveness};
use super::pacer::{Outlet, Stamp};
use super::publisher::{Output, SETTLED};
use super::tags::Announced;
use super::{Error, State};
use crate::media::{Flicks, Moment, Packet};

/// How often the status is refreshed while media flows.
const REPORT: Duration = Duration::from_millis(500);

/// A connection, and what it has had.
struct Session {
    connection: Connection,
    announced: Announced,
    liveness: Liveness,
}

impl Session {
    fn new(connection: Connection, write_timeout: Duration, pings: bool, now: Moment) -> Self {
        let announced = Announced::new(|four_cc| connection.takes(four_cc));
        Self { connection, announced, liveness: Liveness::new(write_timeout, pings, now) }
    }
}

impl Output {
    /// Streams until the end, which is `Ok`, or until the connection fails.
    pub(super) async fn stream(&mut self, connection: Connection) -> Result<(), Error> {
        let opened = self.clock.now();
        self.feed.connected();
        self.count_connection();
        let mut session = self.session(connection);
        let mut handover = Handover::None;
        // The packet being written: when it was to leave, and its DTS.
        let mut leaving: Option<(Moment, Flicks)> = None;
        let mut next_report = opened;
        let mut ended = false;
        loop {
            let idle = session.connection.is_idle();
            if idle && let Some((planned, dts)) = leaving.take() {
                self.report.left(self.clock.now().saturating_since(planned), dts);
            }
            if idle && ended {
                return self.finish(session.connection).await;
            }
            let outlet = if idle { Outlet::Open } else { Outlet::Busy };
            tokio::select! {
                () = self.stop.cancelled() => return self.finish(session.connection).await,
                written = session.connection.exchange() => match written {
                    Ok(0) => {
                        session.liveness.heard(session.connection.take_signs(), self.clock.now());
                        if let Some(reconnect) = session.connection.take_reconnect() {
                            handover.begin(&self.target, reconnect, &self.settings, self.learned, self.clock);
                        }
                    }
                    Ok(count) => {
                        session.liveness.progressed(self.clock.now());
                        self.report.bytes_sent += count as u64;
                    }
                    Err(error) => {
                        self.learned.mute |= session.liveness.is_trying();
                        // The server did not wait for the next random-access picture.
                        let Some(next) = handover.take() else {
                            self.reconnect = handover.abandon();
                            return Err(error);
                        };
                        tracing::info!(url = &*self.url, %error, "the former connection ended");
                        session = self.session(next);
                        leaving = None;
                        self.feed.connected();
                        self.count_connection();
                    }
                },
                () = handover.run(self.clock) => {}
                next = self.feed.next(outlet), if !ended => match next {
                    Next::Send(packet, stamp) => {
                        if self.is_border(&packet) && handover.is_due() {
                            session = self.hand_over(session, &mut handover).await?;
                        }
                        if self.send(&mut session, &packet, stamp) {
                            leaving = Some((stamp.planned, packet.dts));
                            session.liveness.progressed(self.clock.now());
                        }
                    }
                    Next::End => ended = true,
                },
                () = self.clock.sleep_until(session.liveness.wake(idle)) => {
                    match session.liveness.due(self.clock.now(), idle) {
                        Due::Nothing => {}
                        Due::KeepAlive => {
                            session.connection.keep_alive();
                            session.liveness.progressed(self.clock.now());
                        }
                        Due::Ping => session.connection.ping(),
                        Due::Mute => self.learned.mute = true,
                        Due::NoPong(after) => return Err(Error::NoPong(after)),
                        Due::WriteTimeout => return Err(Error::WriteTimeout(self.settings.write_timeout)),
                    }
                }
                () = self.clock.sleep_until(next_report) => {
                    let now = self.clock.now();
                    next_report = now + REPORT;
                    self.settled |= now.saturating_since(opened) >= SETTLED;
                    self.report.refresh(now, self.feed.dropped());
                    if self.feed.starves() {
                        self.report.starves(&self.url);
                    }
                }
            }
        }
    }

    fn session(&self, connection: Connection) -> Session {
        Session::new(connection, self.settings.write_timeout, !self.learned.mute, self.clock.now())
    }

    fn count_connection(&mut self) {
        self.connections += 1;
        let reconnects = self.connections - 1;
        tracing::info!(url = &*self.url, reconnects, "publishing");
        self.report.change(|status| {
            status.state = State::Publishing;
            status.reconnects = reconnects;
        });
    }

    /// Whether a receiver can begin with this packet.
    fn is_border(&self, packet: &Packet) -> bool {
        packet.is_random_access() || !self.feed.has_video()
    }

    /// Goes on over the next connection; all that was sent before goes to the former one, which is ended properly.
    async fn hand_over(&mut self, session: Session, handover: &mut Handover) -> Result<Session, Error> {
        let (limit, clock) = (self.settings.write_timeout, self.clock);
        let former = session.connection;
        let next = match handover.take() {
            Some(next) => {
                tokio::spawn(async move {
                    if let Err(error) = former.close(limit, clock).await {
                        tracing::debug!(%error, "the former connection ended badly");
                    }
                });
                next
            }
            // The name is free once the former connection is gone. The packets wait: less than they may be late.
            None => {
                let Self { target, settings, learned, stop, .. } = &mut *self;
                let reconnect = handover.abandon();
                if let Err(error) = former.close(limit, clock).await {
                    tracing::debug!(%error, "the former connection ended badly");
                }
                tokio::select! {
                    next = Connection::open(target, reconnect.as_ref(), settings, learned, None, clock) => next?,
                    () = stop.cancelled() => return Err(Error::Closed),
                }
            }
        };
        self.count_connection();
        Ok(self.session(next))
    }

    /// Queues a packet behind the headers that it needs; false when its codec cannot be carried.
    fn send(&mut self, to: &mut Session, packet: &Packet, stamp: Stamp) -> bool {
        let Some(tag) = to.announced.tag(packet, stamp) else {
            self.report.unsupported(packet, &self.url);
            return false;
        };
        let at = Timestamp::from_millis(stamp.dts);
        if !to.announced.covers(packet) {
            for header in to.announced.update(&self.feed.known()) {
                to.connection.send(at, &header);
            }
        }
        to.connection.send(at, &tag);
        true
    }

    async fn finish(&mut self, connection: Connection) -> Result<(), Error> {
        self.settled = true;
        if let Err(error) = connection.close(self.settings.write_timeout, self.clock).await {
            // All media was sent or may not be: there is nothing left to retry.
            tracing::debug!(url = &*self.url, %error, "connection ended badly");
        }
        self.report.refresh(self.clock.now(), self.feed.dropped());
        tracing::info!(url = &*self.url, packets = self.report.packets_sent, "publishing ended");
        Ok(())
    }
}
