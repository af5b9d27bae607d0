//! Hours and weeks of a live playlist with injected faults, seeded, against an omniscient judge: what a perfect client
//! could have seen is given exactly once, in order, and the playlist is never read faster than RFC 8216 6.3.4
//! allows.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::hls::playlist::Media;

const SEGMENT: Duration = Duration::from_secs(4);
const WINDOW: u64 = 8;
const HOURS: u64 = 6;
const WEEK: u64 = 7 * 24;

/// An encoder and the servers in front of it.
struct Origin {
    /// When the present numbering began, and its first segment's global index.
    epoch_at: Moment,
    epoch_first: u64,
    epoch: u64,
    dates: bool,
    /// While the encoder makes nothing.
    frozen_until: Moment,
    made: u64,
}

impl Origin {
    fn new(dates: bool) -> Self {
        Self { epoch_at: Moment::ZERO, epoch_first: 0, epoch: 0, dates, frozen_until: Moment::ZERO, made: 20 }
    }

    /// Makes what is due between two moments a second apart.
    fn tick(&mut self, now: Moment) {
        let due = now.saturating_since(self.epoch_at).as_secs().is_multiple_of(SEGMENT.as_secs());
        if due && now >= self.frozen_until {
            self.made += 1;
        }
    }

    /// Starts to number from 0 again, with one segment made.
    fn restart(&mut self, now: Moment) {
        self.epoch += 1;
        self.epoch_first = self.made;
        self.epoch_at = now;
        self.made += 1;
    }

    /// What a server that is `lag` segments behind answers. The URI carries the global index.
    fn playlist(&self, lag: u64) -> Media {
        let end = (self.made - lag.min(self.made - self.epoch_first)).max(self.epoch_first);
        let first = end.saturating_sub(WINDOW).max(self.epoch_first);
        let segments = (first..end)
            .map(|index| SegmentRef {
                sequence: index - self.epoch_first,
                uri: format!("http://h/{}/seg-{}.ts#{index}", self.epoch, index - self.epoch_first),
                duration: SEGMENT,
                discontinuity: false,
                discontinuity_sequence: 0,
                gap: false,
                key: None,
                map: None,
                byte_range: None,
                program_date_time: self.dates.then(|| date(index)),
                cue: None,
            })
            .collect();
        Media {
            target_duration: SEGMENT,
            media_sequence: first - self.epoch_first,
            kind: None,
            ended: false,
            start: None,
            iframes_only: false,
            skip: None,
            date_ranges: Vec::new(),
            segments,
        }
    }
}

