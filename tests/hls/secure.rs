//! A source behind TLS that speaks HTTP/2, with an authority that only a file names.

use std::sync::Arc;
use std::time::Duration;

use overdub::hls::Error;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::origin::{segment, segment_number, window_of};
use crate::run::{assert_clean, run, settings};

/// A server for "localhost" that speaks nothing but HTTP/2, and its authority in PEM.
fn server() -> (ServerConfig, String) {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let own = key();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&own, &authority).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(own.serialize_der()).into();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    (config, authority.pem())
}

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
    let (config, pem) = server();
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
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).expect("a file");

    let mut trusting = settings(url.clone());
    trusting.ca_file = Some(file);
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
