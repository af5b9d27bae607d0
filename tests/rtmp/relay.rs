//! A line between publisher and server that can be cut, slowed down, or fall silent without a word. What went
//! over it towards the server is kept, so that every server is judged by the same means.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use overdub_rtmp::chunk::Decoder;
use overdub_rtmp::flv::{AudioTag, VideoKind, VideoTag};
use overdub_rtmp::message::kind;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::sink::anywhere;
use crate::tools::now;

/// What the client says before its first message: C0, C1, C2 (Adobe RTMP 1.0, 5.2).
const HANDSHAKE: usize = 1 + 2 * 1536;

/// Small, so that a line that is slow is felt soon.
const RECEIVE_BUFFER: u32 = 64 << 10;

/// A slow line takes this many bites a second.
const BITES: u32 = 20;

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Line {
    Open,
    /// Towards the server, in bytes a second.
    Slow(u32),
    /// Nothing passes in either direction, and neither end is told. A connection that has met this is dead for
    /// good: what was lost of it is not sent again.
    Silent,
    /// Every connection is reset.
    Cut,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    line: watch::Sender<Line>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// What came towards the server over one connection.
type Call = Vec<(Instant, Bytes)>;

/// A message of the publisher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) ms: i64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Metadata,
    VideoHeader,
    AudioHeader,
    Picture { keyframe: bool },
    Sound,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
        socket.bind(anywhere()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let (line, seen) = watch::channel(Line::Open);
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let all = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = all.lock().unwrap().len();
                all.lock().unwrap().push(Call::new());
                let (line, all) = (seen.clone(), Arc::clone(&all));
                let keep = move |bytes: &[u8]| {
                    all.lock().unwrap()[number].push((now(), Bytes::copy_from_slice(bytes)));
                };
                tokio::spawn(pass(client, server, line, keep));
            }
        });
        Self { address, line, calls }
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// The media of each connection that carried any.
    pub(crate) fn media(&self) -> Vec<Vec<Arrival>> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(media).filter(|media| !media.is_empty()).collect()
    }
}

async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    mut line: watch::Receiver<Line>,
    keep: impl FnMut(&[u8]),
) {
    if *line.borrow() == Line::Silent {
        return pending().await;
    }
    if let Ok(mut server) = TcpStream::connect(server).await {
        server.set_nodelay(true).unwrap();
        client.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = copy(from_client, to_server, line.clone(), keep);
        let down = copy(from_server, to_client, line.clone(), |_| {});
        tokio::select! {
            result = async { tokio::try_join!(up, down) } => if result.is_ok() { return },
            _ = line.wait_for(|line| *line == Line::Cut) => {}
        }
        let _ = server.set_zero_linger();
    }
    let _ = client.set_zero_linger();
}

/// Copies to the end of `from`, which is handed on.
async fn copy(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut line: watch::Receiver<Line>,
    mut keep: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let now = *line.borrow_and_update();
        let bite = match now {
            Line::Slow(rate) => (rate / BITES) as usize,
            Line::Silent => return pending().await,
            _ => buffer.len(),
        };
        let read = tokio::select! {
            read = from.read(&mut buffer[..bite]) => read?,
            _ = line.changed() => continue,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        keep(&buffer[..read]);
        to.write_all(&buffer[..read]).await?;
        if now != Line::Open {
            tokio::time::sleep(Duration::from_secs(1) / BITES).await;
        }
    }
}

/// The metadata and the media in what a client sent.
fn media(call: &Call) -> Vec<Arrival> {
    let (mut shaken, mut decoder) = (0, Decoder::new(usize::MAX >> 1));
    let mut arrivals = Vec::new();
    for (at, bytes) in call {
        let skipped = bytes.len().min(HANDSHAKE - shaken);
        shaken += skipped;
        let mut rest = &bytes[skipped..];
        while let Some(message) = decoder.receive(&mut rest).expect("chunks without a fault") {
            let body = &message.payload;
            let what = match message.kind {
                kind::SET_CHUNK_SIZE => {
                    decoder.set_chunk_size(u32::from_be_bytes(body[..].try_into().unwrap())).unwrap();
                    continue;
                }
                kind::DATA => What::Metadata,
                kind::AUDIO => match AudioTag::parse(body).expect("sound that FLV knows") {
                    AudioTag::AacSequenceHeader(_) => What::AudioHeader,
                    _ => What::Sound,
                },
                kind::VIDEO => match VideoTag::parse(body).expect("pictures that FLV knows").kind {
                    VideoKind::SequenceHeader => What::VideoHeader,
                    VideoKind::Frame { keyframe, .. } => What::Picture { keyframe },
                    VideoKind::EndOfSequence => continue,
                },
                _ => continue,
            };
            arrivals.push(Arrival { at: *at, ms: message.timestamp.get().into(), what });
        }
    }
    arrivals
}
