//! What a message means (Adobe RTMP 1.0, sections 5.4, 6.2 and 7.1).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::amf0::{self, Value};
use crate::{Error, chunk};

/// Longest command that is decoded. A connect with every optional field is about 1 KB.
pub const MAX_COMMAND: usize = 64 * 1024;

/// Message type ids (6.1.1).
pub mod kind {
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACK_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA_AMF3: u8 = 15;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const COMMAND: u8 = 20;
}

/// User control event types (7.1.7).
const STREAM_BEGIN: u16 = 0;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// A message of the types that publishing needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    SetChunkSize(u32),
    /// The unfinished message of this chunk stream is abandoned.
    Abort(u32),
    /// Bytes received so far in total, modulo 2^32.
    Acknowledgement(u32),
    /// The peer wants an acknowledgement after this many bytes.
    WindowAckSize(u32),
    /// The peer wants this side to announce this window (5.4.5).
    SetPeerBandwidth(u32),
    StreamBegin(u32),
    PingRequest(u32),
    PingResponse(u32),
    Command(Command),
    /// Such as `@setDataFrame`, `onMetaData`, fields.
    Data(Vec<Value>),
    /// An FLV audio tag's body.
    Audio(Bytes),
    /// An FLV video tag's body.
    Video(Bytes),
    /// Anything else, by its type id: aggregates, shared objects, other user control events, commands without a
    /// name.
    Other(u8),
}

/// A remote call or its answer (7.1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub name: String,
    /// 0 where no answer is wanted; an answer repeats its question's.
    pub transaction: f64,
    /// The command object; null for most.
    pub object: Value,
    pub args: Vec<Value>,
}

impl Command {
    /// A command without a command object.
    pub fn new(name: &str, transaction: f64, args: impl Into<Vec<Value>>) -> Self {
        Self { name: name.to_owned(), transaction, object: Value::Null, args: args.into() }
    }
}

impl Message {
    /// Decodes what a message of the chunk layer carries.
    pub fn decode(raw: &chunk::Message) -> Result<Self, Error> {
        let payload = &raw.payload;
        let word = || {
            let mut bytes = &payload[..];
            let error = Error::MessageTooShort { kind: raw.kind, len: payload.len() };
            bytes.try_get_u32().map_err(|_| error)
        };
        Ok(match raw.kind {
            kind::SET_CHUNK_SIZE => Self::SetChunkSize(word()?),
            kind::ABORT => Self::Abort(word()?),
            kind::ACKNOWLEDGEMENT => Self::Acknowledgement(word()?),
            kind::WINDOW_ACK_SIZE => Self::WindowAckSize(word()?),
            kind::SET_PEER_BANDWIDTH => Self::SetPeerBandwidth(word()?),
            kind::USER_CONTROL => user_control(payload),
            kind::AUDIO => Self::Audio(payload.clone()),
            kind::VIDEO => Self::Video(payload.clone()),
            kind::COMMAND | kind::COMMAND_AMF3 => match command(values(raw)?) {
                Some(command) => Self::Command(command),
                None => Self::Other(raw.kind),
            },
            kind::DATA | kind::DATA_AMF3 => Self::Data(values(raw)?),
            other => Self::Other(other),
        })
    }

    /// Type id and payload.
    pub fn encode(&self) -> (u8, Bytes) {
        let mut out = BytesMut::new();
        let kind = match self {
            Self::SetChunkSize(word) => word_message(kind::SET_CHUNK_SIZE, *word, &mut out),
            Self::Abort(word) => word_message(kind::ABORT, *word, &mut out),
            Self::Acknowledgement(word) => word_message(kind::ACKNOWLEDGEMENT, *word, &mut out),
            Self::WindowAckSize(word) => word_message(kind::WINDOW_ACK_SIZE, *word, &mut out),
            Self::SetPeerBandwidth(word) => {
                word_message(kind::SET_PEER_BANDWIDTH, *word, &mut out);
                out.put_u8(2); // limit type "dynamic", as real servers send it
                kind::SET_PEER_BANDWIDTH
            }
            Self::StreamBegin(word) => event_message(STREAM_BEGIN, *word, &mut out),
            Self::PingRequest(word) => event_message(PING_REQUEST, *word, &mut out),
            Self::PingResponse(word) => event_message(PING_RESPONSE, *word, &mut out),
            Self::Command(command) => {
                Value::string(&*command.name).encode(&mut out);
                Value::Number(command.transaction).encode(&mut out);
                command.object.encode(&mut out);
                command.args.iter().for_each(|value| value.encode(&mut out));
                kind::COMMAND
            }
            Self::Data(values) => {
                values.iter().for_each(|value| value.encode(&mut out));
                kind::DATA
            }
            Self::Audio(body) => return (kind::AUDIO, body.clone()),
            Self::Video(body) => return (kind::VIDEO, body.clone()),
            Self::Other(kind) => *kind,
        };
        (kind, out.freeze())
    }
}

fn word_message(kind: u8, word: u32, out: &mut BytesMut) -> u8 {
    out.put_u32(word);
    kind
}

