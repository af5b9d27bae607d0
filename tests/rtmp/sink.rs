//! Into our own strict server.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use overdub::clock::Clock;
use overdub::media::Packet;
use overdub::publish::{self, Settings, State, Status};
use overdub::sink::{self, Behaviour, Reports, Server};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clip;
use crate::run::{ALONE, Publishing};

/// A sink at work.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    reports: Reports,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sink {
    pub(crate) async fn start(address: SocketAddr, behaviour: Behaviour) -> Self {
        let settings = sink::Settings { behaviour, record: 64 << 20, ..sink::Settings::default() };
        Self::with(address, settings).await
    }

    pub(crate) async fn with(address: SocketAddr, settings: sink::Settings) -> Self {
        let server = Server::bind(address, settings, Clock::start()).await.unwrap();
        let (address, reports, stop) =
            (server.local_addr().unwrap(), server.reports(), CancellationToken::new());
        let task = tokio::spawn(server.run(stop.clone()));
        Self { address, reports, stop, task }
    }

    pub(crate) async fn stop(self) -> Reports {
        self.stop.cancel();
        self.task.await.unwrap();
        self.reports
    }

    fn settings(&self) -> Settings {
        settings(self.address)
    }
}

pub(crate) fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn settings(address: SocketAddr) -> Settings {
    Settings::new(format!("rtmp://{address}/live/key?token=1"))
}

pub(crate) const KEY: &str = "key?token=1";

#[tokio::test(flavor = "multi_thread")]
async fn a_published_clip_breaks_no_rule_and_arrives_whole_and_paced() {
    let _alone = ALONE.lock().await;
    let sink = Sink::start(anywhere(), Behaviour::Accept).await;
    let packets = clip::packets(&clip::flv(6));
    let mut publishing = Publishing::start(sink.settings(), packets.clone());
    publishing.play().await;
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!(status.state, State::Ended);
    assert_eq!(status.packets_dropped, 0);
    assert!(status.url.ends_with("/live/ke…"), "{}", status.url);

    let reports = sink.stop().await;
    let report = reports.latest(KEY).unwrap();
    assert_eq!(report.violations, []);
    assert!(report.ended && report.closed && report.metadata == 1, "{report:?}");
    assert_eq!((report.video.headers, report.audio.headers), (1, 1));
    assert!(report.earliest < Duration::from_millis(300), "{report:?}");
    let got = clip::packets(&reports.recordings(KEY)[0]);
    assert!(same(&got, &packets), "every packet is the same, in the same order, with the same times");
}

/// Equal but for what FLV does not carry.
fn same(got: &[Packet], sent: &[Packet]) -> bool {
    let fields = |p: &Packet| (p.is_video(), p.is_random_access(), p.dts, p.pts, p.data.clone());
    got.iter().map(fields).eq(sent.iter().map(fields))
}

