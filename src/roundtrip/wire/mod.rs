//! Engine.IO 4 and Socket.IO 4 packets as a client sees them over WebSocket. Pure.
//!
//! One WebSocket text frame is one Engine.IO packet: a digit for its type, then its payload. Of type
//! message (`4`), the payload is one Socket.IO packet: a digit, then `<attachments>-`, `/namespace,`,
//! an acknowledgement id and JSON, each optional. A binary frame is the next attachment of the binary
//! event before it; the JSON holds `{"_placeholder":true,"num":n}` where the attachment belongs.
//!
//! References: the Engine.IO protocol, revision 4, and the Socket.IO protocol, revision 5.

mod endpoint;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::outside::Text;

pub use endpoint::{BadProcessorUrl, Endpoint};

/// Longest answer, in bytes: four minutes of uncompressed 16-bit stereo at 48 kHz have 46 MB, and a batch usually has
/// 30 s. It bounds what one connection can make this process hold.
pub const MAX_ANSWER_BYTES: usize = 48 * 1024 * 1024;

/// Longest text frame. Events carry a few hundred bytes of JSON; parsed JSON takes up to some thirty
/// times its text.
pub(super) const MAX_TEXT_BYTES: usize = 256 * 1024;

/// Most attachments of one event. The protocol has one; a few more are tolerated and left unused.
const MAX_ATTACHMENTS: usize = 8;

/// Answer to an Engine.IO ping.
pub(super) const PONG: &str = "3";

/// A server whose heartbeat is slower than this could be dead for minutes unnoticed; its word is not
/// taken. Node's default is an interval of 25 s and a timeout of 20 s.
const MAX_HEARTBEAT: Duration = Duration::from_secs(120);

/// A heartbeat faster than this would take a busy network for a dead one.
const MIN_HEARTBEAT: Duration = Duration::from_secs(1);

/// What arrived, one Engine.IO packet or one whole event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Packet {
    Open(Open),
    /// The server ends the Engine.IO session.
    Close,
    Ping,
    /// The namespace let us in.
    Connected,
    /// A connect packet without a session id: Socket.IO 2 sends it unasked for the default namespace, and that is how
    /// its own later clients know it. Protocol 5 requires the id.
    ConnectedWithoutId,
    /// The namespace refused us, with the server's own words.
    Refused(Text),
    /// The server put us out of the namespace.
    Disconnected,
    Event(Event),
    /// Legal and of no interest: pongs, upgrades, acknowledgements, other namespaces.
    Ignored,
}

/// The Engine.IO handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Without any frame for this long, the connection is dead: ping interval plus ping timeout.
    pub(super) heartbeat: Duration,
    /// The largest message in bytes that the server takes, where it says so.
    pub(super) max_payload: Option<usize>,
}

/// An event with its attachments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: String,
    /// The first argument (null where there is none), placeholders left in.
    pub(super) argument: Value,
    pub(super) attachments: Vec<Bytes>,
    /// The server wants an acknowledgement under this id.
    pub(super) ack: Option<u64>,
}

/// The server broke the protocol. None of these ends the connection: what is broken is dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    #[error("text frame of {0} bytes is over the limit of {MAX_TEXT_BYTES}")]
    TextTooLong(usize),
    #[error("frame does not begin with a packet type")]
    NoType,
    #[error("open packet is not the handshake object: {0}")]
    BadOpen(Text),
    #[error("packet header is malformed")]
    BadHeader,
    #[error("event is not a JSON array that begins with a name: {0}")]
    BadEvent(Text),
    #[error("event announces {0} attachments, more than {MAX_ATTACHMENTS}")]
    TooManyAttachments(usize),
    #[error("attachments of {0} bytes are over the limit of {MAX_ANSWER_BYTES}")]
    AttachmentsTooLong(usize),
    #[error("binary frame without an event that waits for it")]
    UnexpectedBinary,
    #[error("event was cut off: {missing} of its attachments never came")]
    CutOff { missing: usize },
}

/// Puts packets together from frames: `handle_text` and `handle_binary` for each frame in order.
#[derive(Debug)]
pub(super) struct Decoder {
    namespace: String,
    /// A binary event that still lacks attachments, and how many it will have.
    partial: Option<(Event, usize)>,
}

