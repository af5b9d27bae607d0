//! The publishing end.

use std::collections::VecDeque;

use super::answer::{four_ccs, remedy};
use super::link::{self, Incoming, Link};
use super::{Refusal, Tag};
use crate::amf0::Value;
use crate::chunk::{Header, Output};
use crate::flv;
use crate::message::{Command, Message, kind};
use crate::{Error, Target, Timestamp};

/// Longest message that a server may send: a publisher only gets commands.
const MAX_MESSAGE: usize = 256 * 1024;

/// Our chunk size: the largest that SRS takes. Whole audio frames and most pictures in one chunk.
const CHUNK_SIZE: u32 = 65_536;

/// The server is asked to acknowledge every so many bytes, as Flash Media Encoder asks. Servers acknowledge at
/// intervals of their own all the same (lal each 2.5 MB, Ant Media each MiB, others never), so that nothing here waits
/// for it.
const WINDOW: u32 = 2_500_000;

/// What this side can do beside publishing (Enhanced RTMP v2, capsEx): it reconnects when it is asked to.
const CAPS_RECONNECT: f64 = 1.0;

/// FourCCs of Enhanced RTMP that are remembered of a server's list: several times as many as there are.
const MAX_FOUR_CCS: usize = 64;

/// Transactions; every call has its own, so that answers to the optional ones can be told apart.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH: f64 = 5.0;
const FC_UNPUBLISH: f64 = 6.0;
const DELETE_STREAM: f64 = 7.0;

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    Handshaking,
    /// `connect` was sent.
    Connecting,
    /// `createStream` was sent.
    CreatingStream,
    /// `publish` was sent.
    StartingPublish,
    /// Media may be sent.
    Publishing,
    /// Ended by this side, or refused.
    Ended,
}

/// What the server did.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The session entered this state.
    State(ClientState),
    /// FourCCs of Enhanced RTMP that the server says it takes; most that take them do not say so.
    FourCcs(Vec<String>),
    /// A status that changes nothing.
    Status(Refusal),
    /// The server is going away and asks for a new connection: to this tcUrl, absolute or relative, or to the same
    /// (Enhanced RTMP v2, "Reconnect Request"). It still takes media until the publisher is gone.
    ReconnectRequest { tc_url: Option<String> },
    /// The server answered a ping.
    Pong(u32),
    /// The server has received this many bytes, modulo 2^32.
    Acknowledged(u32),
    /// A command or message that means nothing to a publisher, by name.
    Ignored(String),
}

/// How `connect` is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// Without the fields of Enhanced RTMP: some servers close at an array or at a field that they do not know.
    pub plain: bool,
    /// Behind the application, as [`crate::Challenge::answer`] gives it.
    pub authentication: Option<String>,
}

/// A publishing session: feed it with [`Client::receive`], write out [`Client::output`], look at
/// [`Client::event`] until there is none, and [`Client::send`] once the state is `Publishing`.
pub struct Client {
    pub(super) link: Link,
    target: Target,
    flash_ver: String,
    how: Connect,
    state: ClientState,
    /// The message stream that createStream returned.
    stream: u32,
    events: VecDeque<ClientEvent>,
    /// What the server says that it takes, beside what FLV has had always.
    four_ccs: Vec<String>,
}

impl Client {
    /// A session that wants to publish to `target`; its first bytes wait in the output at once.
    ///
    /// `flash_ver` is how the client names itself; some servers want it to begin with `FMLE/`.
    pub fn new(target: Target, flash_ver: &str) -> Result<Self, Error> {
        Self::with(target, flash_ver, Connect::default())
    }

    /// The same, with a `connect` of this kind.
    pub fn with(target: Target, flash_ver: &str, how: Connect) -> Result<Self, Error> {
        Ok(Self {
            link: Link::client(MAX_MESSAGE)?,
            target,
            flash_ver: flash_ver.to_owned(),
            how,
            state: ClientState::Handshaking,
            stream: 0,
            events: VecDeque::new(),
            four_ccs: Vec::new(),
        })
    }

