//! Clients that take nothing, send too much, or come in crowds. They speak WebSocket by hand: tungstenite would read for
//! them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use overdub::clock::Clock;
use overdub::config::{AccessSettings, Origins, Secret};
use overdub::control::{Access, Level, Line, Lines, Setup, Stage, router};
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt;

use super::events::Client;
use super::fake::{Api, Launched, set_up};

const TOKEN: &str = "open-sesame-1234";
const JOIN: &str = r#"40{"token":"open-sesame-1234"}"#;
/// A connection that does not read is given up after 10 s.
const PATIENCE: Duration = Duration::from_secs(30);

fn guarded() -> Api {
    let settings =
        AccessSettings { token: Some(Secret::new(TOKEN)), origins: Origins::These(vec![]), insecure: false };
    let access = Access::new(settings, "0.0.0.0", false);
    Api::set_up(Launched::default(), Setup { access, ..set_up() })
}

/// A sample of `/metrics` whose labels all occur in its line.
async fn sample(api: &Api, name: &str, labels: &[&str]) -> u64 {
    let request = Request::get("/metrics").header("authorization", format!("Bearer {TOKEN}"));
    let response = router(api.control.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    let fits = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    let line = text.lines().find(fits).unwrap_or_else(|| panic!("{name} {labels:?}\n{text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

async fn closed(api: &Api, peer: &str, reason: &str) -> u64 {
    sample(api, "overdub_connections_closed_total", &[&format!("{peer:?}"), &format!("{reason:?}")]).await
}

/// A frame with a mask of zeros (RFC 6455 5.2).
fn frame(opcode: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u16::try_from(data.len()).unwrap() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend(long.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(data);
    frame
}

fn text(packet: &str) -> Vec<u8> {
    frame(1, packet.as_bytes())
}

/// A WebSocket on the event channel; nothing behind the upgrade is read.
async fn web_socket(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Sends `data` again and again, and reads nothing, until the other side ends the connection; how much it took.
async fn flood(mut stream: TcpStream, data: Vec<u8>) -> usize {
    let flooding = async {
        let mut sent = 0;
        while stream.write_all(&data).await.is_ok() {
            sent += data.len();
        }
        sent
    };
    timeout(PATIENCE, flooding).await.expect("it is cut off")
}

/// What a client may flood a server with, whether it has joined or not.
fn floods() -> Vec<(&'static str, Vec<u8>)> {
    let long = "n".repeat(16_000);
    vec![
        ("pings", frame(9, &[b'p'; 125]).repeat(200)),
        ("empty pings", frame(9, b"").repeat(2_000)),
        ("pongs", frame(10, b"").repeat(2_000)),
        (
            "empty continuations",
            [vec![0x01, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0].repeat(2_000)].concat(),
        ),
        ("heartbeats", text("3").repeat(2_000)),
        ("long namespaces", text(&format!("40/{long},")).repeat(4)),
        ("many namespaces", (0..2_000).flat_map(|n| text(&format!("40/{n},"))).collect()),
        ("joins", text("40").repeat(2_000)),
        ("wrong tokens", text(r#"40{"token":"wrong"}"#).repeat(1_000)),
        ("filters", text(r#"421["filter",{"level":"debug"}]"#).repeat(1_000)),
        ("wrong filters", text(&format!(r#"421["filter",{{"{long}":1}}]"#)).repeat(4)),
        ("events", text(r#"42["x",[1,2,3]]"#).repeat(1_000)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_before_joining_end_at_once_with_or_without_a_token() {
    for (api, open) in [(guarded(), false), (Api::new(), true)] {
        let address = api.listen().await;
        let mut floods = floods();
        // Where no token is asked for, these do join.
        floods.retain(|(what, _)| !(open && ["joins", "wrong tokens"].contains(what)));
        for (what, data) in &floods {
            let clock = Clock::start();
            let sent = flood(web_socket(address).await, data.clone()).await;
            // The sockets' buffers take some; a close frame of the server's parser may come first.
            assert!(
                clock.now().since_start() < Duration::from_secs(5),
                "{what}: {sent} bytes in {:?}",
                clock.now().since_start()
            );
        }
        let counted = closed(&api, "websocket", "unadmitted_bytes").await;
        // `filter` and other events before joining are an error of the protocol.
        assert!(counted >= 6, "{counted} of {}", floods.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_an_event_client_end_and_others_are_served() {
    let api = guarded();
    let address = api.listen().await;
    let mut flooding = tokio::task::JoinSet::new();
    for (what, data) in floods() {
        flooding.spawn(async move {
            let mut stream = web_socket(address).await;
            stream.write_all(&text(JOIN)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            (what, flood(stream, data).await)
        });
    }
    // A client that has the token is let in beside them, and answered.
    let mut good = Client::open(address, "").await;
    assert!(good.connect(JOIN).await.starts_with("40"));
    while let Some(flooded) = flooding.join_next().await {
        flooded.unwrap();
        assert_eq!(good.filter(&serde_json::json!({})).await["success"], true);
    }
    let counted = closed(&api, "websocket", "flooding").await;
    assert!(counted >= 6, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_client_that_does_not_read_is_disconnected_and_that_is_counted() {
    let logs = Lines::default();
    let api = Api::set_up(Launched::default(), Setup { logs: logs.clone(), ..set_up() });
    let address = api.listen().await;
    let mut deaf = web_socket(address).await;
    deaf.write_all(&text("40")).await.unwrap();
    let mut good = Client::join(address).await;
    let clock = Clock::start();
    let long = "x".repeat(8_000);
    while closed(&api, "websocket", "not_reading").await == 0 {
        assert!(clock.now().since_start() < 2 * PATIENCE, "it is still there");
        for _ in 0..20 {
            logs.push(line(&long));
        }
        good.event("log").await;
    }
    // After what the sockets had taken there is only the end.
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.expect("the connection has ended");
    let count = sample(&api, "overdub_connections{", &["true"]).await;
    assert_eq!(count, 1, "its place is free");
}

fn line(message: &str) -> Line {
    Line {
        timestamp: String::new(),
        level: Level::Info,
        module: Stage::Control,
        stream_id: None,
        message: message.to_owned(),
        fields: Map::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_event_client_is_given_the_latest_status_and_no_backlog() {
    let launched = Launched::default();
    let api = Api::with(launched.clone());
    api.start("a").await;
    api.start("long").await;
    launched.say("long", &"l".repeat(300_000));
    let address = api.listen().await;
    let mut slow = web_socket(address).await;
    slow.write_all(&text("40")).await.unwrap();
    // Changed in each of its seconds, and more than the sockets hold.
    for number in 0..120 {
        launched.say("a", &format!("{number} {}", "x".repeat(100_000)));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    launched.say("a", "the last");
    let mut heard = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let reading = async {
        while !contains(&heard, b"the last") {
            let read = slow.read(&mut buffer).await.unwrap();
            assert!(read > 0, "it is still served");
            heard.extend(&buffer[..read]);
        }
    };
    timeout(PATIENCE, reading).await.expect("it gets the latest");
    let statuses = heard.windows(9).filter(|window| window == b"[\"status\"").count();
    assert!((2..30).contains(&statuses), "{statuses} statuses, {} bytes", heard.len());
    assert!(!contains(&heard, b"llllllllll"), "what would wait whole is not sent");
}

fn contains(heard: &[u8], wanted: &[u8]) -> bool {
    heard.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_without_the_token_leave_those_with_it_answered() {
    let api = guarded();
    let address = api.listen().await;
    // Some knock only, some say something, some are WebSockets that never join.
    let mut crowd = Vec::new();
    for number in 0..1_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        match number % 4 {
            0 => {}
            1 => stream.write_all(b"GET /api/pipelines HTTP/1.1\r\nhost: h\r\n").await.unwrap(),
            2 => stream
                .write_all(b"POST /api/pipeline/stop HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n")
                .await
                .unwrap(),
            _ => stream = web_socket(address).await,
        }
        crowd.push(stream);
        if number % 250 == 249 {
            let clock = Clock::start();
            let answer = ask(address, "/api/pipelines", TOKEN).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            // Monitors have no token.
            assert!(ask(address, "/api/health", "").await.starts_with("HTTP/1.1 200"));
            let mut client = Client::open(address, "").await;
            assert!(client.connect(JOIN).await.starts_with("40"));
            assert!(clock.now().since_start() < Duration::from_secs(2), "{:?}", clock.now().since_start());
        }
    }
    let unadmitted = sample(&api, "overdub_connections{", &["false"]).await;
    assert!(unadmitted <= 128, "{unadmitted}");
    // A quarter was answered, and closed with the answer.
    let displaced = closed(&api, "http", "displaced").await + closed(&api, "websocket", "displaced").await;
    assert!(displaced >= 1_000 - 128 - 260, "{displaced}");
}

/// A whole answer, over a connection of its own.
async fn ask(address: SocketAddr, path: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    answer
}

/// One request of a polling client, and the answer.
async fn poll(address: SocketAddr, method: &str, query: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn open(address: SocketAddr) -> String {
    let (status, body) = poll(address, "GET", "", "").await;
    assert_eq!(status, 200, "{body}");
    let handshake: Value = serde_json::from_str(&body[1..]).unwrap();
    format!("&sid={}", handshake["sid"].as_str().unwrap())
}

#[tokio::test]
async fn polling_sessions_that_do_not_join_give_way_and_may_send_little() {
    let api = guarded();
    let address = api.listen().await;
    let (first, joined) = (open(address).await, open(address).await);
    assert_eq!(poll(address, "POST", &joined, JOIN).await.0, 200);
    assert!(poll(address, "GET", &joined, "").await.1.starts_with("40"));
    for _ in 0..64 {
        open(address).await;
    }
    assert_eq!(poll(address, "POST", &first, "3").await.0, 400, "the oldest was closed");
    assert!(poll(address, "GET", &joined, "").await.1.contains("logs"), "one that has joined stays");

    let last = open(address).await;
    let elsewhere = |length: usize| format!("40/{},", "n".repeat(length));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(poll(address, "POST", &last, &elsewhere(3_000)).await.0);
    }
    assert_eq!(statuses, [200, 200, 429]);
    // One that has joined may send more, but not without reading.
    let mut taken = 0;
    while poll(address, "POST", &joined, &elsewhere(12_000)).await.0 == 200 {
        taken += 1;
        assert!(taken < 30, "still taken");
    }
    assert!(taken > 10, "{taken}");
}

#[tokio::test]
async fn a_head_of_any_length_is_not_kept_with_a_session() {
    let api = guarded();
    let address = api.listen().await;
    let query = format!("&x={}", "x".repeat(5_000));
    assert_eq!(poll(address, "GET", &query, "").await.0, 414);
}
