//! The layer on an invented clock, alone and under tungstenite.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::*;

const STALL: Duration = Duration::from_secs(10);
const TERMS: Terms = Terms { stall: STALL, read_while_blocked: 0, trial: None, rate: None };

fn guarded(terms: Terms, room: usize) -> (Guarded<DuplexStream>, DuplexStream, Arc<Peer>) {
    let (near, far) = duplex(room);
    let peer = Peer::new(terms);
    (Guarded::new(near, Arc::clone(&peer), ()), far, peer)
}

/// Reads until the end; how many bytes, how it ended and when.
fn drain<S: AsyncRead + Send + Unpin + 'static>(
    mut from: S,
) -> JoinHandle<(usize, io::Result<()>, Duration)> {
    tokio::spawn(async move {
        let clock = Clock::start();
        let (mut read, mut buffer) = (0, [0; 512]);
        loop {
            match from.read(&mut buffer).await {
                Ok(0) => return (read, Ok(()), clock.now().since_start()),
                Ok(bytes) => read += bytes,
                Err(error) => return (read, Err(error), clock.now().since_start()),
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_read_no_further_and_then_given_up() {
    for read_while_blocked in [0, 1, 700] {
        let (near, mut far, peer) = guarded(Terms { read_while_blocked, ..TERMS }, 100);
        let (from, mut to) = tokio::io::split(near);
        let writing = tokio::spawn(async move { to.write_all(&[0; 1_000]).await.unwrap_err().kind() });
        tokio::task::yield_now().await;
        let reading = drain(from);
        let flood = tokio::spawn(async move { while far.write_all(&[1; 64]).await.is_ok() {} });
        let (read, ended, after) = reading.await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(read as u64, read_while_blocked);
        assert!(after >= STALL && after < STALL + Duration::from_millis(50), "{after:?}");
        assert_eq!(
            writing.await.unwrap(),
            io::ErrorKind::TimedOut,
            "the writer waits no longer than the reader"
        );
        assert_eq!((peer.ended(), peer.written()), (Some(Ended::NotReading), 100));
        flood.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_kept_and_read_from_again_after_each_step() {
    let (near, far, peer) = guarded(TERMS, 100);
    let (from, mut to) = tokio::io::split(near);
    let (mut theirs, mut ours) = tokio::io::split(far);
    let writing = tokio::spawn(async move { to.write_all(&[0; 2_000]).await });
    let reading = drain(from);
    tokio::spawn(async move { while ours.write_all(b"x").await.is_ok() {} });
    for _ in 0..10 {
        tokio::time::sleep(STALL * 9 / 10).await;
        theirs.read_exact(&mut [0; 100]).await.unwrap();
    }
    // Time stands still from here on: what is sent and read without a pause leaves it no moment to pass.
    theirs.read_exact(&mut [0; 1_000]).await.unwrap();
    writing.await.unwrap().unwrap();
    assert_eq!((peer.ended(), peer.written()), (None, 2_000));
    peer.end(Ended::Displaced);
    assert!(reading.await.unwrap().0 > 0);
}

#[tokio::test(start_paused = true)]
async fn a_trial_bounds_bytes_and_time_until_other_terms_are_set() {
    let trial = Some(Trial { bytes: 1_000, time: Duration::from_secs(5) });
    for (sent, admitted, expected) in [
        (1_001, false, Some(Ended::TrialBytes)),
        (1_000, false, Some(Ended::TrialTime)),
        (0, false, Some(Ended::TrialTime)),
        (1_000, true, None),
    ] {
        let (near, mut far, peer) = guarded(Terms { trial, ..TERMS }, 4_096);
        let reading = drain(near);
        far.write_all(&vec![0; sent]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        if admitted {
            peer.set_terms(TERMS);
            far.write_all(&[0; 3_000]).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(peer.ended(), expected, "{sent} {admitted}");
        drop(far);
        let (_, ended, after) = reading.await.unwrap();
        assert_eq!(ended.is_ok(), admitted);
        assert!(admitted || after <= Duration::from_millis(5_050), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_read_at_the_rate_and_ends_while_pauses_earn_the_burst_again() {
    let rate = Rate { per_second: 1_000, burst: 4_000, patience: Duration::from_secs(10) };
    let (near, mut far, peer) = guarded(Terms { rate: Some(rate), ..TERMS }, 64);
    let reading = drain(near);
    for _ in 0..5 {
        // A burst and a little more, then silence.
        let wrote = timeout(Duration::from_secs(2), far.write_all(&[0; 5_000])).await;
        wrote.expect("at the burst and the rate").unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(peer.ended(), None);
    }
    let flood = tokio::spawn(async move { while far.write_all(&[1; 64]).await.is_ok() {} });
    let (read, _, after) = reading.await.unwrap();
    flood.await.unwrap();
    assert_eq!(peer.ended(), Some(Ended::Flooding));
    let flooded = read - 25_000;
    assert!((13_000..=14_600).contains(&flooded), "{flooded} bytes, until {after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_wakes_a_reader_and_a_writer_that_wait() {
    let (near, _far, peer) = guarded(TERMS, 10);
    let (from, mut to) = tokio::io::split(near);
    let reading = drain(from);
    let writing = tokio::spawn(async move { to.write_all(&[0; 100]).await.unwrap_err().kind() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    peer.end(Ended::Displaced);
    assert_eq!(writing.await.unwrap(), io::ErrorKind::ConnectionAborted);
    let (_, ended, after) = reading.await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    assert!(after < Duration::from_millis(1_050), "{after:?}");
}

#[tokio::test]
async fn the_place_is_free_when_the_stream_is_gone() {
    let place = Arc::new(());
    let (near, _far) = duplex(1);
    let stream = Guarded::new(near, Peer::new(TERMS), Arc::clone(&place));
    assert_eq!(Arc::strong_count(&place), 2);
    drop(stream);
    assert_eq!(Arc::strong_count(&place), 1);
}

/// Bytes that tungstenite reads at once.
const READ_BUFFER: usize = 256;
/// Two readings, in bytes of pings that are three times as long as their pongs.
const BOUND: u64 = 6 * READ_BUFFER as u64;
/// What the pipe between the two sides holds.
const PIPE: usize = 512;

/// What a peer does next.
#[derive(Clone, Debug)]
enum Act {
    Ping(usize),
    Pings(usize),
    Take(usize),
    Rest(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..=125_usize).prop_map(Act::Ping),
        (1..400_usize).prop_map(Act::Pings),
        (1..2_000_usize).prop_map(Act::Take),
        (0..4_000_u64).prop_map(Act::Rest),
    ];
    prop::collection::vec(act, 1..60)
}

/// A ping of `len` bytes as a client sends it, masked with zeros (RFC 6455 5.2).
fn ping(len: usize) -> Vec<u8> {
    let mut frame = vec![0x89, 0x80 | len as u8, 0, 0, 0, 0];
    frame.resize(6 + len, b'p');
    frame
}

/// Whether more pongs wait above a guarded stream with these terms than those of one reading, while a peer does this.
fn pile_up(acts: Vec<Act>, terms: Terms) -> bool {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (near, far) = duplex(PIPE);
        let peer = Peer::new(terms);
        let counted = Counted { stream: near, read: Arc::default() };
        let read = Arc::clone(&counted.read);
        let stream = Guarded::new(counted, Arc::clone(&peer), ());
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
        let (mut theirs, mut ours) = tokio::io::split(far);
        // Frames go whole, however long they wait.
        let (send, mut sent) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        tokio::spawn(async move {
            while let Some(bytes) = sent.recv().await {
                if ours.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        for act in acts {
            match act {
                Act::Ping(len) => drop(send.send(ping(len))),
                Act::Pings(count) => drop(send.send(ping(0).repeat(count))),
                Act::Take(bytes) => {
                    let _ = timeout(Duration::from_millis(1), theirs.read(&mut vec![0; bytes])).await;
                }
                Act::Rest(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            // A ping of n bytes is 6 + n long, its pong 2 + n: at least a third.
            let answered = read.load(Ordering::Relaxed);
            if answered.saturating_sub(3 * peer.written()) > BOUND {
                return true;
            }
        }
        false
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_waits_for_a_peer_is_bounded_whatever_it_does(acts in acts()) {
        prop_assert!(!pile_up(acts, TERMS));
    }
}

#[test]
fn what_waits_for_a_peer_piles_up_where_reading_goes_on() {
    let acts = vec![Act::Pings(399); 20];
    assert!(!pile_up(acts.clone(), TERMS));
    assert!(pile_up(acts, Terms { read_while_blocked: u64::MAX, ..TERMS }), "the bound can be missed");
}

/// Counts what is read.
struct Counted {
    stream: DuplexStream,
    read: Arc<AtomicU64>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        self.read.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