    /// Takes what the server sent. After an error the session is over.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        loop {
            let incoming = match self.link.receive(&mut rest) {
                Ok(Some(incoming)) => incoming,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.state = ClientState::Ended;
                    return Err(error);
                }
            };
            if let Err(error) = self.handle(incoming) {
                self.state = ClientState::Ended;
                return Err(error);
            }
        }
    }

    /// What is to be written; consume what was.
    pub fn output(&mut self) -> &mut Output {
        &mut self.link.output
    }

    /// The next event, oldest first.
    pub fn event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    pub fn state(&self) -> ClientState {
        self.state
    }

    /// Whether the server has said that it takes this FourCC of Enhanced RTMP. Most that take `hvc1` do not say so.
    pub fn takes(&self, four_cc: [u8; 4]) -> bool {
        self.four_ccs.iter().any(|name| name == "*" || name.as_bytes() == four_cc)
    }

    /// Queues a tag. Before `Publishing` and after the end nothing can be sent, and the tag is dropped.
    pub fn send(&mut self, at: Timestamp, tag: &Tag) {
        if self.state != ClientState::Publishing {
            return;
        }
        let stream = self.stream;
        let header = |chunk_stream, kind| Header { chunk_stream, timestamp: at, kind, stream };
        match tag {
            Tag::Metadata(metadata) => {
                let names = [Value::string("@setDataFrame"), Value::string("onMetaData")];
                let values = names.into_iter().chain([metadata.to_value()]).collect();
                let (kind, payload) = Message::Data(values).encode();
                self.link.media(header(link::DATA, kind), &[], payload);
            }
            Tag::Audio(audio) => {
                let header = header(link::AUDIO, kind::AUDIO);
                self.link.media(header, audio.prefix().as_slice(), audio.data().clone());
            }
            Tag::Video(video) => {
                let header = header(link::VIDEO, kind::VIDEO);
                self.link.media(header, video.prefix().as_slice(), video.data.clone());
            }
        }
    }

    /// Queues a message that changes nothing, for servers that drop a silent publisher (SRS after 5 to 10 s,
    /// xiu after 2 s): an acknowledgement, which is legal at any time and which no server passes on.
    pub fn keep_alive(&mut self) {
        if self.state == ClientState::Publishing {
            self.link.acknowledge();
        }
    }

    /// Asks the server for a sign of life: [`ClientEvent::Pong`] with the same `stamp`, if it answers pings at all.
    pub fn ping(&mut self, stamp: u32) {
        if self.state == ClientState::Publishing {
            self.link.control_message(&Message::PingRequest(stamp));
        }
    }

    /// Queues the proper end of the stream. Write the output out, then close the connection.
    pub fn end(&mut self) {
        if matches!(self.state, ClientState::StartingPublish | ClientState::Publishing) {
            let key = Value::string(&*self.target.key);
            self.link.command(0, Command::new("FCUnpublish", FC_UNPUBLISH, [key]));
            let stream = Value::Number(f64::from(self.stream));
            self.link.command(0, Command::new("deleteStream", DELETE_STREAM, [stream]));
        }
        self.enter(ClientState::Ended);
    }

    fn enter(&mut self, state: ClientState) {
        self.state = state;
        self.events.push_back(ClientEvent::State(state));
    }

    fn handle(&mut self, incoming: Incoming) -> Result<(), Error> {
        if self.state == ClientState::Ended {
            // Said before the server heard of the end.
            return Ok(());
        }
        let message = match incoming {
            Incoming::HandshakeDone => {
                self.connect();
                return Ok(());
            }
            Incoming::Message { message, .. } => message,
        };
        match message {
            Message::Command(command) => match &*command.name {
                "_result" => self.result(&command)?,
                "_error" => self.error(&command)?,
                "onStatus" => self.status(&command)?,
                _ => self.events.push_back(ClientEvent::Ignored(command.name)),
            },
            Message::Acknowledgement(count) => self.events.push_back(ClientEvent::Acknowledged(count)),
            Message::PingResponse(stamp) => self.events.push_back(ClientEvent::Pong(stamp)),
            // `_checkbw`, `onFCPublish`, user control events: nothing for a publisher to do.
            Message::StreamBegin(_) => {}
            other => {
                let name = format!("message of type {}", other.encode().0);
                self.events.push_back(ClientEvent::Ignored(name));
            }
        }
        Ok(())
    }

    fn connect(&mut self) {
        let (mut app, mut tc_url) = (self.target.app.clone(), self.target.tc_url());
        if let Some(answer) = &self.how.authentication {
            for place in [&mut app, &mut tc_url] {
                place.push(if self.target.app.contains('?') { '&' } else { '?' });
                place.push_str(answer);
            }
        }
        let mut properties = vec![
            ("app".to_owned(), Value::String(app)),
            ("type".to_owned(), Value::string("nonprivate")),
            ("flashVer".to_owned(), Value::string(&*self.flash_ver)),
            ("tcUrl".to_owned(), Value::String(tc_url)),
        ];
        if !self.how.plain {
            // Enhanced RTMP: the FourCCs that this side can send.
            let list = Value::StrictArray(flv::FOUR_CCS.map(Value::string).into());
            properties.push(("fourCcList".to_owned(), list));
            properties.push(("capsEx".to_owned(), Value::Number(CAPS_RECONNECT)));
        }
        let object = Value::Object(properties);
        let command = Command { object, ..Command::new("connect", CONNECT, []) };
        self.link.command(0, command);
        self.enter(ClientState::Connecting);
    }

    fn result(&mut self, command: &Command) -> Result<(), Error> {
        if command.transaction == CONNECT && self.state == ClientState::Connecting {
            let named = four_ccs(&command.object).chain(command.args.first().into_iter().flat_map(four_ccs));
            self.four_ccs = named.take(MAX_FOUR_CCS).collect();
            if !self.four_ccs.is_empty() {
                self.events.push_back(ClientEvent::FourCcs(self.four_ccs.clone()));
            }
            self.link.control_message(&Message::WindowAckSize(WINDOW));
            self.link.set_chunk_size(CHUNK_SIZE);
            let key = Value::string(&*self.target.key);
            // Both are Flash Media Encoder's habit: some servers want them, none minds, not all answer.
            self.link.command(0, Command::new("releaseStream", RELEASE_STREAM, [key.clone()]));
            self.link.command(0, Command::new("FCPublish", FC_PUBLISH, [key]));
            self.link.command(0, Command::new("createStream", CREATE_STREAM, []));
            self.enter(ClientState::CreatingStream);
        } else if command.transaction == CREATE_STREAM && self.state == ClientState::CreatingStream {
            let number = command.args.first().and_then(Value::as_number);
            let usable = number.filter(|n| (1.0..=f64::from(u32::MAX)).contains(n));
            self.stream = usable.ok_or(Error::NoStreamNumber)? as u32;
            let args = [Value::string(&*self.target.key), Value::string("live")];
            self.link.command(self.stream, Command::new("publish", PUBLISH, args));
            self.enter(ClientState::StartingPublish);
        }
        Ok(())
    }

    /// An answer that is an error ends the session, unless the question was one of the optional ones.
    fn error(&mut self, command: &Command) -> Result<(), Error> {
        let info = command.args.first().unwrap_or(&command.object);
        let refusal = self.refusal(info);
        if self.state == ClientState::Connecting
            && let Some(error) = remedy(info)
        {
            return Err(error);
        }
        if command.transaction == RELEASE_STREAM || command.transaction == FC_PUBLISH {
            self.events.push_back(ClientEvent::Status(refusal));
            return Ok(());
        }
        Err(Error::Refused(refusal))
    }

    fn status(&mut self, command: &Command) -> Result<(), Error> {
        let info = command.args.first().unwrap_or(&command.object);
        let level = info.get("level").and_then(Value::as_str).unwrap_or_default();
        let refusal = self.refusal(info);
        if refusal.code == "NetStream.Publish.Start" && self.state == ClientState::StartingPublish {
            self.enter(ClientState::Publishing);
        } else if refusal.code == "NetConnection.Connect.ReconnectRequest" {
            let tc_url = info.get("tcUrl").and_then(Value::as_str).map(str::to_owned);
            self.events
                .push_back(ClientEvent::ReconnectRequest { tc_url: tc_url.filter(|url| !url.is_empty()) });
        } else if level == "error" || refusal.code == "NetConnection.Connect.Closed" {
            let remedy = remedy(info).filter(|_| self.state == ClientState::Connecting);
            return Err(remedy.unwrap_or(Error::Refused(refusal)));
        } else {
            self.events.push_back(ClientEvent::Status(refusal));
        }
        Ok(())
    }

    /// Code and description of an information object. Either may repeat the stream key, which is taken out.
    fn refusal(&self, info: &Value) -> Refusal {
        let key = &*self.target.key;
        let name = key.split('?').next().unwrap_or_default();
        let password = self.target.credentials.as_ref().map(|credentials| &*credentials.password);
        let secrets = [Some(key), Some(name), password].into_iter().flatten();
        let secrets = secrets.filter(|secret| secret.len() >= MIN_SECRET);
        let text = |field: &str| {
            let said = info.get(field).and_then(Value::as_str).unwrap_or_default();
            let said = secrets.clone().fold(said.to_owned(), |said, secret| said.replace(secret, "…"));
            said.chars().take(MAX_TEXT).collect()
        };
        Refusal { code: text("code"), description: text("description") }
    }
}

/// A shorter stream key keeps nobody out, and taking it out would garble the words that contain it.
const MIN_SECRET: usize = 4;

/// Characters of a server's words that are kept: one line of a log.
const MAX_TEXT: usize = 200;
