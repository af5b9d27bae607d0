//! Edit lists to an [`Edit`].

use mp4_atom::Elst;

use super::error::Problem;
use crate::Edit;

/// The one stretch of media that an edit list presents: leading empty edits become the delay, and edits
/// that continue one another are joined. What does not continue is left out and reported.
pub(crate) fn parse_edits(
    elst: &Elst,
    movie_timescale: u32,
    timescale: u32,
) -> (Option<Edit>, Option<Problem>) {
    let scale = |time: u64| rescale(time, movie_timescale, timescale);
    let mut delay = 0_u64;
    let mut stretch: Option<(u64, u64)> = None;
    for (i, entry) in elst.entries.iter().enumerate() {
        match (entry.media_time, &mut stretch) {
            (None, None) => delay = delay.saturating_add(entry.segment_duration),
            (Some(start), None) => stretch = Some((start, entry.segment_duration)),
            // An empty edit at the end changes nothing that is presented.
            (None, Some(_)) if i + 1 == elst.entries.len() => {}
            (Some(start), Some((first, duration))) => {
                let continued = first.saturating_add(scale(*duration)).abs_diff(start);
                // The movie's ticks are coarser: a join is exact to one of them.
                if *duration == 0 || continued > scale(1).max(1) {
                    return (edit(delay, stretch, &scale), Some(Problem::SeveralEdits));
                }
                *duration = match entry.segment_duration {
                    0 => 0,
                    more => duration.saturating_add(more),
                };
            }
            (None, Some(_)) => return (edit(delay, stretch, &scale), Some(Problem::SeveralEdits)),
        }
    }
    (edit(delay, stretch, &scale), None)
}

fn edit(delay: u64, stretch: Option<(u64, u64)>, scale: &impl Fn(u64) -> u64) -> Option<Edit> {
    let (media_time, duration) = stretch?;
    Some(Edit { delay: scale(delay), media_time, duration: scale(duration) })
}

/// `time` of `from` units per second in `to` units per second, rounded to the nearest.
pub(crate) fn rescale(time: u64, from: u32, to: u32) -> u64 {
    let from = u128::from(from.max(1));
    let scaled = (u128::from(time) * u128::from(to) + from / 2) / from;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use mp4_atom::ElstEntry;

    use super::*;

    fn list(entries: &[(u64, Option<u64>)]) -> Elst {
        let entry = |&(segment_duration, media_time)| ElstEntry {
            segment_duration,
            media_time,
            media_rate: 1.into(),
        };
        Elst { entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn empty_edits_delay_and_continuing_edits_join() {
        let edits = list(&[(1_000, None), (500, Some(1_024)), (500, Some(25_024))]);
        let expected = Edit { delay: 48_000, media_time: 1_024, duration: 48_000 };
        assert_eq!(parse_edits(&edits, 1_000, 48_000), (Some(expected), None));
        assert_eq!(parse_edits(&list(&[]), 1_000, 48_000), (None, None));
        assert_eq!(parse_edits(&list(&[(5, None)]), 1_000, 48_000), (None, None));
    }

    #[test]
    fn a_jump_in_the_media_is_reported_and_the_first_stretch_counts() {
        let edits = list(&[(500, Some(0)), (500, Some(90_000))]);
        let (edit, problem) = parse_edits(&edits, 1_000, 48_000);
        assert_eq!(edit, Some(Edit { delay: 0, media_time: 0, duration: 24_000 }));
        assert_eq!(problem, Some(Problem::SeveralEdits));
    }

    #[test]
    fn absurd_times_saturate() {
        let edits = list(&[(u64::MAX, None), (u64::MAX, None), (u64::MAX, Some(1))]);
        let (edit, _) = parse_edits(&edits, 1, u32::MAX);
        assert_eq!(edit, Some(Edit { delay: u64::MAX, media_time: 1, duration: u64::MAX }));
    }
}
