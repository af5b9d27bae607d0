//! One client of the event channel: what it is sent, when, and what is done when it does not take it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lines::{Filter, Line, REPLAY};
use super::sessions::{LONGEST_EVENT, Session};
use super::statuses::{News, PERIOD, Told, length};
use crate::clock::Clock;
use crate::control::Control;
use crate::media::Moment;

/// Lines that a client is given in one go: a quarter of its queue. A heartbeat that finds the queue full ends the
/// connection (engineioxide), so that the queue of a client that reads must not fill up.
const AT_ONCE: usize = 16;
/// Pause after which a client is given more: time for its connection to take what it has. 640 lines a second.
const AGAIN: Duration = Duration::from_millis(25);

/// A client that changes its filter more often is given them once in this time.
const REPLAY_PERIOD: Duration = Duration::from_millis(250);
/// What an event is longer by than its name and its data, at least: `42["",]`. Counted too long, events would seem to
/// wait that were written.
const EVENT_FRAME: u64 = 7;

/// Why the client gets nothing now.
#[derive(Debug)]
enum Blocked {
    /// It has not taken what it was given: later.
    Full,
    /// It is gone.
    Gone,
}

/// Sends events until the client is gone or the service ends. Holds nothing for the client but its place in the
/// log: what it does not take in time is pushed out of the ring, and it is told how much that was.
pub(super) async fn run(
    socket: SocketRef,
    control: Arc<Control>,
    session: Arc<Session>,
    mut filter: watch::Receiver<Filter>,
    gone: CancellationToken,
) {
    let mut client = Client::new(socket, session);
    let mut written = control.setup.logs.changes();
    let mut second = tokio::time::interval(PERIOD);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = false;
    loop {
        tokio::select! {
            biased;
            () = gone.cancelled() => break,
            () = control.closing.cancelled() => {
                // A full queue says no: then the end of the server has to do.
                let _ = client.socket.disconnect();
                break;
            }
            _ = second.tick() => client.look = true,
            changed = filter.changed() => {
                if changed.is_err() {
                    break;
                }
                client.replay = true;
            }
            () = tokio::time::sleep(AGAIN), if waiting => {}
            changed = written.changed(), if !waiting => if changed.is_err() {
                break;
            },
        }
        if !client.session.has_room() {
            // It takes nothing, or little: nothing is made that it could not be given.
            waiting = true;
            continue;
        }
        let wanted = filter.borrow_and_update().clone();
        waiting = match client.statuses(&control).and_then(|()| client.lines(&control, &wanted)) {
            Ok(more) => more,
            Err(Blocked::Full) => true,
            Err(Blocked::Gone) => break,
        };
    }
}

struct Client {
    socket: SocketRef,
    session: Arc<Session>,
    clock: Clock,
    told: Told,
    /// It is to be told of the statuses that have changed.
    look: bool,
    /// The number of the line that it gets next.
    next: u64,
    /// It is to be given the newest lines again, all at once.
    replay: bool,
    /// Not before this.
    replay_at: Moment,
    /// Lines that it was not told of yet, which it has missed.
    missed: u64,
}

impl Client {
    fn new(socket: SocketRef, session: Arc<Session>) -> Self {
        let clock = Clock::start();
        let (told, replay_at) = (Told::default(), clock.now());
        Self { socket, session, clock, told, look: false, next: 0, replay: true, replay_at, missed: 0 }
    }

    /// What has changed, until all of it is told: meanwhile it changes again, and only the latest is told.
    fn statuses(&mut self, control: &Control) -> Result<(), Blocked> {
        if !self.look {
            return Ok(());
        }
        let look = control.events.statuses.at(control.clock.now(), &control.registry);
        let mut result = Ok(());
        for news in self.told.news(&look) {
            if result.is_ok() {
                result = match &news {
                    News::Changed(seen) => self.emit_long("status", &*seen.status, seen.bytes),
                    News::Removed(id) => self.emit("removed", &json!({ "streamId": id })),
                };
            }
            if result.is_err() {
                self.told.forget(&news);
            }
        }
        self.look = result.is_err();
        result
    }

