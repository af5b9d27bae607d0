//! Raw timestamps of one track to clean ones (docs/time.md, "Clean timestamps"). Pure.
//!
//! Streams in the field carry single wrong stamps, decode times that step back by a tick or a few frames, and
//! decode times after presentation times. [`Stamps`] tells these from a clock that really begins again, by what
//! follows: [`Stamps::push`] each sample, [`Stamps::poll`] what is decided, and [`Stamps::end`] where nothing more
//! can be waited for. Every sample comes out once, in order. Decode times rise strictly within a clock and are
//! never after the presentation times, which are kept exactly unless they are wrong themselves.

mod clock;
mod composition;
mod decode;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::media::Flicks;
use clock::SourceClock;
use decode::DecodeTimes;

/// A sample's timestamps as they came, on an axis without wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawTimes {
    pub dts: Flicks,
    pub pts: Flicks,
    pub source: StampSource,
    /// Distance to the next sample, where the format fixes it (audio).
    pub length: Option<Flicks>,
}

/// Where a timestamp comes from: which faults it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampSource {
    /// A header of its own, in which any bit may be wrong.
    Header,
    /// Counted on from the one before, whose faults it shares.
    Counted,
    /// Durations in tables, which add up: none is wrong alone.
    Table,
}

/// Timestamps that can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanTimes {
    pub dts: Flicks,
    pub pts: Flicks,
    /// A new clock begins: this has nothing to do with the times before.
    pub restart: bool,
}

/// Cleans the timestamps of one track.
#[derive(Debug, Default)]
pub struct Stamps {
    clock: SourceClock,
    decode: DecodeTimes,
    /// Clocks that another track of the same multiplex has begun: one sample is enough to follow it there.
    begun: Vec<Flicks>,
    ended: bool,
}

impl Stamps {
    /// The next sample of the track.
    pub fn push(&mut self, raw: RawTimes) {
        self.ended = false;
        self.clock.push(raw);
    }

    /// No sample follows for now: what waits is decided without it. In HLS a segment's end, since live output
    /// must not wait for the next segment.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The times of the oldest sample that has none yet, once enough behind it is known.
    pub fn poll(&mut self) -> Option<CleanTimes> {
        loop {
            if let Some(times) = self.decode.poll(self.ended && self.clock.is_empty()) {
                return Some(times);
            }
            let decided = self.clock.poll(self.ended, &self.begun)?;
            self.decode.push(decided);
        }
    }

    /// Nothing before has to do with what comes: a discontinuity.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Another track begins a clock at `dts` in this segment.
    pub(super) fn expect(&mut self, dts: Flicks) {
        self.begun.push(dts);
    }

    /// What [`Stamps::expect`] told holds for one segment.
    pub(super) fn expect_nothing(&mut self) {
        self.begun.clear();
    }
}

/// Samples whose times are known, oldest first.
type Decided = VecDeque<CleanTimes>;