fn event_message(event: u16, word: u32, out: &mut BytesMut) -> u8 {
    out.put_u16(event);
    out.put_u32(word);
    kind::USER_CONTROL
}

/// Events that are too short or unknown are no reason to end a connection: some servers send their own.
fn user_control(mut payload: &[u8]) -> Message {
    match (payload.try_get_u16(), payload.try_get_u32()) {
        (Ok(STREAM_BEGIN), Ok(stream)) => Message::StreamBegin(stream),
        (Ok(PING_REQUEST), Ok(stamp)) => Message::PingRequest(stamp),
        (Ok(PING_RESPONSE), Ok(stamp)) => Message::PingResponse(stamp),
        _ => Message::Other(kind::USER_CONTROL),
    }
}

/// The AMF0 values of a command or data message, as far as they can be read: an odd value at the end is no reason
/// to end a connection. The AMF3 types carry AMF0 too, behind a zero byte.
fn values(raw: &chunk::Message) -> Result<Vec<Value>, Error> {
    let len = raw.payload.len();
    if len > MAX_COMMAND {
        return Err(Error::CommandTooLong { len, limit: MAX_COMMAND });
    }
    let amf3 = matches!(raw.kind, kind::COMMAND_AMF3 | kind::DATA_AMF3);
    let body = match &raw.payload[..] {
        [0, body @ ..] if amf3 => body,
        body => body,
    };
    Ok(amf0::decode_most(body).0)
}

fn command(values: Vec<Value>) -> Option<Command> {
    let mut values = values.into_iter();
    let Some(Value::String(name)) = values.next() else { return None };
    let transaction = values.next().and_then(|value| value.as_number()).unwrap_or(0.0);
    let object = values.next().unwrap_or(Value::Null);
    Some(Command { name, transaction, object, args: values.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    fn raw(kind: u8, payload: &[u8]) -> chunk::Message {
        let payload = Bytes::copy_from_slice(payload);
        chunk::Message { chunk_stream: 3, timestamp: Timestamp::ZERO, kind, stream: 0, payload }
    }

    #[test]
    fn every_message_decodes_to_what_was_encoded() {
        let command = Command::new("publish", 5.0, [Value::string("key"), Value::string("live")]);
        for message in [
            Message::SetChunkSize(65_536),
            Message::Abort(4),
            Message::Acknowledgement(u32::MAX),
            Message::WindowAckSize(2_500_000),
            Message::SetPeerBandwidth(2_500_000),
            Message::StreamBegin(1),
            Message::PingRequest(7),
            Message::PingResponse(8),
            Message::Command(command),
            Message::Data(vec![Value::string("onMetaData"), Value::EcmaArray(vec![])]),
            Message::Audio(Bytes::from_static(&[0xAF, 1])),
            Message::Video(Bytes::from_static(&[0x17, 1])),
        ] {
            let (kind, payload) = message.encode();
            assert_eq!(Message::decode(&raw(kind, &payload)), Ok(message));
        }
    }

    #[test]
    fn a_command_with_a_name_only_is_a_command() {
        let (kind, payload) = Message::Data(vec![Value::string("onBWDone")]).encode();
        assert_eq!(kind, kind::DATA);
        let got = Message::decode(&raw(kind::COMMAND, &payload));
        assert_eq!(got, Ok(Message::Command(Command::new("onBWDone", 0.0, []))));
        for nameless in [&[5][..], &[], &[0xFF, 2, 0, 1, b'x'], &[2, 0, 9]] {
            let got = Message::decode(&raw(kind::COMMAND, nameless));
            assert_eq!(got, Ok(Message::Other(kind::COMMAND)));
        }
    }

    #[test]
    fn a_command_is_read_up_to_what_cannot_be_read_and_behind_the_zero_byte_of_amf3() {
        let command = Command::new("_result", 1.0, [Value::Number(7.0)]);
        let (_, payload) = Message::Command(command.clone()).encode();
        for (kind, before, after) in [
            (kind::COMMAND, &[][..], &[][..]),
            (kind::COMMAND, &[], &[0]),
            (kind::COMMAND, &[], &[0xFF, 0, 0]),
            (kind::COMMAND, &[], &[0x11, 0x0A, 0x0B, 0x01]),
            (kind::COMMAND_AMF3, &[0], &[]),
            (kind::COMMAND_AMF3, &[], &[]),
            (kind::COMMAND_AMF3, &[0], &[0x11, 0x06, 0x01]),
        ] {
            let message = Message::decode(&raw(kind, &[before, &payload, after].concat()));
            assert_eq!(message, Ok(Message::Command(command.clone())), "{kind} {before:?} {after:?}");
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_an_error() {
        assert_eq!(Message::decode(&raw(1, &[0, 0])), Err(Error::MessageTooShort { kind: 1, len: 2 }));
        let long = vec![5; MAX_COMMAND + 1];
        assert!(matches!(Message::decode(&raw(20, &long)), Err(Error::CommandTooLong { .. })));
        assert_eq!(Message::decode(&raw(4, &[0])), Ok(Message::Other(4)));
    }
}
