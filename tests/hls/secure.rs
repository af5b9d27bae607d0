//! A source behind TLS that speaks HTTP/2, with an authority that only a file names.

use std::sync::Arc;
use std::time::Duration;

use overdub::hls::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::authority::Authority;
use crate::origin::{segment, segment_number, window_of};
use crate::run::{assert_clean, run, settings};

/// One connection: a complete playlist of three segments.
async fn serve(tcp: TcpStream, acceptor: TlsAcceptor) {
    // A client that does not trust us ends here.
    let Ok(secure) = acceptor.accept(tcp).await else { return };
    let mut connection = h2::server::handshake(secure).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let body = segment_number(request.uri().path())
            .map_or_else(|| (window_of(0, 3, 500) + "#EXT-X-ENDLIST\n").into(), segment);
        let mut stream = respond.send_response(http::Response::new(()), false).expect("a client");
        stream.send_data(body, true).expect("a client");
    }
}

#[tokio::test]
async fn a_source_in_http_2_is_read_when_its_authority_is_in_the_file_and_only_then() {
    let authority = Authority::new();
    let mut config = authority.server.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp, acceptor.clone()));
        }
    });
    let url = Url::parse(&format!("https://localhost:{port}/live.m3u8")).expect("a URL");
    let folder = tempfile::tempdir().expect("a folder");

    let mut trusting = settings(url.clone());
    trusting.ca_file = Some(authority.file(folder.path()));
    let got = run(trusting).take(usize::MAX).await;
    assert_eq!(got.segments.len(), 3);
    assert_clean(&got, &[]);

    let mut doubting = settings(url);
    doubting.startup_budget = Duration::from_millis(500);
    match run(doubting).task.await.expect("no panic") {
        Err(Error::Startup { last, .. }) => assert!(matches!(*last, Error::Unreachable { .. }), "{last}"),
        other => panic!("{other:?}"),
    }
}
