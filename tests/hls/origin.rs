//! An HLS origin that misbehaves as told: the test answers each request itself, with the time and the number
//! of times that the path was asked for.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use overdub::clock::Clock;
use url::Url;

/// What is asked for.
pub(crate) struct Ask {
    pub(crate) path: String,
    /// Path and query.
    pub(crate) uri: String,
    /// How many times this path was asked for before.
    pub(crate) before: u32,
    /// Since the first request: a client on a busy machine misses nothing by starting late.
    pub(crate) at: Duration,
    /// Since this path was asked for first.
    pub(crate) since_first: Duration,
    pub(crate) headers: HeaderMap,
}

impl Ask {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(crate) enum Answer {
    Body(Bytes),
    /// A body that is gzip already.
    Gzip(Bytes),
    Status(u16),
    /// A status with headers and a body.
    With(u16, Vec<(&'static str, String)>, Bytes),
    /// A body without a length: chunked.
    Unmeasured(Bytes),
    Redirect(String),
    /// No answer at all.
    Hang,
    /// The first bytes, then silence.
    HangInBody(Bytes),
    /// The first half of what Content-Length promises, then the connection is cut.
    Truncated(Bytes),
    /// The connection is cut before anything is said.
    Reset,
    /// A byte at a time, for ever.
    Drip,
}

impl Answer {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Body(Bytes::from(text.into()))
    }
}

/// The paths asked for, in order.
pub(crate) type Log = Arc<Mutex<Vec<(Duration, String)>>>;

/// Serves on a port of its own until the test ends.
pub(crate) async fn start(answer: impl Fn(&Ask) -> Answer + Send + Sync + 'static) -> (Url, Log) {
    let clock = Arc::new(OnceLock::new());
    let log = Log::default();
    let counts = Arc::new(Mutex::new(HashMap::<String, (u32, Duration)>::new()));
    let answer = Arc::new(answer);
    let kept = log.clone();
    let app = Router::new().fallback(move |request: Request| {
        let (answer, counts, log) = (answer.clone(), counts.clone(), kept.clone());
        let clock = *clock.get_or_init(Clock::start);
        async move {
            let path = request.uri().path().to_owned();
            let at = clock.now().since_start();
            let (before, first_at) = {
                let mut counts = counts.lock().expect("no holder panics");
                let (count, first_at) = counts.entry(path.clone()).or_insert((0, at));
                *count += 1;
                (*count - 1, *first_at)
            };
            log.lock().expect("no holder panics").push((at, path.clone()));
            let (uri, headers, since_first) =
                (request.uri().to_string(), request.headers().clone(), at.saturating_sub(first_at));
            let ask = Ask { path, uri, before, at, since_first, headers };
            respond(answer(&ask)).await
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (Url::parse(&format!("http://{address}/live.m3u8")).expect("a URL"), log)
}

async fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Body(bytes) => bytes.into_response(),
        Answer::Gzip(bytes) => ([(header::CONTENT_ENCODING, "gzip")], bytes).into_response(),
        Answer::Status(code) => StatusCode::from_u16(code).expect("a status").into_response(),
        Answer::With(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).expect("a status"), body).into_response();
            for (name, value) in headers {
                response.headers_mut().append(name, value.parse().expect("a header value"));
            }
            response
        }
        Answer::Unmeasured(bytes) => {
            let whole = stream::once(async move { Ok::<_, Infallible>(bytes) });
            Body::from_stream(whole).into_response()
        }
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Answer::Hang => std::future::pending().await,
        Answer::HangInBody(bytes) => {
            let first = stream::once(async move { Ok::<_, Infallible>(bytes) });
            Body::from_stream(first.chain(stream::pending())).into_response()
        }
        Answer::Truncated(bytes) => {
            let length = bytes.len();
            let half = bytes.slice(..length / 2);
            let cut = stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
            ([(header::CONTENT_LENGTH, length)], Body::from_stream(cut)).into_response()
        }
        Answer::Reset => {
            let cut = stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
            ([(header::CONTENT_LENGTH, 1000)], Body::from_stream(cut)).into_response()
        }
        Answer::Drip => {
            let drip = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b"G")), ()))
            });
            Body::from_stream(drip).into_response()
        }
    }
}

/// A live playlist of segments of `segment_ms` at `at`, `window` of them, with a target duration of 1 s. Two
/// windows exist at the start.
pub(crate) fn live_playlist(at: Duration, segment_ms: u64, window: u64) -> String {
    let end = 2 * window + u64::try_from(at.as_millis()).expect("short tests") / segment_ms;
    window_of(end - window, end, segment_ms)
}

/// The media playlist that lists `first..end`.
pub(crate) fn window_of(first: u64, end: u64, segment_ms: u64) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for sequence in first..end {
        text.push_str(&format!("#EXTINF:{:.3},\nseg-{sequence}.ts\n", segment_ms as f64 / 1e3));
    }
    text
}

/// Five packets that begin with the sync byte and carry the number.
pub(crate) fn segment(sequence: u64) -> Bytes {
    let mut packet = [0xff_u8; 188];
    packet[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
    packet[4..12].copy_from_slice(&sequence.to_be_bytes());
    packet.repeat(5).into()
}

/// The number in `/seg-N.ts`, whatever the extension.
pub(crate) fn segment_number(path: &str) -> Option<u64> {
    path.rsplit('/').next()?.strip_prefix("seg-")?.split_once('.')?.0.parse().ok()
}
