//! The receiving end, for publishers only.

use std::collections::VecDeque;

use bytes::Bytes;

use super::link::{Incoming, Link};
use crate::amf0::Value;
use crate::chunk::Output;
use crate::flv;
use crate::message::{Command, Message};
use crate::{Error, Timestamp};

/// Longest message taken: the largest that the 24-bit length field can name.
const MAX_MESSAGE: usize = 0xFF_FFFF;

/// Our window and the peer's, in bytes: what nginx-rtmp and SRS use too.
const WINDOW: u32 = 2_500_000;

/// Our chunk size: answers to a publisher are small.
const CHUNK_SIZE: u32 = 4096;

/// The one message stream that createStream gives out.
const STREAM: u32 = 1;

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    Handshaking,
    /// Waits for `connect`.
    HandshakeDone,
    /// `connect` came; [`Server::accept`] or [`Server::refuse`] it.
    ConnectAsked,
    Connected,
    /// `publish` came; [`Server::accept`] or [`Server::refuse`] it.
    PublishAsked,
    Publishing,
    /// Ended by the publisher, or refused.
    Ended,
}

/// What the publisher did.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerEvent {
    Connect {
        app: String,
        tc_url: String,
        flash_ver: String,
        /// Enhanced RTMP's fourCcList; empty without it.
        four_ccs: Vec<String>,
    },
    /// Wants to publish under this name, query included.
    Publish { key: String },
    /// The value of `onMetaData`.
    Metadata(Value),
    /// An FLV audio tag's body.
    Audio { at: Timestamp, body: Bytes },
    /// An FLV video tag's body.
    Video { at: Timestamp, body: Bytes },
    /// The stream was ended properly.
    End,
    /// A command or message without meaning here, by name.
    Ignored(String),
}

/// A receiving session: feed it with [`Server::receive`], answer what [`Server::event`] asks, and write out
/// [`Server::output`].
pub struct Server {
    pub(super) link: Link,
    state: ServerState,
    /// Transaction of the question that waits for an answer.
    asked: f64,
    events: VecDeque<ServerEvent>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    pub fn new() -> Self {
        Self {
            link: Link::server(MAX_MESSAGE),
            state: ServerState::Handshaking,
            asked: 0.0,
            events: VecDeque::new(),
        }
    }

