//! One fragment on its way through the window. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use super::super::failure::{Failure, ProcessorError};
use super::super::{FragmentTimes, Outcome, Request};
use crate::media::Moment;

/// First pause before a fragment is sent again after an error that may pass; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest such pause.
const LONGEST_RETRY: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) deadline: Moment,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Waiting(Box<Waiting>),
    Settled(Box<Outcome>),
}

/// A fragment without an outcome.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) phase: Phase,
    /// When it was last sent, on whichever connection.
    pub(super) sent_at: Option<Moment>,
    /// Errors that were worth a retry.
    errors: u32,
    pub(super) last_error: Option<ProcessorError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be sent as soon as there is a connection and room.
    Queued,
    /// With the processor, on the present connection.
    Sent,
    /// To be sent again at this moment. It keeps its place in the window: a processor that says "busy" is
    /// not given the next fragment instead.
    Retrying(Moment),
}

impl Entry {
    pub(super) fn new(request: Request) -> Self {
        let (number, deadline) = (request.number, request.deadline);
        let waiting = Waiting { request, phase: Phase::Queued, sent_at: None, errors: 0, last_error: None };
        Self { number, deadline, state: State::Waiting(Box::new(waiting)) }
    }

    /// When it was sent and answered, where it was sent.
    pub(super) fn times(&self) -> Option<FragmentTimes> {
        let (sent_at, latency) = match &self.state {
            State::Waiting(waiting) => (waiting.sent_at?, None),
            State::Settled(outcome) => (outcome.sent_at?, outcome.latency),
        };
        let answered_at = latency.map(|latency| sent_at + latency);
        Some(FragmentTimes { number: self.number, sent_at, answered_at })
    }

    pub(super) fn is_sendable(&self) -> bool {
        matches!(&self.state, State::Waiting(waiting) if waiting.phase == Phase::Queued)
    }
}

impl Waiting {
    /// The processor reported an error that may pass: send again at `again`.
    pub(super) fn retry(&mut self, again: Moment, error: ProcessorError) {
        // A second error about the same sending changes nothing.
        if self.phase == Phase::Sent {
            self.phase = Phase::Retrying(again);
            self.errors = self.errors.saturating_add(1);
            self.last_error = Some(error);
        }
    }

    /// What went wrong when the deadline finds the fragment without an outcome.
    pub(super) fn at_deadline(&mut self, now: Moment, connected: bool) -> Failure {
        match (self.phase, self.sent_at, self.last_error.take()) {
            (Phase::Sent, Some(sent_at), _) => Failure::NoAnswer { waited: now.saturating_since(sent_at) },
            (_, _, Some(error)) => Failure::ProcessorError(error),
            (_, Some(_), None) => Failure::Disconnected { sent: true },
            (_, None, None) if connected => Failure::NotSent,
            (_, None, None) => Failure::Disconnected { sent: false },
        }
    }

    /// When time alone changes something.
    pub(super) fn due(&self) -> Moment {
        match self.phase {
            Phase::Retrying(at) => at.min(self.request.deadline),
            Phase::Queued | Phase::Sent => self.request.deadline,
        }
    }

    /// The pause before the next try.
    pub(super) fn retry_pause(&self) -> Duration {
        FIRST_RETRY.saturating_mul(1 << self.errors.min(8)).min(LONGEST_RETRY)
    }
}

/// Time of an answer against its deadline; the larger, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Margin {
    Early(Reverse<Duration>),
    Late(Duration),
}

impl Margin {
    pub(super) fn of(now: Moment, deadline: Moment) -> Self {
        if now >= deadline {
            Self::Late(now.saturating_since(deadline))
        } else {
            Self::Early(Reverse(deadline.saturating_since(now)))
        }
    }

    /// The budget that would just have been enough, where `budget` gave this margin.
    pub(super) fn budget(self, budget: Duration) -> Duration {
        match self {
            Self::Early(Reverse(early)) => budget.saturating_sub(early),
            Self::Late(late) => budget.saturating_add(late),
        }
    }
}
