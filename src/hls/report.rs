//! What the readers tell of themselves, in the status.

use super::Status;
use super::cursor::Counters;
use super::reader::{Given, Reader};
use crate::media::Moment;

/// After a segment or a hole was given out.
pub(super) fn given(status: &mut Status, given: &Given, main: bool) {
    match *given {
        Given::Segment { bytes, took, duration, media_sequence, discontinuity } => {
            if main {
                status.last_media_sequence = Some(media_sequence);
            }
            status.segments += 1;
            status.bytes += bytes;
            status.last_fetch = Some(took);
            let played = duration.as_secs_f64();
            status.fetch_ratio = (played > 0.0).then(|| took.as_secs_f64() / played).or(status.fetch_ratio);
            status.discontinuities += u64::from(discontinuity);
        }
        Given::Lost { segments, duration } => {
            status.gaps += segments;
            status.gap_duration = status.gap_duration.saturating_add(duration);
        }
    }
}

/// As the readers stand now.
pub(super) fn readers(status: &mut Status, main: &Reader, audio: Option<&Reader>, now: Moment) {
    status.lag = main.lag();
    status.audio_lag = audio.map(Reader::lag);
    status.target_duration = main.cursor.target_duration();
    status.stalled_since = main.cursor.stalled_since(now);
    let total = |field: fn(&Counters) -> u64| {
        field(&main.counters()) + audio.map_or(0, |audio| field(&audio.counters()))
    };
    status.reloads = total(|counters| counters.reloads);
    status.unchanged_reloads = total(|counters| counters.unchanged);
    status.lagging_reloads = total(|counters| counters.lagging);
    status.restarts = total(|counters| counters.restarts);
    status.windows_missed = total(|counters| counters.windows_missed);
    status.dates_astray = total(|counters| counters.dates_astray);
    status.discontinuities_inferred = total(|counters| counters.discontinuities_inferred);
    let marks = main.marks.counted();
    status.gaps_marked = marks.gaps_marked + audio.map_or(0, |audio| audio.marks.counted().gaps_marked);
    status.cues = marks.cues;
    status.date_ranges = marks.date_ranges;
}
