//! The innocent stream beside an attack: its source, its processor and its RTMP server, on a thread of their own, so
//! that what an attack costs this process does not delay them.

use std::thread;
use std::time::Duration;

use overdub::clock::Clock;
use overdub::demo::Surroundings;
use overdub::histogram::Histogram;
use overdub::sink::{Report, Violation};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub const STREAM: &str = "neighbour";

/// Ends with its value.
pub struct Neighbour {
    around: Surroundings,
    stop: CancellationToken,
}

/// What was seen of it so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    publications: usize,
    report: Report,
    dropped: u64,
    fallbacks: u64,
    gaps: u64,
    held: u64,
}

/// What an attack did to it.
#[derive(Clone, Debug, Default)]
pub struct Harm {
    /// Lateness of its packets at the server, in milliseconds: median, 99th percentile, worst.
    pub late: [u64; 3],
    pub frames: u64,
    pub dropped: u64,
    pub fallbacks: u64,
    pub gaps: u64,
    /// Something stood for the source.
    pub held: u64,
    pub reconnects: u64,
    /// Rules that the output broke, lateness aside.
    pub violations: Vec<String>,
}

impl Neighbour {
    pub async fn start() -> Self {
        let stop = CancellationToken::new();
        let (started, around) = oneshot::channel();
        let stopped = stop.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let around = Surroundings::start(Clock::start(), &stopped).await.expect("ports on loopback");
                let _ = started.send(around);
                stopped.cancelled().await;
            });
        });
        Self { around: around.await.expect("it started"), stop }
    }

    pub fn source_url(&self) -> String {
        self.around.source_url()
    }

    /// Where a stream of this name is published.
    pub fn rtmp_url(&self, stream: &str) -> String {
        self.around.rtmp_url(stream)
    }

    pub fn settings(&self) -> Value {
        json!({
            "streamId": STREAM, "sourceUrl": self.around.source_url(), "srsRtmpUrl": self.rtmp_url(STREAM),
            "audioProcessorUrl": self.around.processor_url(), "bufferDuration": 2, "processingBudget": 4,
            "artifacts": "none",
        })
    }

    /// `status` is the service's own of this stream.
    pub fn seen(&self, status: &Value) -> Seen {
        let publications: Vec<Report> =
            self.around.reports().all().into_iter().filter(|report| report.key == STREAM).collect();
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        let outputs = status["modules"]["streamPublisher"]["outputs"].as_array();
        Seen {
            publications: publications.len(),
            report: publications.into_iter().next_back().unwrap_or_default(),
            dropped: outputs.into_iter().flatten().map(|output| count(&output["packetsDropped"])).sum(),
            fallbacks: count(&status["stats"]["batchesFallback"]),
            gaps: count(&status["stats"]["gaps"]),
            held: count(&status["stats"]["hold"]["count"]),
        }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Seen {
    pub fn seconds_published(&self) -> u64 {
        self.report.video.packets / 25
    }

    /// What happened since `before`.
    pub fn since(&self, before: &Self) -> Harm {
        let again = self.publications != before.publications;
        let (new, old) = (&self.report, &before.report);
        let rules = |report: &Report| -> Vec<String> {
            let late = |violation: &&Violation| {
                !matches!(violation, Violation::Late { .. } | Violation::Early { .. })
            };
            report.violations.iter().filter(late).map(ToString::to_string).collect()
        };
        let known = if again { 0 } else { rules(old).len() };
        let worst = new.latest + new.earliest;
        let late = |part| quantile(&new.late, &old.late, part).unwrap_or(worst).min(worst).as_millis() as u64;
        Harm {
            late: [late(0.5), late(0.99), late(1.0)],
            frames: new.video.packets.saturating_sub(if again { 0 } else { old.video.packets }),
            dropped: self.dropped - before.dropped,
            fallbacks: self.fallbacks - before.fallbacks,
            gaps: self.gaps - before.gaps,
            held: self.held - before.held,
            reconnects: (self.publications - before.publications) as u64,
            violations: rules(new).split_off(known),
        }
    }
}

/// The bound below which `part` lies of what `new` counted beyond `old`; `None` above the last bound.
fn quantile(new: &Histogram, old: &Histogram, part: f64) -> Option<Duration> {
    let counted = new.count().saturating_sub(old.count());
    let wanted = (counted as f64 * part).ceil() as u64;
    let old: Vec<u64> = old.cumulative().map(|(_, count)| count).collect();
    let mut bounds = new.cumulative().enumerate();
    let (_, (bound, _)) = bounds.find(|(at, (_, count))| count - old.get(*at).unwrap_or(&0) >= wanted)?;
    Some(Duration::from_secs_f64(bound))
}
