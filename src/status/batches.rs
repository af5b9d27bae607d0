//! The newest batches of a stream, one by one.

use std::collections::VecDeque;

use serde::Serialize;
use utoipa::ToSchema;

use crate::outside::Text;

/// What became of one batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchStatus {
    pub number: u64,
    pub state: BatchState,
    pub outcome: Option<Outcome>,
    /// Why the outcome is a fallback: a sentence, and the name by which [`Stats::fallback_reasons`](super::Stats::fallback_reasons) counts it.
    pub reason: Option<Text>,
    pub failure: Option<&'static str>,
    /// How long the batch plays.
    pub duration_ms: i64,
    /// How long the processor took.
    pub latency_ms: Option<f64>,
    /// Milliseconds since 1970, like all that follow: when its last segment had arrived.
    pub captured_at: Option<i64>,
    /// When its sound was last sent to the processor, and when that answered.
    pub sent_at: Option<i64>,
    pub answered_at: Option<i64>,
    /// Until when an answer counts.
    pub deadline_at: Option<i64>,
    /// When it is due in the output, and when it really began to be handed out.
    pub plays_at: Option<i64>,
    pub published_at: Option<i64>,
    /// What is heard: `processed`, `original`, `silence` or `none`; null until it is decided.
    #[schema(value_type = Option<String>)]
    pub sound: Option<&'static str>,
    /// How the answer was put into its place; null where there is none.
    pub fit: Option<Fit>,
}

/// How an answer was put into the place of the original, in frames of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fit {
    /// Taken off its front: encoder priming, and the context that was sent along.
    pub priming: u64,
    /// Taken off its end because it was too long.
    pub trimmed: u64,
    /// Silent frames put in because it was too short.
    pub padded: u64,
    /// By how much its sound is later than the original's, at the start of the batch; negative: earlier.
    pub error_ms: f64,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchState {
    #[default]
    Captured,
    /// At the processor, or waiting to be sent.
    Processing,
    /// Decided: waits for its playout.
    Ready,
    Publishing,
    Published,
    /// Archived, or lost.
    Dropped,
}

/// Which sound a batch got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Processed,
    Fallback,
}

/// The newest batches in order of their numbers; older ones are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RecentBatches(VecDeque<BatchStatus>);

impl RecentBatches {
    /// Ten minutes of 30 s batches.
    pub const KEPT: usize = 20;

    /// Changes the entry of batch `number`, which is made if it is newer than all others. An entry that
    /// was already forgotten stays so.
    pub fn update(&mut self, number: u64, change: impl FnOnce(&mut BatchStatus)) {
        if let Some(entry) = self.0.iter_mut().rev().find(|entry| entry.number == number) {
            return change(entry);
        }
        if self.0.back().is_some_and(|last| last.number > number) {
            return;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        let mut entry = BatchStatus { number, ..BatchStatus::default() };
        change(&mut entry);
        self.0.push_back(entry);
    }

    /// What plays at the moment.
    pub fn on_air(&self) -> Option<&BatchStatus> {
        self.0.iter().rev().find(|batch| batch.state == BatchState::Publishing)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &BatchStatus> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_batches_are_kept_and_the_forgotten_stay_forgotten() {
        let mut recent = RecentBatches::default();
        for number in 0..30 {
            recent.update(number, |batch| batch.duration_ms = 30_000);
        }
        recent.update(29, |batch| batch.state = BatchState::Published);
        recent.update(3, |batch| batch.state = BatchState::Published);
        let numbers: Vec<_> = recent.iter().map(|batch| batch.number).collect();
        assert_eq!(numbers, (10..30).collect::<Vec<_>>());
        assert_eq!(recent.iter().last().map(|batch| batch.state), Some(BatchState::Published));
    }
}
