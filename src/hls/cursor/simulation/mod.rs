//! Hours and weeks of a live playlist with injected faults, seeded, against an omniscient judge: what a perfect client
//! could have seen is given exactly once, in order, and the playlist is never read faster than RFC 8216 6.3.4
//! allows. What is given is fetched, by the rules of `attempt`: what was there to be fetched within its useful life
//! is there, and nothing is fetched again that is.

mod origin;

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use self::origin::{Origin, index_of};
use super::*;
use crate::hls::Error;
use crate::hls::attempt::{Attempts, Limits, Verdict};
use crate::hls::playlist::Media;
use crate::outside::ShownUrl;

const SEGMENT: Duration = Duration::from_secs(4);
const WINDOW: u64 = 8;
const HOURS: u64 = 6;
const WEEK: u64 = 7 * 24;
const LIFE: Duration = Duration::from_secs(12);

/// No two attempts at a segment are further apart than the cap of their backoff, and how long one takes.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

/// How the server answers for one segment.
struct Trouble {
    error: Error,
    /// From when on it is there.
    until: Moment,
}

impl Trouble {
    /// One of every kind, from now on for some seconds; most segments have none.
    fn random(random: &mut StdRng, share: f64, now: Moment) -> Option<Self> {
        if !random.random_bool(share) {
            return None;
        }
        let url = ShownUrl::default;
        let status = |status| Error::Status { url: url(), status };
        let error = match random.random_range(0..8) {
            0 => status(404),
            1 => status(403),
            2 => status(500),
            3 => status(503),
            4 => Error::Timeout { url: url(), what: "answer", after: BETWEEN_ATTEMPTS },
            5 => Error::Truncated { url: url(), received: 1, reason: "cut".into() },
            6 => Error::Unreachable { url: url(), reason: "reset".into() },
            _ => Error::NotASegment { url: url(), reason: "it is a web page" },
        };
        Some(Self { error, until: now + Duration::from_millis(random.random_range(100..15_000)) })
    }
}

/// Fetches a segment that came at `now`: true where it was got.
fn fetch(trouble: Option<&Trouble>, random: &mut StdRng, now: Moment) -> bool {
    let Some(Trouble { error, until }) = trouble else { return true };
    let mut attempts = Attempts::begin(Limits { vod: false, live_life: LIFE }, now);
    let mut at = now;
    while at < *until {
        match attempts.handle_failure(error, true, random.random_range(0.0..1.0), at) {
            Verdict::RetryAt(next) => {
                assert!(next > at && next.saturating_since(at) <= BETWEEN_ATTEMPTS);
                at = next;
            }
            Verdict::GiveUp => return false,
        }
    }
    true
}

#[derive(Default)]
struct Outcome {
    /// Global indices, in the order in which they were given.
    given: Vec<u64>,
    /// Those that some answer listed.
    visible: BTreeSet<u64>,
    /// Global indices that begin a period.
    begins: BTreeSet<u64>,
    /// Where one had to begin: at these, or with the first given after them.
    to_begin: BTreeSet<u64>,
    fetched: BTreeSet<u64>,
    /// Those that were there to be fetched within their useful life.
    fetchable: BTreeSet<u64>,
    missed: u64,
    restarts: u64,
    switches: u64,
    counters: Counters,
}

/// How often in a second, or for what share of the answers.
#[derive(Clone, Copy)]
struct Faults {
    lag: f64,
    failure: f64,
    /// Answers to the playlist that take seconds.
    slow: f64,
    freeze: f64,
    /// The source is away for minutes, longer than the window.
    outage: f64,
    /// Numbers from 0 again, or from far ahead.
    restart: f64,
    /// An advertisement begins, or ends.
    discontinuity: f64,
    gap: f64,
    /// Another variant of the same presentation is read.
    switch: f64,
    /// Segments that are not there at once.
    trouble: f64,
}

const CALM: Faults = Faults {
    lag: 0.0,
    failure: 0.0,
    slow: 0.0,
    freeze: 0.0,
    outage: 0.0,
    restart: 0.0,
    discontinuity: 0.0,
    gap: 0.0,
    switch: 0.0,
    trouble: 0.0,
};

/// A reading of the playlist: when it began, when it ends, and what it brings.
struct Reading {
    began: Moment,
    until: Moment,
    media: Option<Media>,
}

struct Simulation {
    seed: u64,
    random: StdRng,
    origin: Origin,
    cursor: Cursor,
    outcome: Outcome,
    faults: Faults,
    variant: u64,
    away_until: Moment,
    /// Large faults come one at a time, with a minute between: what two at once mean is anyone's guess.
    quiet_until: Moment,
    reading: Option<Reading>,
    /// When the last reading that brought something began, what it showed, and whether that had changed.
    last: Option<(Moment, (u64, u64, bool), bool)>,
}

