//! What the outside may know about an output. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::media::{Flicks, Moment};
use crate::outside::{ShownUrl, Text};

/// The bitrate is an average over this long: long enough for one GOP, short enough to show a change.
const BITRATE_WINDOW: Duration = Duration::from_secs(5);

/// What an output is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    #[default]
    Connecting,
    /// A server answers there. The stream is published once media is about to be due.
    Ready,
    Publishing,
    /// The connection failed; the next attempt is made after a pause.
    Waiting,
    Ended,
}

/// A snapshot of one output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    pub state: State,
    /// The address without stream key and query.
    pub url: ShownUrl,
    /// Bytes of the wire, of all connections.
    pub bytes_sent: u64,
    pub packets_sent: u64,
    /// Packets that were too old, had no reference picture, or have a codec that RTMP cannot carry.
    pub packets_dropped: u64,
    /// Bits per second over the last 5 s.
    pub bitrate: f64,
    pub lateness: Lateness,
    /// The same of all packets since the start.
    pub late: Histogram,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Why the last connection or attempt failed; `None` before the first failure.
    pub last_error: Option<Text>,
    /// When the next attempt is made, while waiting for it.
    pub retry_at: Option<Moment>,
    /// Output DTS of the packet sent last.
    pub position: Option<Flicks>,
}

impl Status {
    /// Media can be sent.
    pub fn is_connected(&self) -> bool {
        self.state == State::Publishing
    }
}

/// How much later than planned packets left: from a packet's planned moment (its due time less the lead)
/// until its last byte was handed to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lateness {
    pub last: Duration,
    /// Upper bounds of the histogram's buckets.
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Upper bounds of the buckets in milliseconds; one more bucket holds the rest.
static BOUNDS: [u64; 22] =
    [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000];

/// Counts of lateness since the start.
#[derive(Debug)]
pub(super) struct Lates {
    counts: Histogram,
    last: Duration,
    max: Duration,
}

impl Default for Lates {
    fn default() -> Self {
        Self { counts: Histogram::new(&BOUNDS), last: Duration::ZERO, max: Duration::ZERO }
    }
}

impl Lates {
    pub(super) fn record(&mut self, late: Duration) {
        self.counts.record(late);
        self.last = late;
        self.max = self.max.max(late);
    }

    pub(super) fn counts(&self) -> &Histogram {
        &self.counts
    }

    pub(super) fn summary(&self) -> Lateness {
        let quantile = |part| self.counts.quantile(part).unwrap_or(self.max).min(self.max);
        Lateness { last: self.last, p50: quantile(0.5), p99: quantile(0.99), max: self.max }
    }
}

/// Bytes over the last seconds.
#[derive(Debug, Default)]
pub(super) struct Bitrate {
    marks: VecDeque<(Moment, u64)>,
}

impl Bitrate {
    /// Bits per second up to `now`, when `total` bytes had been sent. Call it a few times a second: each
    /// call keeps one mark.
    pub(super) fn at(&mut self, now: Moment, total: u64) -> f64 {
        self.marks.push_back((now, total));
        while self.marks.len() > 2
            && self.marks.get(1).is_some_and(|(at, _)| now.saturating_since(*at) >= BITRATE_WINDOW)
        {
            self.marks.pop_front();
        }
        let Some((since, before)) = self.marks.front() else { return 0.0 };
        let seconds = now.saturating_since(*since).as_secs_f64();
        if seconds > 0.0 { (total - before) as f64 * 8.0 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bounds_of_their_bucket_and_never_above_the_maximum() {
        let mut histogram = Lates::default();
        assert_eq!(histogram.summary(), Lateness::default());
        for ms in (0..99).map(|_| 4).chain([900]) {
            histogram.record(Duration::from_millis(ms));
        }
        let ms = Duration::from_millis;
        let expected = Lateness { last: ms(900), p50: ms(4), p99: ms(4), max: ms(900) };
        assert_eq!(histogram.summary(), expected);
        histogram.record(ms(90_000));
        assert_eq!(histogram.summary().p99, ms(1000));
        let mut one = Lates::default();
        one.record(ms(9_000));
        assert_eq!(one.summary().p50, ms(9_000));
    }

    #[test]
    fn the_bitrate_forgets_what_is_older_than_its_window() {
        let mut bitrate = Bitrate::default();
        let at = |half_seconds| Moment::from_start(Duration::from_millis(500 * half_seconds));
        assert_eq!(bitrate.at(at(0), 0), 0.0);
        for step in 1..=40 {
            assert_eq!(bitrate.at(at(step), step * 50_000), 800_000.0);
        }
        for step in 41..=50 {
            bitrate.at(at(step), 40 * 50_000);
        }
        assert_eq!(bitrate.at(at(51), 40 * 50_000), 0.0);
        assert!(bitrate.marks.len() <= 12);
    }
}
