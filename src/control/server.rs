//! Connections: how many there may be, and how long one may take to say what it wants.
//!
//! HTTP/1.1 only: browsers speak HTTP/2 over TLS, and that is for a proxy in front.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::Connections;
use super::{Control, router};
use crate::net::guarded::Guarded;

/// For a request's head, and for the next request on a connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// A head is a few hundred bytes, and some kilobytes with a browser's cookies for this host.
const MAX_HEAD: usize = 32 << 10;
/// Pause where the process may open no more files: somebody has to close one first.
const NO_FILES: Duration = Duration::from_secs(1);

/// Serves the API of `control` until `closing`, then answers what was asked already.
pub async fn serve(listener: TcpListener, control: Arc<Control>, closing: CancellationToken) {
    let connections = Arc::clone(&control.connections);
    run(listener, router(control), connections, closing).await;
}

async fn run(
    listener: TcpListener,
    router: Router,
    connections: Arc<Connections>,
    closing: CancellationToken,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let router = TowerToHyperService::new(router);
    let tasks = TaskTracker::new();
    let accepting = async {
        loop {
            connections.room().await;
            let (stream, from) = accept(&listener).await;
            let connection = connections.arrive(from.ip());
            // A WebSocket takes the stream, and with it the place, out of the task below.
            let stream = Guarded::new(stream, Arc::clone(connection.peer()), connection.place());
            let router = router.clone();
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                router.call(request)
            });
            let serving = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
            let closing = closing.clone();
            tasks.spawn(async move {
                let mut serving = pin!(serving);
                // Of a connection that breaks nobody needs to be told.
                tokio::select! {
                    _ = serving.as_mut() => {}
                    () = closing.cancelled() => {
                        serving.as_mut().graceful_shutdown();
                        let _ = serving.await;
                    }
                }
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = closing.cancelled() => {}
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // Events are small and wanted now. A connection that is gone already fails at its first use.
                let _ = stream.set_nodelay(true);
                return (stream, from);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(NO_FILES).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::connections::MAX_CONNECTIONS;
    use super::super::limits;
    use super::*;

    /// A server and where it is.
    async fn start(closing: CancellationToken) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        (address, tokio::spawn(run(listener, router, Connections::new(false), closing)))
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_only_half_is_cut_off() {
        let (address, _server) = start(CancellationToken::new()).await;
        for said in [&b""[..], b"GET / HTT", b"GET / HTTP/1.1\r\nhost: h\r\n", REQUEST] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said).await.unwrap();
            let mut heard = Vec::new();
            let read = stream.read_to_end(&mut heard);
            tokio::time::timeout(2 * HEAD_TIMEOUT, read).await.expect("it ends").unwrap();
            let answered = String::from_utf8(heard).unwrap().starts_with("HTTP/1.1 200");
            assert_eq!(answered, said == REQUEST);
        }
    }

    #[tokio::test]
    async fn more_connections_than_there_are_places_wait_for_one() {
        let (address, _server) = start(CancellationToken::new()).await;
        let mut open = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            open.push(TcpStream::connect(address).await.unwrap());
        }
        // All are accepted, so that the places are taken.
        let last = open.last_mut().unwrap();
        let mut answer = [0; 12];
        last.write_all(REQUEST).await.unwrap();
        last.read_exact(&mut answer).await.unwrap();
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(REQUEST).await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(200), late.read_exact(&mut answer)).await;
        assert!(waits.is_err(), "answered beyond the limit");
        open.clear();
        late.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    /// Clients that have to be admitted, and a router with something large and something that takes a body.
    async fn start_guarded() -> (SocketAddr, Arc<Connections>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = Bytes::from(vec![b'x'; 64 << 20]);
        let router = Router::new()
            .route("/", get(async || "here").post(async |body: Bytes| body.len().to_string()))
            .route("/large", get(async move || large))
            .layer(from_fn(limits::last_answer));
        let connections = Connections::new(true);
        tokio::spawn(run(listener, router, Arc::clone(&connections), CancellationToken::new()));
        (address, connections)
    }

    fn closed(connections: &Connections, reason: &str) -> u64 {
        let closed = connections.numbers().closed;
        closed.into_iter().find(|(peer, why, _)| (*peer, *why) == ("http", reason)).unwrap().2
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_an_answer_is_given_up_pipelined_or_not() {
        let (address, connections) = start_guarded().await;
        let large = b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n";
        for (number, count) in [1, 50].into_iter().enumerate() {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&large.repeat(count)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(15)).await;
            assert_eq!(closed(&connections, "not_reading"), number as u64 + 1);
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard).await;
            assert!(heard.starts_with(b"HTTP/1.1 200") && heard.len() < 64 << 20);
        }
        assert_eq!(connections.numbers().unadmitted, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_admitted_has_little_time_and_few_bytes() {
        let (address, connections) = start_guarded().await;
        for (chunk, every, reason) in [(1, 1_000, "unadmitted_time"), (60_000, 10, "unadmitted_bytes")] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
            let mut sent = 0;
            while sent < 1_000_000 && stream.write_all(&vec![0; chunk]).await.is_ok() {
                sent += chunk;
                tokio::time::sleep(Duration::from_millis(every)).await;
            }
            assert!(sent < 1_000_000, "{reason}");
            assert_eq!(closed(&connections, reason), 1, "{reason}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_that_keeps_its_connection_is_told_which_answer_is_the_last() {
        let (address, connections) = start_guarded().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut last = String::new();
        for _ in 0..10 {
            stream.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 512];
            let read = stream.read(&mut answer).await.unwrap();
            last = String::from_utf8(answer[..read].to_vec()).unwrap();
            assert!(last.starts_with("HTTP/1.1 200"), "{last}");
            if last.contains("connection: close") {
                break;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        assert!(last.contains("connection: close"), "{last}");
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
        let counted: u64 = connections.numbers().closed.iter().map(|(.., count)| count).sum();
        assert_eq!(counted, 0, "no request was lost");
    }

    #[tokio::test]
    async fn the_end_lets_idle_connections_go() {
        let closing = CancellationToken::new();
        let (address, server) = start(closing.clone()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        closing.cancel();
        server.await.unwrap();
        TcpStream::connect(address).await.unwrap_err();
    }
}
