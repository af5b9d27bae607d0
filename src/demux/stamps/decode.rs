//! Decode times that rise and are never after the presentation times. Pure.
//!
//! Presentation less decode time may be negative in MP4 (`trun` version 1, ISO/IEC 14496-12 8.8.8) and is in some
//! transport streams; RTMP receivers and many players refuse it. Presentation times are what viewers see, so decode
//! times are moved instead: all of a track by the same amount.

use super::{CleanTimes, Decided};
use crate::media::Flicks;

/// How many samples are looked at before one leaves: more than any decoder reorders (16, ISO/IEC 14496-10 A.3.1), so
/// that the amount is known before the first sample that needs it.
const LOOKAHEAD: usize = 32;

/// The least distance of decode times: one tick of 90 kHz, which every container can say.
const TICK: Flicks = Flicks::from_ticks(1);

/// Stage two.
#[derive(Debug, Default)]
pub(super) struct DecodeTimes {
    waiting: Decided,
    /// What decode times are moved back by. It only grows within a clock.
    shift: Flicks,
    last: Option<Flicks>,
}

impl DecodeTimes {
    pub(super) fn push(&mut self, times: CleanTimes) {
        self.waiting.push_back(times);
    }

    /// The next sample; `ended`: nothing more comes that it could depend on.
    pub(super) fn poll(&mut self, ended: bool) -> Option<CleanTimes> {
        let begins = self.waiting.front()?.restart;
        // Another clock has its own amount.
        let other = self.waiting.iter().skip(1).position(|times| times.restart);
        let count = other.map_or(self.waiting.len(), |at| at + 1);
        if count <= LOOKAHEAD && other.is_none() && !ended {
            return None;
        }
        if begins {
            (self.shift, self.last) = (Flicks::ZERO, None);
        }
        let ahead = self.waiting.iter().take(count.min(LOOKAHEAD));
        let needed = ahead.clone().map(|times| times.dts - times.pts).max().unwrap_or_default();
        self.shift = self.shift.max(needed);
        // Those behind it have to be decoded after it and before they are shown.
        let room = |(n, times): (usize, &CleanTimes)| times.pts - Flicks::new(TICK.get() * n as i64);
        let latest = ahead.enumerate().map(room).min();
        let CleanTimes { dts, pts, restart } = self.waiting.pop_front()?;
        let mut at = dts - self.shift;
        if let Some(last) = self.last {
            at = at.max(last + TICK);
        }
        at = latest.map_or(at, |latest| at.min(latest));
        if let Some(last) = self.last {
            // Nothing is decoded before what has left already: such a picture is shown late.
            at = at.max(last + TICK);
        }
        self.last = Some(at);
        Some(CleanTimes { dts: at, pts: pts.max(at), restart })
    }
}
