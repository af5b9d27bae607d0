//! The API around streams that do nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use overdub::clock::Clock;
use overdub::config::{StorageLimits, StreamSettings};
use overdub::control::{self, Control, Launch, Life, Setup, Stream, router};
use overdub::media::StreamId;
use overdub::pipeline::Death;
use overdub::preview::Preview;
use overdub::status::{Phase, StreamStatus};
use overdub::storage::Disk;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A stream that does nothing, and ends when it is told to and allowed to.
pub(crate) struct Fake {
    settings: StreamSettings,
    ended: CancellationToken,
    may_end: Option<Arc<Notify>>,
    pub(crate) said: Said,
}

/// What the status of each stream says, by its id.
pub(crate) type Said = Arc<Mutex<BTreeMap<String, String>>>;

impl Stream for Fake {
    fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    fn status(&self) -> StreamStatus {
        let mut status = StreamStatus::starting(&self.settings);
        if self.is_finished() {
            (status.is_running, status.phase) = (false, Phase::Idle);
        }
        // Where a text of any length fits.
        if let Some(said) = self.said.lock().unwrap().get(self.settings.stream_id.as_str()) {
            status.stats.fallback_reasons.insert(said.clone(), 1);
        }
        status
    }

    fn preview(&self) -> Arc<Preview> {
        Arc::default()
    }

    fn is_finished(&self) -> bool {
        self.ended.is_cancelled()
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        let (ended, may_end) = (self.ended.clone(), self.may_end.clone());
        async move {
            if let Some(may_end) = may_end {
                may_end.notified().await;
            }
            ended.cancel();
        }
        .boxed()
    }
}

impl Life for Fake {
    fn death(&self) -> Option<Death> {
        None
    }

    fn ended(&self) -> BoxFuture<'static, ()> {
        self.ended.clone().cancelled_owned().boxed()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Launched {
    pub(crate) settings: Arc<Mutex<Vec<StreamSettings>>>,
    pub(crate) may_end: Option<Arc<Notify>>,
    pub(crate) said: Said,
}

impl Launched {
    /// From now on the status of stream `id` says `text`.
    pub(crate) fn say(&self, id: &str, text: &str) {
        self.said.lock().unwrap().insert(id.to_owned(), text.to_owned());
    }
}

impl Launch for Launched {
    fn launch(&self, settings: StreamSettings) -> Arc<dyn Life> {
        self.settings.lock().unwrap().push(settings.clone());
        let (ended, may_end, said) = (CancellationToken::new(), self.may_end.clone(), Arc::clone(&self.said));
        Arc::new(Fake { settings, ended, may_end, said })
    }
}

pub(crate) struct Api {
    pub(crate) control: Arc<Control>,
    pub(crate) launched: Launched,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self::with(Launched::default())
    }

    pub(crate) fn with(launched: Launched) -> Self {
        Self::set_up(launched, set_up())
    }

    pub(crate) fn set_up(launched: Launched, setup: Setup) -> Self {
        let launch = Box::new(launched.clone());
        Self { control: Control::new(launch, setup, Clock::start()), launched }
    }

    /// The same API behind a socket.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(control::serve(listener, Arc::clone(&self.control), CancellationToken::new()));
        address
    }

    pub(crate) fn id(id: &str) -> StreamId {
        StreamId::new(id).unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = router(Arc::clone(&self.control)).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("not JSON: {body:?}")))
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(path).header("content-type", "application/json; charset=utf-8");
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn start(&self, id: &str) -> (StatusCode, Value) {
        self.post("/api/pipeline/start", settings(id).to_string()).await
    }

    pub(crate) async fn stop(&self, body: &str) -> (StatusCode, Value) {
        self.post("/api/pipeline/stop", body.to_owned()).await
    }

    pub(crate) fn launches(&self) -> usize {
        self.launched.settings.lock().unwrap().len()
    }
}

/// A disk that nobody has looked at.
pub(crate) fn set_up() -> Setup {
    Setup::new(Disk::new("/nonexistent", StorageLimits::default()))
}

pub(crate) fn settings(id: &str) -> Value {
    json!({"sourceUrl": "http://source/a.m3u8?token=secret", "streamId": id, "srsRtmpUrl": "rtmp://srs/live/x"})
}

pub(crate) fn assert_error(answer: &(StatusCode, Value), status: u16, field: Option<&str>) {
    assert_eq!(answer.0.as_u16(), status, "{}", answer.1);
    assert_eq!(answer.1["success"], false, "{}", answer.1);
    assert!(answer.1["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", answer.1);
    assert_eq!(answer.1.get("field").and_then(Value::as_str), field, "{}", answer.1);
}
