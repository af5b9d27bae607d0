//! Splice points and date ranges of a playlist, each told once.

use std::collections::{HashSet, VecDeque};

use tracing::info;

use super::playlist::{Cue, DateRange, SegmentRef};
use crate::outside::Name;

/// Date ranges remembered, so that each is told once: more than any window of hours lists.
const MAX_REMEMBERED: usize = 1_000;

/// Totals, and what is known already.
#[derive(Debug, Default)]
pub(super) struct Marks {
    told: HashSet<Name>,
    /// The same, the oldest first.
    order: VecDeque<Name>,
    counted: Counted,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Breaks that began or ended (`EXT-X-CUE-OUT`, `EXT-X-CUE-IN`).
    pub(super) cues: u64,
    pub(super) date_ranges: u64,
    /// `EXT-X-GAP`.
    pub(super) gaps_marked: u64,
}

impl Marks {
    pub(super) fn counted(&self) -> Counted {
        self.counted
    }

    /// A segment that is taken up.
    pub(super) fn segment(&mut self, segment: &SegmentRef) {
        match segment.cue {
            Some(Cue::Out(duration)) => {
                info!(media_sequence = segment.sequence, ?duration, "a break begins (EXT-X-CUE-OUT)");
                self.counted.cues += 1;
            }
            Some(Cue::In) => {
                info!(media_sequence = segment.sequence, "a break ends (EXT-X-CUE-IN)");
                self.counted.cues += 1;
            }
            Some(Cue::Continued) | None => {}
        }
    }

    pub(super) fn gap(&mut self) {
        self.counted.gaps_marked += 1;
    }

    /// The date ranges of a playlist: most were there before.
    pub(super) fn date_ranges(&mut self, ranges: &[DateRange]) {
        for range in ranges {
            if self.told.contains(&range.id) {
                continue;
            }
            let DateRange { id, class, start, duration, scte35 } = range;
            let (id, class, start) = (&**id, class.as_deref(), start.as_deref());
            info!(id, class, start, ?duration, scte35, "a date range is listed (EXT-X-DATERANGE)");
            self.counted.date_ranges += 1;
            if self.order.len() == MAX_REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.told.remove(&oldest);
            }
            self.order.push_back(range.id.clone());
            self.told.insert(range.id.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_range_is_told_once_however_often_it_is_listed() {
        let range =
            |id: &str| DateRange { id: id.into(), class: None, start: None, duration: None, scte35: false };
        let mut marks = Marks::default();
        marks.date_ranges(&[range("a"), range("b")]);
        marks.date_ranges(&[range("b"), range("c")]);
        assert_eq!(marks.counted().date_ranges, 3);
        for number in 0..5_000 {
            marks.date_ranges(&[range(&number.to_string())]);
        }
        assert!(marks.told.len() <= MAX_REMEMBERED);
    }
}
