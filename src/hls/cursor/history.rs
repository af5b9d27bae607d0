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
}

#[derive(Debug)]
struct Known {
    name: String,
    date: Option<OffsetDateTime>,
}

impl History {
    /// Remembers the numbers not known yet.
    pub(super) fn record(&mut self, segments: &[SegmentRef]) {
        for segment in segments.iter().skip(segments.len().saturating_sub(MAX_REMEMBERED)) {
            let date = date(segment);
            self.newest = self.newest.max(date);
            self.known
                .entry(segment.sequence)
                .or_insert_with(|| Known { name: name(&segment.uri).to_owned(), date });
        }
        while self.known.len() > MAX_REMEMBERED {
            self.known.pop_first();
        }
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// `tolerance`: how far two dates of one segment may be apart; servers of a group write their own.
    pub(super) fn compare(&self, segments: &[SegmentRef], tolerance: Duration) -> Comparison {
        let (mut same, mut other) = (0_usize, 0_usize);
        let mut dates = None;
        for segment in segments {
            let Some(known) = self.known.get(&segment.sequence) else { continue };
            if known.name == name(&segment.uri) {
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

/// The last path component: hosts and tokens differ between servers and readings.
fn name(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.rsplit('/').next().unwrap_or(path)
}

/// ISO 8601 as RFC 8216 4.3.2.6 asks, with a zone in either form.
fn date(segment: &SegmentRef) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(segment.program_date_time.as_deref()?, &Iso8601::PARSING).ok()
}
