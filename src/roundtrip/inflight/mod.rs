//! The window of unanswered fragments: deadlines, order, retries, the circuit breaker. Pure.
//!
//! Call a `handle_*` for whatever happened, then drain [`Window::poll_transmit`] and
//! [`Window::poll_outcome`], then wait for the next event or until [`Window::poll_timeout`], at which
//! [`Window::handle_timeout`] is due. Every request ends in exactly one outcome, not after its deadline,
//! and outcomes come in the order of the requests.

mod breaker;
mod entry;
mod history;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use self::breaker::Breaker;
use self::entry::{Entry, Margin, Phase, State, Waiting};
use self::history::{History, Stray};
use super::failure::{Failure, ProcessorError, SizeLimit};
use super::status::{Away, Latencies, Status};
use super::{AnswerError, Outcome, Processed, Request};
use crate::media::Moment;
use crate::outside::Text;
use crate::playout::Playout;

/// Most requests that wait at a time, sent or not, each with its audio: a minute of 2 s batches with half
/// a minute of budget. What comes on top goes to the fallback at once instead of filling the memory.
const MAX_WAITING: usize = 48;

/// The part of the settings that the window obeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) max_concurrent: usize,
    pub(crate) max_fragment_bytes: usize,
    pub(crate) processing_budget: Duration,
}

/// A request whose number is not greater than the one's before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch {number} was requested after batch {last}")]
pub(crate) struct OutOfOrder {
    number: u64,
    last: u64,
}

#[derive(Debug)]
pub(crate) struct Window {
    config: Config,
    /// In the order of their numbers; what is settled stays until everything before it is.
    entries: VecDeque<Entry>,
    last_number: Option<u64>,
    /// The server's message limit, while there is a connection.
    connection: Option<Option<usize>>,
    breaker: Breaker,
    history: History,
    latencies: Latencies,
    /// By how much the answer that was closest to its deadline, or farthest behind, missed it.
    worst: Option<Margin>,
    /// The counters; the rest of it is filled in by [`Window::status`].
    counts: Status,
}

impl Window {
    pub(crate) fn new(config: Config) -> Self {
        // A window without room would never send.
        let config = Config { max_concurrent: config.max_concurrent.max(1), ..config };
        Self {
            config,
            entries: VecDeque::new(),
            last_number: None,
            connection: None,
            breaker: Breaker::new(),
            history: History::default(),
            latencies: Latencies::default(),
            worst: None,
            counts: Status::default(),
        }
    }

    /// The next batch to be processed.
    pub(crate) fn handle_request(&mut self, now: Moment, request: Request) -> Result<(), OutOfOrder> {
        let number = request.number;
        if let Some(last) = self.last_number.filter(|&last| last >= number) {
            return Err(OutOfOrder { number, last });
        }
        self.last_number = Some(number);
        let room = self.waiting().count() < MAX_WAITING;
        let (size, deadline) = (request.audio.len(), request.deadline);
        self.entries.push_back(Entry::new(request));
        let index = self.entries.len() - 1;
        let limit = SizeLimit::Setting(self.config.max_fragment_bytes);
        if size > limit.bytes() {
            self.fail(now, index, Failure::TooLarge { size, limit });
        } else if !room {
            self.fail(now, index, Failure::NotSent);
        } else if now < deadline && !self.breaker.admit(now, number) {
            self.fail(now, index, Failure::BreakerOpen);
        }
        self.handle_timeout(now);
        Ok(())
    }

    /// A connection is there; `max_payload` is what its server says it takes.
    pub(crate) fn handle_connected(&mut self, max_payload: Option<usize>) {
        self.connection = Some(max_payload);
        self.counts.away = None;
        self.counts.connections += 1;
    }

