//! A run of `hls::run` under test, and what it yields.

use std::time::Duration;

use overdub::clock::Clock;
use overdub::hls::{self, Error, Event, Segment, Settings, Status, Timeouts};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::origin::segment;

/// Short waits: the tests' target duration is 1 s.
pub(crate) fn settings(url: Url) -> Settings {
    let timeouts = Timeouts {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_millis(500),
        idle: Duration::from_millis(700),
    };
    let (startup_budget, segment_life) = (Duration::from_secs(2), Duration::from_secs(3));
    Settings { timeouts, startup_budget, segment_life, ..Settings::new(url) }
}

pub(crate) struct Run {
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

pub(crate) fn run(settings: Settings) -> Run {
    let (out, events) = mpsc::channel(4);
    let (status_out, status) = watch::channel(Status::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(hls::run(settings, Clock::start(), 1000, out, status_out, stop.clone()));
    Run { events, status, stop, task }
}

/// What was delivered and lost.
#[derive(Default)]
pub(crate) struct Got {
    pub(crate) segments: Vec<Segment>,
    pub(crate) lost: Vec<(u64, String)>,
    pub(crate) ended: bool,
    /// The last one told.
    pub(crate) target: Option<Duration>,
}

impl Run {
    /// Takes events until `count` segments came, the stream ended, or 20 s passed.
    pub(crate) async fn take(&mut self, count: usize) -> Got {
        let mut got = Got::default();
        let deadline = tokio::time::sleep(Duration::from_secs(20));
        tokio::pin!(deadline);
        while got.segments.len() < count && !got.ended {
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = &mut deadline => panic!("{} of {count} segments within 20 s", got.segments.len()),
            };
            match event {
                Some(Event::Segment(segment)) => got.segments.push(segment),
                Some(Event::Lost { media_sequence, reason, .. }) => {
                    got.lost.push((media_sequence, reason.to_string()));
                }
                Some(Event::Ended) => got.ended = true,
                Some(Event::Renditions { separate_audio }) => {
                    assert!(got.segments.is_empty() && !separate_audio);
                }
                Some(Event::TargetDuration(target)) => got.target = Some(target),
                None => panic!("the run ended after {} segments", got.segments.len()),
            }
        }
        got
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("a stop is no error");
    }
}

/// The same segments, each once, in order, whole, numbered without a hole.
pub(crate) fn assert_clean(got: &Got, without: &[u64]) {
    let first = got.segments[0].media_sequence.min(without.first().copied().unwrap_or(u64::MAX));
    let expected: Vec<u64> =
        (first..).filter(|sequence| !without.contains(sequence)).take(got.segments.len()).collect();
    let sequences: Vec<u64> = got.segments.iter().map(|segment| segment.media_sequence).collect();
    assert_eq!(sequences, expected);
    let lost: Vec<u64> = got.lost.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(lost, without, "{:?}", got.lost);
    for (captured, number) in got.segments.iter().zip(1000..) {
        assert_eq!(captured.number, number);
        assert_eq!(captured.data, segment(captured.media_sequence));
        assert_eq!(captured.extension, "ts");
    }
}
