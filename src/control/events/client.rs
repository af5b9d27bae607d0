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
use super::statuses::{News, PERIOD, Told};
use crate::control::Control;

/// Lines that a client is given in one go: a quarter of its queue. A heartbeat that finds the queue full ends the
/// connection (engineioxide), so that the queue of a client that reads must not fill up.
const AT_ONCE: usize = 16;
/// Pause after which a client is given more: time for its connection to take what it has. 640 lines a second.
const AGAIN: Duration = Duration::from_millis(25);

/// Why the client gets nothing now.
#[derive(Debug)]
enum Blocked {
    /// Its queue is full: later.
    Full,
    /// It is gone.
    Gone,
}

/// Sends events until the client is gone or the service ends. Holds nothing for the client but its place in the
/// log: what it does not take in time is pushed out of the ring, and it is told how much that was.
pub(super) async fn run(
    socket: SocketRef,
    control: Arc<Control>,
    mut filter: watch::Receiver<Filter>,
    gone: CancellationToken,
) {
    let mut client = Client { socket, told: Told::default(), next: 0, replay: true, missed: 0 };
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
            _ = second.tick() => match client.statuses(&control) {
                Ok(()) | Err(Blocked::Full) => {}
                Err(Blocked::Gone) => break,
            },
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
        let wanted = filter.borrow_and_update().clone();
        waiting = match client.lines(&control, &wanted) {
            Ok(more) => more,
            Err(Blocked::Full) => true,
            Err(Blocked::Gone) => break,
        };
    }
}

struct Client {
    socket: SocketRef,
    told: Told,
    /// The number of the line that it gets next.
    next: u64,
    /// It is to be given the newest lines again, all at once.
    replay: bool,
    /// Lines that it was not told of yet, which it has missed.
    missed: u64,
}

impl Client {
    fn statuses(&mut self, control: &Control) -> Result<(), Blocked> {
        let look = control.events.statuses.at(control.clock.now(), &control.registry);
        let mut result = Ok(());
        for news in self.told.news(&look) {
            if result.is_ok() {
                result = match &news {
                    News::Changed(status) => self.emit("status", &**status),
                    News::Removed(id) => self.emit("removed", &json!({ "streamId": id })),
                };
            }
            if result.is_err() {
                self.told.forget(&news);
            }
        }
        result
    }

    /// The next lines, [`AT_ONCE`] at most, whatever the filter leaves out on the way; whether there may be more.
    fn lines(&mut self, control: &Control, filter: &Filter) -> Result<bool, Blocked> {
        let logs = &control.setup.logs;
        if self.replay {
            let newest = logs.newest(filter, REPLAY);
            let lines: Vec<&Line> = newest.lines.iter().map(|(_, line)| &**line).collect();
            self.emit("logs", &lines)?;
            (self.next, self.missed, self.replay) = (newest.next, 0, false);
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
                self.emit("log", &**line)?;
                self.next = number + 1;
            }
            given += read.lines.len();
            self.next = read.next;
        }
        Ok(true)
    }

    fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Blocked> {
        match self.socket.emit(event, data) {
            Ok(()) => Ok(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => Err(Blocked::Full),
            Err(_) => Err(Blocked::Gone),
        }
    }
}
