//! What both ends share: handshake, chunk layer, protocol control messages (5.4) and pings (7.1.7).

use bytes::{Buf, Bytes};

use crate::chunk::{Decoder, Encoder, Header, Output};
use crate::handshake::Handshake;
use crate::message::{Command, Message};
use crate::{Error, Timestamp};

/// While this many bytes wait to be sent, acknowledgements and pongs are left out: a peer that does not read
/// cannot make this side queue without end. Far above what a healthy connection ever has waiting.
const MAX_WAITING: usize = 4 << 20;

/// Chunk streams: 2 is fixed for control (5.4), the others are this side's choice.
const CONTROL: u8 = 2;
pub(super) const COMMANDS: u8 = 3;
pub(super) const AUDIO: u8 = 4;
pub(super) const DATA: u8 = 5;
pub(super) const VIDEO: u8 = 6;

pub(super) struct Link {
    handshake: Option<Handshake>,
    decoder: Decoder,
    encoder: Encoder,
    pub(super) output: Output,
    /// Bytes received in total, handshake included: what acknowledgements count (5.4.3).
    received: u64,
    acknowledged: u64,
    /// The peer's window; 0 until it names one.
    window: u32,
}

/// What came that the session has to look at.
#[derive(Debug)]
pub(super) enum Incoming {
    HandshakeDone,
    Message { message: Message, timestamp: Timestamp },
}

impl Link {
    pub(super) fn client(max_message: usize) -> Result<Self, Error> {
        let (handshake, first) = Handshake::client()?;
        let mut link = Self::new(handshake, max_message);
        link.output.push(first);
        Ok(link)
    }

    pub(super) fn server(max_message: usize) -> Self {
        Self::new(Handshake::server(), max_message)
    }

    fn new(handshake: Handshake, max_message: usize) -> Self {
        Self {
            handshake: Some(handshake),
            decoder: Decoder::new(max_message),
            encoder: Encoder::default(),
            output: Output::default(),
            received: 0,
            acknowledged: 0,
            window: 0,
        }
    }

    /// Takes bytes until there is something for the session; `None` when all were taken.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Error> {
        let before = input.len();
        let result = self.receive_counted(input);
        self.received += (before - input.len()) as u64;
        let due = self.received - self.acknowledged >= u64::from(self.window);
        if self.window > 0 && due && self.output.remaining() < MAX_WAITING {
            self.acknowledge();
        }
        result
    }

    fn receive_counted(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, Error> {
        if let Some(handshake) = &mut self.handshake {
            let answer = handshake.receive(input)?;
            let done = handshake.is_done();
            self.output.push(answer);
            if !done {
                return Ok(None);
            }
            self.handshake = None;
            return Ok(Some(Incoming::HandshakeDone));
        }
        while let Some(raw) = self.decoder.receive(input)? {
            let message = Message::decode(&raw)?;
            if let Some(message) = self.control(message)? {
                return Ok(Some(Incoming::Message { message, timestamp: raw.timestamp }));
            }
        }
        Ok(None)
    }

    /// Obeys protocol control; gives back everything else.
    fn control(&mut self, message: Message) -> Result<Option<Message>, Error> {
        match message {
            Message::SetChunkSize(size) => self.decoder.set_chunk_size(size)?,
            Message::Abort(chunk_stream) => self.decoder.abort(chunk_stream),
            Message::WindowAckSize(size) => self.window = size,
            Message::SetPeerBandwidth(size) => self.control_message(&Message::WindowAckSize(size)),
            Message::PingRequest(stamp) => self.control_message(&Message::PingResponse(stamp)),
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// Sends an acknowledgement of all that was received so far.
    pub(super) fn acknowledge(&mut self) {
        self.acknowledged = self.received;
        self.control_message(&Message::Acknowledgement(self.received as u32));
    }

    /// Chunks of `size` bytes from the next message on.
    pub(super) fn set_chunk_size(&mut self, size: u32) {
        self.control_message(&Message::SetChunkSize(size));
        self.encoder.set_chunk_size(size as usize);
    }

    pub(super) fn control_message(&mut self, message: &Message) {
        if self.output.remaining() < MAX_WAITING {
            self.send(CONTROL, 0, message);
        }
    }

    pub(super) fn command(&mut self, stream: u32, command: Command) {
        self.send(COMMANDS, stream, &Message::Command(command));
    }

    pub(super) fn send(&mut self, chunk_stream: u8, stream: u32, message: &Message) {
        let (kind, payload) = message.encode();
        self.media(Header { chunk_stream, timestamp: Timestamp::ZERO, kind, stream }, &[], payload);
    }

    /// Sends a message whose payload is `prefix` and `body`, the latter by reference.
    pub(super) fn media(&mut self, header: Header, prefix: &[u8], body: Bytes) {
        self.encoder.message(header, prefix, body, &mut self.output);
    }
}
