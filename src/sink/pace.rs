//! How far media comes before or after its time. Pure.
//!
//! Its time is that of its timestamps on the clock of the arrivals, from the first media on. A live source has a
//! clock of its own, and what is made of it plays at that clock's pace: over hours the two come apart by more than
//! any lateness that a viewer would notice. So what is expected follows what comes, no faster than a player's clock
//! can be followed: what is late all of a sudden stays late for minutes.

use std::time::Duration;

use crate::media::{Flicks, Moment};

/// Of so long a window the most prompt media says where the publisher's clock stands.
const WINDOW: Duration = Duration::from_secs(10);
/// A publisher's clock goes faster or slower than this one by one part of so many at most: 0.1 %, as docs/time.md
/// promises of the output.
const MOST_DRIFT: u32 = 1_000;

/// Call [`Pace::arrived`] for all media of a publication.
#[derive(Debug)]
pub(super) struct Pace {
    /// Arrival and DTS, in milliseconds, of the first media.
    first: (Moment, i64),
    /// What is expected: so long after the time that the first media set.
    drift: Flicks,
    window_began: Moment,
    /// The least that media of this window came after the time that the first media set.
    most_prompt: Flicks,
}

impl Pace {
    /// At the first media, whose DTS is `at` milliseconds.
    pub(super) fn new(now: Moment, at: i64) -> Self {
        Self { first: (now, at), drift: Flicks::ZERO, window_began: now, most_prompt: Flicks::ZERO }
    }

    /// How long after its time media with DTS `at`, in milliseconds, came; negative where it came before.
    pub(super) fn arrived(&mut self, now: Moment, at: i64) -> Flicks {
        let (arrived, first) = self.first;
        let after = now.since(arrived.offset(Flicks::from_millis(at - first)));
        let lasted = now.saturating_since(self.window_began);
        if lasted >= WINDOW {
            let most = Flicks::from_duration(lasted / MOST_DRIFT).get();
            self.drift += Flicks::new((self.most_prompt - self.drift).get().clamp(-most, most));
            (self.window_began, self.most_prompt) = (now, after);
        }
        self.most_prompt = self.most_prompt.min(after);
        after - self.drift
    }

    /// How far the publisher's clock has fallen behind this one; negative where it is ahead.
    pub(super) fn drift(&self) -> Flicks {
        self.drift
    }
}