impl Simulation {
    fn new(seed: u64, dates: bool, faults: Faults) -> Self {
        Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            origin: Origin::new(dates),
            cursor: Cursor::new(3),
            outcome: Outcome::default(),
            faults,
            variant: 0,
            away_until: Moment::ZERO,
            quiet_until: at(60),
            reading: None,
            last: None,
        }
    }

    fn run(mut self, hours: u64) -> Outcome {
        for second in 0..hours * 3600 {
            self.second(at(second));
        }
        // The end: what was not seen yet is, and then nothing more.
        self.origin.ended = true;
        self.faults = CALM;
        self.away_until = Moment::ZERO;
        for second in hours * 3600..hours * 3600 + 60 {
            self.second(at(second));
        }
        assert!(
            self.cursor.is_finished() && self.cursor.reload_at().is_none(),
            "seed {}: it ends",
            self.seed
        );
        self.outcome.counters = self.cursor.counters();
        self.outcome
    }

    fn second(&mut self, now: Moment) {
        if !self.origin.ended {
            self.origin.tick(now);
            self.large_fault(now);
        }
        if let Some(reading) = self.reading.take_if(|reading| reading.until <= now) {
            self.read(reading, now);
        }
        if self.reading.is_none() && self.cursor.reload_at().is_some_and(|due| due <= now) {
            self.begin_reading(now);
        }
    }

    fn large_fault(&mut self, now: Moment) {
        if now <= self.quiet_until {
            return;
        }
        let faults = self.faults;
        let quiet;
        if self.random.random_bool(faults.freeze) {
            self.origin.frozen_until = now + Duration::from_secs(self.random.random_range(5..60));
            quiet = 120;
        } else if self.random.random_bool(faults.outage) {
            self.away_until = now + Duration::from_secs(self.random.random_range(40..300));
            quiet = 420;
        } else if self.random.random_bool(faults.restart) {
            let ahead = self.random.random_range(10_000..100_000);
            let base = if self.random.random_bool(0.5) { 0 } else { self.origin.next_number() + ahead };
            self.origin.restart(base, now);
            self.outcome.restarts += 1;
            self.outcome.to_begin.insert(self.origin.epoch_first);
            quiet = 120;
        } else if self.random.random_bool(faults.discontinuity) {
            self.origin.breaks.insert(self.origin.made);
            self.outcome.to_begin.insert(self.origin.made);
            quiet = 10;
        } else if self.random.random_bool(faults.gap) {
            self.origin.gaps.insert(self.origin.made);
            quiet = 10;
        } else if self.random.random_bool(faults.switch) && self.reading.is_none() && self.last.is_some() {
            self.variant += 1;
            let place = self.cursor.place(&[], Duration::ZERO, now);
            self.cursor.switch(place, now);
            self.outcome.switches += 1;
            let next = self.outcome.given.last().map_or(0, |last| last + 1);
            self.outcome.to_begin.insert(next);
            // Another playlist: its readings are counted anew.
            self.last = None;
            quiet = 30;
        } else {
            return;
        }
        self.quiet_until = now + Duration::from_secs(quiet);
    }

    fn begin_reading(&mut self, now: Moment) {
        let fails = now < self.away_until || self.random.random_bool(self.faults.failure);
        let slow = self.random.random_bool(self.faults.slow);
        let until = now + Duration::from_secs(if slow { self.random.random_range(1..6) } else { 0 });
        let media = (!fails).then(|| {
            let lag =
                if self.random.random_bool(self.faults.lag) { self.random.random_range(1..=2) } else { 0 };
            self.origin.playlist(lag, self.variant)
        });
        if let Some(media) = &media {
            let shape = (media.media_sequence, media.end(), media.ended);
            let changed = self.last.is_none_or(|(_, before, _)| before != shape);
            if let Some((before, _, changed_then)) = self.last {
                let least = if changed_then { SEGMENT } else { SEGMENT / 2 };
                assert!(now.saturating_since(before) >= least, "seed {}: read too fast", self.seed);
            }
            self.last = Some((now, shape, changed));
        }
        self.reading = Some(Reading { began: now, until, media });
        if until == now
            && let Some(reading) = self.reading.take()
        {
            self.read(reading, now);
        }
    }

    fn read(&mut self, reading: Reading, now: Moment) {
        let Some(media) = reading.media else {
            self.cursor.handle_reload_failed(Duration::from_secs(1), now);
            return;
        };
        // What a server that lags shows of the time before our position comes too late for an order.
        let position = self.outcome.given.last().copied();
        let shown = media.segments.iter().map(index_of);
        self.outcome.visible.extend(shown.filter(|index| position.is_none_or(|position| *index > position)));
        self.cursor.handle_playlist(&media, reading.began, now);
        while let Some(next) = self.cursor.take_next() {
            match next {
                Next::Segment(listed) => self.given(&listed, now),
                Next::Missed(missed) => self.outcome.missed += missed.count,
            }
        }
    }

    fn given(&mut self, listed: &Listed, now: Moment) {
        let index = index_of(&listed.segment);
        if listed.discontinuity {
            self.outcome.begins.insert(index);
        }
        self.outcome.given.push(index);
        if listed.segment.gap {
            return;
        }
        let trouble = Trouble::random(&mut self.random, self.faults.trouble, now);
        let last_attempt = now + LIFE.saturating_sub(BETWEEN_ATTEMPTS);
        if trouble.as_ref().is_none_or(|trouble| trouble.until <= last_attempt) {
            self.outcome.fetchable.insert(index);
        }
        if fetch(trouble.as_ref(), &mut self.random, now) {
            assert!(self.outcome.fetched.insert(index), "seed {}: {index} was fetched twice", self.seed);
        }
    }
}

