//! Processors that send without end, that read nothing or little.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use overdub::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::harness::{Client, adts};

const OPEN: &str = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (listener, url)
}

/// A connection of a client that was let in.
async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (tcp, _) = timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a client");
    let mut socket = accept_async(tcp).await.expect("a WebSocket client");
    socket.send(Message::text(OPEN)).await.expect("open");
    socket.next().await.expect("open").expect("a connect packet");
    socket.send(Message::text(r#"40{"sid":"x"}"#)).await.expect("open");
    socket
}

/// An unmasked frame, as servers send them (RFC 6455 5.2).
fn frame(opcode: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).expect("short");
    let mut frame = vec![0x80 | opcode];
    if len < 126 {
        frame.push(len as u8);
    } else {
        frame.push(126);
        frame.extend(len.to_be_bytes());
    }
    frame.extend(data);
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_floods_is_disconnected_and_may_come_back() {
    let event = format!(r#"42["x",{{"a":"{}"}}]"#, "e".repeat(1_000));
    for (what, data) in [
        ("pings", frame(9, b"").repeat(1_000)),
        ("long pings", frame(9, &[b'p'; 125]).repeat(1_000)),
        ("pongs", frame(10, b"").repeat(1_000)),
        ("heartbeats", frame(1, b"2").repeat(1_000)),
        ("events", frame(1, event.as_bytes()).repeat(100)),
        ("acknowledged events", frame(1, br#"421["x",{}]"#).repeat(1_000)),
        ("attachments", frame(2, &[0; 100]).repeat(1_000)),
        ("nonsense", frame(1, b"x").repeat(1_000)),
    ] {
        let (listener, url) = listen().await;
        let mut client = Client::start(&url);
        let mut tcp = accept(&listener).await.into_inner();
        let flooding = async {
            let mut sent = 0;
            // It reads nothing.
            while tcp.write_all(&data).await.is_ok() {
                sent += data.len();
            }
            sent
        };
        let clock = Clock::start();
        let sent = timeout(PATIENCE, flooding).await.expect("it is cut off");
        assert!(
            clock.now().since_start() < Duration::from_secs(10),
            "{what}: {sent} bytes, {:?}",
            clock.now().since_start()
        );
        let status = client.until("the end", |status| !status.connected && status.last_error.is_some()).await;
        assert_eq!(status.closed.get("flooding"), Some(&1), "{what}: {status:?}");
        let error = status.last_error.expect("an error");
        assert!(error.ends_with("was disconnected: the peer sends too much"), "{error}");
        let _back = accept(&listener).await;
        client.until("the second connection", |status| status.connections == 2).await;
        client.stop.cancel();
        client.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_before_the_namespace_lets_in_ends_too() {
    let (listener, url) = listen().await;
    let mut client = Client::start(&url);
    let (tcp, _) = listener.accept().await.expect("a client");
    let mut tcp = accept_async(tcp).await.expect("a WebSocket client").into_inner();
    let pings = frame(9, b"").repeat(1_000);
    let flooding = async { while tcp.write_all(&pings).await.is_ok() {} };
    timeout(PATIENCE, flooding).await.expect("it is cut off");
    let status = client.until("an error", |status| status.last_error.is_some()).await;
    assert_eq!(status.closed.get("flooding"), Some(&1), "{status:?}");
    client.stop.cancel();
    client.finish().await;
}

/// One that reads nothing before its answer is sent whole is no reason to stop reading: each would wait for the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_answers_before_it_reads_on_is_read_while_it_is_written_to() {
    let (listener, url) = listen().await;
    let mut client = Client::start(&url);
    // Each is more than the sockets of both sides hold.
    let audio = adts(1_900, 8_184, 0);
    client.request(0, &audio, PATIENCE).await;
    client.request(1, &audio, PATIENCE).await;
    let mut socket = accept(&listener).await;
    for number in 0..2 {
        let text = socket.next().await.expect("open").expect("a frame").into_text().expect("text");
        assert!(text.contains(&format!("test_batch-{number}")), "{text}");
        let data = socket.next().await.expect("open").expect("a frame").into_data();
        // The next fragment is on its way now, and cannot arrive.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = format!(
            r#"451-["fragment:processed",{{"fragment":{{"id":"test_batch-{number}"}},"data":{{"_placeholder":true,"num":0}}}}]"#
        );
        let answering = async {
            let tcp = socket.get_mut();
            tcp.write_all(&frame(1, answer.as_bytes())).await?;
            let mut header = vec![0x82, 127];
            header.extend((data.len() as u64).to_be_bytes());
            tcp.write_all(&header).await?;
            tcp.write_all(&data).await
        };
        timeout(PATIENCE, answering).await.expect("it is read").expect("open");
        let outcome = client.outcome().await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result.err());
    }
    client.stop.cancel();
    client.finish().await;
}

/// A peer that is told to go does so; nothing of the connection is left.
#[tokio::test]
async fn the_socket_of_a_flood_is_closed() {
    let (listener, url) = listen().await;
    let client = Client::start(&url);
    let mut tcp = accept(&listener).await.into_inner();
    let pings = frame(9, b"").repeat(1_000);
    while tcp.write_all(&pings).await.is_ok() {}
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("it is closed");
    client.stop.cancel();
    client.finish().await;
}
