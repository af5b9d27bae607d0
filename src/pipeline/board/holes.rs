//! What the board is told when the source has nothing, or comes late.

use std::time::Duration;

use super::Board;
use crate::pipeline::ingest::Timing;
use crate::remux::HoldStatus;
use crate::status::{BatchState, Outcome};

impl Board {
    /// The batch came too late to be processed, or even to be played.
    pub(in crate::pipeline) fn late(&self, number: u64, timing: Timing) {
        let past = timing == Timing::Past;
        let mut kept = self.kept();
        if past {
            kept.status.stats.batches_late += 1;
            kept.in_play.retain(|in_play| in_play.number != number);
        } else {
            kept.status.stats.batches_fallback += 1;
            *kept.status.stats.fallback_reasons.entry("sourceLate".to_owned()).or_default() += 1;
        }
        kept.status.batches.update(number, |entry| {
            entry.reason = Some("the source was late".into());
            if past {
                entry.state = BatchState::Dropped;
            } else {
                entry.outcome = Some(Outcome::Fallback);
            }
        });
    }

    /// What stands for the source at the moment, and stood for it.
    pub(in crate::pipeline) fn held(&self, held: HoldStatus) {
        let mut kept = self.kept();
        let before = kept.status.stats.hold;
        if held.slate_unfit && !before.slate_unfit {
            let message = "the slate has other codecs than the stream: the picture is held instead";
            tracing::warn!(message);
            kept.status.last_error = Some(message.into());
        }
        if held.active != before.active {
            let seconds = held.seconds.to_secs_f64();
            let without_picture = held.without_picture;
            tracing::warn!(active = held.active, count = held.count, seconds, without_picture, "hold");
        }
        kept.status.stats.hold = held.into();
    }

    /// What is captured from here on plays later by `by`; where the `clock` moves, so does what was captured.
    pub(in crate::pipeline) fn moved(&self, by: Duration, clock: bool) {
        tracing::warn!(?by, clock, "the source stays late: it plays later from here on");
        let mut kept = self.kept();
        let kept = &mut *kept;
        kept.status.stats.playout_moves += 1;
        kept.status.stats.playout_moved_seconds += by.as_secs_f64();
        kept.status.last_error = Some(
            format!("the source stayed late: it plays {:.1} s later from here on", by.as_secs_f64()).into(),
        );
        for batch in kept.in_play.iter().filter(|batch| clock && batch.start > kept.position) {
            kept.status.batches.update(batch.number, |entry| {
                let later = |at: i64| at + by.as_millis() as i64;
                (entry.plays_at, entry.deadline_at) =
                    (entry.plays_at.map(later), entry.deadline_at.map(later));
            });
        }
    }
}