impl Decoder {
    /// A decoder of packets of `namespace`, which is empty or begins with a slash.
    pub(super) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), partial: None }
    }

    /// A text frame. `None`: an event that waits for its attachments.
    pub(super) fn handle_text(&mut self, text: &str) -> Result<Option<Packet>, WireError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(WireError::TextTooLong(text.len()));
        }
        let (kind, rest) = split_type(text).ok_or(WireError::NoType)?;
        match kind {
            '0' => open(rest).map(|open| Some(Packet::Open(open))),
            '1' => Ok(Some(Packet::Close)),
            '2' => Ok(Some(Packet::Ping)),
            '4' => self.handle_message(rest),
            _ => Ok(Some(Packet::Ignored)),
        }
    }

    /// A binary frame. `None`: more attachments are to come.
    pub(super) fn handle_binary(&mut self, data: Bytes) -> Result<Option<Packet>, WireError> {
        let (mut event, expected) = self.partial.take().ok_or(WireError::UnexpectedBinary)?;
        let held: usize = event.attachments.iter().map(Bytes::len).sum();
        let total = held.saturating_add(data.len());
        if total > MAX_ANSWER_BYTES {
            return Err(WireError::AttachmentsTooLong(total));
        }
        event.attachments.push(data);
        if event.attachments.len() == expected {
            return Ok(Some(Packet::Event(event)));
        }
        self.partial = Some((event, expected));
        Ok(None)
    }

    /// The event whose attachments are not all there yet; it will not be finished.
    pub(super) fn take_partial(&mut self) -> Option<Event> {
        self.partial.take().map(|(event, _)| event)
    }

    fn handle_message(&mut self, text: &str) -> Result<Option<Packet>, WireError> {
        if let Some((event, expected)) = self.partial.take() {
            // The attachments of an event follow it without any other message between.
            return Err(WireError::CutOff { missing: expected.saturating_sub(event.attachments.len()) });
        }
        let (kind, rest) = split_type(text).ok_or(WireError::NoType)?;
        let is_binary = matches!(kind, '5' | '6');
        let (attachments, rest) = if is_binary { attachment_count(rest)? } else { (0, rest) };
        let (namespace, rest) = split_namespace(rest);
        if kind == '0' && !has_session_id(rest) {
            // In whichever namespace.
            return Ok(Some(Packet::ConnectedWithoutId));
        }
        if namespace != self.namespace {
            // Its attachments, if any, will be reported as unexpected.
            return Ok(Some(Packet::Ignored));
        }
        match kind {
            '0' => Ok(Some(Packet::Connected)),
            '1' => Ok(Some(Packet::Disconnected)),
            '2' | '5' => {
                let event = event(rest)?;
                if attachments == 0 {
                    return Ok(Some(Packet::Event(event)));
                }
                self.partial = Some((event, attachments));
                Ok(None)
            }
            '4' => Ok(Some(Packet::Refused(refusal(rest)))),
            _ => Ok(Some(Packet::Ignored)),
        }
    }
}

/// The request to enter `namespace`, with the application's credentials.
pub(super) fn connect(namespace: &str, auth: Option<&Value>) -> String {
    let auth = auth.map(Value::to_string).unwrap_or_default();
    format!("40{}{auth}", prefix(namespace))
}

/// The farewell to `namespace`.
pub(super) fn disconnect(namespace: &str) -> String {
    format!("41{}", prefix(namespace))
}

/// An event with one attachment, without that attachment: `json` is the array of name and argument.
pub(super) fn binary_event(namespace: &str, json: &str) -> String {
    format!("451-{}{json}", prefix(namespace))
}

/// The empty acknowledgement of a server's event.
pub(super) fn acknowledgement(namespace: &str, id: u64) -> String {
    format!("43{}{id}[]", prefix(namespace))
}

/// Which attachment `value` stands for, if it is a placeholder.
pub(super) fn placeholder(value: &Value) -> Option<usize> {
    let object = value.as_object()?;
    if object.get("_placeholder") != Some(&Value::Bool(true)) {
        return None;
    }
    usize::try_from(object.get("num")?.as_u64()?).ok()
}

fn prefix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace},") }
}

fn split_type(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let kind = chars.next().filter(char::is_ascii_digit)?;
    Some((kind, chars.as_str()))
}

fn attachment_count(text: &str) -> Result<(usize, &str), WireError> {
    let (count, rest) = text.split_once('-').ok_or(WireError::BadHeader)?;
    let count: usize = count.parse().map_err(|_| WireError::BadHeader)?;
    if count > MAX_ATTACHMENTS {
        return Err(WireError::TooManyAttachments(count));
    }
    Ok((count, rest))
}

/// The namespace, empty for the default one, and what follows it.
fn split_namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return ("", text);
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    // "/" is the default namespace written out.
    (if namespace == "/" { "" } else { namespace }, rest)
}

fn has_session_id(json: &str) -> bool {
    serde_json::from_str(json).is_ok_and(|answer: Value| answer["sid"].is_string())
}

fn open(json: &str) -> Result<Open, WireError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Handshake {
        ping_interval: u64,
        ping_timeout: u64,
        max_payload: Option<u64>,
    }
    let handshake: Handshake = serde_json::from_str(json).map_err(|e| WireError::BadOpen(Text::of(&e)))?;
    let heartbeat = Duration::from_millis(handshake.ping_interval.saturating_add(handshake.ping_timeout));
    Ok(Open {
        heartbeat: heartbeat.clamp(MIN_HEARTBEAT, MAX_HEARTBEAT),
        max_payload: handshake.max_payload.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
    })
}

fn event(text: &str) -> Result<Event, WireError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (id, json) = text.split_at(digits);
    let ack = if id.is_empty() { None } else { Some(id.parse().map_err(|_| WireError::BadHeader)?) };
    // serde_json stops at a nesting of 128, so hostile nesting cannot exhaust the stack.
    let arguments: Vec<Value> = serde_json::from_str(json).map_err(|e| WireError::BadEvent(Text::of(&e)))?;
    let mut arguments = arguments.into_iter();
    let Some(Value::String(name)) = arguments.next() else {
        return Err(WireError::BadEvent("no name".into()));
    };
    let argument = arguments.next().unwrap_or(Value::Null);
    Ok(Event { name, argument, attachments: Vec::new(), ack })
}

/// Node and python-socketio send `{"message": "..."}`; older servers a bare string.
fn refusal(json: &str) -> Text {
    match serde_json::from_str(json) {
        Ok(Value::String(message)) => Text::new(&message),
        Ok(Value::Object(object)) => match object.get("message") {
            Some(Value::String(message)) => Text::new(message),
            _ => "no reason given".into(),
        },
        _ => "no reason given".into(),
    }
}
