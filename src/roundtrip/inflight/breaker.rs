//! The circuit breaker: a processor that keeps failing is asked only now and then. Pure.

use std::time::Duration;

use super::super::status::BreakerState;
use crate::media::Moment;

/// Failures in a row that open the breaker (DESIGN section 4).
pub(super) const FAILURES: u32 = 5;

/// How far apart the probes are (DESIGN section 4).
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum State {
    Closed,
    /// Nothing is sent until `probe_at`.
    Open {
        probe_at: Moment,
    },
    /// The fragment `probe` is out, or waits for a connection; the next one may go at `next_at` if it fails.
    HalfOpen {
        probe: u64,
        next_at: Moment,
    },
}

#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    state: State,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { failures: 0, state: State::Closed }
    }

    /// Whether fragment `number` may be sent; an open breaker whose time has come makes it the probe.
    pub(super) fn admit(&mut self, now: Moment, number: u64) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { probe_at } if now >= probe_at => {
                self.state = State::HalfOpen { probe: number, next_at: now };
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// Fragment `number` left: probes are counted apart from when they leave, since one may have to wait
    /// for a connection.
    pub(super) fn handle_sent(&mut self, now: Moment, number: u64) {
        if let State::HalfOpen { probe, next_at } = &mut self.state
            && *probe == number
        {
            *next_at = now + PROBE_INTERVAL;
        }
    }

    /// Any good answer in time shows that the processor works.
    pub(super) fn handle_success(&mut self) {
        *self = Self::new();
    }

    /// Fragment `number` failed through the processor's fault.
    pub(super) fn handle_failure(&mut self, now: Moment, number: u64) {
        self.failures = self.failures.saturating_add(1);
        if matches!(self.state, State::Closed) && self.failures >= FAILURES {
            self.state = State::Open { probe_at: now + PROBE_INTERVAL };
        }
        self.handle_untested(number);
    }

    /// Fragment `number` ended without an answer that says that the processor works: if it was the probe,
    /// there will be another.
    pub(super) fn handle_untested(&mut self, number: u64) {
        if let State::HalfOpen { probe, next_at } = self.state
            && probe == number
        {
            self.state = State::Open { probe_at: next_at };
        }
    }

    /// Whether fragment `number`, admitted earlier, may still be sent.
    pub(super) fn allows(&self, number: u64) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { .. } => false,
            State::HalfOpen { probe, .. } => probe == number,
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}
