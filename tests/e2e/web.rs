//! A static HTTP server that remembers what it was asked, and a client of a page.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::tools::{now, within};

/// Files below a folder, over HTTP. Ends with its value.
pub struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Site {
    root: PathBuf,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Server {
    pub async fn start(root: &Path) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let site = Site { root: root.to_owned(), asked: Arc::clone(&asked) };
        let app = axum::Router::new().route("/{*path}", axum::routing::get(file)).with_state(site);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("the server runs") });
        Self { address, asked, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// When each path was asked for, in order.
    pub fn asked(&self) -> Vec<(Instant, String)> {
        self.asked.lock().expect("no panic under the lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn file(State(site): State<Site>, UrlPath(path): UrlPath<String>) -> Response {
    site.asked.lock().expect("no panic under the lock").push((now(), path.clone()));
    let kind = match path.rsplit('.').next() {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("ts") => "video/mp2t",
        Some("html") => "text/html",
        _ => "application/octet-stream",
    };
    match tokio::fs::read(site.root.join(&path)).await {
        Ok(bytes) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], bytes).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An HTTP answer: its status and its body.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|e| panic!("not JSON ({e}): {} {}", self.status, self.body))
    }
}

/// One request on a connection of its own; `None` when nobody listens or the answer is cut.
pub async fn request(
    port: u16,
    method: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> Option<Answer> {
    request_with(port, method, path, "", body).await
}

/// The same with more header lines, each ending in CR LF.
pub async fn request_with(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: Option<&serde_json::Value>,
) -> Option<Answer> {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let body = body.map(ToString::to_string).unwrap_or_default();
        // HTTP/1.0, so that the answer ends with the connection and is never chunked.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(body.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    };
    within(Duration::from_secs(30), path, ask).await
}

pub async fn get(port: u16, path: &str) -> Option<Answer> {
    request(port, "GET", path, None).await
}

pub async fn post(port: u16, path: &str, body: serde_json::Value) -> Answer {
    request(port, "POST", path, Some(&body)).await.unwrap_or_else(|| panic!("POST {path}: no answer"))
}
