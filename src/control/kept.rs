//! Answers that take much longer to make than to ask for: made a bounded number of times a second, however often they
//! are asked for.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::media::Moment;
use crate::net::bucket::Bucket;

/// How often an answer is made anew: more often than any page or scraper asks, and with milliseconds for each one
/// a small part of a core.
const PER_SECOND: u64 = 10;
/// At once after a pause, so that whoever asks after each of its steps sees each step.
const BURST: u64 = 40;

/// One such answer.
#[derive(Debug)]
pub(super) struct Kept(Mutex<Last>);

#[derive(Debug)]
struct Last {
    turns: Bucket,
    answer: Option<Bytes>,
}

impl Kept {
    pub(super) fn new(now: Moment) -> Self {
        Self(Mutex::new(Last { turns: Bucket::new(PER_SECOND, BURST, now), answer: None }))
    }

    /// What `make` yields now, or yielded last.
    pub(super) fn answer(&self, now: Moment, make: impl FnOnce() -> Bytes) -> Bytes {
        // Where `make` panics, the one before it is still whole.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.turns.take_one(now);
        match &last.answer {
            Some(answer) if !fresh => answer.clone(),
            _ => last.answer.insert(make()).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whoever_asks_without_end_is_given_what_was_made_last() {
        let kept = Kept::new(Moment::ZERO);
        let mut made = 0_u64;
        let mut ask = |millis: u64| {
            let answer = kept.answer(Moment::ZERO + Duration::from_millis(millis), || {
                made += 1;
                made.to_string().into()
            });
            (answer, made)
        };
        for n in 1..=BURST {
            assert_eq!(ask(0).1, n, "each is made anew");
        }
        for millis in 1..10_000 {
            let (answer, made) = ask(millis);
            assert_eq!(answer, made.to_string());
            assert!(made <= BURST + millis * PER_SECOND / 1_000);
        }
        assert!(ask(10_000).1 >= BURST + 99);
    }
}
