//! Random histories against what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::status::BreakerState;
use super::breaker::PROBE_INTERVAL;
use super::tests::{CONFIG, processed, request};
use super::*;

/// One thing that happens; times are in milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    /// A batch with this long until its deadline, and this many bytes.
    Request {
        allowed: u64,
        size: usize,
    },
    /// An answer to the batch this many numbers back from the newest, good or not.
    Answer {
        back: u64,
        good: bool,
    },
    Error {
        back: u64,
        retryable: bool,
    },
    Connect(Option<usize>),
    Disconnect,
    /// The server closes the connection over a message's size.
    TooBig,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..8_000).prop_map(Step::Wait),
        4 => (prop_oneof![Just(0), 1_u64..45_000], prop_oneof![Just(1_usize), Just(600), Just(1_001)])
            .prop_map(|(allowed, size)| Step::Request { allowed, size }),
        4 => (0_u64..8, prop::bool::weighted(0.8)).prop_map(|(back, good)| Step::Answer { back, good }),
        2 => (0_u64..8, any::<bool>()).prop_map(|(back, retryable)| Step::Error { back, retryable }),
        1 => prop_oneof![Just(None), Just(Some(500))].prop_map(Step::Connect),
        1 => Just(Step::Disconnect),
        1 => Just(Step::TooBig),
    ]
}

/// What an observer of the window knows.
#[derive(Default)]
struct Observer {
    now: Moment,
    connected: bool,
    deadlines: BTreeMap<u64, Moment>,
    sizes: BTreeMap<u64, usize>,
    /// Sent on the present connection, and neither answered nor given up.
    with_processor: BTreeSet<u64>,
    ever_sent: BTreeSet<u64>,
    outcomes: u64,
    probes: Vec<Moment>,
}

impl Observer {
    /// Does what the shell does after each event, and checks what must hold.
    fn drain(&mut self, window: &mut Window) {
        let breaker = window.status().breaker;
        while let Some(request) = window.poll_transmit(self.now) {
            let (number, size) = (request.number, request.audio.len());
            assert!(self.connected, "sent without a connection");
            assert!(self.now < self.deadlines[&number], "sent after its deadline");
            assert!(size <= CONFIG.max_fragment_bytes, "sent over the limit");
            assert!(self.with_processor.insert(number), "sent twice");
            assert_ne!(breaker, BreakerState::Open, "sent while the breaker was open");
            if breaker == BreakerState::HalfOpen && self.ever_sent.insert(number) {
                self.probes.push(self.now);
            }
            self.ever_sent.insert(number);
        }
        assert!(window.status().in_flight <= CONFIG.max_concurrent);
        while let Some(outcome) = window.poll_outcome() {
            assert_eq!(outcome.number, self.outcomes, "outcomes come in order, each once");
            if outcome.result.is_ok() {
                assert!(self.ever_sent.contains(&outcome.number), "an answer to what was never sent");
            }
            self.outcomes += 1;
        }
        // Whatever has no outcome is not due yet.
        assert!(window.poll_timeout().is_none_or(|timeout| timeout > self.now), "a timeout was not handled");
        let counted = window.status();
        let settled = counted.processed + counted.fallbacks_total();
        assert!(settled >= self.outcomes && settled <= self.deadlines.len() as u64);
    }

    /// Lets time pass up to `until`, stopping at each timeout of the window.
    fn wait(&mut self, window: &mut Window, until: Moment) {
        while let Some(timeout) = window.poll_timeout().filter(|&timeout| timeout <= until) {
            self.now = timeout;
            window.handle_timeout(timeout);
            self.forget_settled(window);
            self.drain(window);
        }
        self.now = until;
    }

    /// What the processor holds is what the window still counts as sent.
    fn forget_settled(&mut self, window: &Window) {
        let held = |number: &u64| {
            window.entries.iter().any(|entry| {
                entry.number == *number
                    && matches!(&entry.state, State::Waiting(waiting) if waiting.phase == Phase::Sent)
            })
        };
        self.with_processor.retain(held);
    }
}

fn play(steps: Vec<Step>) {
    let mut window = Window::new(CONFIG);
    let mut observer = Observer::default();
    for step in steps {
        let newest = observer.deadlines.len() as u64;
        let back = |back: u64| newest.checked_sub(back);
        let now = observer.now;
        match step {
            Step::Wait(ms) => observer.wait(&mut window, now + Duration::from_millis(ms)),
            Step::Request { allowed, size } => {
                let deadline = now + Duration::from_millis(allowed);
                observer.deadlines.insert(newest, deadline);
                observer.sizes.insert(newest, size);
                window.handle_request(now, request(newest, deadline, size)).unwrap();
            }
            Step::Answer { back: n, good: true } => window.handle_answer(now, back(n), None, processed),
            Step::Answer { back: n, good: false } => {
                window.handle_answer(now, back(n), None, |_| Err(AnswerError::Empty));
            }
            Step::Error { back: n, retryable } => {
                window.handle_error(
                    now,
                    back(n),
                    ProcessorError::new(None, Text::default(), Some(retryable)),
                );
            }
            Step::Connect(max_payload) if !observer.connected => {
                observer.connected = true;
                window.handle_connected(max_payload);
            }
            Step::Connect(_) => {}
            Step::Disconnect => {
                observer.connected = false;
                window.handle_disconnected(now, "told to".into(), now);
            }
            Step::TooBig => {
                let largest = observer.with_processor.iter().map(|number| observer.sizes[number]).max();
                window.handle_too_big(now, "too big");
                observer.connected = false;
                window.handle_disconnected(now, "told to".into(), now);
                let settled = |number: &u64| {
                    window
                        .entries
                        .iter()
                        .all(|entry| entry.number != *number || matches!(entry.state, State::Settled(_)))
                };
                let largest_has_ended =
                    |number: &u64| Some(observer.sizes[number]) == largest && settled(number);
                assert!(
                    largest.is_none() || observer.with_processor.iter().any(largest_has_ended),
                    "the largest fragment would be sent again"
                );
            }
        }
        observer.forget_settled(&window);
        observer.drain(&mut window);
    }
    // Whatever happened: when the last deadline is over, every batch has had its outcome.
    let end = observer.deadlines.values().max().copied().unwrap_or_default();
    let end = end.max(observer.now);
    observer.wait(&mut window, end);
    observer.drain(&mut window);
    assert!(window.is_idle(), "batches without outcome after their deadlines: {window:?}");
    assert_eq!(observer.outcomes, observer.deadlines.len() as u64);
    for pair in observer.probes.windows(2) {
        assert!(pair[1].saturating_since(pair[0]) >= PROBE_INTERVAL, "{:?}", observer.probes);
    }
}

proptest! {
    #[test]
    fn every_batch_has_one_outcome_in_order_and_in_time(steps in prop::collection::vec(step(), 0..200)) {
        play(steps);
    }
}
