//! Servers that are not there, or not what they should be.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use overdub::roundtrip::{Failure, Settings, SizeLimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::harness::{Client, adts, settings};

const OPEN: &str = r#"0{"sid":"s","upgrades":[],"pingInterval":1500,"pingTimeout":1500,"maxPayload":1000}"#;

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Accepts a WebSocket; also the path with query, and the header `x-key`.
async fn accept(listener: &TcpListener) -> (WebSocketStream<TcpStream>, String, String) {
    let (socket, uri, headers) = accept_with_headers(listener).await;
    let key = headers.get("x-key").map_or("", |key| key.to_str().unwrap_or("")).to_owned();
    (socket, uri, key)
}

#[expect(clippy::result_large_err, reason = "the callback is of tungstenite's type")]
async fn accept_with_headers(listener: &TcpListener) -> (WebSocketStream<TcpStream>, String, HeaderMap) {
    let (tcp, _) = listener.accept().await.expect("a client");
    let (mut uri, mut headers) = (String::new(), HeaderMap::new());
    let inspect = |request: &Request, response: Response| {
        uri = request.uri().to_string();
        headers = request.headers().clone();
        Ok(response)
    };
    let socket = accept_hdr_async(tcp, inspect).await.expect("a WebSocket client");
    (socket, uri, headers)
}