fn at(second: u64) -> Moment {
    Moment::from_start(Duration::from_secs(second))
}

fn simulate(seed: u64, dates: bool, hours: u64, faults: Faults) -> Outcome {
    Simulation::new(seed, dates, faults).run(hours)
}

/// All that was visible since the start, once, in order, and fetched; periods begin where they must and nowhere
/// else.
fn assert_complete(outcome: &Outcome, seed: u64) {
    let first = outcome.given[0];
    let order = outcome.given.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(order, None, "seed {seed}: repeated or out of order");
    let given: BTreeSet<u64> = outcome.given.iter().copied().collect();
    let lost: Vec<&u64> = outcome.visible.range(first..).filter(|index| !given.contains(index)).collect();
    assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
    let not_fetched: Vec<&u64> = outcome.fetchable.difference(&outcome.fetched).collect();
    assert!(not_fetched.is_empty(), "seed {seed}: not fetched {not_fetched:?}");
    let expected = outcome.to_begin.range(first..).filter_map(|index| given.range(index..).next().copied());
    let expected: BTreeSet<u64> = expected.filter(|index| *index > first).collect();
    assert_eq!(outcome.begins, expected, "seed {seed}: periods");
    assert_eq!(outcome.counters.restarts, outcome.restarts, "seed {seed}");
    assert_eq!(outcome.counters.switches, outcome.switches, "seed {seed}");
}

#[test]
fn hours_with_lagging_servers_failures_and_freezes_lose_and_repeat_nothing() {
    for seed in 0..10 {
        let faults = Faults { lag: 0.3, failure: 0.2, slow: 0.1, freeze: 0.001, trouble: 0.1, ..CALM };
        for dates in [false, true] {
            let outcome = simulate(seed, dates, HOURS, faults);
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
            let faults = Faults { outage: 0.001, lag: 0.1, discontinuity: 0.005, ..CALM };
            let outcome = simulate(seed, dates, HOURS, faults);
            assert_complete(&outcome, seed);
            let (first, last) = (outcome.given[0], outcome.given[outcome.given.len() - 1]);
            let holes = last + 1 - first - outcome.given.len() as u64;
            assert_eq!(outcome.missed, holes, "seed {seed}");
            assert!(holes > 50 && !outcome.begins.is_empty(), "seed {seed}: {holes}");
        }
    }
}

#[test]
fn every_restart_begins_a_period_and_loses_nothing() {
    for seed in 0..10 {
        for dates in [false, true] {
            let outcome = simulate(seed, dates, HOURS, Faults { restart: 0.001, failure: 0.1, ..CALM });
            assert_complete(&outcome, seed);
            assert!(outcome.restarts > 5, "seed {seed}");
        }
    }
}

#[test]
fn every_change_of_variant_begins_a_period_and_loses_and_repeats_nothing() {
    for seed in 0..10 {
        for dates in [false, true] {
            let faults = Faults { switch: 0.005, lag: 0.3, slow: 0.1, failure: 0.1, ..CALM };
            let outcome = simulate(seed, dates, HOURS, faults);
            assert_complete(&outcome, seed);
            assert!(outcome.switches > 50, "seed {seed}");
        }
    }
}

#[test]
fn a_week_of_all_faults_loses_and_repeats_nothing_that_was_there_to_be_had() {
    let seeds = if std::env::var("OVERDUB_LONG").is_ok() { 0..50 } else { 0..2 };
    for seed in seeds {
        for dates in [false, true] {
            let faults = Faults {
                lag: 0.3,
                failure: 0.1,
                slow: 0.05,
                freeze: 2e-4,
                outage: 1e-4,
                restart: 1e-4,
                discontinuity: 5e-4,
                gap: 5e-4,
                switch: 2e-4,
                trouble: 0.05,
            };
            let outcome = simulate(seed, dates, WEEK, faults);
            assert_complete(&outcome, seed);
            assert!(outcome.restarts > 20 && outcome.missed > 200 && outcome.switches > 20, "seed {seed}");
            assert!(outcome.begins.len() > 100 && outcome.fetched.len() < outcome.given.len(), "seed {seed}");
            assert!(outcome.given.len() > 140_000, "seed {seed}: {}", outcome.given.len());
        }
    }
}