    /// The server closes the connection because a message was over its limit; `closed` says so in its words. The
    /// largest unanswered fragment goes to its fallback instead of being sent again: it is either the one that was
    /// refused, or one sent after that, which is no smaller than what is refused already.
    pub(crate) fn handle_too_big(&mut self, now: Moment, closed: &str) {
        self.handle_timeout(now);
        let size_if_sent = |entry: &Entry| match &entry.state {
            State::Waiting(waiting) if waiting.phase == Phase::Sent => Some(waiting.request.audio.len()),
            _ => None,
        };
        let sent = self.entries.iter().enumerate();
        let sent = sent.filter_map(|(index, entry)| Some((size_if_sent(entry)?, Reverse(index))));
        if let Some((size, Reverse(index))) = sent.max() {
            self.fail(now, index, Failure::TooBig { size, closed: closed.into() });
        }
    }

    /// The connection is gone, and with it what it carried: unanswered fragments are sent again on the
    /// next one, which is tried for at `retry_at`.
    pub(crate) fn handle_disconnected(&mut self, now: Moment, error: Text, retry_at: Moment) {
        self.connection = None;
        self.counts.away = Some(Away { error: error.clone(), retry_at });
        self.counts.last_error = Some(error);
        for entry in &mut self.entries {
            if let State::Waiting(waiting) = &mut entry.state
                && waiting.phase == Phase::Sent
            {
                waiting.phase = Phase::Queued;
            }
        }
        self.drop_what_breaker_stops(now);
    }

    /// A connection was ended from this side.
    pub(crate) fn handle_closed(&mut self, reason: &'static str) {
        *self.counts.closed.entry(reason).or_default() += 1;
    }

    /// What fragment `number` was, where an answer to it is of use.
    pub(crate) fn awaited(&self, number: u64) -> Option<&Request> {
        let (index, _) = self.find_sent(number)?;
        match &self.entries[index].state {
            State::Waiting(waiting) => Some(&waiting.request),
            State::Settled(_) => None,
        }
    }

    /// An answer to fragment `number`. It is decoded only where it is of use.
    pub(crate) fn handle_answer(
        &mut self,
        now: Moment,
        number: Option<u64>,
        metadata: Option<Value>,
        decode: impl FnOnce(&Request) -> Result<Processed, AnswerError>,
    ) {
        self.handle_timeout(now);
        let Some((index, sent_at)) = number.and_then(|number| self.find_sent(number)) else {
            return self.handle_stray(now, number);
        };
        let latency = now.saturating_since(sent_at);
        self.latencies.add(latency);
        let Entry { deadline, state: State::Waiting(waiting), .. } = &self.entries[index] else { return };
        let decoded = decode(&waiting.request);
        self.note_margin(Margin::of(now, *deadline));
        match decoded {
            Ok(processed) => {
                self.breaker.handle_success();
                self.counts.processed += 1;
                self.settle(index, Ok(processed), Some(latency), metadata);
            }
            Err(error) => {
                self.blame(now, index, &Failure::BadAnswer(error.clone()));
                self.settle(index, Err(error.into()), Some(latency), metadata);
            }
        }
        self.drop_what_breaker_stops(now);
    }

    /// A `fragment:error` about fragment `number`.
    pub(crate) fn handle_error(&mut self, now: Moment, number: Option<u64>, error: ProcessorError) {
        self.handle_timeout(now);
        let Some((index, sent_at)) = number.and_then(|number| self.find_sent(number)) else {
            return self.handle_stray(now, number);
        };
        self.counts.last_error = Some(Text::of(&error));
        let deadline = self.entries[index].deadline;
        if let State::Waiting(waiting) = &mut self.entries[index].state
            && error.is_retryable()
        {
            let again = now + waiting.retry_pause();
            if again < deadline {
                waiting.retry(again, error);
                return self.drop_what_breaker_stops(now);
            }
        }
        let failure = Failure::ProcessorError(error);
        self.blame(now, index, &failure);
        self.settle(index, Err(failure), Some(now.saturating_since(sent_at)), None);
        self.drop_what_breaker_stops(now);
    }

