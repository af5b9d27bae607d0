//! A server that does one odd thing, as servers in the field do, and remembers what publishers said and sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use overdub_rtmp::amf0::Value;
use overdub_rtmp::chunk::{Decoder, Encoder, Header, Output};
use overdub_rtmp::flv::{VideoKind, VideoTag};
use overdub_rtmp::message::{Command, Message, kind};
use overdub_rtmp::{Timestamp, handshake::Handshake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::tools::now;

/// Longest message that is taken.
const MAX_MESSAGE: usize = 1 << 24;

/// What a script sees, and does, on one connection.
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) pictures: usize,
    pub(crate) received: u64,
    /// Whether another connection publishes at the moment.
    pub(crate) busy: bool,
    replies: Vec<Reply>,
}

enum Reply {
    Say(Message, u32),
    Wait(Duration),
    Hang,
    Close,
}

impl Call {
    pub(crate) fn say(&mut self, message: Message) {
        self.replies.push(Reply::Say(message, 0));
    }

    /// The usual answer to a command.
    pub(crate) fn answer(&mut self, command: &Command) {
        match &*command.name {
            "connect" => {
                let info = info("NetConnection.Connect.Success", "");
                self.say(Message::Command(Command::new("_result", command.transaction, [info])));
            }
            "createStream" => {
                let number = Value::Number(1.0);
                self.say(Message::Command(Command::new("_result", command.transaction, [number])));
            }
            "publish" => {
                let info = info("NetStream.Publish.Start", "");
                self.replies.push(Reply::Say(Message::Command(Command::new("onStatus", 0.0, [info])), 1));
            }
            _ => {}
        }
    }

    /// An error instead.
    pub(crate) fn refuse(&mut self, command: &Command, code: &str, description: &str, ex: Option<Value>) {
        let Value::Object(mut fields) = info(code, description) else { unreachable!() };
        fields[0].1 = Value::string("error");
        fields.extend(ex.map(|ex| ("ex".to_owned(), ex)));
        let (name, transaction) = match &*command.name {
            "publish" => ("onStatus", 0.0),
            _ => ("_error", command.transaction),
        };
        self.say(Message::Command(Command::new(name, transaction, [Value::Object(fields)])));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.replies.push(Reply::Wait(time));
    }

    /// Reads no more, as a process that hangs.
    pub(crate) fn hang(&mut self) {
        self.replies.push(Reply::Hang);
    }

    pub(crate) fn close(&mut self) {
        self.replies.push(Reply::Close);
    }
}

pub(crate) fn info(code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::string("status")),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ])
}

/// What one connection brought.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) commands: Vec<Command>,
    pub(crate) metadata: Vec<Value>,
    /// Time in ms, and whether it is a keyframe.
    pub(crate) pictures: Vec<(u32, bool)>,
    pub(crate) frames: Vec<u32>,
    pub(crate) publishing: Option<Instant>,
    pub(crate) open: bool,
}

impl Seen {
    pub(crate) fn command(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// Of the command object of `connect`.
    pub(crate) fn connect(&self, field: &str) -> Option<&Value> {
        self.command("connect")?.object.get(field)
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.command("publish")?.args.first()?.as_str()
    }
}

#[derive(Clone)]
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How long it waits for the first command behind the handshake.
    patience: Duration,
}

type Script = dyn Fn(&mut Call, &Message) + Send + Sync;

impl Scripted {
    /// `script` is asked after each message, and does all the talking.
    pub(crate) async fn start(script: impl Fn(&mut Call, &Message) + Send + Sync + 'static) -> Self {
        Self::start_with(Duration::MAX, script).await
    }

