//! How long the hole before a new period is (DESIGN section 4; docs/time.md). Pure.
//!
//! The clocks on both sides have nothing to do with each other, so the hole is measured by what both sides were
//! measured with: EXT-X-PROGRAM-DATE-TIME, or else when they arrived.

use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::media::{Flicks, Moment, Piece};

/// Dates that are nearer to each other than this say that there is no hole: EXTINF is rounded.
const DATE_ROUNDING: Flicks = Flicks::from_millis(500);

/// Arrivals say nothing of a hole that is shorter than one target duration, by which a live playlist is late or
/// not, and this.
const ARRIVAL_JITTER: Flicks = Flicks::from_millis(1_000);

/// Stamps that go on over a jump agree to this with what the playlist says is lost (EXTINF is rounded for each segment),
/// and beside a target duration with the arrivals.
const AGREEMENT: Flicks = Flicks::from_millis(2_000);

/// Where a piece stands by each of the clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    period: u64,
    captured_at: Moment,
    /// Calendar time of its first sample.
    date: Option<OffsetDateTime>,
    start: Flicks,
    end: Flicks,
}

impl Edge {
    /// `None` for a piece without a sample.
    pub(super) fn of(piece: &Piece) -> Option<Self> {
        let (start, end) = piece.span()?;
        let text = piece.origin.program_date_time.as_deref();
        // ISO 8601 as RFC 8216 4.3.2.6 asks, with a zone in either form.
        let date = text.and_then(|text| OffsetDateTime::parse(text, &Iso8601::PARSING).ok());
        Some(Self { period: piece.period, captured_at: piece.origin.captured_at, date, start, end })
    }

    /// How far the stamps of `next`, of the same period, are behind the end of this.
    pub(super) fn jump_to(&self, next: &Piece) -> Option<Flicks> {
        let (start, _) = next.span().filter(|_| next.period == self.period)?;
        Some(start - self.end)
    }

    fn length(&self) -> Flicks {
        self.end - self.start
    }
}

/// What bounds a hole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub target_duration: Flicks,
    /// Of media that the playlist announced and that did not come.
    pub lost: Flicks,
    /// With more, the media behind it would play later after its capture than the stream began to.
    pub most: Flicks,
}

