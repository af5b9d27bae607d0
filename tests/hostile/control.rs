//! Attacks on the control port: by those who have no token, and by those who have.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::attack::{Attack, Target};
use crate::playlists::huge_names;
use crate::tools::within;
use crate::websocket::{From, PING, PONG, TEXT, connect, flood, frame, join, many};

/// Largest message that the event channel takes, less what Engine.IO adds.
const LONG: usize = 16_000;
/// From the end of a connection to the next one of the same peer.
const AGAIN: Duration = Duration::from_millis(20);

const PINGS: &str = "pings, 125 bytes";
const NAMESPACES: &str = "namespaces, long";

pub fn attacks() -> Vec<Attack> {
    let mut all = Vec::new();
    let mut sockets = |name: &str, connections: usize, token: bool, chunk: Vec<u8>| {
        let who = if token { "with a token" } else { "no token" };
        let attack = Attack::new(format!("{name}, {connections} {who}"), move |target| {
            websockets(target, connections, token, chunk.clone())
        });
        let worst = matches!((name, connections), (PINGS, ..12) | (NAMESPACES, _));
        all.push(if worst { attack.alone() } else { attack });
    };
    let message = |text: String| many(&frame(From::Client, TEXT, text.as_bytes()));
    for (token, connections) in [(false, 4), (true, 1), (true, 12)] {
        sockets("pings, empty", connections, token, many(&frame(From::Client, PING, b"")));
        sockets(PINGS, connections, token, many(&frame(From::Client, PING, &[b'x'; 125])));
    }
    sockets("pongs nobody asked for", 4, false, many(&frame(From::Client, PONG, &[b'x'; 125])));
    sockets(NAMESPACES, 520, false, message(format!("40/{},", "n".repeat(LONG))));
    sockets("namespaces, many", 16, false, namespaces());
    sockets("refused tokens, short", 200, false, message(r#"40{"token":"x"}"#.to_owned()));
    let long = format!(r#"40{{"token":"{}"}}"#, "x".repeat(LONG));
    sockets("refused tokens, long", 200, false, message(long));
    sockets("Engine.IO pings", 8, false, message("2probe".to_owned()));
    sockets("Engine.IO pongs", 8, true, message("3".to_owned()));
    let wrong = format!(r#"421["filter",{{"{}":1}}]"#, "x".repeat(LONG - 100));
    sockets("filters with acknowledgements", 8, true, message(wrong));
    sockets("events that nobody knows", 8, true, message(r#"427["x",{}]"#.to_owned()));
    for (path, token) in
        [("/", false), ("/openapi.json", false), ("/api/pipelines", true), ("/metrics", true)]
    {
        let who = if token { "with a token" } else { "no token" };
        all.push(Attack::new(format!("pipelined requests of {path}, unread, {who}"), move |target| {
            pipelines(target, path, token)
        }));
    }
    all.push(Attack::new("Engine.IO sessions by polling, no token", polling).alone());
    all.push(
        Attack::new("places taken by idle connections, no token", places).at_least(Duration::from_secs(8)),
    );
    all
}

/// CONNECT to many namespaces: of each the answer waits.
fn namespaces() -> Vec<u8> {
    (0..4_000).flat_map(|number| frame(From::Client, TEXT, format!("40/n{number},").as_bytes())).collect()
}

/// So many connections that send without end and never read. Who is sent away comes back.
async fn websockets(target: Target, connections: usize, token: bool, chunk: Vec<u8>) {
    let one = async || {
        loop {
            let stream = match token {
                true => join(target.port, target.token).await,
                false => connect(target.port, "").await,
            };
            if let Ok(mut stream) = stream {
                target.made_an_effort();
                flood(&mut stream, &chunk).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    join_all((0..connections).map(|_| one())).await;
}

/// Requests one behind the other on each of many connections; no answer is read.
async fn pipelines(target: Target, path: &'static str, token: bool) {
    let token = if token { format!("Authorization: Bearer {}\r\n", target.token) } else { String::new() };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{token}\r\n", target.port);
    let chunk = many(request.as_bytes());
    let one = async || {
        loop {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", target.port)).await {
                target.made_an_effort();
                flood(&mut stream, &chunk).await;
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    join_all((0..64).map(|_| one())).await;
}

/// Sessions that are opened and left, as fast as they are given; here the answers are read.
async fn polling(target: Target) {
    let port = target.port;
    let request =
        format!("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let chunk = many(request.as_bytes());
    let one = async || {
        loop {
            let Ok(stream) = TcpStream::connect(("127.0.0.1", target.port)).await else { continue };
            target.made_an_effort();
            let (mut reader, mut writer) = stream.into_split();
            let read = async move {
                let mut heard = vec![0; 64 << 10];
                while matches!(reader.read(&mut heard).await, Ok(1..)) {}
            };
            let write = async { while writer.write_all(&chunk).await.is_ok() {} };
            tokio::select! {
                () = read => {}
                () = write => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    join_all((0..8).map(|_| one())).await;
}

/// Connections that say nothing, half a request, or open a WebSocket and do not join; whoever has the token is still
/// served.
async fn places(target: Target) {
    let port = target.port;
    let idle = async |number: usize| {
        loop {
            let stream = match number % 3 {
                0 => connect(port, "").await,
                half => {
                    let stream = TcpStream::connect(("127.0.0.1", port)).await;
                    match stream {
                        Ok(mut stream) if half == 1 => {
                            stream.write_all(b"GET /api/health HTTP/1.1\r\n").await.map(|()| stream)
                        }
                        other => other,
                    }
                }
            };
            if let Ok(mut stream) = stream {
                target.made_an_effort();
                let mut heard = [0; 1_024];
                while matches!(stream.read(&mut heard).await, Ok(1..)) {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let owner = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let limit = Duration::from_secs(5);
            let answer =
                within(limit, "an answer for the owner", target.ask("GET", "/api/pipelines", None)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    };
    tokio::select! {
        _ = join_all((0..900).map(idle)) => {}
        () = owner => {}
    }
}

/// Event clients that do not read, beside a stream whose status is as large as its source can make it.
pub fn deaf_event_clients() -> Attack {
    let attack = Attack::new("12 event clients that do not read, large status", |target| async move {
        target.start_stream(json!({ "sourceUrl": huge_names(&target).await })).await;
        let deaf = async || {
            loop {
                if let Ok(mut stream) = join(target.port, target.token).await {
                    let filter = frame(From::Client, TEXT, br#"42["filter",{"level":"trace"}]"#);
                    let _ = stream.write_all(&filter).await;
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        join_all((0..12).map(|_| deaf())).await;
    });
    attack.alone().at_least(Duration::from_secs(6))
}