    /// The next lines, [`AT_ONCE`] at most, whatever the filter leaves out on the way; whether there may be more.
    fn lines(&mut self, control: &Control, filter: &Filter) -> Result<bool, Blocked> {
        let logs = &control.setup.logs;
        if self.replay {
            let now = self.clock.now();
            if now < self.replay_at {
                return Ok(true);
            }
            let newest = logs.newest(filter, REPLAY);
            let lines: Vec<&Line> = newest.lines.iter().map(|(_, line)| &**line).collect();
            self.emit("logs", newest_within(&lines, LONGEST_EVENT))?;
            (self.next, self.missed, self.replay) = (newest.next, 0, false);
            self.replay_at = now + REPLAY_PERIOD;
        }
        let mut given = 0;
        while given < AT_ONCE {
            let read = logs.after(self.next, filter, AT_ONCE - given);
            if read.missed > 0 {
                self.missed += read.missed;
                self.next += read.missed;
            }
            if self.missed > 0 {
                self.emit("missed", &json!({ "count": self.missed }))?;
                self.missed = 0;
            }
            if read.next == self.next {
                return Ok(false);
            }
            for (number, line) in &read.lines {
                let bytes = length(&**line);
                if bytes > LONGEST_EVENT {
                    self.missed += 1;
                } else {
                    self.emit_long("log", &**line, bytes)?;
                }
                self.next = number + 1;
            }
            given += read.lines.len();
            self.next = read.next;
        }
        Ok(true)
    }

    fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Blocked> {
        self.emit_long(event, data, length(data))
    }

    /// Of `data` that is `bytes` long as JSON.
    fn emit_long<T: Serialize + ?Sized>(&self, event: &str, data: &T, bytes: u64) -> Result<(), Blocked> {
        let bytes = bytes + event.len() as u64 + EVENT_FRAME;
        if !self.session.takes(bytes) {
            return Err(Blocked::Full);
        }
        match self.socket.emit(event, data) {
            Ok(()) => Ok(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                self.session.gives_back(bytes);
                Err(Blocked::Full)
            }
            Err(_) => Err(Blocked::Gone),
        }
    }
}

/// The last of `lines` that are no longer than `limit` together, as JSON.
fn newest_within<'a, 'b>(lines: &'a [&'b Line], limit: u64) -> &'a [&'b Line] {
    let mut bytes = 0;
    let fits = |line: &&&Line| {
        bytes += length(**line) + 1;
        bytes <= limit
    };
    let count = lines.iter().rev().take_while(fits).count();
    &lines[lines.len() - count..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Level, Stage};

    fn line(message: String) -> Line {
        let (timestamp, fields) = (String::new(), serde_json::Map::new());
        Line { timestamp, level: Level::Info, module: Stage::Control, stream_id: None, message, fields }
    }

    /// The WebSocket counts what it writes: more than this, by its own headers, or waiting would never end.
    #[test]
    fn an_event_is_counted_as_the_packet_that_it_becomes() {
        let data = json!({"text": "\"quoted\" \u{1f600}", "numbers": [1, 2.5, null]});
        for event in ["status", "log", "missed"] {
            let packet = format!("42{}", json!([event, data]));
            assert_eq!(length(&data) + event.len() as u64 + EVENT_FRAME, packet.len() as u64);
        }
    }

    #[test]
    fn the_newest_lines_are_as_many_as_are_short_enough_together() {
        let lines: Vec<Line> = (0..10).map(|n| line("x".repeat(1_000 * n))).collect();
        let lines: Vec<&Line> = lines.iter().collect();
        let of = |limit| newest_within(&lines, limit);
        assert_eq!(of(u64::MAX), lines);
        assert_eq!(of(20_000), &lines[8..]);
        assert!(length(of(20_000)) <= 20_000);
        assert!(of(100).is_empty());
    }
}
