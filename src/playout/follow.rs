//! Learns the rate of the source's clock from when its media arrives. Pure.
//!
//! Of one arrival little can be said: a segment is seen when the playlist is read again, up to half a target
//! duration after it could have been, and fetched as fast as the network is. But no segment arrives before it
//! exists. So of each five minutes only the most prompt arrival counts (the lower envelope), and the slope of
//! these over hours is how much faster the source's clock runs than ours. A stall, a late segment, a burst of
//! the past are all late and leave no trace.
//!
//! A rate alone would let what is left of its error add up. So the slack is watched too: how long before its
//! playout media is there. What it has lost or gained is brought back over two
//! hours.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Playout, Rate};
use crate::media::{Flicks, Moment};

/// Of so long a window the most prompt arrival counts: fifty segments of 6 s...
const WINDOW: Duration = Duration::from_secs(300);
/// ... and where it has fewer than this it goes on, so that a single late one does not speak for it.
const LEAST_ARRIVALS: u32 = 3;
/// Windows that the slope is taken over: four hours, in which a tenth of a second of noise is 7 ppm.
const HISTORY: usize = 48;
/// Windows before there is a slope at all...
const LEAST_HISTORY: usize = 4;
/// ... and the number at which it weighs as much as what was believed before.
const HALF_TRUST: f64 = 12.0;
/// The slack is the most of so many windows: a quarter of an hour of late arrivals is no drift.
const LEVEL: usize = 3;
/// In which time an error of the slack is brought back: 50 ppm that nobody has noticed yet cost 0.36 s, a tenth
/// of a second of noise costs 14 ppm.
const SETTLE_SECONDS: f64 = 7_200.0;
/// Slack that is off by more than this is no drift, which is brought back long before: the source is nearer or
/// farther than it was. That is its new place; the pace is not changed for hours to undo it.
const STEP_SECONDS: f64 = 1.5;
/// What is asked of a clock between two changes of the rate that are worth making, in ppm.
const HYSTERESIS_PPM: f64 = 0.5;

/// Call [`Follower::handle_arrival`] for what arrives; it says when the playout has to go on at another rate.
#[derive(Debug)]
pub struct Follower {
    longest_batch: Duration,
    open: Option<Window>,
    windows: VecDeque<Arrival>,
    /// The source's deviation, believed before the windows say better.
    believed: f64,
    /// The slack that is kept, in seconds.
    kept: Option<f64>,
    rate: Rate,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Moment,
    arrivals: u32,
    best: Arrival,
}

/// Media up to some output time was there.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// When, in seconds.
    at: f64,
    /// Wall clock less output time, in seconds: the smaller, the more prompt.
    offset: f64,
    /// How long before its playout, less the longest batch, in seconds.
    slack: f64,
}

impl Follower {
    /// `longest_batch`: what lies between the capture of a sample and that of its whole batch at most.
    pub fn new(longest_batch: Duration) -> Self {
        Self {
            longest_batch,
            open: None,
            windows: VecDeque::with_capacity(HISTORY),
            believed: 0.0,
            kept: None,
            rate: Rate::EXACT,
        }
    }

    /// The target duration is known, or changed.
    pub fn set_longest_batch(&mut self, longest_batch: Duration) {
        if longest_batch != self.longest_batch {
            self.longest_batch = longest_batch;
            self.handle_move();
        }
    }

    /// Media up to output time `end` had arrived at `at`. Returns the rate at which the playout has to go on,
    /// where that is another one.
    pub fn handle_arrival(&mut self, at: Moment, end: Flicks, playout: &Playout) -> Option<Rate> {
        let arrival = Arrival {
            at: at.since_start().as_secs_f64(),
            offset: at.since_start().as_secs_f64() - end.to_secs_f64(),
            slack: playout.due(end).since(at).to_secs_f64() - self.longest_batch.as_secs_f64(),
        };
        let open = self.open.get_or_insert(Window { began: at, arrivals: 0, best: arrival });
        open.arrivals += 1;
        if arrival.offset < open.best.offset {
            open.best = arrival;
        }
        if open.arrivals < LEAST_ARRIVALS || at.saturating_since(open.began) < WINDOW {
            return None;
        }
        let best = open.best;
        self.open = None;
        self.close(best);
        let rate = self.decide();
        (rate != self.rate).then(|| {
            self.rate = rate;
            rate
        })
    }

    /// The playout or the source's place on the output axis was moved: what was seen of the slack is of no more
    /// use; what was learnt of the rate is.
    pub fn handle_move(&mut self) {
        self.believed = self.source_ppm();
        self.windows.clear();
        (self.open, self.kept) = (None, None);
    }

    /// How long before its playout a batch of the longest length is whole, in seconds, where its last segment
    /// comes as promptly as the promptest of the last minutes. At the start that is the processing budget.
    pub fn slack(&self) -> Option<f64> {
        let open = self.open.map(|open| open.best);
        let recent = self.windows.iter().rev().take(LEVEL).chain(&open);
        recent.map(|arrival| arrival.slack).reduce(f64::max)
    }

    fn close(&mut self, best: Arrival) {
        if self.windows.len() == HISTORY {
            self.windows.pop_front();
        }
        self.windows.push_back(best);
        let Some(level) = self.slack() else { return };
        let kept = *self.kept.get_or_insert(level);
        // The first windows find out how prompt the source can be.
        let beginning = self.windows.len() <= LEVEL;
        if beginning {
            self.kept = Some(kept.max(level));
        } else if (level - kept).abs() > STEP_SECONDS && self.is_steady(level) {
            self.handle_move();
        }
    }

    /// The last windows agree on the level: it is none that will be another one in the next.
    fn is_steady(&self, level: f64) -> bool {
        self.windows.iter().rev().take(LEVEL).all(|window| (window.slack - level).abs() <= STEP_SECONDS)
    }

    fn decide(&self) -> Rate {
        let error = match (self.slack(), self.kept) {
            (Some(level), Some(kept)) => (level - kept).clamp(-STEP_SECONDS, STEP_SECONDS),
            _ => 0.0,
        };
        let rate = Rate::from_ppm(self.source_ppm() + error / SETTLE_SECONDS * 1e6);
        if (rate.ppm() - self.rate.ppm()).abs() < HYSTERESIS_PPM { self.rate } else { rate }
    }

    /// How much faster the source's clock runs than ours.
    fn source_ppm(&self) -> f64 {
        let Some(slope) = self.slope() else { return self.believed };
        let count = (self.windows.len() as f64 / HALF_TRUST).powi(2);
        self.believed + (-slope * 1e6 - self.believed) * count / (count + 1.0)
    }

    /// The median of the slopes between all pairs of windows (Theil and Sen): a third of them may be wrong.
    fn slope(&self) -> Option<f64> {
        if self.windows.len() < LEAST_HISTORY {
            return None;
        }
        let mut slopes = Vec::with_capacity(HISTORY * (HISTORY - 1) / 2);
        for (index, first) in self.windows.iter().enumerate() {
            let later = self.windows.iter().skip(index + 1);
            slopes.extend(later.map(|last| (last.offset - first.offset) / (last.at - first.at).max(1.0)));
        }
        let middle = slopes.len() / 2;
        let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
        Some(*median)
    }
}
