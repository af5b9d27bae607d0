//! Where in a playlist reading begins.

use std::time::Duration;

use time::OffsetDateTime;

use super::{LAG_TOLERANCE, history};
use crate::hls::playlist::Media;
use crate::media::Moment;

/// Dates of two playlists that are so much apart mean the same instant: packagers round to the frame of their own
/// rendition.
const SAME_DATE: Duration = Duration::from_millis(100);

/// Where to begin in the first playlist.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// A live one so many segments before its end, or at its EXT-X-START; a complete one at its beginning.
    Edge(usize),
    /// So many seconds from the beginning, or, negative, from the end.
    Offset { seconds: f64, live_start_segments: usize },
    /// Where another playlist of the same presentation is.
    With(Place),
    /// Beside another rendition that was at this place then. What begins too early is cut by its times later on,
    /// what begins too late is a hole: a segment more rather than one less.
    Beside(Place, Moment),
}

/// A place in the presentation, as one playlist tells it to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Its programme date time.
    pub date: Option<OffsetDateTime>,
    /// Its media sequence number, where both playlists are numbered alike: RFC 8216 6.2.4 does not ask for
    /// that, but the variants of one packager are.
    pub media_sequence: Option<u64>,
    /// How much media there was from there to the end of the playlist.
    pub to_end: Duration,
    /// And from its beginning, for complete playlists.
    pub from_start: Duration,
}

/// The first segment to play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct First {
    /// Its index in the playlist.
    pub(super) index: usize,
    /// So many segments after the end of the playlist, where the server is behind: they were played already.
    pub(super) ahead: u64,
}

impl From<usize> for First {
    fn from(index: usize) -> Self {
        Self { index, ahead: 0 }
    }
}

/// The first segment to play (RFC 8216 6.3.3, and 4.3.5.2 for EXT-X-START).
pub(super) fn first(media: &Media, start: &Start, now: Moment) -> First {
    let vod = media.is_vod();
    let usual = |segments: usize| if vod { 0 } else { media.segments.len().saturating_sub(segments.max(1)) };
    match start {
        Start::Edge(segments) => {
            let usual = usual(*segments);
            let Some(start) = media.start else { return usual.into() };
            // Past the usual live start there is less than three target durations to live on (RFC 8216
            // 6.3.3).
            let index = at_offset(media, start.time_offset).unwrap_or(usual);
            if vod { index } else { index.min(usual) }.into()
        }
        // What the user asks for goes before what is advised.
        Start::Offset { seconds, live_start_segments } => {
            at_offset(media, *seconds).unwrap_or_else(|| usual(*live_start_segments)).into()
        }
        Start::With(place) => at_place(media, place, Share::Most),
        Start::Beside(place, then) => {
            // The two playlists are not read at the same moment: one may list a segment more by then.
            let since = now.saturating_since(*then) + media.target_duration;
            let to_end = place.to_end.saturating_add(since);
            at_place(media, &Place { to_end, ..place.clone() }, Share::Any)
        }
    }
}

/// How much of a segment must lie after a date for it to be the first.
#[derive(Clone, Copy, PartialEq)]
enum Share {
    /// More than half: the cut of segments is the same, or nearly.
    Most,
    /// Whatever: it is cut another way.
    Any,
}

/// The segment in which the second `offset` lies; none past the end.
fn at_offset(media: &Media, offset: f64) -> Option<usize> {
    let total: f64 = media.segments.iter().map(|segment| segment.duration.as_secs_f64()).sum();
    let wanted = if offset < 0.0 { total + offset } else { offset };
    let mut begins = 0.0;
    media.segments.iter().position(|segment| {
        begins += segment.duration.as_secs_f64();
        begins > wanted
    })
}

/// By date, where both have one; by number, where it is listed; else by the distance from the end that moves,
/// or from the beginning that does not.
fn at_place(media: &Media, place: &Place, share: Share) -> First {
    let segments = &media.segments;
    if let Some(first) = place.date.and_then(|date| at_date(media, date, share)) {
        return first;
    }
    // Numbers that the playlist does not give are those of its own reader.
    if let Some(sequence) = place.media_sequence.filter(|_| media.numbered)
        && (media.media_sequence..=media.end().saturating_add(LAG_TOLERANCE)).contains(&sequence)
    {
        let listed = usize::try_from(sequence - media.media_sequence).unwrap_or(usize::MAX);
        return First { index: listed.min(segments.len()), ahead: sequence.saturating_sub(media.end()) };
    }
    if media.is_vod() {
        return at_offset(media, place.from_start.as_secs_f64()).unwrap_or(segments.len()).into();
    }
    let (mut from, mut taken) = (segments.len(), Duration::ZERO);
    while from > 0 && taken < place.to_end {
        from -= 1;
        taken += segments[from].duration;
    }
    from.into()
}

/// The first segment of which `share` lies after the date; none when the dates cannot be compared, or are so far
/// apart that those of one playlist are wrong.
fn at_date(media: &Media, wanted: OffsetDateTime, share: Share) -> Option<First> {
    let segments = &media.segments;
    // A date holds for its segment; those after it count on from there (RFC 8216 4.3.2.6).
    let (anchor, anchored) =
        segments.iter().enumerate().find_map(|(index, segment)| Some((index, history::date(segment)?)))?;
    let before: Duration = segments.iter().take(anchor).map(|segment| segment.duration).sum();
    let mut begins = anchored.checked_sub(before.try_into().ok()?)?;
    for (index, segment) in segments.iter().enumerate() {
        begins = history::date(segment).unwrap_or(begins);
        let before = match share {
            Share::Most => segment.duration / 2,
            Share::Any => segment.duration.saturating_sub(SAME_DATE),
        };
        if begins.checked_add(before.try_into().ok()?)? > wanted {
            return Some(index.into());
        }
        begins = begins.checked_add(segment.duration.try_into().ok()?)?;
    }
    let missing = (wanted - begins).as_seconds_f64() / media.target_duration.as_secs_f64();
    let ahead = missing.round().max(0.0) as u64;
    let behind = LAG_TOLERANCE.max(segments.len() as u64);
    (ahead <= behind).then_some(First { index: segments.len(), ahead })
}