/// Lets the client into the default namespace.
async fn let_in(socket: &mut WebSocketStream<TcpStream>) {
    say(socket, OPEN).await;
    hear(socket).await;
    say(socket, r#"40{"sid":"x"}"#).await;
}

async fn say(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.expect("the client listens");
}

async fn hear(socket: &mut WebSocketStream<TcpStream>) -> String {
    socket.next().await.expect("open").expect("a frame").into_text().expect("text").to_string()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[tokio::test]
async fn nobody_there_is_the_fallback_at_the_deadline_and_no_busy_loop() {
    let (listener, address) = listen().await;
    let mut client =
        Client::with(Settings { connect_timeout: Duration::from_millis(300), ..settings(&url(address)) });
    // Each connection is closed at once; counting them shows how often it is tried.
    let knocks = tokio::spawn(async move {
        let mut knocks = 0;
        let _ = tokio::time::timeout(Duration::from_secs(4), async {
            while listener.accept().await.is_ok() {
                knocks += 1;
            }
        })
        .await;
        knocks
    });
    let asked_at = client.clock.now();
    client.request(0, &adts(1, 10, 0), Duration::from_secs(1)).await;
    assert_eq!(client.outcome().await.result, Err(Failure::Disconnected { sent: false }));
    let waited = client.clock.now().saturating_since(asked_at);
    assert!((Duration::from_millis(950)..Duration::from_secs(3)).contains(&waited), "{waited:?}");
    // Waits of 250, 500, 1000, 2000 ms, each shortened by up to a half.
    let knocks = knocks.await.expect("counted");
    assert!((2..=7).contains(&knocks), "{knocks}");
    client.finish().await;
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let (listener, address) = listen().await;
    let mut client =
        Client::with(Settings { connect_timeout: Duration::from_millis(300), ..settings(&url(address)) });
    let (_silent, _) = listener.accept().await.expect("a client");
    let status = client.until("an error", |status| status.last_error.is_some()).await;
    assert_eq!(
        status.last_error.as_deref(),
        Some(&*format!("processor at {} took no connection within 0.3 s", url(address)))
    );
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn credentials_go_with_the_handshake_and_a_refusal_is_shown() {
    let (listener, address) = listen().await;
    let url = format!("http://{address}/dub?token=secret");
    let mut wanted = Settings { auth: Some(json!({"password": "open"})), ..settings(&url) };
    wanted.headers.push(("x-key".to_owned(), "k".to_owned()));
    let mut client = Client::with(wanted);
    let (mut socket, uri, key) = accept(&listener).await;
    assert_eq!(uri, "/socket.io/?token=secret&EIO=4&transport=websocket");
    assert_eq!(key, "k");
    say(&mut socket, OPEN).await;
    assert_eq!(hear(&mut socket).await, r#"40/dub,{"password":"open"}"#);
    say(&mut socket, r#"44/dub,{"message":"wrong password"}"#).await;
    let status = client.until("an error", |status| status.last_error.is_some()).await;
    let error = status.last_error.as_deref().expect("an error");
    assert!(error.ends_with(" does not let the service in: wrong password"), "{error}");
    assert!(!format!("{status:?}").contains("secret"), "{status:?}");
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn what_the_server_would_not_take_is_not_sent() {
    let (listener, address) = listen().await;
    let mut client = Client::start(&url(address));
    client.request(0, &adts(1, 994, 0), Duration::from_secs(5)).await;
    client.request(1, &adts(1, 993, 0), Duration::from_secs(5)).await;
    let (mut socket, ..) = accept(&listener).await;
    say(&mut socket, OPEN).await;
    assert_eq!(hear(&mut socket).await, "40");
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    let failure = client.outcome().await.result.expect_err("too large");
    assert_eq!(failure, Failure::TooLarge { size: 1001, limit: SizeLimit::Server(1000) });
    assert!(hear(&mut socket).await.contains("test_batch-1"));
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn a_heartbeat_is_answered_and_one_that_stops_ends_the_connection() {
    let (listener, address) = listen().await;
    let mut client = Client::start(&url(address));
    let (mut socket, ..) = accept(&listener).await;
    say(&mut socket, OPEN).await;
    hear(&mut socket).await;
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(800)).await;
        say(&mut socket, "2").await;
        assert_eq!(hear(&mut socket).await, "3");
    }
    assert!(client.status.borrow().connected);
    // An event that asks for an acknowledgement gets one.
    say(&mut socket, r#"4212["hello",{}]"#).await;
    assert_eq!(hear(&mut socket).await, "4312[]");
    let status = client.until("the loss", |status| !status.connected && status.connections == 1).await;
    let error = status.last_error.expect("an error");
    assert!(error.ends_with(" gave no sign of life for 3 s"), "{error}");
    // And it comes back.
    let (mut socket, ..) = accept(&listener).await;
    say(&mut socket, OPEN).await;
    hear(&mut socket).await;
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    client.until("the second connection", |status| status.connections == 2).await;
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn a_server_that_stops_reading_is_given_up_and_the_fragment_goes_over_the_next_connection() {
    let (listener, address) = listen().await;
    let mut client =
        Client::with(Settings { write_timeout: Duration::from_millis(500), ..settings(&url(address)) });
    // More than the kernel's buffers take on either side.
    let audio = adts(1_900, 8_184, 0);
    client.request(0, &audio, Duration::from_secs(20)).await;
    let (mut deaf, ..) = accept(&listener).await;
    let open = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    say(&mut deaf, open).await;
    hear(&mut deaf).await;
    say(&mut deaf, r#"40{"sid":"x"}"#).await;
    // From here on it reads nothing, and stays open.
    let status = client.until("the loss", |status| !status.connected && status.connections == 1).await;
    let error = status.last_error.expect("an error");
    assert!(error.contains(" did not take 15") && error.ends_with("within 0.5 s"), "{error}");
    assert_eq!(status.closed.get("not_reading"), Some(&1));
    let (mut socket, ..) = accept(&listener).await;
    say(&mut socket, open).await;
    hear(&mut socket).await;
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    assert!(hear(&mut socket).await.contains("test_batch-0"));
    let data = socket.next().await.expect("open").expect("a frame").into_data();
    assert!(data == audio);
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn nonsense_is_counted_and_the_connection_goes_on() {
    let (listener, address) = listen().await;
    let mut client = Client::start(&url(address));
    let (mut socket, ..) = accept(&listener).await;
    say(&mut socket, OPEN).await;
    hear(&mut socket).await;
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    for nonsense in ["", "4", "42", "42[]", "45x", "459999-[\"a\"]", "42[\"fragment:processed\"]"] {
        say(&mut socket, nonsense).await;
    }
    socket.send(Message::binary(vec![0; 10])).await.expect("the client listens");
    say(&mut socket, r#"42["fragment:processed",{"fragment":{"id":"test_batch-7"}}]"#).await;
    say(&mut socket, r#"42["fragment:status",{"load":0.5}]"#).await;
    let status = client.until("the status", |status| status.processor_status.is_some()).await;
    assert_eq!((status.bad_messages, status.unknown_ids, status.connections), (8, 1, 1), "{status:#?}");
    assert_eq!(status.processor_status.as_deref(), Some(r#"{"load":0.5}"#));
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn https_begins_with_tls_and_a_server_without_it_is_named() {
    let (listener, address) = listen().await;
    let url = format!("https://localhost:{}", address.port());
    let mut client = Client::start(&url);
    let (mut tcp, _) = listener.accept().await.expect("a client");
    let mut hello = [0; 3];
    tcp.read_exact(&mut hello).await.expect("the client speaks first");
    // A handshake record of TLS (RFC 8446 5.1), and nothing in the clear before it.
    assert_eq!(hello, [0x16, 0x03, 0x01]);
    tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("the client reads");
    let status = client.until("an error", |status| status.last_error.is_some()).await;
    let error = status.last_error.expect("an error");
    assert!(
        error.starts_with("processor at https://localhost:") && error.contains("corrupt message"),
        "{error}"
    );
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn the_handshake_names_the_client_and_asks_at_the_path_that_is_set() {
    let (listener, address) = listen().await;
    for (headers, path, agent, uri) in [
        (
            Vec::new(),
            None,
            concat!("overdub/", env!("CARGO_PKG_VERSION")),
            "/socket.io/?EIO=4&transport=websocket",
        ),
        (
            vec![("user-agent".to_owned(), "studio/1".to_owned())],
            Some("/custom".to_owned()),
            "studio/1",
            "/custom/?EIO=4&transport=websocket",
        ),
    ] {
        let client = Client::with(Settings { headers, engine_path: path, ..settings(&url(address)) });
        let (_socket, asked, given) = accept_with_headers(&listener).await;
        assert_eq!((given["user-agent"].to_str().expect("text"), asked.as_str()), (agent, uri));
        assert_eq!(given.get_all("user-agent").iter().count(), 1);
        client.stop.cancel();
        client.finish().await;
    }
}

/// The first error that a client shows of a server that does `act` with the WebSocket.
async fn error_of(act: impl AsyncFnOnce(&mut WebSocketStream<TcpStream>)) -> String {
    let (listener, address) = listen().await;
    let connect_timeout = Duration::from_millis(500);
    let mut client = Client::with(Settings { connect_timeout, ..settings(&url(address)) });
    let (mut socket, ..) = accept(&listener).await;
    act(&mut socket).await;
    let status = client.until("an error", |status| status.last_error.is_some()).await;
    client.stop.cancel();
    client.finish().await;
    let error = status.last_error.expect("an error");
    error
        .strip_prefix(&format!("processor at {} ", url(address)))
        .expect("the processor's address")
        .to_owned()
}

#[tokio::test]
async fn a_server_of_socket_io_2_is_named() {
    // Node's socket.io 2 and python-socketio 4 enter the default namespace unasked, before or after our CONNECT.
    for (before, after) in [("40", ""), ("", "40"), ("", "40/dub")] {
        let error = error_of(async |socket| {
            say(socket, r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":5000}"#).await;
            if !before.is_empty() {
                say(socket, before).await;
            }
            if !after.is_empty() {
                hear(socket).await;
                say(socket, after).await;
            }
        })
        .await;
        assert!(error.contains("speaks Socket.IO 2 (Engine.IO 3)"), "{error}");
    }
}

#[tokio::test]
async fn a_server_with_another_parser_is_named() {
    let joining = async |socket: &mut WebSocketStream<TcpStream>| {
        say(socket, OPEN).await;
        hear(socket).await;
    };
    // CONNECT in MessagePack, as a server of Socket.IO 5 would answer its own kind.
    let answered = error_of(async |socket| {
        joining(socket).await;
        let packet = b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x81\xa3sid\xa1x";
        socket.send(Message::binary(&packet[..])).await.expect("the client listens");
    });
    // socket.io-msgpack-parser cannot read our CONNECT; engine.io then closes without a reason.
    let closed = error_of(async |socket| {
        joining(socket).await;
        socket.close(None).await.expect("open");
    });
    // python-socketio logs it and waits.
    let silent = error_of(joining);
    for error in [answered.await, closed.await, silent.await] {
        assert!(error.contains("msgpack"), "{error}");
    }
    let mute = error_of(async |_| ()).await;
    assert_eq!(mute, "opened a WebSocket, but sent no Engine.IO handshake within 0.5 s");
}

#[tokio::test]
async fn a_close_frame_is_shown_whenever_it_comes() {
    let frame = |code: u16, reason: &'static str| CloseFrame { code: code.into(), reason: reason.into() };
    let restart = "closed the connection (1012 service restart: back in a minute)";
    for joined in [false, true] {
        let error = error_of(async |socket| {
            if joined {
                let_in(socket).await;
            }
            socket.close(Some(frame(1012, "back in a minute"))).await.expect("open");
        })
        .await;
        assert_eq!(error, restart);
    }
}

#[tokio::test]
async fn a_fragment_that_was_too_big_is_sent_once_and_the_others_go_on() {
    let (listener, address) = listen().await;
    let mut client = Client::start(&url(address));
    let (mut socket, ..) = accept(&listener).await;
    let_in(&mut socket).await;
    let (small, large) = (adts(1, 100, 0), adts(1, 900, 0));
    client.request(0, &small, Duration::from_secs(20)).await;
    client.request(1, &large, Duration::from_secs(20)).await;
    // Both arrive; then the server closes over the second one.
    for _ in 0..4 {
        socket.next().await.expect("open").expect("a frame");
    }
    let frame = CloseFrame { code: 1009.into(), reason: "1 kB where half is taken".into() };
    socket.close(Some(frame)).await.expect("open");
    let status = client.until("the loss", |status| !status.connected && status.connections == 1).await;
    let error = status.last_error.expect("an error");
    assert!(error.contains("(1009 message too big: 1 kB where half is taken); raise"), "{error}");
    // On the next connection only the small one comes again.
    let (mut socket, ..) = accept(&listener).await;
    let_in(&mut socket).await;
    assert!(hear(&mut socket).await.contains("test_batch-0"));
    let data = socket.next().await.expect("open").expect("a frame").into_data();
    let answer = r#"451-["fragment:processed",{"fragment":{"id":"test_batch-0"},"data":{"_placeholder":true,"num":0}}]"#;
    say(&mut socket, answer).await;
    socket.send(Message::Binary(data)).await.expect("open");
    client.outcome().await.result.expect("processed");
    let failure = client.outcome().await.result.expect_err("refused");
    assert!(
        matches!(&failure, Failure::TooBig { size: 907, closed } if closed.contains("1009")),
        "{failure:?}"
    );
    client.stop.cancel();
    let status = client.finish().await;
    assert_eq!((status.sent, status.resent), (2, 1), "{status:#?}");
}

#[tokio::test]
async fn a_server_that_closes_in_the_middle_of_a_fragment_is_heard() {
    let (listener, address) = listen().await;
    let mut client = Client::start(&url(address));
    let (mut socket, ..) = accept(&listener).await;
    say(&mut socket, r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#).await;
    hear(&mut socket).await;
    say(&mut socket, r#"40{"sid":"x"}"#).await;
    // More than the kernel's buffers take on either side, so that writing is under way.
    client.request(0, &adts(1_900, 8_184, 0), Duration::from_secs(20)).await;
    let mut tcp = socket.into_inner();
    tcp.read_exact(&mut [0; 10_000]).await.expect("the fragment begins");
    // A close frame (RFC 6455 5.5.1), and then the end, with what was sent unread: a reset for the other side.
    tcp.write_all(b"\x88\x09\x03\xf1too big").await.expect("open");
    drop(tcp);
    let failure = client.outcome().await.result.expect_err("refused");
    assert!(
        matches!(&failure, Failure::TooBig { closed, .. } if closed.contains("too big: too big")),
        "{failure:?}"
    );
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn a_handshake_that_is_answered_by_plain_http_is_explained() {
    for (answer, expected) in [
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: 17\r\n\r\nTransport unknown",
            "allows polling only (HTTP 400: Transport unknown)",
        ),
        (
            "HTTP/1.1 308 Permanent Redirect\r\nlocation: https://h/socket.io/?EIO=4\r\ncontent-length: 0\r\n\r\n",
            "redirects to https://h/socket.io/ (HTTP 308)",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
            "has no Engine.IO server at /socket.io/ (HTTP 404: an HTML page); audioProcessorPath",
        ),
        ("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n", "must forward the Upgrade"),
        ("", "closed the connection without an answer at /socket.io/; if its"),
        ("HTTP/1.0 200 OK\r\n\r\nhello", "is no WebSocket server"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "is no WebSocket server"),
    ] {
        let (listener, address) = listen().await;
        let mut client = Client::start(&url(address));
        let (mut tcp, _) = listener.accept().await.expect("a client");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(tcp.read_u8().await.expect("a request"));
        }
        tcp.write_all(answer.as_bytes()).await.expect("the client reads");
        drop(tcp);
        let status = client.until("an error", |status| status.last_error.is_some()).await;
        let error = status.last_error.expect("an error");
        assert!(error.contains(expected), "{error}");
        client.stop.cancel();
        client.finish().await;
    }
}
