//! An HLS origin that answers what an attack wants. Ends with the attackers' runtime.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use overdub::clock::Clock;

use crate::attack::Target;

/// Milliseconds of each segment of a live window unless it is said, and how many are listed.
const SEGMENT: u64 = 2_000;
const WINDOW: u64 = 6;

/// Serves what `answer` gives for a path without its leading slash; where it is.
pub async fn serve(target: &Target, answer: impl Fn(&str) -> Response + Send + Sync + 'static) -> String {
    let (target, answer) = (target.clone(), Arc::new(answer));
    let app = Router::new().fallback(move |request: Request| {
        target.made_an_effort();
        let answer = Arc::clone(&answer);
        async move { answer(request.uri().path().trim_start_matches('/')) }
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// A live playlist at `live.m3u8` whose segment `number`, named `number.ending`, is what `segment` makes of it.
/// `header` are lines behind the usual ones, `before` those before each segment.
pub struct Live {
    pub header: String,
    pub before: Box<dyn Fn(u64) -> String + Send + Sync>,
    pub ending: &'static str,
    /// Milliseconds of a segment.
    pub lasting: u64,
    pub segment: Box<dyn Fn(u64) -> Bytes + Send + Sync>,
    /// Other files by name.
    pub others: Vec<(&'static str, Bytes)>,
}

impl Live {
    pub fn of(ending: &'static str, segment: impl Fn(u64) -> Bytes + Send + Sync + 'static) -> Self {
        Self {
            header: String::new(),
            before: Box::new(|_| String::new()),
            ending,
            lasting: SEGMENT,
            segment: Box::new(segment),
            others: Vec::new(),
        }
    }

    /// The address of its playlist.
    pub async fn serve(self, target: &Target) -> String {
        let clock = Clock::start();
        let began = clock.now();
        let answer = move |path: &str| {
            if path == "live.m3u8" {
                let running = clock.now().saturating_since(began);
                return self.playlist(running.as_millis() as u64 / self.lasting).into_response();
            }
            if let Some((_, body)) = self.others.iter().find(|(name, _)| *name == path) {
                return body.clone().into_response();
            }
            let number = path.strip_suffix(self.ending).and_then(|name| name.strip_suffix('.'));
            match number.and_then(|number| number.parse().ok()) {
                Some(number) => (self.segment)(number).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        };
        format!("{}/live.m3u8", serve(target, answer).await)
    }

    fn playlist(&self, first: u64) -> String {
        let (target, seconds) = (self.lasting.div_ceil(1_000), self.lasting as f64 / 1e3);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:11\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n{}",
            self.header
        );
        for number in first..first + WINDOW {
            text += &format!("{}#EXTINF:{seconds},\n{number}.{}\n", (self.before)(number), self.ending);
        }
        text
    }
}

/// A body that begins with `start` and goes on with `chunk` for ever.
pub fn endless(start: &'static str, chunk: Bytes) -> Response {
    let begin = Bytes::from_static(start.as_bytes());
    let chunks = stream::unfold(Some(begin), move |begin| {
        let next = begin.unwrap_or_else(|| chunk.clone());
        // Not faster than a fast network.
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, Infallible>(next), None))
        }
    });
    Body::from_stream(chunks).into_response()
}