    /// Takes what the publisher sent. After an error the session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while let Some(incoming) = self.link.receive(&mut rest)? {
            self.handle(incoming);
        }
        Ok(())
    }

    /// What is to be written; consume what was.
    pub fn output(&mut self) -> &mut Output {
        &mut self.link.output
    }

    /// The next event, oldest first.
    pub fn event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    pub fn state(&self) -> ServerState {
        self.state
    }

    /// Says yes to the `connect` or `publish` that waits for it.
    pub fn accept(&mut self) {
        match self.state {
            ServerState::ConnectAsked => {
                self.link.control_message(&Message::WindowAckSize(WINDOW));
                self.link.control_message(&Message::SetPeerBandwidth(WINDOW));
                self.link.set_chunk_size(CHUNK_SIZE);
                let object = Value::object([
                    ("fmsVer", Value::string("FMS/3,0,1,123")),
                    ("capabilities", Value::Number(31.0)),
                ]);
                let info = Value::object([
                    ("level", Value::string("status")),
                    ("code", Value::string("NetConnection.Connect.Success")),
                    ("description", Value::string("Connection succeeded.")),
                    ("objectEncoding", Value::Number(0.0)),
                    ("fourCcList", Value::StrictArray(flv::FOUR_CCS.map(Value::string).into())),
                ]);
                let answer = Command { object, ..Command::new("_result", self.asked, [info]) };
                self.link.command(0, answer);
                self.state = ServerState::Connected;
            }
            ServerState::PublishAsked => {
                self.link.control_message(&Message::StreamBegin(STREAM));
                self.on_status("status", "NetStream.Publish.Start", "Publishing.");
                self.state = ServerState::Publishing;
            }
            _ => {}
        }
    }

    /// Says no to the `connect` or `publish` that waits, with a code such as
    /// `NetConnection.Connect.Rejected` or `NetStream.Publish.BadName`.
    pub fn refuse(&mut self, code: &str, description: &str) {
        match self.state {
            ServerState::ConnectAsked => {
                let info = information("error", code, description);
                self.link.command(0, Command::new("_error", self.asked, [info]));
            }
            ServerState::PublishAsked => self.on_status("error", code, description),
            _ => return,
        }
        self.state = ServerState::Ended;
    }

    fn on_status(&mut self, level: &str, code: &str, description: &str) {
        let info = information(level, code, description);
        self.link.command(STREAM, Command::new("onStatus", 0.0, [info]));
    }

    fn handle(&mut self, incoming: Incoming) {
        let (message, at) = match incoming {
            Incoming::HandshakeDone => {
                self.state = ServerState::HandshakeDone;
                return;
            }
            Incoming::Message { message, timestamp } => (message, timestamp),
        };
        let publishing = self.state == ServerState::Publishing;
        let event = match message {
            Message::Command(command) => self.command(command),
            Message::Data(values) => metadata(values),
            Message::Audio(body) if publishing => Some(ServerEvent::Audio { at, body }),
            Message::Video(body) if publishing => Some(ServerEvent::Video { at, body }),
            Message::Acknowledgement(_) | Message::StreamBegin(_) | Message::PingResponse(_) => None,
            other => Some(ServerEvent::Ignored(format!("message of type {}", other.encode().0))),
        };
        self.events.extend(event);
    }

    fn command(&mut self, command: Command) -> Option<ServerEvent> {
        let first = command.args.first().and_then(Value::as_str).unwrap_or_default();
        match (&*command.name, self.state) {
            ("connect", ServerState::HandshakeDone) => {
                self.asked = command.transaction;
                self.state = ServerState::ConnectAsked;
                let text = |name: &str| {
                    command.object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let four_ccs = match command.object.get("fourCcList") {
                    Some(Value::StrictArray(list)) => {
                        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                    }
                    _ => Vec::new(),
                };
                let (app, tc_url, flash_ver) = (text("app"), text("tcUrl"), text("flashVer"));
                Some(ServerEvent::Connect { app, tc_url, flash_ver, four_ccs })
            }
            ("createStream", ServerState::Connected) => {
                let number = Value::Number(f64::from(STREAM));
                self.link.command(0, Command::new("_result", command.transaction, [number]));
                None
            }
            ("releaseStream" | "FCPublish", ServerState::Connected) => {
                self.link.command(0, Command::new("_result", command.transaction, [Value::Undefined]));
                None
            }
            ("publish", ServerState::Connected) => {
                self.asked = command.transaction;
                self.state = ServerState::PublishAsked;
                Some(ServerEvent::Publish { key: first.to_owned() })
            }
            ("FCUnpublish" | "deleteStream" | "closeStream", ServerState::Publishing) => {
                self.state = ServerState::Ended;
                Some(ServerEvent::End)
            }
            ("play", _) => {
                self.on_status("error", "NetStream.Play.Failed", "This server only receives.");
                Some(ServerEvent::Ignored(command.name))
            }
            _ => Some(ServerEvent::Ignored(command.name)),
        }
    }
}

fn information(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ])
}

/// `@setDataFrame onMetaData {..}`, or without the first name as some encoders send it.
fn metadata(values: Vec<Value>) -> Option<ServerEvent> {
    let mut values = values.into_iter().skip_while(|value| value.as_str() == Some("@setDataFrame"));
    match (values.next(), values.next()) {
        (Some(Value::String(name)), Some(value)) if name == "onMetaData" => {
            Some(ServerEvent::Metadata(value))
        }
        (name, _) => {
            let name = name.as_ref().and_then(Value::as_str).unwrap_or("data").to_owned();
            Some(ServerEvent::Ignored(name))
        }
    }
}
