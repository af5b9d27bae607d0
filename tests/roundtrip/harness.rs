//! A client under test, with both ends of its channels.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overdub::clock::Clock;
use overdub::echo;
use overdub::media::{AudioParams, AudioTrack, Flicks, StreamId, mp4};
use overdub::roundtrip::{self, Outcome, Request, Settings, Status};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer; what hangs is a failure and not a hang.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) clock: Clock,
    /// `None` once there are no more requests.
    pub(crate) requests: Option<mpsc::Sender<Request>>,
    pub(crate) outcomes: mpsc::Receiver<Outcome>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Client {
    pub(crate) fn start(url: &str) -> Self {
        Self::with(settings(url))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let clock = Clock::start();
        let (requests, requested) = mpsc::channel(16);
        let (ended, outcomes) = mpsc::channel(16);
        let (shown, status) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let playout = watch::channel(None).1;
        let run = roundtrip::run(settings, clock, requested, ended, shown, playout, stop.clone());
        let task = tokio::spawn(run);
        Self { clock, requests: Some(requests), outcomes, status, stop, task }
    }

    /// Asks for batch `number` to be processed within `allowed`.
    pub(crate) async fn request(&self, number: u64, audio: &Bytes, allowed: Duration) {
        let request = Request {
            number,
            audio: audio.clone(),
            duration: duration(audio),
            context: (0, 0),
            pts: Flicks::from_millis(1_400),
            params: params(),
            program_date_time: None,
            file_name: "audio.fmp4".to_owned(),
            deadline: self.clock.now() + allowed,
            plays_at: Flicks::ZERO,
        };
        self.requests.as_ref().expect("not closed").send(request).await.expect("the client runs");
    }

    pub(crate) async fn outcome(&mut self) -> Outcome {
        let outcome = tokio::time::timeout(PATIENCE, self.outcomes.recv()).await.expect("an outcome in time");
        outcome.expect("the client runs")
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&mut self, what: &str, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.status.clone();
        let waited = tokio::time::timeout(PATIENCE, status.wait_for(wanted)).await;
        match waited {
            Ok(Ok(status)) => status.clone(),
            _ => panic!("{what} never came: {:#?}", self.status.borrow()),
        }
    }

    /// No more requests: the client ends by itself.
    pub(crate) async fn finish(mut self) -> Status {
        self.requests = None;
        tokio::time::timeout(PATIENCE, &mut self.task).await.expect("the client ends").expect("no panic");
        self.status.borrow().clone()
    }
}

pub(crate) fn settings(url: &str) -> Settings {
    Settings::new(url.parse().expect("a URL"), StreamId::new("test").expect("an id"))
}

/// How long `audio` plays, ADTS or MP4 at 48 kHz.
fn duration(audio: &Bytes) -> Flicks {
    let frames = match overdub_fmp4::parse(audio) {
        Ok(movie) => movie.tracks[0].samples.len() as i64,
        Err(_) => {
            let (mut at, mut frames) = (0, 0);
            while let Some([0xFF, 0xF1, _, a, b, c, ..]) = audio.get(at..) {
                at += usize::from(a & 3) << 11 | usize::from(*b) << 3 | usize::from(c >> 5);
                frames += 1;
            }
            frames
        }
    };
    Flicks::from_samples(frames * 1024, 48_000)
}

fn params() -> Arc<AudioParams> {
    Arc::new(AudioParams::plain_aac())
}

/// `count` ADTS frames of `len` bytes of payload `fill` each: what the echo sends back can be taken apart.
pub(crate) fn adts(count: usize, len: usize, fill: u8) -> Bytes {
    let size = len + 7;
    let mut frame = vec![0xFF, 0xF1, 0x4C, 0x80 | (size >> 11) as u8, (size >> 3) as u8];
    frame.extend([(size << 5) as u8 | 0x1F, 0xFC]);
    frame.resize(size, fill);
    frame.repeat(count).into()
}

/// Fragmented MP4 of `count` frames that differ, as the service sends it.
pub(crate) fn fmp4(count: usize) -> Bytes {
    let frames = (0..count).map(|k| Bytes::from(format!("frame {k}"))).collect();
    let track = AudioTrack { params: params(), start: Flicks::ZERO, frames };
    mp4::file(None, Some(&track), Flicks::ZERO).expect("writable").to_bytes()
}

/// Our own echo processor, serving until dropped.
pub(crate) struct Echo {
    pub(crate) url: String,
    stop: CancellationToken,
}

impl Echo {
    pub(crate) async fn start(options: echo::Options) -> Self {
        let server = echo::Server::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
        let url = format!("http://{}", server.local_addr().expect("bound"));
        let stop = CancellationToken::new();
        tokio::spawn(server.run(stop.clone()));
        Self { url, stop }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
