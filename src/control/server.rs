//! Connections: how many there may be, and how long one may take to say what it wants.
//!
//! HTTP/1.1 only: browsers speak HTTP/2 over TLS, and that is for a proxy in front.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A browser opens six, a player one or two. Beyond it connections wait to be accepted: each takes an open file, and
/// streams need those. Event clients on WebSocket are not counted here; they have a limit of their own.
const MAX_CONNECTIONS: usize = 512;
/// For a request's head, and for the next request on a connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// A head is a few hundred bytes, and some kilobytes with a browser's cookies for this host.
const MAX_HEAD: usize = 32 << 10;
/// Pause where the process may open no more files: somebody has to close one first.
const NO_FILES: Duration = Duration::from_secs(1);

/// Serves until `closing`, then answers what was asked already.
pub async fn serve(listener: TcpListener, router: Router, closing: CancellationToken) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = async {
        loop {
            // Never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = accept(&listener).await;
            let service = TowerToHyperService::new(router.clone());
            let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
            let closing = closing.clone();
            tokio::spawn(async move {
                let mut connection = pin!(connection);
                // Of a connection that breaks nobody needs to be told.
                tokio::select! {
                    _ = connection.as_mut() => {}
                    () = closing.cancelled() => {
                        connection.as_mut().graceful_shutdown();
                        let _ = connection.await;
                    }
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = closing.cancelled() => {}
    }
    drop(listener);
    // All places free: all connections over.
    let _ = places.acquire_many(MAX_CONNECTIONS as u32).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Events are small and wanted now. A connection that is gone already fails at its first use.
                let _ = stream.set_nodelay(true);
                return stream;
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
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server and where it is.
    async fn start(closing: CancellationToken) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        (address, tokio::spawn(serve(listener, router, closing)))
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
