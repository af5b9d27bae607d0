//! The event channel, seen by a client that speaks WebSocket and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use overdub::control::{Level, Line, Lines, Setup, Stage};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::fake::{Api, Launched, set_up};

/// Nothing here takes that long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of the channel: Engine.IO 4 and Socket.IO 5 by hand.
pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    /// Opens a connection; the channel is not joined yet.
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
        let mut client = Self(connect_async(url).await.expect("the channel is open").0);
        assert!(client.text().await.starts_with('0'), "an Engine.IO handshake");
        client
    }

    /// The same with an `Authorization` header.
    pub(crate) async fn open_with(address: SocketAddr, query: &str, authorization: &str) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        let mut client = Self(connect_async(request).await.expect("the channel is open").0);
        assert!(client.text().await.starts_with('0'), "an Engine.IO handshake");
        client
    }

    pub(crate) async fn join(address: SocketAddr) -> Self {
        let mut client = Self::open(address, "").await;
        assert!(client.connect("40").await.starts_with("40"));
        client
    }

    /// Joins with this packet; the answer.
    pub(crate) async fn connect(&mut self, packet: &str) -> String {
        self.send(packet).await;
        self.text().await
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next packet; heartbeats are answered.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            let frame =
                timeout(PATIENCE, self.0.next()).await.expect("in time").expect("open").expect("fine");
            match frame {
                Message::Text(text) if text.as_str() == "2" => self.send("3").await,
                Message::Text(text) => return text.to_string(),
                _ => {}
            }
        }
    }

    /// The argument of the next event of this name; others are passed over.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        loop {
            let text = self.text().await;
            let Some(json) = text.strip_prefix("42") else { continue };
            let event: Value = serde_json::from_str(json).unwrap();
            if event[0] == name {
                return event[1].clone();
            }
        }
    }

    /// Sets the filter; the answer.
    pub(crate) async fn filter(&mut self, filter: &Value) -> Value {
        self.send(&format!("427{}", json!(["filter", filter]))).await;
        loop {
            if let Some(json) = self.text().await.strip_prefix("437") {
                return serde_json::from_str::<Value>(json).unwrap()[0].clone();
            }
        }
    }
}

fn line(level: Level, stream: &str, message: impl Into<String>) -> Line {
    Line {
        timestamp: "2026-11-25T04:00:00.000Z".to_owned(),
        level,
        module: Stage::Processor,
        stream_id: Some(Api::id(stream)),
        message: message.into(),
        fields: Map::new(),
    }
}

fn api() -> (Api, Lines) {
    let logs = Lines::default();
    let setup = Setup { logs: logs.clone(), ..set_up() };
    (Api::set_up(Launched::default(), setup), logs)
}

#[tokio::test]
async fn a_client_is_given_the_newest_lines_and_then_each_new_one() {
    let (api, logs) = api();
    for number in 0..600 {
        logs.push(line(Level::Info, "a", number.to_string()));
    }
    let mut client = Client::join(api.listen().await).await;
    let replay = client.event("logs").await;
    let replay = replay.as_array().unwrap();
    assert_eq!(
        (replay.len(), &replay[0]["message"], &replay[499]["message"]),
        (500, &json!("100"), &json!("599"))
    );
    logs.push(line(Level::Warn, "b", "new"));
    let expected = json!({
        "timestamp": "2026-11-25T04:00:00.000Z", "level": "warn", "module": "processor", "streamId": "b",
        "message": "new", "fields": {},
    });
    assert_eq!(client.event("log").await, expected);
}

#[tokio::test]
async fn a_filter_holds_for_old_lines_and_new_ones() {
    let (api, logs) = api();
    logs.push(line(Level::Debug, "a", "detail"));
    logs.push(line(Level::Info, "b", "other"));
    let mut client = Client::join(api.listen().await).await;
    assert_eq!(client.event("logs").await[0]["message"], "other", "detail is for those who ask for it");

    let filter = json!({"level": "debug", "modules": ["processor"], "streamId": "a"});
    assert_eq!(client.filter(&filter).await, json!({"success": true}));
    let replay = client.event("logs").await;
    assert_eq!((replay.as_array().map(Vec::len), &replay[0]["message"]), (Some(1), &json!("detail")));
    logs.push(line(Level::Info, "b", "hidden"));
    logs.push(line(Level::Info, "a", "shown"));
    assert_eq!(client.event("log").await["message"], "shown");

    for wrong in [json!({"level": "loud"}), json!({"modules": "processor"}), json!([]), json!({"x": 1})] {
        let answer = client.filter(&wrong).await;
        assert_eq!(answer["success"], false, "{wrong}");
        assert!(answer["error"].as_str().is_some_and(|error| !error.is_empty()));
    }
    logs.push(line(Level::Info, "a", "as before"));
    assert_eq!(client.event("log").await["message"], "as before", "a wrong filter changes nothing");
}