fn date(index: u64) -> String {
    let seconds = index * SEGMENT.as_secs();
    let (day, hour, minute) = (1 + seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{:02}Z", seconds % 60)
}

fn index_of(segment: &SegmentRef) -> u64 {
    segment.uri.split_once('#').and_then(|(_, index)| index.parse().ok()).expect("made above")
}

#[derive(Default)]
struct Outcome {
    /// Global indices, in the order in which they were given.
    given: Vec<u64>,
    /// Those that some answer listed.
    visible: BTreeSet<u64>,
    /// Global indices that begin a period.
    begins: Vec<u64>,
    missed: u64,
    restarts: u64,
    counters: Counters,
}

struct Faults {
    lag: f64,
    failure: f64,
    freeze: f64,
    /// The source is away for minutes, longer than the window.
    outage: f64,
    restart: f64,
}

fn simulate(seed: u64, dates: bool, hours: u64, faults: &Faults) -> Outcome {
    let mut random = StdRng::seed_from_u64(seed);
    let mut origin = Origin::new(dates);
    let mut cursor = Cursor::new(3);
    let mut outcome = Outcome::default();
    let (mut away_until, mut last) = (Moment::ZERO, None::<(Moment, (u64, u64), bool)>);
    let mut quiet_until = 60;
    for second in 0..hours * 3600 {
        let now = Moment::from_start(Duration::from_secs(second));
        origin.tick(now);
        // One large fault at a time, with a minute between: what two at once mean is anyone's guess.
        if second > quiet_until {
            if random.random_bool(faults.freeze) {
                origin.frozen_until = now + Duration::from_secs(random.random_range(5..60));
                quiet_until = second + 120;
            } else if random.random_bool(faults.outage) {
                away_until = now + Duration::from_secs(random.random_range(40..300));
                quiet_until = second + 420;
            } else if random.random_bool(faults.restart) {
                origin.restart(now);
                outcome.restarts += 1;
                quiet_until = second + 120;
            }
        }
        if cursor.reload_at().is_none_or(|due| due > now) {
            continue;
        }
        if now < away_until || random.random_bool(faults.failure) {
            cursor.handle_reload_failed(Duration::from_secs(1), now);
            continue;
        }
        let lag = if random.random_bool(faults.lag) { random.random_range(1..=2) } else { 0 };
        let media = origin.playlist(lag);
        let shape = (media.media_sequence, media.end());
        let changed = last.is_none_or(|(_, before, _)| before != shape);
        if let Some((before, _, changed_then)) = last {
            let least = if changed_then { SEGMENT } else { SEGMENT / 2 };
            assert!(now.saturating_since(before) >= least, "seed {seed}: read too fast");
        }
        last = Some((now, shape, changed));
        // What a server that lags shows of the time before our position comes too late for an order.
        let position = outcome.given.last().copied();
        let shown = media.segments.iter().map(index_of);
        outcome.visible.extend(shown.filter(|index| position.is_none_or(|position| *index > position)));
        cursor.handle_playlist(&media, now, now);
        while let Some(next) = cursor.take_next() {
            match next {
                Next::Segment(listed) => {
                    let index = index_of(&listed.segment);
                    if listed.discontinuity {
                        outcome.begins.push(index);
                    }
                    outcome.given.push(index);
                }
                Next::Missed(missed) => outcome.missed += missed.count,
            }
        }
    }
    outcome.counters = cursor.counters();
    outcome
}

/// All that was visible since the start, once, in order; but for what the last answers still hold.
fn assert_complete(outcome: &Outcome, seed: u64) {
    let first = outcome.given[0];
    assert!(outcome.given.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: repeated or out of order");
    let given: BTreeSet<u64> = outcome.given.iter().copied().collect();
    let lost: Vec<&u64> = outcome.visible.range(first..).filter(|index| !given.contains(index)).collect();
    assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
}

const CALM: Faults = Faults { lag: 0.0, failure: 0.0, freeze: 0.0, outage: 0.0, restart: 0.0 };

#[test]
fn hours_with_lagging_servers_failures_and_freezes_lose_and_repeat_nothing() {
    for seed in 0..10 {
        let faults = Faults { lag: 0.3, failure: 0.2, freeze: 0.001, ..CALM };
        for dates in [false, true] {
            let outcome = simulate(seed, dates, HOURS, &faults);
            assert_complete(&outcome, seed);
            assert!(outcome.begins.is_empty() && outcome.missed == 0, "seed {seed}");
            assert!(outcome.given.len() > 4000 && outcome.counters.lagging > 100, "seed {seed}");
        }
    }
}

#[test]
fn outages_longer_than_the_window_are_counted_to_the_segment() {
    for seed in 0..10 {
        for dates in [false, true] {
            let outcome = simulate(seed, dates, HOURS, &Faults { outage: 0.001, lag: 0.1, ..CALM });
            assert_complete(&outcome, seed);
            let (first, last) = (outcome.given[0], outcome.given[outcome.given.len() - 1]);
            let holes = last + 1 - first - outcome.given.len() as u64;
            assert_eq!(outcome.missed, holes, "seed {seed}");
            assert!(holes > 50 && outcome.begins.is_empty(), "seed {seed}: {holes}");
        }
    }
}

#[test]
fn every_restart_begins_a_period_and_loses_nothing() {
    for seed in 0..10 {
        for dates in [false, true] {
            let outcome = simulate(seed, dates, HOURS, &Faults { restart: 0.001, failure: 0.1, ..CALM });
            assert_complete(&outcome, seed);
            assert!(outcome.restarts > 5, "seed {seed}");
            assert_eq!(outcome.begins.len() as u64, outcome.restarts, "seed {seed}");
            assert_eq!(outcome.counters.restarts, outcome.restarts, "seed {seed}");
        }
    }
}

#[test]
fn a_week_of_all_faults_loses_and_repeats_nothing_that_was_there_to_be_had() {
    for seed in 0..2 {
        for dates in [false, true] {
            let faults = Faults { lag: 0.3, failure: 0.1, freeze: 2e-4, outage: 1e-4, restart: 1e-4 };
            let outcome = simulate(seed, dates, WEEK, &faults);
            assert_complete(&outcome, seed);
            assert_eq!(outcome.begins.len() as u64, outcome.restarts, "seed {seed}");
            assert_eq!(outcome.counters.restarts, outcome.restarts, "seed {seed}");
            assert!(outcome.restarts > 20 && outcome.missed > 200, "seed {seed}");
            assert!(outcome.given.len() > 140_000, "seed {seed}: {}", outcome.given.len());
        }
    }
}