#[tokio::test(flavor = "multi_thread")]
async fn video_alone_and_sound_alone_are_streams_too() {
    let _alone = ALONE.lock().await;
    let sink = Sink::start(anywhere(), Behaviour::Accept).await;
    let packets = clip::packets(&clip::flv(2));
    for video in [true, false] {
        let alone: Vec<_> = packets.iter().filter(|p| p.is_video() == video).cloned().collect();
        let mut publishing = Publishing::start(sink.settings(), alone.clone());
        publishing.play().await;
        let (result, status) = publishing.end().await;
        result.unwrap();
        assert_eq!(status.packets_sent, alone.len() as u64);
        // The sink sees the connection end a moment later.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let reports = sink.stop().await.all();
    let [video, audio] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((video.violations.len(), video.audio.packets, video.video.packets), (0, 0, 50));
    assert_eq!((audio.violations.len(), audio.video.packets), (0, 0));
    assert!(audio.audio.packets > 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_anything_is_due_the_connection_is_kept_alive() {
    let _alone = ALONE.lock().await;
    let sink = Sink::start(anywhere(), Behaviour::Accept).await;
    let mut publishing = Publishing::start(sink.settings(), clip::packets(&clip::flv(1)));
    publishing.status.wait_for(Status::is_connected).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3200)).await;
    publishing.play_from(publishing.clock.now());
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!((status.reconnects, status.packets_dropped), (0, 0));
    assert_eq!(sink.stop().await.latest(KEY).unwrap().violations, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_made_again_and_times_go_on_from_a_keyframe() {
    let _alone = ALONE.lock().await;
    let sink = Sink::start(anywhere(), Behaviour::Accept).await;
    let address = sink.address;
    let mut publishing = Publishing::start(sink.settings(), clip::packets(&clip::flv(8)));
    publishing.play().await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let before = sink.stop().await.latest(KEY).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sink = Sink::start(address, Behaviour::Accept).await;
    let (result, status) = publishing.end().await;
    result.unwrap();
    assert_eq!(status.reconnects, 1);
    assert!(status.last_error.is_some() && status.packets_dropped > 0, "{status:?}");

    let after = sink.stop().await.latest(KEY).unwrap();
    assert_eq!((&before.violations[..], &after.violations[..]), (&[][..], &[][..]));
    assert!(!before.ended && after.ended);
    let (last, first) = (before.video.last_ms.unwrap(), after.video.first_ms.unwrap());
    assert!(first > last, "{first} after {last}");
    assert_eq!(first % (1000 * clip::GOP / clip::RATE), 0, "the picture at a GOP's start");
    assert!(first - last < 4500, "back within seconds: {first} after {last}");
    assert!(after.audio.first_ms.unwrap() >= first - 100, "sound waits for the picture");
    assert_eq!((after.video.headers, after.audio.headers, after.metadata), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_no_is_an_error_with_its_words_when_there_is_a_limit() {
    let _alone = ALONE.lock().await;
    let packets = clip::packets(&clip::flv(1));
    for (behaviour, words) in [
        (Behaviour::RefuseConnect, "server refused: NetConnection.Connect.Rejected: not allowed"),
        (Behaviour::RefusePublish, "server refused: NetStream.Publish.BadName: not allowed"),
        (
            Behaviour::CloseOnPublish,
            "server closed the connection as publishing began (a busy stream, or not allowed)",
        ),
    ] {
        let sink = Sink::start(anywhere(), behaviour).await;
        let settings = Settings { give_up: Some(Duration::from_millis(600)), ..sink.settings() };
        // Nothing is ever due, so only the limit can end it.
        let publishing = Publishing::start(settings, packets.clone());
        let (result, status) = publishing.end().await;
        assert_eq!(result.unwrap_err().to_string(), words);
        assert_eq!((status.state, status.last_error.as_deref()), (State::Ended, Some(words)));
        sink.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_retried_until_the_limit_and_the_channel_moves_on() {
    let _alone = ALONE.lock().await;
    let address = TcpListener::bind(anywhere()).await.unwrap().local_addr().unwrap();
    let settings = Settings { give_up: Some(Duration::from_millis(1500)), ..settings(address) };
    let publishing = Publishing::start(settings, clip::packets(&clip::flv(3)));
    publishing.play_from(publishing.clock.now());
    let (result, _) = publishing.end().await;
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to 127.0.0.1:"), "{error}");
    assert!(!error.contains("key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_reading_is_left_after_the_write_timeout() {
    let _alone = ALONE.lock().await;
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    // Negotiates, then never reads again, and holds the connection open.
    let deaf = tokio::spawn(async move {
        use bytes::{Buf, BytesMut};
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut session = overdub_rtmp::Server::new();
        let mut input = BytesMut::new();
        while session.state() != overdub_rtmp::ServerState::Publishing {
            stream.read_buf(&mut input).await.unwrap();
            session.receive(&input.split()).unwrap();
            while session.event().is_some() {
                session.accept();
            }
            while session.output().has_remaining() {
                stream.write_buf(session.output()).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    });
    let mut packets = clip::packets(&clip::flv(4));
    for packet in &mut packets {
        // Far more than the buffers of both systems hold.
        packet.data = vec![0; 400_000].into();
    }
    let settings = Settings { write_timeout: Duration::from_secs(1), ..settings(address) };
    let mut publishing = Publishing::start(settings, packets);
    publishing.play().await;
    let mut status = publishing.status.clone();
    let left = status.wait_for(|status| status.state == State::Waiting);
    let left = tokio::time::timeout(Duration::from_secs(4), left).await.expect("it is noticed");
    // Not held on to: the publisher could not tell its status any more.
    let error = left.unwrap().last_error.clone();
    assert_eq!(error.as_deref(), Some("server took no data for 1s"));
    publishing.stop.cancel();
    publishing.end().await.0.unwrap();
    deaf.abort();
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_at_once() {
    let publishing = Publishing::start(Settings::new("http://h/live/secret"), Vec::new());
    let (result, status) = publishing.end().await;
    assert!(matches!(result, Err(publish::Error::Target(_))));
    assert!(!format!("{status:?}").contains("secret"));
}