    /// The same, hanging up on those who say nothing behind the handshake for as long as `patience`.
    pub(crate) async fn start_with(
        patience: Duration,
        script: impl Fn(&mut Call, &Message) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), seen: Arc::default(), patience };
        let (script, this): (Arc<Script>, _) = (Arc::new(script), server.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, this) = (Arc::clone(&script), this.clone());
                tokio::spawn(async move {
                    let number = this.opened();
                    let _ = this.serve(number, stream, &*script).await;
                    this.seen.lock().unwrap()[number].open = false;
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("rtmp://{}/live/key?token=1", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The connections that said more than the handshake.
    pub(crate) fn connected(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| !seen.commands.is_empty()).collect()
    }

    /// All pictures over all connections.
    pub(crate) fn pictures(&self) -> Vec<(u32, bool)> {
        self.seen().into_iter().flat_map(|seen| seen.pictures).collect()
    }

    fn opened(&self) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.push(Seen {
            commands: Vec::new(),
            metadata: Vec::new(),
            pictures: Vec::new(),
            frames: Vec::new(),
            publishing: None,
            open: true,
        });
        seen.len() - 1
    }

    async fn serve(&self, number: usize, mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut handshake, mut input) = (Handshake::server(), Vec::new());
        while !handshake.is_done() {
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
            let mut rest = &input[..];
            let answer = handshake.receive(&mut rest).map_err(std::io::Error::other)?;
            let used = input.len() - rest.len();
            input.drain(..used);
            stream.write_all(&answer).await?;
        }
        let (mut decoder, mut encoder) = (Decoder::new(MAX_MESSAGE), Encoder::default());
        let mut call = Call { number, pictures: 0, received: 0, busy: false, replies: Vec::new() };
        loop {
            let mut rest = &input[..];
            while let Some(raw) = decoder.receive(&mut rest).map_err(std::io::Error::other)? {
                let Ok(message) = Message::decode(&raw) else { continue };
                if let Message::SetChunkSize(size) = message {
                    decoder.set_chunk_size(size).map_err(std::io::Error::other)?;
                }
                self.note(number, &message, raw.timestamp, &mut call);
                script(&mut call, &message);
                for reply in std::mem::take(&mut call.replies) {
                    match reply {
                        Reply::Say(message, stream_number) => {
                            self.published(number, &message);
                            let bytes = encode(&mut encoder, &message, stream_number);
                            stream.write_all(&bytes).await?;
                        }
                        Reply::Wait(time) => tokio::time::sleep(time).await,
                        Reply::Hang => return std::future::pending().await,
                        Reply::Close => return Ok(()),
                    }
                }
            }
            input.clear();
            let patience = if call.received == 0 { self.patience } else { Duration::MAX };
            let Ok(read) = tokio::time::timeout(patience, stream.read_buf(&mut input)).await else {
                return Ok(());
            };
            let count = read?;
            call.received += count as u64;
            if count == 0 {
                return Ok(());
            }
        }
    }

    fn note(&self, number: usize, message: &Message, at: Timestamp, call: &mut Call) {
        let mut all = self.seen.lock().unwrap();
        call.busy = all
            .iter()
            .enumerate()
            .any(|(other, seen)| other != number && seen.open && seen.publishing.is_some());
        let seen = &mut all[number];
        match message {
            Message::Command(command) => {
                if matches!(&*command.name, "FCUnpublish" | "deleteStream") {
                    seen.publishing = None;
                }
                seen.commands.push(command.clone());
            }
            Message::Data(values) => seen.metadata.extend(values.last().cloned()),
            Message::Audio(body) if body[1] == 1 => seen.frames.push(at.get()),
            Message::Video(body) => {
                if let VideoKind::Frame { keyframe, .. } = VideoTag::parse(body).unwrap().kind {
                    seen.pictures.push((at.get(), keyframe));
                    call.pictures += 1;
                }
            }
            _ => {}
        }
    }

    fn published(&self, number: usize, message: &Message) {
        let Message::Command(command) = message else { return };
        let code = command.args.first().and_then(|info| info.get("code")).and_then(Value::as_str);
        if code == Some("NetStream.Publish.Start") {
            self.seen.lock().unwrap()[number].publishing = Some(now());
        }
    }
}

pub(crate) fn encode(encoder: &mut Encoder, message: &Message, stream: u32) -> Bytes {
    let (kind, payload) = message.encode();
    assert_ne!(kind, kind::SET_CHUNK_SIZE, "the chunks stay as they are");
    let header = Header { chunk_stream: 3, timestamp: Timestamp::ZERO, kind, stream };
    let mut output = Output::default();
    encoder.message(header, &[], payload, &mut output);
    output.copy_to_bytes(output.remaining())
}
