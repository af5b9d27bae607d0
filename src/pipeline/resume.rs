//! How a stream goes on after its process was gone: the journal's record, and what the calendar says now, to a
//! plan. Pure.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::batch::Anchor;
use crate::config::StreamSettings;
use crate::hls;
use crate::journal::{BatchMark, Place, Record, SegmentMark, Track, WallMillis};
use crate::media::{Flicks, Moment, Piece, Rendition};
use crate::playout::Playout;

/// Batch numbers that are passed over after an unclean end: batches may have been opened after the last record.
/// One a second is the most there can be, and a record is made each second; a slow disk may miss some.
const UNRECORDED: u64 = 8;

/// What is due this soon cannot be read back, put into a batch and handed out in time.
const MARGIN: Duration = Duration::from_millis(1_500);

/// How far a source's own clock may have gone, beyond the calendar's, and still be the same clock: segments of
/// several minutes that arrive at once.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

/// Where everything goes on.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub next_segment: u64,
    pub next_batch: u64,
    /// The output's clock; none when nothing was due yet.
    pub playout: Option<Playout>,
    /// Which output time the source's clock belongs to.
    pub anchor: Option<Anchor>,
    /// The output time at which media of an unknown clock begins.
    pub begin: Flicks,
    /// Nothing before this output time is published again.
    pub from: Option<Flicks>,
    /// Segments that were captured and still have their time, to be read back.
    pub replay: Vec<SegmentMark>,
    pub source: hls::Continue,
    pub target_duration: Duration,
    /// How long nobody was there.
    pub away: Duration,
    /// What is lost, for a person; none when nothing is but the time away.
    pub lost: Option<String>,
}

/// The plan for `record`, of which `is_there` says whether a segment can be read back.
pub(super) fn plan(
    record: &Record,
    settings: &StreamSettings,
    now: Moment,
    wall: WallMillis,
    is_there: impl Fn(&SegmentMark) -> bool,
) -> Plan {
    let away = millis(wall.saturating_sub(record.saved_at));
    let position = record.position.map(Flicks::new);
    // A complete playlist waits for its reader; a live one goes on, and the output's clock with it.
    let position = position.map(|at| if record.complete { at } else { at + Flicks::from_duration(away) });
    let from = position.map(|at| if record.complete { at } else { at + Flicks::from_duration(MARGIN) });
    let playout = position.map(|at| {
        let ahead = if record.complete { settings.processing_budget } else { Duration::ZERO };
        Playout::resumed(now + ahead, at)
    });

    let in_play = record.batches.iter().find(|batch| from.is_none_or(|from| Flicks::new(batch.end) > from));
    let first = match in_play.or(record.batches.last()) {
        Some(batch) if in_play.is_some() => batch.first_segment,
        // Nothing that was batched has its time left; what was being gathered may.
        Some(batch) => batch.end_segment,
        None => 0,
    };
    let fresh = |mark: &&SegmentMark| {
        let open = record.batches.last().filter(|_| in_play.is_none());
        mark.number >= first
            && open.is_none_or(|last| from.is_none_or(|from| gathered_until(record, last, mark) > from))
    };
    let wanted: Vec<&SegmentMark> = record.segments.iter().filter(fresh).collect();
    let readable = !record.complete && wanted.iter().any(|mark| is_there(mark));
    let replay: Vec<SegmentMark> =
        if readable { wanted.iter().copied().cloned().collect() } else { Vec::new() };

    // What is not read back is asked of the source again: it may still list it.
    let again = |rendition| wanted.iter().copied().find(|mark| !readable && mark.rendition == rendition);
    let place =
        |rendition, next: &Option<Place>| again(rendition).map(|mark| &mark.place).or(next.as_ref()).cloned();
    let last_captured = record.segments.last().map_or(record.saved_at, |mark| mark.captured_at);
    let begun =
        again(Rendition::Main).map_or(last_captured, |mark| mark.captured_at - to_wall(mark.duration));
    let source = hls::Continue {
        place: place(Rendition::Main, &record.main).map(|place| hls::cursor::Place {
            date: place.date.as_deref().and_then(|date| OffsetDateTime::parse(date, &Iso8601::PARSING).ok()),
            media_sequence: Some(place.media_sequence),
            to_end: millis(wall.saturating_sub(begun)),
            from_start: Duration::from_millis(place.from_start),
        }),
        discontinuity_sequence: place(Rendition::Main, &record.main)
            .map(|place| place.discontinuity_sequence),
        audio_sequence: place(Rendition::Audio, &record.audio).map(|place| place.media_sequence),
    };

    let known = in_play.or(record.batches.last());
    let anchor = known.map(|batch| Anchor {
        video: batch.track == Track::Video,
        source: Flicks::new(batch.source),
        output: Flicks::new(batch.source) + Flicks::new(batch.shift),
        elapsed: Flicks::from_duration(millis(wall.saturating_sub(batch.captured_at)) + CLOCK_SLACK),
    });
    let ended = record.batches.last().map_or(Flicks::ZERO, |batch| Flicks::new(batch.end));
    // As far ahead as a stream that begins: its first batch has to be gathered and processed.
    let ahead = Flicks::from_duration(settings.buffer_duration + settings.processing_budget);
    let begin = position.map_or(ended, |at| ended.max(at + ahead));

    let unreadable = replay.iter().filter(|mark| !is_there(mark)).count();
    let lost = match (in_play, readable) {
        _ if record.complete => None,
        (Some(_), false) => Some("the segments that were captured could not be read back".to_owned()),
        (_, true) if unreadable > 0 => Some(format!("{unreadable} captured segments could not be read back")),
        (None, false) if !record.batches.is_empty() => {
            Some("everything that was captured was past: the stream goes on live".to_owned())
        }
        _ => None,
    };
    let unrecorded = if record.clean { 0 } else { UNRECORDED };
    Plan {
        next_segment: record.next_segment,
        next_batch: record.next_batch.saturating_add(unrecorded),
        playout,
        anchor,
        begin,
        from,
        replay,
        source,
        target_duration: Duration::from_millis(record.target_duration),
        away,
        lost,
    }
}

