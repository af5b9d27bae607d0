use std::time::Duration;

use super::*;
use crate::hls::playlist::{Definitions, Playlist, Start, parse};

const TARGET: Duration = Duration::from_secs(6);

pub(super) fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

/// A live playlist of 6 s segments `first..end`.
fn window(first: u64, end: u64) -> Media {
    let names: Vec<String> = (first..end).map(|sequence| format!("s{sequence}.ts")).collect();
    named(first, &names)
}

fn named(first: u64, names: &[String]) -> Media {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for name in names {
        text.push_str(&format!("#EXTINF:6,\n{name}\n"));
    }
    match parse(text.as_bytes(), &Definitions::default()) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("{other:?}"),
    }
}

/// The same with a date each, `offset` seconds after a fixed day plus 6 s for each number.
fn dated(first: u64, end: u64, offset: u64) -> Media {
    let mut media = window(first, end);
    for segment in &mut media.segments {
        let seconds = offset + 6 * segment.sequence;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let date = format!("2026-01-01T{hours:02}:{minutes:02}:{:02}.000+0100", seconds % 60);
        segment.program_date_time = Some(date.into());
    }
    media
}

fn ended(mut media: Media) -> Media {
    media.ended = true;
    media
}

fn drain(cursor: &mut Cursor) -> Vec<u64> {
    std::iter::from_fn(|| cursor.take_next())
        .map(|next| match next {
            Next::Segment(listed) => listed.segment.sequence,
            Next::Missed(missed) => panic!("{missed:?}"),
        })
        .collect()
}

/// A cursor that has read `media` at 100 s and given out everything.
fn begun(media: &Media) -> Cursor {
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(media, at(100), at(100));
    drain(&mut cursor);
    cursor
}

#[test]
fn a_live_source_begins_three_from_the_end_and_a_complete_one_at_its_first_segment() {
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&window(10, 20), at(0), at(0));
    assert_eq!(drain(&mut cursor), [17, 18, 19]);
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&window(10, 12), at(0), at(0));
    assert_eq!(drain(&mut cursor), [10, 11]);
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&ended(window(10, 15)), at(0), at(0));
    assert!(!cursor.is_finished());
    assert_eq!(drain(&mut cursor), [10, 11, 12, 13, 14]);
    assert!(cursor.is_finished());
    assert_eq!(cursor.reload_at(), None);
}

#[test]
fn the_start_tag_is_honoured_up_to_the_usual_distance_from_the_live_edge() {
    let starts = |time_offset: f64, ended: bool| {
        let mut media = window(10, 20);
        media.ended = ended;
        media.start = Some(Start { time_offset });
        let mut cursor = Cursor::new(3);
        cursor.handle_playlist(&media, at(0), at(0));
        drain(&mut cursor)[0]
    };
    assert_eq!(starts(12.0, true), 12);
    assert_eq!(starts(-6.5, true), 18);
    assert_eq!(starts(-30.0, false), 15);
    assert_eq!(starts(-1.0, false), 17, "too close to the edge");
    assert_eq!(starts(-1000.0, false), 10);
    assert_eq!(starts(1000.0, true), 10, "beyond the end: as without the tag");
}

#[test]
fn a_changed_playlist_is_read_again_after_its_target_duration_and_an_unchanged_one_after_half() {
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&window(0, 5), at(100), at(101));
    assert_eq!(cursor.reload_at(), Some(at(106)), "counted from when loading began");
    cursor.handle_playlist(&window(0, 5), at(106), at(106));
    assert_eq!(cursor.reload_at(), Some(at(109)));
    cursor.handle_playlist(&window(1, 6), at(109), at(109));
    assert_eq!(cursor.reload_at(), Some(at(115)));
    cursor.handle_playlist(&window(2, 7), at(115), at(130));
    assert_eq!(cursor.reload_at(), Some(at(130)), "a slow answer does not put it off further");
    cursor.handle_reload_failed(Duration::from_secs(1), at(131));
    assert_eq!((cursor.reload_at(), cursor.failures()), (Some(at(132)), 1));
}

/// Packagers write the type before they are done, or forget the end mark.
#[test]
fn a_playlist_of_type_vod_without_an_end_mark_is_complete_when_it_stays_as_it_was() {
    let vod = |end| Media { kind: Some(Kind::Vod), ..window(0, end) };
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&vod(5), at(0), at(0));
    assert_eq!(
        (cursor.is_vod(), drain(&mut cursor)),
        (Some(true), vec![0, 1, 2, 3, 4]),
        "from its beginning"
    );
    cursor.handle_playlist(&vod(5), at(17), at(17));
    assert!(!cursor.is_finished() && cursor.reload_at() == Some(at(20)));
    cursor.handle_playlist(&vod(5), at(20), at(20));
    assert!(cursor.is_finished() && cursor.reload_at().is_none(), "three target durations");
    // One that grows ends with its end mark only.
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&vod(5), at(0), at(0));
    cursor.handle_playlist(&vod(6), at(6), at(6));
    cursor.handle_playlist(&vod(6), at(600), at(600));
    assert_eq!((cursor.is_finished(), drain(&mut cursor).len()), (false, 6));
    cursor.handle_playlist(&ended(vod(7)), at(603), at(603));
    assert_eq!(drain(&mut cursor), [6]);
    assert!(cursor.is_finished());
}