/// The hole between `before` and `after`, which begins a period; zero where it is not known to be one.
pub(super) fn length(before: &Edge, after: &Edge, limits: Limits) -> Flicks {
    let jitter = limits.target_duration + ARRIVAL_JITTER;
    let elapsed = after.captured_at.since(before.captured_at) - after.length();
    let dated = before.date.zip(after.date).map(|(before_date, after_date)| {
        let apart = after_date - before_date;
        let nanos = i64::try_from(apart.whole_nanoseconds()).unwrap_or(i64::MAX);
        Flicks::from_units(nanos, 1_000_000_000) - before.length()
    });
    let hole = match dated {
        // A date that contradicts the arrivals by more than the stream's latency is not one of this stream.
        Some(hole) if hole > -jitter && hole <= limits.most.max(elapsed) + jitter => {
            if hole.abs() <= DATE_ROUNDING { Flicks::ZERO } else { hole }
        }
        _ => {
            let jump = after.start - before.end;
            let arrivals_agree = (jump - elapsed).abs() <= limits.target_duration + AGREEMENT;
            // A server that was away has several segments at once when it is back: they arrive later than they could have.
            let playlist_agrees = limits.lost > Flicks::ZERO && (jump - limits.lost).abs() <= AGREEMENT;
            if jump > Flicks::ZERO && (arrivals_agree || playlist_agrees) {
                // The source's clock went on; nobody else is as exact.
                jump
            } else if limits.lost > Flicks::ZERO && elapsed <= limits.lost + jitter {
                limits.lost
            } else if elapsed > jitter {
                elapsed
            } else {
                Flicks::ZERO
            }
        }
    };
    // What is exact may be more by what the arrivals on which the bound rests are late or not.
    let most = if hole == elapsed { limits.most } else { limits.most + limits.target_duration };
    hole.min(most).max(Flicks::ZERO)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SEGMENT: Flicks = Flicks::from_millis(6_000);

    fn edge(captured_at: f64, date: Option<&str>, start: i64) -> Edge {
        Edge {
            period: 0,
            captured_at: Moment::from_start(Duration::from_secs_f64(captured_at)),
            date: date.map(|text| OffsetDateTime::parse(text, &Iso8601::PARSING).unwrap()),
            start: Flicks::from_millis(start),
            end: Flicks::from_millis(start) + SEGMENT,
        }
    }

    fn seconds(before: &Edge, after: &Edge) -> f64 {
        let limits =
            Limits { target_duration: SEGMENT, lost: Flicks::ZERO, most: Flicks::from_millis(100_000) };
        length(before, after, limits).to_secs_f64()
    }

    #[test]
    fn segments_that_follow_each_other_have_no_hole_however_they_arrive() {
        for arrives in [100.0, 100.2, 103.0, 106.0, 109.0, 112.0] {
            assert_eq!(seconds(&edge(100.0, None, 0), &edge(arrives, None, 777_000)), 0.0, "{arrives}");
        }
    }

    #[test]
    fn arrivals_say_how_long_a_stop_was() {
        assert_eq!(seconds(&edge(100.0, None, 0), &edge(166.0, None, 0)), 60.0);
        // Some of it was made up for: never more than the latency.
        assert_eq!(seconds(&edge(100.0, None, 0), &edge(706.0, None, 0)), 100.0);
    }

    #[test]
    fn stamps_that_go_on_over_a_jump_are_exact() {
        assert_eq!(seconds(&edge(100.0, None, 0), &edge(168.0, None, 66_500)), 60.5);
        assert_eq!(seconds(&edge(100.0, None, 0), &edge(168.0, None, 90_000)), 62.0);
    }

    #[test]
    fn dates_go_before_arrivals_and_say_also_that_there_is_none() {
        let before = edge(100.0, Some("2026-01-02T03:04:05.000Z"), 0);
        let after = |arrives, date| edge(arrives, Some(date), 0);
        assert_eq!(seconds(&before, &after(166.0, "2026-01-02T03:05:01.500Z")), 50.5);
        assert_eq!(seconds(&before, &after(166.0, "2026-01-02T04:05:01.500+0100")), 50.5);
        assert_eq!(seconds(&before, &after(120.0, "2026-01-02T03:04:11.200Z")), 0.0);
        // Another clock altogether.
        assert_eq!(seconds(&before, &after(166.0, "2027-01-02T03:05:01.500Z")), 60.0);
        assert_eq!(seconds(&before, &after(106.0, "2026-01-02T03:14:11.200Z")), 0.0);
    }

    #[test]
    fn a_lost_segment_is_as_long_as_the_playlist_says() {
        let lost = Flicks::from_millis(6_000);
        let limits = Limits { target_duration: SEGMENT, lost, most: Flicks::from_millis(100_000) };
        assert_eq!(length(&edge(100.0, None, 0), &edge(118.5, None, 0), limits), lost);
        assert_eq!(length(&edge(100.0, None, 0), &edge(108.5, None, 0), limits), lost);
    }

    #[test]
    fn stamps_and_playlist_that_agree_are_right_against_the_arrivals() {
        let lost = Flicks::from_millis(12_000);
        let limits = Limits { target_duration: SEGMENT, lost, most: Flicks::from_millis(100_000) };
        // The server was away for longer than its playlist reaches back, and has six segments at once.
        let back = |start| length(&edge(100.0, None, 0), &edge(136.0, None, start), limits).to_secs_f64();
        assert_eq!(back(18_100), 12.1);
        assert_eq!(back(777_000), 30.0, "another clock: the arrivals say it");
    }
}
