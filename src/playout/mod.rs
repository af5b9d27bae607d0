//! The playout clock: which wall-clock moment an output time belongs to (DESIGN section 4; docs/time.md). Pure.
//!
//! [`Playout`] is the map, a few numbers that everybody copies. [`Follower`] learns from the arrivals how fast
//! the source's clock runs and says at which [`Rate`] the map goes on.

mod follow;
mod rate;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use follow::Follower;
pub use rate::Rate;

use crate::media::{Flicks, Moment};

/// The deadline of an answer lies this long before the playout of its batch.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// Output time to the wall clock: two lines that meet in a point. What lies before it is due as it always was,
/// what lies behind it at the newest rate, so a change of rate moves no sample that is due already, and the map
/// stays continuous and monotonic. (Further changes forget the oldest line: nobody asks for a time that is
/// longer past than the few seconds in which packets are handed out.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playout {
    time: Flicks,
    moment: Moment,
    before: Rate,
    after: Rate,
}

impl Playout {
    /// The clock of a live stream, fixed when batch 0 was captured: it begins to play at
    /// `captured_at + (longest batch - its length) + processing budget`. The middle term pays for later
    /// batches that are longer than the first.
    pub fn anchored(captured_at: Moment, length: Flicks, longest_batch: Duration, budget: Duration) -> Self {
        let moment = captured_at + longest_batch.saturating_sub(length.to_duration()) + budget;
        Self { time: Flicks::ZERO, moment, before: Rate::EXACT, after: Rate::EXACT }
    }

    /// The clock of a stream that goes on: `position` is due at `now`.
    pub fn resumed(now: Moment, position: Flicks) -> Self {
        Self { time: position, moment: now, before: Rate::EXACT, after: Rate::EXACT }
    }

    /// When output time `t` is due.
    pub fn due(&self, t: Flicks) -> Moment {
        let since = t - self.time;
        let rate = if since < Flicks::ZERO { self.before } else { self.after };
        self.moment.offset(rate.to_wall(since))
    }

    /// The output time that is due at `now`; negative before the start.
    pub fn position(&self, now: Moment) -> Flicks {
        let since = now.since(self.moment);
        let rate = if since < Flicks::ZERO { self.before } else { self.after };
        self.time + rate.to_output(since)
    }

    /// When the answer for a batch that begins at output time `start` must be there.
    pub fn deadline(&self, start: Flicks) -> Moment {
        self.due(start) - ANSWER_MARGIN
    }

    /// How fast it plays now.
    pub fn rate(&self) -> Rate {
        self.after
    }

    /// This clock going on at `rate` from `now` on.
    #[must_use]
    pub fn slewed(&self, now: Moment, rate: Rate) -> Self {
        Self { time: self.position(now), moment: now, before: self.after, after: rate }
    }

    /// This clock moved later by `by`: latency grows once, timestamps stay.
    #[must_use]
    pub fn delayed(&self, by: Duration) -> Self {
        Self { moment: self.moment + by, ..*self }
    }
}
