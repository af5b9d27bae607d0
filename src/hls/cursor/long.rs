//! Windows of a day: only what is needed of them is read, and nothing else comes of it.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::at;
use super::*;
use crate::hls::playlist::{Definitions, LeftOut, Numbering, Playlist, limits, merge, parse_from};

fn text(first: u64, end: u64, head: &str) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}");
    for number in first..end {
        text += &format!("#EXTINF:2,\ns{number}.ts\n");
    }
    text
}

fn read(text: &str, needed_from: u64) -> Media {
    match parse_from(text.as_bytes(), &Definitions::default(), needed_from) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("{other:?}"),
    }
}

fn numbered(first: u64, end: u64, needed_from: u64) -> Media {
    read(&text(first, end, &format!("#EXT-X-MEDIA-SEQUENCE:{first}\n")), needed_from)
}

/// What is given out of windows of `length` that begin at each of `firsts`, `taken` after each of them.
fn given(start: Start, length: u64, firsts: &[u64], taken: usize, whole: bool) -> (Vec<Next>, Vec<Update>) {
    let mut cursor = Cursor::starting(start, 3);
    let (mut out, mut updates) = (Vec::new(), Vec::new());
    for (reading, first) in firsts.iter().enumerate() {
        let now = at(100 + 2 * reading as u64);
        let needed_from = if whole { 0 } else { cursor.needed_from() };
        let mut media = numbered(*first, first + length, needed_from);
        updates.push(cursor.handle_playlist(&media, now, now));
        if !whole {
            media.forget_before(cursor.needed_from());
            let most = cursor.pending.len() + limits::MIN_KEPT;
            assert!(media.segments.len() <= most, "{} of {most}", media.segments.len());
        }
        out.extend(std::iter::from_fn(|| cursor.take_next()).take(taken));
    }
    (out, updates)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_reader_that_keeps_what_it_needs_takes_what_one_takes_that_keeps_all(
        steps in prop::collection::vec(0_u64..5, 1..6),
        behind in prop::option::of(0_u32..20_000),
        taken in 0_usize..4_000,
        jump in prop::option::of(0_u64..200_000),
    ) {
        let mut firsts = vec![1_000];
        for step in steps {
            firsts.push(firsts[firsts.len() - 1] + step);
        }
        firsts.extend(jump);
        let start = match behind {
            Some(seconds) => Start::Offset { seconds: -f64::from(seconds), live_start_segments: 3 },
            None => Start::Edge(3),
        };
        let [all, needed] = [true, false].map(|whole| given(start.clone(), 9_000, &firsts, taken, whole));
        prop_assert_eq!(all, needed);
    }
}

#[test]
fn a_live_window_beyond_the_limit_begins_as_any_other() {
    let length = limits::MAX_SEGMENTS as u64 + 20_000;
    let mut cursor = Cursor::new(3);
    let first = numbered(0, length, 0);
    assert_eq!(first.left_out, LeftOut { segments: 20_000, ..LeftOut::default() });
    cursor.handle_playlist(&first, at(100), at(100));
    let next = numbered(1, length + 1, cursor.needed_from());
    cursor.handle_playlist(&next, at(102), at(102));
    let sequences: Vec<u64> = std::iter::from_fn(|| cursor.take_next())
        .map(|next| match next {
            Next::Segment(listed) => listed.segment.sequence,
            Next::Missed(missed) => panic!("{missed:?}"),
        })
        .collect();
    assert_eq!(sequences, (length - 3..=length).collect::<Vec<_>>());
}

#[test]
fn what_was_not_taken_before_it_left_the_limit_is_a_counted_hole() {
    let limit = limits::MAX_SEGMENTS as u64;
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&numbered(0, 10, 0), at(100), at(100));
    while cursor.take_next().is_some() {}
    let update = cursor.handle_playlist(&numbered(0, limit + 110, 10), at(400_000), at(400_000));
    assert_eq!(update.missed.map(|missed| (missed.media_sequence, missed.count)), Some((10, 100)));
}

#[test]
fn a_list_that_only_grows_does_not_seem_to_stand_still_where_its_beginning_is_not_kept() {
    let (mut numbering, mut last) = (Numbering::default(), None);
    for end in [9_000, 9_001, 12_000] {
        let media = numbering.handle(last.as_ref(), numbered(0, end, end - 3));
        assert!(!numbering.stands_still());
        assert_eq!((media.listed_from(), media.end()), (0, end));
        last = Some(media);
    }
}

#[test]
fn a_delta_update_goes_on_with_a_playlist_of_which_not_all_is_kept() {
    let last = numbered(100, 9_100, 9_098);
    assert_eq!(last.segments.len(), limits::MIN_KEPT);
    let update = |needed_from| {
        let head = "#EXT-X-MEDIA-SEQUENCE:102\n#EXT-X-SKIP:SKIPPED-SEGMENTS=8900\n";
        read(&text(9_002, 9_102, head), needed_from)
    };
    let mut merged = merge(Some(&last), update(9_100));
    assert_eq!((merged.listed_from(), merged.end(), merged.skip), (102, 9_102, None));
    assert!(merged.segments.iter().zip(merged.media_sequence..).all(|(it, number)| it.sequence == number));
    merged.forget_before(9_100);
    assert_eq!(merged.segments.len(), limits::MIN_KEPT);
    let mut cursor = Cursor::new(3);
    cursor.handle_playlist(&last, at(100), at(100));
    let update = cursor.handle_playlist(&merged, at(102), at(102));
    assert_eq!((update.listed, update.missed, update.lagging), (2, None, false));
    assert_eq!(cursor.pending_duration(), Duration::from_secs(10));
}

#[test]
fn what_waits_is_limited_by_its_text_and_listed_again_later() {
    let long = "x".repeat(4_000);
    let mut cursor = Cursor::starting(Start::Offset { seconds: 0.0, live_start_segments: 3 }, 3);
    let window = |first: u64| {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in first..first + 5_000 {
            text += &format!("#EXTINF:2,\n{number}{long}\n");
        }
        text
    };
    cursor.handle_playlist(&read(&window(0), 0), at(100), at(100));
    let update = cursor.handle_playlist(&read(&window(4_000), cursor.needed_from()), at(5_000), at(5_000));
    assert!(update.listed < 4_000 && cursor.pending_text <= limits::MAX_TEXT, "{}", update.listed);
    let taken = 5_000 + update.listed as u64;
    assert_eq!(cursor.needed_from(), 0);
    while cursor.take_next().is_some() {}
    let update = cursor.handle_playlist(&read(&window(4_000), cursor.needed_from()), at(5_002), at(5_002));
    assert!(update.listed > 0 && update.missed.is_none());
    assert_eq!(cursor.needed_from(), taken);
}