/// Where `mark`, a segment behind the last batch, ends on the output axis, by what the playlist said.
fn gathered_until(record: &Record, last: &BatchMark, mark: &SegmentMark) -> Flicks {
    let behind = record.segments.iter().filter(|other| {
        other.rendition == mark.rendition && (last.end_segment..=mark.number).contains(&other.number)
    });
    let duration = behind.fold(0_u64, |sum, other| sum.saturating_add(other.duration));
    Flicks::new(last.end) + Flicks::from_duration(Duration::from_millis(duration))
}

fn millis(wall: WallMillis) -> Duration {
    Duration::from_millis(u64::try_from(wall).unwrap_or(0))
}

fn to_wall(millis: u64) -> WallMillis {
    WallMillis::try_from(millis).unwrap_or(WallMillis::MAX)
}

/// Keeps what is past out of the first batches: play goes on at the first random-access picture behind `from`.
#[derive(Debug)]
pub(super) struct Rejoin {
    anchor: Anchor,
    from: Flicks,
}

impl Rejoin {
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        Some(Self { anchor: plan.anchor?, from: plan.from? })
    }

    /// What is left of `piece`; with `done`, where play goes on was found.
    pub(super) fn cut(&self, mut piece: Piece) -> (Option<Piece>, bool) {
        let video = piece.video.as_ref().and_then(|(_, samples)| samples.first()).map(|sample| sample.dts);
        let audio = piece.audio.as_ref().and_then(|(_, frames)| frames.first()).map(|frame| frame.pts);
        // Of another clock: nothing is known of its time, and it is not past.
        let Some(shift) = self.anchor.shift(video, audio) else { return (Some(piece), true) };
        let (at, found) = match &mut piece.video {
            Some((_, samples)) => {
                let ahead = |time: Flicks| time + shift >= self.from;
                match samples.iter().position(|sample| sample.random_access && ahead(sample.dts)) {
                    Some(first) => {
                        samples.drain(..first);
                        (samples.first().map(|sample| sample.dts), true)
                    }
                    None => (None, false),
                }
            }
            None => (Some(self.from - shift), audio.is_some_and(|audio| audio + shift >= self.from)),
        };
        let Some(at) = at else { return (None, false) };
        if let Some((_, frames)) = &mut piece.audio {
            frames.retain(|frame| frame.pts >= at);
        }
        piece.audio = piece.audio.filter(|(_, frames)| !frames.is_empty());
        let something = piece.video.is_some() || piece.audio.is_some();
        (something.then_some(piece), found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StreamOptions;

    const SECOND: i64 = Flicks::PER_SECOND;
    /// When the record was made.
    const SAVED: WallMillis = 1_800_000_000_000;

    fn settings() -> StreamSettings {
        let options = StreamOptions {
            stream_id: Some("a".to_owned()),
            source_url: Some("http://h/a.m3u8".to_owned()),
            ..StreamOptions::default()
        };
        options.resolve().unwrap()
    }

    /// Batches 3 and 4 of five 6 s segments each, the next one begun with segments 25 to 27. Batch 3 began to play
    /// at output time 90 s, 10 s ago.
    fn record() -> Record {
        let place = |number: u64| Place {
            media_sequence: 100 + number,
            discontinuity_sequence: 2,
            date: None,
            from_start: number * 6_000,
        };
        let batch = |number: u64| BatchMark {
            number,
            first_segment: number * 5,
            end_segment: number * 5 + 5,
            captured_at: SAVED - 20_000,
            start: number as i64 * 30 * SECOND,
            end: (number as i64 + 1) * 30 * SECOND,
            shift: -1_000 * SECOND,
            source: (1_000 + number as i64 * 30) * SECOND,
            track: Track::Video,
        };
        let segment = |number: u64| SegmentMark {
            number,
            rendition: Rendition::Main,
            extension: "ts".to_owned(),
            init: None,
            place: place(number),
            duration: 6_000,
            discontinuity: false,
            bytes: 1,
            captured_at: SAVED - (28 - number as i64) * 6_000,
        };
        Record {
            settings: StreamOptions::from(&settings()),
            started_at: 0,
            saved_at: SAVED,
            clean: false,
            next_segment: 28,
            next_batch: 5,
            complete: false,
            target_duration: 6_000,
            position: Some(100 * SECOND),
            main: Some(place(28)),
            audio: None,
            batches: vec![batch(3), batch(4)],
            segments: (15..28).map(segment).collect(),
        }
    }

    fn after(record: &Record, seconds: i64, is_there: bool) -> Plan {
        plan(record, &settings(), Moment::ZERO, SAVED + seconds * 1_000, |_| is_there)
    }

    fn numbers(plan: &Plan) -> Vec<u64> {
        plan.replay.iter().map(|mark| mark.number).collect()
    }

    #[test]
    fn the_output_goes_on_where_the_calendar_says_with_what_has_its_time() {
        let plan = after(&record(), 3, true);
        let position = plan.playout.unwrap().position(Moment::ZERO);
        assert_eq!(position, Flicks::from_millis(103_000));
        assert_eq!(plan.from, Some(Flicks::from_millis(104_500)));
        assert_eq!(numbers(&plan), (15..28).collect::<Vec<_>>());
        assert_eq!(
            (plan.next_segment, plan.next_batch),
            (28, 13),
            "numbers that may be taken are passed over"
        );
        let place = plan.source.place.unwrap();
        assert_eq!((place.media_sequence, plan.source.discontinuity_sequence), (Some(128), Some(2)));
        assert_eq!(plan.lost, None);
        // The batch's source time 1090 s was output time 90 s.
        let shift = plan.anchor.unwrap().shift(Some(Flicks::from_millis(1_090_000)), None);
        assert_eq!(shift, Some(Flicks::from_millis(-1_000_000)));
    }

    #[test]
    fn what_has_been_played_is_not_read_back() {
        let later = after(&record(), 25, true);
        assert_eq!(numbers(&later), (20..28).collect::<Vec<_>>());
        assert_eq!(later.anchor.unwrap().output, Flicks::from_millis(120_000));
        // Both batches are past; of what was being gathered, up to 168 s, the last segment is not.
        let open = after(&record(), 61, true);
        assert_eq!(numbers(&open), [27]);
        let past = after(&record(), 600, true);
        assert!(past.replay.is_empty() && past.lost.is_some());
        assert_eq!(past.begin, Flicks::from_millis(700_000 + 42_000));
    }

    #[test]
    fn without_the_files_the_source_is_asked_again() {
        let plan = after(&record(), 3, false);
        assert!(plan.replay.is_empty() && plan.lost.is_some());
        let place = plan.source.place.unwrap();
        assert_eq!(place.media_sequence, Some(115));
        // Segment 15 began 84 s before the record.
        assert_eq!(place.to_end, Duration::from_secs(87));
    }

    #[test]
    fn a_complete_playlist_waits_and_is_asked_again() {
        let plan = after(&Record { complete: true, ..record() }, 3_600, true);
        assert!(plan.replay.is_empty() && plan.lost.is_none());
        assert_eq!(plan.source.place.unwrap().media_sequence, Some(115));
        let playout = plan.playout.unwrap();
        assert_eq!(playout.due(Flicks::from_millis(100_000)), Moment::from_start(Duration::from_secs(12)));
    }

    #[test]
    fn before_anything_was_played_everything_that_was_captured_is_read_back() {
        let record = Record { position: None, batches: Vec::new(), clean: true, ..record() };
        let plan = after(&record, 3, true);
        assert_eq!(plan.replay.len(), 13);
        assert_eq!((plan.playout, plan.anchor, plan.next_batch), (None, None, 5));
    }

    #[test]
    fn a_calendar_that_was_set_back_is_no_time_away() {
        let plan = after(&record(), -86_400, true);
        assert_eq!(plan.away, Duration::ZERO);
        assert_eq!(plan.playout.unwrap().position(Moment::ZERO), Flicks::from_millis(100_000));
    }
}