#[test]
fn each_discontinuity_restart_and_hole_begins_an_era() {
    let eras = |cursor: &mut Cursor| -> Vec<u64> {
        std::iter::from_fn(|| cursor.take_next())
            .filter_map(|next| match next {
                Next::Segment(listed) => Some(listed.era),
                Next::Missed(_) => None,
            })
            .collect()
    };
    let mut cursor = Cursor::new(3);
    let mut media = window(10, 13);
    media.segments[2].discontinuity = true;
    cursor.handle_playlist(&media, at(100), at(100));
    assert_eq!(eras(&mut cursor), [0, 0, 1]);
    cursor.handle_playlist(&window(20, 23), at(160), at(160));
    assert_eq!(eras(&mut cursor), [2; 3], "a tag may have left with what was missed");
    cursor.handle_playlist(&window(90_000, 90_003), at(166), at(166));
    assert_eq!(eras(&mut cursor), [3; 3]);
}

#[test]
fn a_lagging_server_adds_nothing_and_repeats_nothing() {
    let mut cursor = begun(&window(10, 20));
    let update = cursor.handle_playlist(&window(8, 18), at(106), at(106));
    assert!(update.lagging && !update.restarted);
    cursor.handle_playlist(&window(9, 19), at(112), at(112));
    cursor.handle_playlist(&window(12, 22), at(118), at(118));
    assert_eq!(drain(&mut cursor), [20, 21]);
    assert_eq!((cursor.counters().lagging, cursor.counters().restarts), (2, 0));
}

#[test]
fn a_window_that_ran_past_is_a_counted_hole_before_what_follows() {
    let mut cursor = begun(&window(10, 20));
    let update = cursor.handle_playlist(&window(25, 35), at(190), at(190));
    let missed = Missed { media_sequence: 20, count: 5, duration: 5 * TARGET };
    assert_eq!((update.missed, update.restarted), (Some(missed), false));
    assert_eq!(cursor.take_next(), Some(Next::Missed(missed)));
    assert_eq!(drain(&mut cursor), (25..35).collect::<Vec<_>>());
}

#[test]
fn a_jump_that_no_time_explains_is_another_numbering() {
    let mut cursor = begun(&window(10, 20));
    let update = cursor.handle_playlist(&window(90_000, 90_005), at(106), at(106));
    assert!(update.restarted && update.missed.is_none());
    let Some(Next::Segment(first)) = cursor.take_next() else { panic!("a segment") };
    assert!(first.discontinuity);
    assert_eq!(first.segment.sequence, 90_002);
}

#[test]
fn a_restart_is_believed_when_it_moves_and_then_all_of_it_is_taken() {
    let mut cursor = begun(&window(500, 510));
    let named = |end: u64| named(0, &(0..end).map(|n| format!("new{n}.ts")).collect::<Vec<_>>());
    assert!(!cursor.handle_playlist(&named(1), at(106), at(106)).restarted);
    assert!(cursor.handle_playlist(&named(2), at(112), at(112)).restarted);
    cursor.handle_playlist(&named(3), at(118), at(118));
    let given: Vec<_> = std::iter::from_fn(|| cursor.take_next()).collect();
    let flags: Vec<(u64, bool)> = given
        .iter()
        .map(|next| match next {
            Next::Segment(listed) => (listed.segment.sequence, listed.discontinuity),
            Next::Missed(missed) => panic!("{missed:?}"),
        })
        .collect();
    assert_eq!(flags, [(0, true), (1, false), (2, false)]);
}

#[test]
fn dates_tell_a_restart_from_a_stale_copy_at_once() {
    let mut cursor = begun(&dated(10, 20, 0));
    assert!(!cursor.handle_playlist(&dated(0, 5, 0), at(106), at(106)).restarted, "an old copy");
    assert!(!cursor.handle_playlist(&dated(1, 6, 0), at(109), at(109)).restarted, "that moves, too");
    assert!(cursor.handle_playlist(&dated(0, 2, 3600), at(112), at(112)).restarted);
    assert_eq!(drain(&mut cursor), [0, 1]);
}

#[test]
fn a_stale_copy_without_dates_is_not_replayed() {
    let mut cursor = begun(&window(100, 110));
    for round in 0..20 {
        let now = at(106 + 3 * round);
        assert!(!cursor.handle_playlist(&window(40, 50), now, now).restarted, "{round}");
        if round == 10 {
            // Between two such answers the good server speaks.
            cursor.handle_playlist(&window(104, 114), now, now);
        }
    }
    let last = drain(&mut cursor);
    assert!(last == [110, 111, 112, 113] || last.is_empty(), "{last:?}");
}

