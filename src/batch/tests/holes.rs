//! What becomes of holes: kept on the output axis, or closed while the clock waits.

use super::*;

const BUDGET: Duration = Duration::from_secs(12);

/// Batch 0, and the clock that it fixes.
fn begun(holes: Holes) -> (Batcher, Playout) {
    let mut batcher = batcher_with(holes);
    let batches = feed(&mut batcher, (0..5).map(segment));
    let playout = Playout::anchored(at(30), batches[0].duration, batcher.longest_batch(), BUDGET);
    batcher.set_playout(playout);
    (batcher, playout)
}

/// Segment `n` of the source, captured so many seconds late.
fn late(n: u64, by: u64) -> Piece {
    let mut piece = segment(n);
    piece.origin.captured_at = at(6 * (n + 1) + by);
    piece
}

/// The same in another period, whose stamps begin anew.
fn anew(n: u64, period: u64, captured: u64) -> Piece {
    let mut piece = segment(n);
    piece.period = period;
    piece.origin.captured_at = at(captured);
    piece
}

/// From when to when each batch plays, in seconds. A new period begins behind the last frame of the one before it, which
/// ends some milliseconds behind its pictures.
fn spans(batches: &[Batch]) -> Vec<(f64, f64)> {
    let tenths = |time: Flicks| (time.to_secs_f64() * 10.0).round() / 10.0;
    batches.iter().map(|batch| (tenths(batch.start), tenths(batch.start + batch.duration))).collect()
}

#[test]
fn a_lost_segment_closes_the_batch_before_the_hole_and_is_not_sent_as_silence() {
    let (mut batcher, _) = begun(Holes::Kept);
    batcher.handle_lost(Duration::from_secs(6));
    let batches = feed(&mut batcher, (5..16).filter(|n| *n != 8).map(segment));
    assert_eq!(batches[0].segments, 5..8);
    assert_eq!(batches[1].video.as_ref().unwrap().start(), Some(ms(54_000)));
    let sound = batches[1].audio.as_ref().unwrap();
    assert_eq!(sound.start, audio(54_000, 54_100)[0].pts, "sound is on its own stamps behind the hole");
    assert_eq!(spans(&batches[..2]), [(30.0, 48.0), (54.0, 84.0)]);
    assert_eq!(batcher.take_move(), None);
}

#[test]
fn a_hole_that_is_closed_is_none_on_the_output_and_the_clock_waits_as_long() {
    let (mut batcher, _) = begun(Holes::Closed);
    batcher.handle_lost(Duration::from_secs(6));
    let batches = feed(&mut batcher, (5..14).filter(|n| *n != 8).map(segment));
    assert_eq!(spans(&batches), [(30.0, 48.0), (48.0, 78.0)]);
    let (before, after) = (batches[0].audio.as_ref().unwrap(), batches[1].audio.as_ref().unwrap());
    let seam = after.start + batches[1].shift - (before.end() + batches[0].shift);
    assert!((Flicks::ZERO..=ms(22)).contains(&seam), "{seam:?}");
    assert_eq!(batcher.take_move(), Some(Duration::from_secs(6)));
    assert_eq!(batcher.take_move(), None, "it is told once");
}

#[test]
fn a_source_that_begins_anew_after_a_minute_has_its_hole_or_the_clock_waits_for_it() {
    for (holes, expected, moved) in
        [(Holes::Kept, (90.0, 120.0), None), (Holes::Closed, (30.0, 60.0), Some(Duration::from_secs(60)))]
    {
        let (mut batcher, playout) = begun(holes);
        let batches = feed(&mut batcher, (0..5).map(|n| anew(n, 1, 96 + 6 * n)));
        assert_eq!(spans(&batches), [expected], "{holes:?}");
        assert_eq!(batcher.take_move(), moved);
        // Either way it plays as long after its capture as the stream did from the beginning.
        let due = playout.delayed(moved.unwrap_or_default()).due(batches[0].start);
        let off = due.since(at(120 + 6 + 12)).abs();
        assert!(off < ms(22), "{holes:?}: {off:?}");
    }
}

#[test]
fn a_backlog_that_is_made_up_for_moves_nothing_where_holes_are_kept() {
    let (mut batcher, _) = begun(Holes::Kept);
    // Nothing for a minute; then all of it within a second, and the rest when it should be.
    let pieces = (5..40).map(|n| if n < 15 { late(n, 6 * (15 - n)) } else { late(n, 0) });
    let batches = feed(&mut batcher, pieces);
    assert_eq!(batcher.take_move(), None);
    assert!(spans(&batches).windows(2).all(|pair| pair[0].1 == pair[1].0), "{:?}", spans(&batches));
}

#[test]
fn a_server_that_was_away_for_longer_than_its_playlist_reaches_back_adds_no_latency() {
    let (mut batcher, _) = begun(Holes::Kept);
    // Eight segments are gone; six come at once, and the rest when it should be.
    batcher.handle_lost(Duration::from_secs(6 * 8));
    let back = |n: u64| Piece { period: 1, ..late(n, 6 * 18_u64.saturating_sub(n)) };
    let batches = feed(&mut batcher, (13..40).map(back));
    assert_eq!(batcher.take_move(), None);
    assert!((spans(&batches)[0].0 - 78.0).abs() < 0.2, "each plays at its own time: {:?}", spans(&batches));
}

#[test]
fn a_source_that_stays_late_is_moved_once_and_just_enough() {
    for holes in [Holes::Kept, Holes::Closed] {
        let (mut batcher, playout) = begun(holes);
        let batches = feed(&mut batcher, (5..40).map(|n| late(n, 60)));
        let moved = batcher.take_move().unwrap();
        let first = if holes == Holes::Kept { 6 } else { 5 };
        // That piece is due when it would have the budget, had it been sent at once.
        let piece = batches.iter().find(|batch| batch.segments.contains(&first)).unwrap();
        let playout = if holes == Holes::Closed { playout.delayed(moved) } else { playout };
        assert_eq!(piece.segments.start, first);
        assert_eq!(
            playout.due(piece.start).since_start(),
            Duration::from_secs(6 * (first + 1) + 60 + 12),
            "{holes:?}"
        );
        let contiguous = spans(&batches).windows(2).filter(|pair| pair[0].1 == pair[1].0).count();
        let holes_left = usize::from(holes == Holes::Kept);
        assert_eq!(batches.len() - 1 - contiguous, holes_left, "{:?}", spans(&batches));
    }
}

#[test]
fn a_source_that_is_offered_whole_has_no_holes_and_moves_at_once() {
    let (mut batcher, playout) = begun(Holes::Kept);
    batcher.set_complete(true);
    let batches = feed(&mut batcher, (0..5).map(|n| anew(n, 1, 100 + 6 * n)));
    let moved = batcher.take_move();
    // A discontinuity of a film is none of its time.
    assert_eq!((spans(&batches), moved), (vec![(30.0, 60.0)], None));
    let later = feed(&mut batcher, (5..10).map(|n| anew(n, 1, 300 + 6 * n)));
    let moved = batcher.take_move().unwrap();
    assert!(moved > Duration::from_secs(200), "{moved:?}");
    assert_eq!(playout.due(later[0].start), at(330 + 12), "it has the budget from its capture on");
}
