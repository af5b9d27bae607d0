//! Attacks by an RTMP server.

use overdub_rtmp::message::{Command, Message};
use serde_json::json;

use crate::attack::{Attack, Target};
use crate::scripted::{Call, Scripted, info};

/// Messages that are said in answer to one.
const MANY: usize = 50_000;

/// A text that forges a log line and clears a terminal.
fn evil(len: usize) -> String {
    let evil = "\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{7}\r\u{9b}\u{2028}";
    evil.to_owned() + &"d".repeat(len)
}

pub fn attacks() -> Vec<Attack> {
    let many = |message: Message| move |call: &mut Call| (0..MANY).for_each(|_| call.say(message.clone()));
    let status = |code: String, description: String| {
        let arguments = [info(&code, &description)];
        Message::Command(Command::new("onStatus", 0.0, arguments))
    };
    let (pings, windows) = (many(Message::PingRequest(7)), many(Message::WindowAckSize(1)));
    let bandwidths = many(Message::SetPeerBandwidth(1));
    let statuses = many(status("NetStream.Play.Reset".to_owned(), evil(100)));
    let huge = status(evil(20_000), evil(40_000));
    let calls = many(Message::Command(Command::new("_result", 1e9, [])));
    vec![
        after_connect("RTMP: ping requests, unread", pings).alone(),
        after_connect("RTMP: windows of a byte, unread", windows),
        after_connect("RTMP: bandwidths, unread", bandwidths),
        after_connect("RTMP: statuses, unread", statuses),
        after_connect("RTMP: answers to nothing, unread", calls),
        after_connect("RTMP: huge statuses", move |call| (0..200).for_each(|_| call.say(huge.clone()))),
        refusing("RTMP: connect refused with escapes", "connect", 200),
        refusing("RTMP: connect refused at length", "connect", 30_000),
        refusing("RTMP: publish refused with escapes", "publish", 200),
        refusing("RTMP: publish refused at length", "publish", 30_000),
    ]
}

/// A server that answers, does `flood` once something is published, and reads no more.
fn after_connect(name: &str, flood: impl Fn(&mut Call) + Send + Sync + Clone + 'static) -> Attack {
    Attack::new(name, move |target| {
        let flood = flood.clone();
        server(target, move |call, message| {
            if let Message::Command(command) = message {
                call.answer(command);
                if matches!(&*command.name, "connect" | "publish") {
                    flood(call);
                }
                if command.name == "publish" {
                    call.hang();
                }
            }
        })
    })
}

/// A server that says no to `command`, at length.
fn refusing(name: &str, command: &'static str, len: usize) -> Attack {
    Attack::new(name, move |target| {
        server(target, move |call, message| {
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

async fn server(target: Target, script: impl Fn(&mut Call, &Message) + Send + Sync + 'static) {
    let asked = target.clone();
    let server = Scripted::start(move |call, message| {
        asked.made_an_effort();
        script(call, message);
    });
    let server = server.await;
    target.start_stream(json!({ "srsRtmpUrl": server.url() })).await;
    std::future::pending().await
}
