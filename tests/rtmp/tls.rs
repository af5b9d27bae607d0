//! `rtmps`, with an authority of the test's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use overdub::clock::Clock;
use overdub::publish::{self, Settings, State};
use overdub::sink::Behaviour;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::clip;
use crate::run::{ALONE, Publishing};
use crate::sink::{KEY, Sink, anywhere};

/// The sink, with TLS in front of it.
struct TlsSink {
    sink: Sink,
    address: SocketAddr,
    folder: TempDir,
}

impl TlsSink {
    /// Its certificate is for `localhost` and signed by an authority whose own is in `ca.pem`.
    async fn start() -> Self {
        let sink = Sink::start(anywhere(), Behaviour::Accept).await;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.file(folder.path());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(relay(listener, TlsAcceptor::from(Arc::new(authority.server)), sink.address));
        Self { sink, address, folder }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn settings(&self, host: &str, ca_file: Option<PathBuf>) -> Settings {
        let url = format!("rtmps://{host}:{}/live/{KEY}", self.address.port());
        Settings { ca_file, give_up: Some(Duration::from_millis(500)), ..Settings::new(url) }
    }
}

async fn relay(listener: TcpListener, acceptor: TlsAcceptor, to: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut secured) = acceptor.accept(stream).await else { return };
            let mut plain = TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut secured, &mut plain).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_goes_over_tls_whole_and_paced() {
    let _alone = ALONE.lock().await;
    let server = TlsSink::start().await;
    let packets = clip::packets(&clip::flv(4));
    let settings = server.settings("localhost", Some(server.ca_file()));
    let mut publishing = Publishing::start(settings, packets.clone());
    publishing.play().await;
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!((status.state, status.packets_dropped, status.reconnects), (State::Ended, 0, 0));
    let reports = server.sink.stop().await;
    let report = reports.latest(KEY).unwrap();
    assert_eq!(report.violations, []);
    assert!(report.ended, "TLS was closed before the end was said: {report:?}");
    let sent = packets.iter().filter(|packet| packet.is_video()).count() as u64;
    assert_eq!(
        (report.video.packets, report.video.packets + report.audio.packets),
        (sent, packets.len() as u64)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_trusts_or_of_another_name_gets_nothing() {
    let _alone = ALONE.lock().await;
    let server = TlsSink::start().await;
    // Nothing is ever due, so only the limit can end it.
    let packets = clip::packets(&clip::flv(1));
    let cases = [
        (server.settings("localhost", None), "invalid peer certificate: UnknownIssuer"),
        (
            server.settings("127.0.0.1", Some(server.ca_file())),
            "invalid peer certificate: certificate not valid",
        ),
        (
            server.settings("localhost", Some("/nowhere.pem".into())),
            "certificates of /nowhere.pem cannot be read",
        ),
    ];
    for (settings, words) in cases {
        let (result, _) = Publishing::start(settings, packets.clone()).end().await;
        let error: publish::Error = result.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(server.sink.stop().await.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_finds_the_server_behind_tls_and_publishes_nothing() {
    let server = TlsSink::start().await;
    let trusting = server.settings("localhost", Some(server.ca_file()));
    publish::greet(&trusting, Clock::start()).await.unwrap();
    let doubting = server.settings("localhost", None);
    let error = publish::greet(&doubting, Clock::start()).await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(server.sink.stop().await.latest(KEY).is_none(), "something was published");
}
