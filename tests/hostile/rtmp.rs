//! Attacks by an RTMP server.

use bytes::{Buf, BytesMut};
use overdub_rtmp::chunk::Encoder;
use overdub_rtmp::message::{Command, Message};
use overdub_rtmp::{Server, ServerState};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::attack::{Attack, Target};
use crate::scripted::{Call, Scripted, encode, info};
use crate::websocket::{flood, many};

/// A text that forges a log line and clears a terminal.
fn evil(len: usize) -> String {
    let evil = "\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{7}\r\u{9b}\u{2028}";
    evil.to_owned() + &"d".repeat(len)
}

pub fn attacks() -> Vec<Attack> {
    let status = |code: String, description: String| {
        let arguments = [info(&code, &description)];
        Message::Command(Command::new("onStatus", 0.0, arguments))
    };
    // Short enough for one chunk of any server.
    let told = status("x".to_owned(), "\n\u{1b}[2J".to_owned());
    let huge = status(evil(20_000), evil(40_000));
    vec![
        floods("RTMP: ping requests, unread", &Message::PingRequest(7)).alone(),
        floods("RTMP: windows of a byte, unread", &Message::WindowAckSize(1)),
        floods("RTMP: bandwidths, unread", &Message::SetPeerBandwidth(1)),
        floods("RTMP: statuses, unread", &told),
        floods("RTMP: answers to nothing, unread", &Message::Command(Command::new("_result", 1e9, []))),
        Attack::new("RTMP: huge statuses", move |target| {
            let huge = huge.clone();
            scripted(target, move |call, message| {
                if let Message::Command(command) = message {
                    call.answer(command);
                    (0..200).for_each(|_| call.say(huge.clone()));
                }
            })
        }),
        refusing("RTMP: connect refused with escapes", "connect", 200),
        refusing("RTMP: connect refused at length", "connect", 30_000),
        refusing("RTMP: publish refused with escapes", "publish", 200),
        refusing("RTMP: publish refused at length", "publish", 30_000),
    ]
}

/// A server that says `message` without end once something is published, and reads no more.
fn floods(name: &str, message: &Message) -> Attack {
    let chunk = many(&encode(&mut Encoder::default(), message, 0));
    Attack::new(name, move |target| {
        let chunk = chunk.clone();
        async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("rtmp://{}/live/key", listener.local_addr().expect("bound"));
            target.start_stream(json!({ "srsRtmpUrl": url })).await;
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { continue };
                if publishing(&mut stream).await.is_ok() {
                    target.made_an_effort();
                    flood(&mut stream, &chunk).await;
                }
            }
        }
    })
}

/// Answers as servers do until something is published.
async fn publishing(stream: &mut TcpStream) -> std::io::Result<()> {
    let (mut session, mut input) = (Server::new(), BytesMut::new());
    while session.state() != ServerState::Publishing {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        session.receive(&input.split()).map_err(std::io::Error::other)?;
        while session.event().is_some() {
            session.accept();
        }
        while session.output().has_remaining() {
            stream.write_buf(session.output()).await?;
        }
    }
    Ok(())
}

/// A server that says no to `command`, at length.
fn refusing(name: &str, command: &'static str, len: usize) -> Attack {
    Attack::new(name, move |target| {
        scripted(target, move |call, message| {
            if let Message::Command(said) = message {
                if said.name == command {
                    call.refuse(said, &evil(len), &evil(len), None);
                } else {
                    call.answer(said);
                }
            }
        })
    })
}

async fn scripted(target: Target, script: impl Fn(&mut Call, &Message) + Send + Sync + 'static) {
    let asked = target.clone();
    let server = Scripted::start(move |call, message| {
        asked.made_an_effort();
        script(call, message);
    });
    let server = server.await;
    target.start_stream(json!({ "srsRtmpUrl": server.url() })).await;
}
