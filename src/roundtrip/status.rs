//! What the status page shows of the round trip.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::media::Moment;
use crate::outside::{ShownUrl, Text};

/// A snapshot; durations are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub connected: bool,
    /// The processor's address, without secrets.
    pub url: ShownUrl,
    /// Largest message that the server said it takes.
    pub max_payload: Option<usize>,
    /// Connections made so far.
    pub connections: u64,
    /// Connections that were ended from this side, by reason.
    #[serde(skip)]
    pub closed: BTreeMap<&'static str, u64>,
    /// Fragments that the processor holds.
    pub in_flight: usize,
    /// Fragments that wait for room in the window or for a connection.
    pub queued: usize,
    /// Fragments sent, without repetitions.
    pub sent: u64,
    /// Sent once more on a new connection.
    pub resent: u64,
    /// Sent once more after an error that may pass.
    pub retried: u64,
    pub processed: u64,
    /// Batches without processed audio, by [`super::Failure::reason`].
    pub fallbacks: BTreeMap<&'static str, u64>,
    pub acknowledged: u64,
    /// Answers after the deadline.
    pub late_answers: u64,
    /// Answers to what was answered already.
    pub duplicates: u64,
    /// Answers to what was never asked.
    pub unknown_ids: u64,
    /// Messages that broke the protocol.
    pub bad_messages: u64,
    pub latency: Latency,
    /// All of them since the start.
    #[serde(skip)]
    pub latencies: Histogram,
    /// The smallest `processingBudget` with which every answer so far, the late ones included, would have
    /// been in time.
    pub budget_needed: Option<f64>,
    pub breaker: BreakerState,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    pub last_error: Option<Text>,
    /// Why there is no connection; none while there is one, and before the first attempt has failed.
    #[serde(skip)]
    pub away: Option<Away>,
    /// What the processor last said in a `fragment:status`.
    pub processor_status: Option<Text>,
    /// The fragments that were sent and whose outcome was not taken yet, oldest first.
    #[serde(skip)]
    pub fragments: Vec<FragmentTimes>,
}

/// The processor cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// A sentence without secrets, which names the processor.
    pub error: Text,
    /// When the next attempt is made.
    pub retry_at: Moment,
}

/// What is known of a fragment before its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentTimes {
    pub number: u64,
    /// The last time.
    pub sent_at: Moment,
    /// By an answer or an error.
    pub answered_at: Option<Moment>,
}

impl Status {
    /// All batches without processed audio.
    pub fn fallbacks_total(&self) -> u64 {
        self.fallbacks.values().sum()
    }
}

/// How long answers take, late ones included, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    pub last: Option<f64>,
    /// Median of the last [`LATENCIES`].
    pub p50: Option<f64>,
    /// Largest ever.
    pub max: Option<f64>,
}

/// The state of the circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BreakerState {
    /// Fragments are sent.
    #[default]
    Closed,
    /// Nothing is sent until the next probe is due.
    Open,
    /// One fragment is out to see whether the processor works again.
    HalfOpen,
}

/// How many latencies the median looks back on: half an hour of 30 s batches.
const LATENCIES: usize = 60;

/// The recent latencies.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    recent: VecDeque<Duration>,
    max: Option<Duration>,
    all: Histogram,
}

/// Upper bounds in milliseconds: from an echo on this machine to the longest budget.
static BOUNDS: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 20_000, 30_000, 60_000, 300_000];

impl Default for Latencies {
    fn default() -> Self {
        Self { recent: VecDeque::new(), max: None, all: Histogram::new(&BOUNDS) }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        if self.recent.len() == LATENCIES {
            self.recent.pop_front();
        }
        self.recent.push_back(latency);
        self.max = self.max.max(Some(latency));
        self.all.record(latency);
    }

    pub(super) fn all(&self) -> &Histogram {
        &self.all
    }

    pub(super) fn summary(&self) -> Latency {
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        Latency {
            last: self.recent.back().map(Duration::as_secs_f64),
            p50: sorted.get(sorted.len() / 2).map(Duration::as_secs_f64),
            max: self.max.map(|max| max.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_look_back_a_bounded_way() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), Latency::default());
        latencies.add(Duration::from_secs(100));
        for second in 1..=LATENCIES as u64 {
            latencies.add(Duration::from_secs(second));
        }
        let expected = Latency { last: Some(60.0), p50: Some(31.0), max: Some(100.0) };
        assert_eq!(latencies.summary(), expected);
        assert_eq!(latencies.recent.len(), LATENCIES);
    }
}
