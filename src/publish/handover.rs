//! The next connection of an output whose server asked for one (Enhanced RTMP v2, "Reconnect Request"), while the former
//! one still takes the media. It is used from the next random-access picture on, so that every picture arrives over one
//! of the two.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use overdub_rtmp::{Error as SessionError, Target};

use super::approach::Learned;
use super::connection::{Connection, Reconnect};
use super::publisher::{FIRST_PAUSE, MAX_PAUSE};
use super::{Error, Settings};
use crate::clock::Clock;
use crate::media::Moment;

/// The next connection says something this often until it is used, like the one that streams.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = Opened> + Send>>;

/// What became of opening the next connection.
pub(super) enum Opened {
    Connection(Box<Connection>),
    /// The server gives the stream's name to one publisher at a time.
    Taken,
}

/// How far the change is.
pub(super) enum Handover {
    /// Nobody asked for one.
    None,
    Opening(Opening, Reconnect),
    /// Publishing, without media yet.
    Ready {
        connection: Box<Connection>,
        reconnect: Reconnect,
        keep_alive: Moment,
    },
    /// The next connection can be opened only once the former one is gone: at the next random-access picture.
    Taken(Reconnect),
}

impl Handover {
    /// Opens the next connection; a wish that came before is forgotten.
    pub(super) fn begin(
        &mut self,
        target: &Target,
        reconnect: Reconnect,
        settings: &Settings,
        learned: Learned,
        clock: Clock,
    ) {
        let opening = open(target.clone(), reconnect.clone(), settings.clone(), learned, clock);
        *self = Self::Opening(Box::pin(opening), reconnect);
    }

    /// Keeps the change going; returns whenever it is a step further, never where there is none. Cancel safe.
    pub(super) async fn run(&mut self, clock: Clock) {
        match self {
            Self::None | Self::Taken(_) => pending().await,
            Self::Opening(opening, reconnect) => {
                let (opened, reconnect) = (opening.await, reconnect.clone());
                *self = match opened {
                    Opened::Connection(connection) => {
                        Self::Ready { connection, reconnect, keep_alive: clock.now() + KEEP_ALIVE }
                    }
                    Opened::Taken => Self::Taken(reconnect),
                };
            }
            Self::Ready { connection, reconnect, keep_alive } => {
                let exchanged = tokio::select! {
                    exchanged = connection.exchange() => exchanged.map(drop),
                    () = clock.sleep_until(*keep_alive) => {
                        connection.keep_alive();
                        *keep_alive = clock.now() + KEEP_ALIVE;
                        Ok(())
                    }
                };
                // SRS lets a second publisher of a stream begin, and closes only then.
                if let Err(error) = exchanged {
                    tracing::debug!(%error, "the next connection ended before it was used");
                    *self = Self::Taken(reconnect.clone());
                }
            }
        }
    }

    /// Whether the next random-access picture goes to the next connection.
    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::Ready { .. } | Self::Taken(_))
    }

    /// The next connection, if it is open.
    pub(super) fn take(&mut self) -> Option<Connection> {
        match std::mem::replace(self, Self::None) {
            Self::Ready { connection, .. } => Some(*connection),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Where the next connection was to lead.
    pub(super) fn abandon(&mut self) -> Option<Reconnect> {
        match std::mem::replace(self, Self::None) {
            Self::None => None,
            Self::Opening(_, reconnect) | Self::Ready { reconnect, .. } | Self::Taken(reconnect) => {
                Some(reconnect)
            }
        }
    }
}

/// Opens the next connection, however often it takes: the former one streams.
async fn open(
    target: Target,
    reconnect: Reconnect,
    settings: Settings,
    mut learned: Learned,
    clock: Clock,
) -> Opened {
    let mut pause = FIRST_PAUSE;
    loop {
        let error =
            match Connection::open(&target, Some(&reconnect), &settings, &mut learned, None, clock).await {
                Ok(connection) => return Opened::Connection(Box::new(connection)),
                Err(error) => error,
            };
        if is_taken(&error) {
            return Opened::Taken;
        }
        tracing::warn!(%error, ?pause, "the server asked for another connection, which fails");
        clock.sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// The stream has a publisher: this output, over its former connection.
fn is_taken(error: &Error) -> bool {
    match error {
        Error::Session(SessionError::Refused(refusal)) => refusal.code == "NetStream.Publish.BadName",
        Error::ClosedEarly => true,
        _ => false,
    }
}