    /// What is due at `now`: deadlines and retries.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        for index in 0..self.entries.len() {
            let entry = &mut self.entries[index];
            let State::Waiting(waiting) = &mut entry.state else { continue };
            if now >= entry.deadline {
                let failure = waiting.at_deadline(now, self.connection.is_some());
                self.fail(now, index, failure);
            } else if matches!(waiting.phase, Phase::Retrying(at) if now >= at) {
                waiting.phase = Phase::Queued;
            }
        }
        self.drop_what_breaker_stops(now);
    }

    /// The playout clock goes on otherwise: what is waited for has other deadlines.
    pub(crate) fn handle_playout(&mut self, now: Moment, playout: &Playout) {
        for entry in &mut self.entries {
            if let State::Waiting(waiting) = &mut entry.state {
                entry.deadline = playout.deadline(waiting.request.plays_at);
                waiting.request.deadline = entry.deadline;
            }
        }
        self.handle_timeout(now);
    }

    /// Nothing more is wanted: what has no outcome yet is settled as stopped.
    pub(crate) fn handle_stop(&mut self, now: Moment) {
        for index in 0..self.entries.len() {
            if matches!(self.entries[index].state, State::Waiting(_)) {
                self.fail(now, index, Failure::Stopped);
            }
        }
    }

    /// The processor acknowledged a fragment.
    pub(crate) fn handle_ack(&mut self) {
        self.counts.acknowledged += 1;
    }

    /// The processor said how it is.
    pub(crate) fn handle_processor_status(&mut self, status: Text) {
        self.counts.processor_status = Some(status);
    }

    /// The processor broke the protocol.
    pub(crate) fn handle_bad_message(&mut self, error: Text) {
        self.counts.bad_messages += 1;
        self.counts.last_error = Some(error);
    }

    /// The next fragment to send, which is then with the processor. `None`: nothing to send now.
    pub(crate) fn poll_transmit(&mut self, now: Moment) -> Option<&Request> {
        let limit = SizeLimit::smaller(self.config.max_fragment_bytes, self.connection?);
        loop {
            if self.in_flight() >= self.config.max_concurrent {
                return None;
            }
            let index = self.entries.iter().position(Entry::is_sendable)?;
            let entry = &mut self.entries[index];
            let State::Waiting(waiting) = &mut entry.state else { return None };
            let size = waiting.request.audio.len();
            if now >= entry.deadline {
                let failure = waiting.at_deadline(now, true);
                self.fail(now, index, failure);
            } else if size > limit.bytes() {
                self.fail(now, index, Failure::TooLarge { size, limit });
            } else {
                let counter = match (waiting.sent_at, waiting.last_error.is_some()) {
                    (None, _) => &mut self.counts.sent,
                    (Some(_), false) => &mut self.counts.resent,
                    (Some(_), true) => &mut self.counts.retried,
                };
                *counter += 1;
                waiting.phase = Phase::Sent;
                waiting.sent_at = Some(now);
                self.breaker.handle_sent(now, entry.number);
                let State::Waiting(waiting) = &self.entries[index].state else { return None };
                return Some(&waiting.request);
            }
        }
    }

    /// The outcome of the oldest batch, once it has one.
    pub(crate) fn poll_outcome(&mut self) -> Option<Outcome> {
        if !self.has_outcome() {
            return None;
        }
        match self.entries.pop_front()?.state {
            State::Settled(outcome) => Some(*outcome),
            State::Waiting(_) => None,
        }
    }

    /// When [`Window::handle_timeout`] has something to do. `None`: not before the next event.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.waiting().map(Waiting::due).min()
    }

    /// [`Window::poll_outcome`] would return something.
    pub(crate) fn has_outcome(&self) -> bool {
        matches!(self.entries.front(), Some(Entry { state: State::Settled(_), .. }))
    }

    /// Every request has ended and its outcome was taken.
    pub(crate) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// The counters and the present state; `url` is left to the shell.
    pub(crate) fn status(&self) -> Status {
        Status {
            connected: self.connection.is_some(),
            max_payload: self.connection.flatten(),
            in_flight: self.in_flight(),
            queued: self.waiting().filter(|waiting| waiting.phase == Phase::Queued).count(),
            latency: self.latencies.summary(),
            latencies: self.latencies.all().clone(),
            budget_needed: self.worst.map(|worst| worst.budget(self.config.processing_budget).as_secs_f64()),
            breaker: self.breaker.state(),
            consecutive_failures: self.breaker.failures(),
            fragments: self.entries.iter().filter_map(Entry::times).collect(),
            ..self.counts.clone()
        }
    }

    fn in_flight(&self) -> usize {
        self.waiting().filter(|waiting| waiting.phase != Phase::Queued).count()
    }

    fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.entries.iter().filter_map(|entry| match &entry.state {
            State::Waiting(waiting) => Some(&**waiting),
            State::Settled(_) => None,
        })
    }

    /// The fragment `number` without an outcome, if the processor was ever sent it, and when.
    fn find_sent(&self, number: u64) -> Option<(usize, Moment)> {
        let index = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        match &self.entries[index].state {
            State::Waiting(waiting) => Some((index, waiting.sent_at?)),
            State::Settled(_) => None,
        }
    }

    /// An answer or error that nobody waits for.
    fn handle_stray(&mut self, now: Moment, number: Option<u64>) {
        match number.map_or(Stray::Unknown, |number| self.history.handle_answer(number)) {
            Stray::Late { deadline, sent_at } => {
                self.counts.late_answers += 1;
                self.latencies.add(now.saturating_since(sent_at));
                self.note_margin(Margin::of(now, deadline));
            }
            Stray::Duplicate => self.counts.duplicates += 1,
            Stray::Unknown => self.counts.unknown_ids += 1,
        }
    }

    fn note_margin(&mut self, margin: Margin) {
        self.worst = self.worst.max(Some(margin));
    }

    /// Counts a failure against the processor where it is to blame.
    fn blame(&mut self, now: Moment, index: usize, failure: &Failure) {
        let number = self.entries[index].number;
        if failure.blames_processor() {
            self.breaker.handle_failure(now, number);
        } else {
            self.breaker.handle_untested(number);
        }
    }

    fn fail(&mut self, now: Moment, index: usize, failure: Failure) {
        self.blame(now, index, &failure);
        self.settle(index, Err(failure), None, None);
    }

    /// What the breaker does not let pass goes to the fallback now; only what is with the processor already
    /// is still waited for.
    fn drop_what_breaker_stops(&mut self, now: Moment) {
        for index in 0..self.entries.len() {
            let Entry { number, state, .. } = &self.entries[index];
            let waits = matches!(state, State::Waiting(waiting) if waiting.phase != Phase::Sent);
            if waits && !self.breaker.allows(*number) {
                self.fail(now, index, Failure::BreakerOpen);
            }
        }
    }

    fn settle(
        &mut self,
        index: usize,
        result: Result<Processed, Failure>,
        latency: Option<Duration>,
        metadata: Option<Value>,
    ) {
        if let Err(failure) = &result {
            *self.counts.fallbacks.entry(failure.reason()).or_default() += 1;
            self.counts.last_error = Some(Text::of(failure));
        }
        let entry = &mut self.entries[index];
        let sent_at = entry.times().map(|times| times.sent_at);
        let outcome = Outcome { number: entry.number, result, sent_at, latency, metadata };
        let state = std::mem::replace(&mut entry.state, State::Settled(Box::new(outcome)));
        if let State::Waiting(waiting) = state {
            self.history.add(entry.number, entry.deadline, waiting.sent_at, latency.is_some());
        }
    }
}
