//! What the last segments were called, and when they were: whether a window shows the same stream.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::hls::playlist::SegmentRef;

/// Segments remembered; a longer memory only serves servers that lag by more than a playlist.
const MAX_REMEMBERED: usize = 512;

/// How the segments of a window relate to those of the same number read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// They have numbers in common.
    pub(super) overlap: bool,
    /// Most of the numbers in common carry the names that they had.
    pub(super) names_agree: bool,
    pub(super) dates: Dates,
}

/// The order in programme date time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dates {
    /// One of the two has none.
    Unknown,
    /// The same numbers were at the same time.
    Same,
    /// Later than everything read before.
    Newer,
    /// Not later than what was read before.
    Older,
}

#[derive(Debug, Default)]
pub(super) struct History {
    known: BTreeMap<u64, Known>,
    newest: Option<OffsetDateTime>,
    /// When the last segment of the newest date ends.
    newest_end: Option<OffsetDateTime>,
}

#[derive(Debug)]
struct Known {
    name: String,
    date: Option<OffsetDateTime>,
    duration: Duration,
    discontinuity_sequence: u64,
}

impl History {
    /// Remembers the numbers not known yet.
    pub(super) fn record(&mut self, segments: &[SegmentRef]) {
        for segment in segments.iter().skip(segments.len().saturating_sub(MAX_REMEMBERED)) {
            let date = date(segment);
            if date > self.newest {
                self.newest = date;
                self.newest_end = date.and_then(|date| after(date, segment.duration));
            } else if date.is_none() && !self.known.contains_key(&segment.sequence) {
                // A date holds on for the segments after it (RFC 8216 4.3.2.6).
                self.newest_end = self.newest_end.and_then(|end| after(end, segment.duration));
            }
            self.known.entry(segment.sequence).or_insert_with(|| Known {
                name: segment.name().to_owned(),
                date,
                duration: segment.duration,
                discontinuity_sequence: segment.discontinuity_sequence,
            });
        }
        while self.known.len() > MAX_REMEMBERED {
            self.known.pop_first();
        }
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// When the last segment known ends, by its date.
    pub(super) fn end(&self) -> Option<OffsetDateTime> {
        self.newest_end
    }

    /// The discontinuity sequence number of the last segment known.
    pub(super) fn last_discontinuity(&self) -> Option<u64> {
        self.known.last_key_value().map(|(_, known)| known.discontinuity_sequence)
    }

    /// Whether the first of `segments` begins, by its date, where the last one known ended.
    pub(super) fn goes_on(&self, segments: &[SegmentRef]) -> bool {
        let Some(first) = segments.first() else { return false };
        let (Some(end), Some(begins)) = (self.newest_end, date(first)) else { return false };
        (begins - end).unsigned_abs() <= first.duration / 2
    }

    /// The first of `segments` that is, by its date, not before the end of what is known.
    pub(super) fn resume_index(&self, segments: &[SegmentRef]) -> Option<usize> {
        let end = self.newest_end?;
        let mut dates = Vec::with_capacity(segments.len());
        for segment in segments {
            dates.push(after(date(segment)?, segment.duration / 2)?);
        }
        dates.iter().position(|middle| *middle >= end)
    }

    /// Whether the segment `next` of a window has a date that does not follow from the one before it, though
    /// no discontinuity stands between them.
    pub(super) fn strays(&self, segments: &[SegmentRef], next: u64, tolerance: Duration) -> bool {
        let before = next.checked_sub(1).and_then(|last| self.known.get(&last));
        let segment = segments.iter().find(|segment| segment.sequence == next);
        let (Some(before), Some(segment)) = (before, segment) else { return false };
        let expected = before.date.and_then(|date| after(date, before.duration));
        let (Some(expected), Some(found)) = (expected, date(segment)) else { return false };
        !segment.discontinuity && (found - expected).unsigned_abs() > tolerance
    }

    /// `tolerance`: how far two dates of one segment may be apart; servers of a group write their own.
    pub(super) fn compare(&self, segments: &[SegmentRef], tolerance: Duration) -> Comparison {
        let (mut same, mut other) = (0_usize, 0_usize);
        let mut dates = None;
        for segment in segments {
            let Some(known) = self.known.get(&segment.sequence) else { continue };
            if known.name == segment.name() {
                same += 1;
            } else {
                other += 1;
            }
            if dates.is_none()
                && let (Some(before), Some(now)) = (known.date, date(segment))
            {
                dates = Some(match (now - before).unsigned_abs() <= tolerance {
                    true => Dates::Same,
                    false => self.order(now),
                });
            }
        }
        let overlap = same + other > 0;
        let dates = dates.unwrap_or_else(|| match segments.iter().rev().find_map(date) {
            Some(last) if !overlap && self.newest.is_some() => self.order(last),
            _ => Dates::Unknown,
        });
        Comparison { overlap, names_agree: overlap && same >= other, dates }
    }

    fn order(&self, date: OffsetDateTime) -> Dates {
        if self.newest.is_some_and(|newest| date > newest) { Dates::Newer } else { Dates::Older }
    }
}

/// ISO 8601 as RFC 8216 4.3.2.6 asks, with a zone in either form.
pub(super) fn date(segment: &SegmentRef) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(segment.program_date_time.as_deref()?, &Iso8601::PARSING).ok()
}

fn after(date: OffsetDateTime, duration: Duration) -> Option<OffsetDateTime> {
    date.checked_add(duration.try_into().ok()?)
}
