//! The playout clock: which wall-clock moment an output time belongs to (DESIGN section 4). Pure.

use std::time::Duration;

use crate::media::{Flicks, Moment};

/// The output time `position` is due at `anchor`; everything else as much later or earlier as it lies from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playout {
    anchor: Moment,
    position: Flicks,
}

impl Playout {
    /// The clock of a live stream, fixed when batch 0 was captured: it begins to play at
    /// `captured_at + (longest batch - its length) + processing budget`. The middle term pays for later
    /// batches that are longer than the first.
    pub fn anchored(captured_at: Moment, length: Flicks, longest_batch: Duration, budget: Duration) -> Self {
        let anchor = captured_at + longest_batch.saturating_sub(length.to_duration()) + budget;
        Self { anchor, position: Flicks::ZERO }
    }

    /// The clock of a stream that goes on: `position` is due at `now`.
    pub fn resumed(now: Moment, position: Flicks) -> Self {
        Self { anchor: now, position }
    }

    /// When output time `t` is due.
    pub fn due(&self, t: Flicks) -> Moment {
        self.anchor.offset(t - self.position)
    }

    /// The output time that is due at `now`; negative before the start.
    pub fn position(&self, now: Moment) -> Flicks {
        self.position + now.since(self.anchor)
    }

    /// This clock moved later by `by`: latency grows once, timestamps stay.
    #[must_use]
    pub fn delayed(&self, by: Duration) -> Self {
        Self { anchor: self.anchor + by, ..*self }
    }
}
