//! Processors behind TLS: our echo behind a proxy that speaks it, with a certificate that nobody knows.

use std::sync::Arc;
use std::time::Duration;

use overdub::echo::Options;
use overdub::roundtrip::Settings;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::harness::{Client, Echo, adts, settings};

/// TLS in front of `plain` (`http://127.0.0.1:PORT`): the port.
async fn tls_in_front_of(plain: &str, config: ServerConfig) -> u16 {
    let behind = plain.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                // A client that does not trust us ends here.
                let Ok(mut secure) = acceptor.accept(tcp).await else { return };
                let mut plain = TcpStream::connect(&behind).await.expect("the echo");
                let _ = tokio::io::copy_bidirectional(&mut secure, &mut plain).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn fragments_go_over_tls_where_the_authority_is_configured() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let echo = Echo::start(Options::default()).await;
    let port = tls_in_front_of(&echo.url, authority.server.clone()).await;
    for scheme in ["wss", "https"] {
        let url = format!("{scheme}://localhost:{port}");
        let mut client =
            Client::with(Settings { ca_file: Some(authority.file(folder.path())), ..settings(&url) });
        for (number, audio) in (0..).zip([adts(3, 20, 0x5A), adts(1_024, 8_184, 0x1E)]) {
            client.request(number, &audio, Duration::from_secs(20)).await;
            assert!(client.outcome().await.result.expect("processed").raw == audio);
        }
        client.finish().await;
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_by_name() {
    let authority = Authority::new();
    let echo = Echo::start(Options::default()).await;
    let port = tls_in_front_of(&echo.url, authority.server).await;
    let mut client = Client::start(&format!("wss://localhost:{port}"));
    let status = client.until("an error", |status| status.last_error.is_some()).await;
    let error = status.last_error.expect("an error");
    assert!(error.contains("invalid peer certificate: UnknownIssuer"), "{error}");
    assert_eq!(status.connections, 0);
    client.stop.cancel();
    client.finish().await;
}

#[tokio::test]
async fn a_file_without_certificates_says_so_and_not_what_is_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "opensesame").expect("a file");
    for (ca_file, expected) in
        [(path, "holds no certificate in PEM"), (folder.path().join("nothing"), "cannot be read")]
    {
        // Somebody has to listen: TLS comes after TCP.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let url = format!("wss://localhost:{port}");
        let mut client = Client::with(Settings { ca_file: Some(ca_file), ..settings(&url) });
        let status = client.until("an error", |status| status.last_error.is_some()).await;
        let error = status.last_error.expect("an error");
        assert!(error.contains(expected) && !error.contains("opensesame"), "{error}");
        client.stop.cancel();
        client.finish().await;
    }
}