#[tokio::test]
async fn statuses_come_when_they_change_and_a_forgotten_stream_is_said_to_be_gone() {
    let (api, _) = api();
    api.start("a").await;
    let mut client = Client::join(api.listen().await).await;
    let status = client.event("status").await;
    assert_eq!((&status["streamId"], &status["isRunning"]), (&json!("a"), &json!(true)));
    assert!(!status.to_string().contains("secret"));
    api.stop("").await;
    assert_eq!(client.event("status").await["isRunning"], false);
    api.control.registry.forget(&Api::id("a"));
    assert_eq!(client.event("removed").await, json!({"streamId": "a"}));
}

#[tokio::test]
async fn a_client_that_reads_too_late_is_told_how_much_it_missed() {
    let (api, logs) = api();
    let mut client = Client::join(api.listen().await).await;
    client.event("logs").await;
    // More than its queue, the sockets' buffers and the ring hold together: 80 MB.
    let long = "x".repeat(8_000);
    for number in 0..10_000 {
        logs.push(line(Level::Info, "a", format!("{number} {long}")));
        if number % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < 10_000 {
        let text = client.text().await;
        let event: Value = serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
        match event[0].as_str() {
            Some("log") => seen += 1,
            Some("missed") => missed += event[1]["count"].as_u64().unwrap(),
            _ => {}
        }
    }
    assert_eq!(seen + missed, 10_000, "each line was sent or counted");
    assert!(missed > 0 && seen > 0, "{seen} seen, {missed} missed");
}

#[tokio::test]
async fn the_end_of_the_service_is_the_end_of_the_connection() {
    let (api, _) = api();
    let mut client = Client::join(api.listen().await).await;
    api.control.close();
    assert_eq!(client.text_but_events().await, "41");
}

impl Client {
    /// The next packet that is no event.
    async fn text_but_events(&mut self) -> String {
        loop {
            let text = self.text().await;
            if !text.starts_with("42") {
                return text;
            }
        }
    }
}

#[tokio::test]
async fn hostile_packets_end_at_most_their_own_connection() {
    let (api, logs) = api();
    let address = api.listen().await;
    let mut good = Client::join(address).await;
    good.event("logs").await;
    for packet in [
        "",
        "9",
        "4",
        "42",
        "42[",
        "42[]",
        "42[null]",
        "42[\"filter\"]",
        "42[\"x\",{}]",
        "451-[\"filter\"]",
        "\u{0}",
    ] {
        let mut client = Client::join(address).await;
        client.send(packet).await;
    }
    let mut big = Client::join(address).await;
    big.send(&format!("42[\"filter\",\"{}\"]", "x".repeat(1 << 20))).await;
    logs.push(line(Level::Info, "a", "still there"));
    assert_eq!(good.event("log").await["message"], "still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_idle_clients_and_one_that_never_reads_hold_nobody_up() {
    let (api, logs) = api();
    api.start("a").await;
    let address = api.listen().await;
    let mut idle = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = Client::join(address).await;
        idle.spawn(async move { while client.event("log").await["message"] != "the last" {} });
    }
    // Asks for what the others do not want, and takes none of it: more than its queue and the sockets hold, 24 MB.
    let mut deaf = Client::join(address).await;
    deaf.send(r#"421["filter",{"level":"debug"}]"#).await;
    let mut good = Client::join(address).await;
    good.event("logs").await;
    let long = "x".repeat(8_000);
    for number in 0..3_000 {
        logs.push(line(Level::Debug, "a", &long));
        if number % 50 == 0 {
            let number = number.to_string();
            logs.push(line(Level::Info, "a", &number));
            while good.event("log").await["message"] != number {}
        }
    }
    logs.push(line(Level::Info, "a", "the last"));
    while let Some(seen) = idle.join_next().await {
        seen.unwrap();
    }
    let (status, answer) = api.get("/api/pipeline/status?streamId=a").await;
    assert_eq!((status.as_u16(), &answer["isRunning"]), (200, &json!(true)));
    drop(deaf);
}
