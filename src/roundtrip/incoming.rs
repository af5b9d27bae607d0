//! Frames from the processor: what they say, and how many there may be.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::refusal::Closed;
use super::wire::{Decoder, Event, Packet, WireError};
use crate::clock::Clock;
use crate::net::Bucket;

/// Frames a second, in the long run: twenty progress reports for every audio frame of a stream. Each costs a wake-up and
/// maybe an answer, a ping's pong for example.
const PER_SECOND: u64 = 1_000;
/// Frames at once, as they come after a network that stood still.
const BURST: u64 = 5_000;

/// The frames of one connection.
pub(super) struct Incoming {
    decoder: Decoder,
    frames: Bucket,
    clock: Clock,
}

/// A frame that is no packet.
pub(super) enum Broken {
    Closed(Closed),
    Wire(WireError),
    /// One more than a processor may send.
    Flood,
}

impl From<WireError> for Broken {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl Incoming {
    pub(super) fn new(namespace: &str, clock: Clock) -> Self {
        Self { decoder: Decoder::new(namespace), frames: Bucket::new(PER_SECOND, BURST, clock.now()), clock }
    }

    /// The event whose attachments are not all there yet; it will not be finished.
    pub(super) fn take_partial(&mut self) -> Option<Event> {
        self.decoder.take_partial()
    }

    pub(super) fn handle(&mut self, frame: Message) -> Result<Option<Packet>, Broken> {
        if !self.frames.take_one(self.clock.now()) {
            return Err(Broken::Flood);
        }
        match frame {
            Message::Text(text) => Ok(self.decoder.handle_text(&text)?),
            Message::Binary(data) => Ok(self.decoder.handle_binary(data)?),
            Message::Close(frame) => Err(Broken::Closed(frame.as_ref().map(closed).unwrap_or_default())),
            // WebSocket's own pings are answered by tungstenite.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
        }
    }
}

fn closed(frame: &CloseFrame) -> Closed {
    Closed::new(frame.code.into(), &frame.reason)
}