#[test]
fn a_playlist_that_does_not_move_is_stalled_after_three_target_durations() {
    let mut cursor = begun(&window(10, 20));
    for seconds in [106, 109, 112, 115, 118] {
        cursor.handle_playlist(&window(10, 20), at(seconds), at(seconds));
    }
    assert_eq!(cursor.stalled_since(at(118)), None);
    assert_eq!(cursor.stalled_since(at(119)), Some(at(100)));
    cursor.handle_playlist(&window(11, 21), at(121), at(121));
    assert_eq!(cursor.stalled_since(at(122)), None);
    cursor.handle_playlist(&ended(window(11, 21)), at(127), at(127));
    assert_eq!(cursor.stalled_since(at(1000)), None, "it has ended");
}

#[test]
fn the_end_mark_of_a_lagging_server_is_not_the_end() {
    let mut cursor = begun(&window(10, 20));
    cursor.handle_playlist(&ended(window(9, 19)), at(106), at(106));
    assert!(!cursor.is_finished());
    cursor.handle_playlist(&ended(window(11, 21)), at(112), at(112));
    assert_eq!(drain(&mut cursor), [20]);
    assert!(cursor.is_finished());
}

#[test]
fn an_empty_window_waits() {
    let mut cursor = begun(&window(10, 20));
    assert!(!cursor.handle_playlist(&window(0, 0), at(106), at(106)).restarted);
    assert!(!cursor.handle_playlist(&window(20, 20), at(112), at(112)).lagging);
    cursor.handle_playlist(&window(12, 22), at(118), at(118));
    assert_eq!(drain(&mut cursor), [20, 21]);
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&window(0, 0), at(0), at(0));
    cursor.handle_playlist(&window(0, 2), at(6), at(6));
    assert_eq!(drain(&mut cursor), [0, 1]);
    // Only a header at first, without a number; then the window of an encoder that has run for long.
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&window(0, 0), at(0), at(0));
    cursor.handle_playlist(&window(0, 0), at(3), at(3));
    let update = cursor.handle_playlist(&window(500, 510), at(6), at(6));
    assert!(!update.restarted && update.missed.is_none());
    assert_eq!(drain(&mut cursor), [507, 508, 509]);
}

#[test]
fn numbers_at_the_end_of_their_range_do_not_overflow() {
    let mut cursor = begun(&window(u64::MAX - 3, u64::MAX));
    cursor.handle_playlist(&window(u64::MAX, u64::MAX), at(106), at(106));
    cursor.handle_playlist(&window(0, 3), at(112), at(112));
    cursor.handle_playlist(&window(0, 4), at(118), at(118));
    assert_eq!(drain(&mut cursor), [0, 1, 2, 3]);
}

#[test]
fn a_variant_whose_server_is_behind_repeats_nothing() {
    for dates in [false, true] {
        let list = |first, end| if dates { dated(first, end, 0) } else { window(first, end) };
        let mut cursor = Cursor::new(3);
        cursor.handle_playlist(&list(0, 8), at(0), at(0));
        assert_eq!(drain(&mut cursor), [5, 6, 7]);
        let place = cursor.place(&[], Duration::ZERO, at(1));
        cursor.switch(place, at(1));
        cursor.handle_playlist(&list(0, 6), at(1), at(1));
        assert_eq!(drain(&mut cursor), [0; 0], "dates: {dates}");
        cursor.handle_playlist(&list(2, 9), at(7), at(7));
        assert_eq!(drain(&mut cursor), [8], "dates: {dates}");
        assert_eq!((cursor.counters().restarts, cursor.counters().segments_missed), (0, 0));
    }
}

#[test]
fn a_rendition_beside_another_begins_no_later_than_it_whenever_its_playlist_is_read() {
    let beside = |media: &Media, place: &Place, read: Moment| {
        let mut cursor = Cursor::starting(super::Start::Beside(place.clone(), at(100)), 3);
        cursor.handle_playlist(media, read, read);
        drain(&mut cursor)
    };
    // Of the other one 18 s were left at 100 s. One segment more is listed at once, two after 6 s.
    let place = Place { to_end: TARGET * 3, ..Place::default() };
    assert_eq!(beside(&window(10, 20), &place, at(100)), [16, 17, 18, 19]);
    assert_eq!(beside(&window(11, 21), &place, at(100)), [17, 18, 19, 20]);
    assert_eq!(beside(&window(12, 22), &place, at(106)), [17, 18, 19, 20, 21]);
    // By its date: all of the segment that sounds then, and none that ends there.
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&dated(10, 20, 4), at(100), at(100));
    let place = cursor.place(&[], Duration::ZERO, at(100));
    assert_eq!(beside(&dated(10, 20, 0), &place, at(100)), [17, 18, 19]);
    assert_eq!(beside(&dated(10, 20, 4), &place, at(100)), [17, 18, 19]);
    assert_eq!(beside(&dated(10, 20, 5), &place, at(100)), [16, 17, 18, 19]);
}
