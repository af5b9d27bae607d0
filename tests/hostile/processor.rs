//! Attacks by an audio processor that the stream's owner trusted.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::attack::{Attack, Target};
use crate::websocket::{BINARY, From, PING, PONG, TEXT, accept, flood, frame, many};

/// Just below what the link takes as one text.
const LONG: usize = 250_000;
/// Just below what it takes as one answer.
const ANSWER: usize = 60 << 20;
/// A text that forges a log line and clears a terminal.
const EVIL: &str = "\\n2026-01-01T00:00:00Z ERROR forged\\u001b[2J\\u0007\\r\\u009b\\u2028";

const PINGS: &str = "pings, 125 bytes";

pub fn attacks() -> Vec<Attack> {
    let mut all = Vec::new();
    let mut floods = |name: &str, chunk: Vec<u8>| {
        let attack = Attack::new(format!("processor: {name}, unread"), move |target| {
            let chunk = chunk.clone();
            processor(target, move |stream, _| Box::pin(deaf(stream, chunk.clone())))
        });
        all.push(if name == PINGS { attack.alone() } else { attack });
    };
    let message = |text: &str| many(&frame(From::Server, TEXT, text.as_bytes()));
    let long = "x".repeat(LONG);
    floods("pings, empty", many(&frame(From::Server, PING, b"")));
    floods(PINGS, many(&frame(From::Server, PING, &[b'x'; 125])));
    floods("pongs", many(&frame(From::Server, PONG, &[b'x'; 125])));
    floods("Engine.IO pings", message("2"));
    floods("Engine.IO pings with a text", message(&format!("2{}", "x".repeat(1_000))));
    floods("events", message(r#"42["x",{}]"#));
    floods("events with acknowledgements", message(r#"421["x",{}]"#));
    floods("nonsense", message("9"));
    floods("huge names of events", message(&format!(r#"42["{EVIL}{long}"]"#)));
    floods("huge statuses", message(&format!(r#"42["fragment:status",{{"load":"{EVIL}{long}"}}]"#)));
    let unknown = format!(r#"42["fragment:error",{{"fragment":{{"id":"{EVIL}"}},"error":"{EVIL}"}}]"#);
    floods("errors for unknown fragments", message(&unknown));
    all.push(Attack::new("processor: each fragment answered by a huge error", |target| {
        processor(target, |stream, id| Box::pin(complains(stream, id)))
    }));
    all.push(Attack::new("processor: answers of 60 MB", |target| {
        processor(target, |stream, _| Box::pin(answers(stream)))
    }));
    all.push(Attack::new("processor: a head without end", |target| {
        processor(target, |stream, _| Box::pin(never_comes_to_the_point(stream)))
    }));
    all.push(Attack::new("processor: refuses with a huge reason", |target| {
        processor(target, |stream, _| Box::pin(refuses(stream)))
    }));
    all
}

/// A stream with a processor that does `act` on each connection, given the stream's id.
async fn processor(target: Target, act: impl Fn(TcpStream, String) -> BoxFuture<'static, ()> + Send) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let id = target.start_stream(json!({ "audioProcessorUrl": url })).await;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        target.made_an_effort();
        act(stream, id.clone()).await;
    }
}

async fn deaf(stream: TcpStream, chunk: Vec<u8>) {
    if let Ok(mut stream) = accept(stream).await {
        flood(&mut stream, &chunk).await;
    }
}

/// Says of every fragment that could have been asked for that it failed, at length.
async fn complains(stream: TcpStream, id: String) {
    let Ok(mut stream) = accept(stream).await else { return };
    let long = "e".repeat(LONG / 3);
    for number in 0_u64.. {
        let text = json!(["fragment:error", {
            "fragment": {"id": format!("{id}_batch-{}", number % 50)}, "code": format!("\u{1b}[2J{long}"),
            "error": format!("\nERROR forged\u{7}{long}"), "retryable": number % 2 == 0,
        }]);
        let text = format!("42{text}");
        if stream.write_all(&frame(From::Server, TEXT, text.as_bytes())).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One answer behind the other, each as large as may be, to what was never asked.
async fn answers(stream: TcpStream) {
    let Ok(mut stream) = accept(stream).await else { return };
    let text = r#"451-["fragment:processed",{"fragment":{"id":"x"},"data":{"_placeholder":true,"num":0}}]"#;
    let mut answer = frame(From::Server, TEXT, text.as_bytes());
    answer.extend(frame(From::Server, BINARY, &vec![0; ANSWER]));
    flood(&mut stream, &answer).await;
}

/// An HTTP answer that is all head.
async fn never_comes_to_the_point(mut stream: TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n").await;
    flood(&mut stream, &many(b"x-more: and more\r\n")).await;
}

/// An HTTP answer that is no WebSocket, with a page full of escapes.
async fn refuses(mut stream: TcpStream) {
    let page = "\u{1b}[2J\u{7}no\r\nERROR forged \u{9b}\u{2028}".repeat(5_000);
    let head = format!(
        "HTTP/1.1 403 \u{1b}[31mNo\u{7}\r\nx-reason: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{page}",
        "r".repeat(4_000),
        page.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
}
