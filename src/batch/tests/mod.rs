mod holes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::media::{
    AudioParams, Batch, Flicks, Moment, Origin, Piece, StampedFrame, VideoCodec, VideoParams, VideoSample,
};
use crate::playout::Playout;

const FRAME: i64 = 1024;
const RATE: u32 = 48_000;

fn video_params() -> Arc<VideoParams> {
    Arc::new(VideoParams {
        codec: VideoCodec::Avc,
        config: Bytes::from_static(b"avcC"),
        width: 1280,
        height: 720,
        codec_string: "avc1.64001f".into(),
    })
}

fn audio_params() -> Arc<AudioParams> {
    Arc::new(AudioParams::plain_aac())
}

fn ms(n: i64) -> Flicks {
    Flicks::from_millis(n)
}

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn video(from_ms: i64, to_ms: i64) -> Vec<VideoSample> {
    let sample = |t: i64| VideoSample {
        dts: ms(t),
        pts: ms(t + 80),
        duration: ms(40),
        random_access: t == from_ms,
        data: Bytes::new(),
    };
    (from_ms..to_ms).step_by(40).map(sample).collect()
}

/// The frames whose grid positions lie in `from..to`, on a grid that began at zero.
fn audio(from_ms: i64, to_ms: i64) -> Vec<StampedFrame> {
    let mut k = 0;
    let mut frames = Vec::new();
    loop {
        let pts = Flicks::from_samples(k * FRAME, RATE);
        if pts >= ms(to_ms) {
            return frames;
        }
        if pts >= ms(from_ms) {
            frames.push(StampedFrame { pts, data: Bytes::from(k.to_be_bytes().to_vec()) });
        }
        k += 1;
    }
}

/// Segment `n` of 6 s, captured when its end is.
fn segment(n: u64) -> Piece {
    let (from, to) = (n as i64 * 6_000, (n as i64 + 1) * 6_000);
    Piece {
        origin: Origin { segment: n, captured_at: at(6 * (n + 1)), program_date_time: None },
        period: 0,
        continues: false,
        video: Some((video_params(), video(from, to))),
        audio: Some((audio_params(), audio(from, to))),
    }
}

fn batcher() -> Batcher {
    batcher_with(Holes::Kept)
}

fn batcher_with(holes: Holes) -> Batcher {
    let settings =
        Settings { buffer_duration: Duration::from_secs(30), processing_budget: Duration::from_secs(12) };
    let mut batcher = Batcher::new(settings, 0).with_holes(holes);
    batcher.set_target_duration(Duration::from_secs(6));
    batcher
}

fn feed(batcher: &mut Batcher, pieces: impl IntoIterator<Item = Piece>) -> Vec<Batch> {
    pieces.into_iter().flat_map(|piece| batcher.handle_piece(piece)).collect()
}

fn frames(batch: &Batch) -> usize {
    batch.audio.as_ref().map_or(0, |audio| audio.frames.len())
}

#[test]
fn five_segments_of_six_seconds_are_one_batch_and_no_segment_waits() {
    let batches = feed(&mut batcher(), (0..11).map(segment));
    let segments: Vec<_> = batches.iter().map(|batch| batch.segments.clone()).collect();
    assert_eq!(segments, [0..5, 5..10]);
    assert_eq!(batches[0].captured_at, at(30));
    assert_eq!(batches[1].start, ms(30_000));
    assert!(batches.iter().all(|batch| !batch.mid_gop && batch.duration == ms(30_000)));
}

#[test]
fn the_slots_of_the_audio_join_without_a_hole_or_an_overlap() {
    let mut batcher = batcher();
    let mut batches = feed(&mut batcher, (0..13).map(segment));
    batches.extend(batcher.flush());
    let mut next = Flicks::ZERO;
    for batch in &batches {
        let audio = batch.audio.as_ref().unwrap();
        assert_eq!(audio.start, next);
        next = audio.end();
    }
    assert_eq!(batches.iter().map(frames).sum::<usize>(), audio(0, 13 * 6_000).len());
    assert_eq!(batcher.grid_stats(), Default::default());
}

#[test]
fn output_time_goes_on_across_periods_and_each_keeps_its_own_offset() {
    let mut batcher = batcher();
    let later = |n: u64| {
        let mut piece = segment(n);
        piece.period = 1;
        let (_, samples) = piece.video.as_mut().unwrap();
        for sample in samples {
            sample.dts += ms(5_000_000);
            sample.pts += ms(5_000_000);
        }
        let (_, frames) = piece.audio.as_mut().unwrap();
        for frame in frames {
            frame.pts += ms(5_000_100);
        }
        piece
    };
    let mut batches = feed(&mut batcher, [segment(0), segment(1), later(2), later(3)]);
    batches.extend(batcher.flush());
    assert_eq!(batches.len(), 2);
    let (first, second) = (&batches[0], &batches[1]);
    let video_start = second.video.as_ref().unwrap().start().unwrap() + second.shift;
    let audio_start = second.audio.as_ref().unwrap().start + second.shift;
    assert!(video_start >= first.video.as_ref().unwrap().end().unwrap() + first.shift);
    assert!(audio_start >= first.audio.as_ref().unwrap().end() + first.shift);
    let source = later(2);
    let offset = source.audio.unwrap().1[0].pts - source.video.unwrap().1[0].dts;
    assert_eq!(audio_start - video_start, offset);
}

#[test]
fn a_stall_closes_the_open_batch_when_its_playout_comes_near() {
    let mut batcher = batcher();
    let first = feed(&mut batcher, (0..6).map(segment)).remove(0);
    let playout = Playout::anchored(
        first.captured_at,
        first.duration,
        batcher.longest_batch(),
        Duration::from_secs(12),
    );
    // Due at 30 + 6 + 12 + 30 = 78 s, less the budget.
    assert_eq!(batcher.poll_timeout(Some(playout)), Some(at(66)));
    assert!(batcher.poll_close(at(65), Some(playout)).is_none());
    let early = batcher.poll_close(at(66), Some(playout)).unwrap();
    assert_eq!((early.number, early.segments, early.duration), (1, 5..6, ms(6_000)));
}

#[test]
fn a_source_whose_segments_begin_in_mid_gop_waits_for_a_random_access_picture() {
    let unaligned = |n: u64, random_access: bool| {
        let mut piece = segment(n);
        piece.video.as_mut().unwrap().1[0].random_access = random_access;
        piece
    };
    let aligned = [true, false, false, true, false, false, true, true, false];
    let pieces = aligned.iter().enumerate().map(|(n, &begin)| unaligned(n as u64, begin));
    let batches = feed(&mut batcher(), pieces);
    // Five are long enough, but the next one that begins well is the seventh; 36 s is the longest batch.
    assert_eq!(batches[0].segments, 0..6);
    assert!(!batches[0].mid_gop);
}

#[test]
fn where_no_random_access_picture_comes_in_time_the_batch_is_cut_and_the_next_is_marked() {
    let mut batcher = batcher();
    let pieces = (0..13).map(|n| {
        let mut piece = segment(n);
        piece.video.as_mut().unwrap().1[0].random_access = n == 0;
        piece
    });
    let batches = feed(&mut batcher, pieces);
    assert_eq!(batches[0].segments, 0..6);
    assert_eq!((batches[1].segments.clone(), batches[1].mid_gop), (6..12, true));
}

#[test]
fn a_segment_without_audio_is_silent_and_shifts_nothing() {
    let mut batcher = batcher();
    let mut pieces: Vec<_> = (0..10).map(segment).collect();
    pieces[2].audio = None;
    pieces[9].audio = None;
    let batches = feed(&mut batcher, pieces);
    let ends: Vec<_> = batches.iter().map(|batch| batch.audio.as_ref().unwrap().end()).collect();
    assert!((ends[0] - ms(30_000)).abs() <= ms(22) && (ends[1] - ms(60_000)).abs() <= ms(22), "{ends:?}");
    let silent = batches[0].audio.as_ref().unwrap().frames.iter().filter(|frame| frame.len() == 6).count();
    assert_eq!(silent, audio(12_000, 18_000).len());
    // What comes after stands where it stood.
    let last = batches[0].audio.as_ref().unwrap().frames.last().unwrap().clone();
    assert_eq!(last, audio(0, 30_000).last().unwrap().data);
}

/// The batches of `pieces`, with `frames` of context, and what is left at the end.
fn with_context(frames: usize, pieces: impl IntoIterator<Item = Piece>) -> Vec<Batch> {
    let mut batcher = batcher().with_context_frames(frames);
    let mut batches = feed(&mut batcher, pieces);
    batches.extend(batcher.flush());
    batches
}

#[test]
fn with_context_a_slot_ends_before_what_was_captured_and_the_slots_join_all_the_same() {
    let batches = with_context(2, (0..13).map(segment));
    let source = audio(0, 13 * 6_000);
    let mut next = 0;
    for (index, batch) in batches.iter().enumerate() {
        let (slot, context) = (batch.audio.as_ref().unwrap(), &batch.context);
        let end = next + slot.frames.len();
        let last = index + 1 == batches.len();
        // What was captured ends with the segment; the slot two frames before, except where the source ends.
        let captured = audio(0, if last { 13 } else { 5 * (index as i64 + 1) } * 6_000).len();
        assert_eq!(end, if last { captured } else { captured - 2 });
        assert_eq!(slot.start, Flicks::from_samples(next as i64 * FRAME, RATE));
        let data =
            |range: std::ops::Range<usize>| source[range].iter().map(|f| f.data.clone()).collect::<Vec<_>>();
        assert_eq!(slot.frames, data(next..end));
        assert_eq!(context.before, data(next.saturating_sub(2)..next));
        assert_eq!(context.after, data(end..if last { end } else { end + 2 }));
        let sent = context.around(slot);
        assert_eq!(sent.start, source[next.saturating_sub(2)].pts.min(slot.start));
        assert_eq!(sent.frames.len(), context.before.len() + slot.frames.len() + context.after.len());
        next = end;
    }
    assert_eq!((batches.len(), next), (3, source.len()));
    assert!(batches.iter().all(|batch| batch.captured_at <= at(78) && batch.video.is_some()));
}

#[test]
fn frames_held_for_a_batch_that_does_not_follow_are_a_batch_of_their_own() {
    let other_period = |n: u64| Piece { period: 1, ..segment(n) };
    let pieces = (0..5).map(segment).chain((5..11).map(other_period));
    let batches = with_context(2, pieces);
    let shape: Vec<_> = batches.iter().map(|b| (b.number, b.period, frames(b), b.video.is_some())).collect();
    let (all, second) = (audio(0, 30_000).len(), audio(30_000, 66_000).len());
    let first_of_second = audio(30_000, 60_000).len() - 2;
    assert_eq!(
        shape,
        [
            (0, 0, all - 2, true),
            (1, 0, 2, false),
            (2, 1, first_of_second, true),
            (3, 1, second - first_of_second, true)
        ]
    );
    assert_eq!(batches[1].context.before.len(), 2);
    assert!(batches[1].context.after.is_empty() && batches[2].context.before.is_empty());
}

#[test]
fn a_stall_withholds_no_held_frames() {
    let mut batcher = batcher().with_context_frames(3);
    let first = feed(&mut batcher, (0..5).map(segment)).remove(0);
    let playout = Playout::anchored(
        first.captured_at,
        first.duration,
        batcher.longest_batch(),
        Duration::from_secs(12),
    );
    // The held frames are 64 ms, and begin as long before 30 s (to the frame that straddles it), which are due at
    // 78 s and 64 ms; less the budget.
    let timeout = batcher.poll_timeout(Some(playout)).unwrap();
    assert!(timeout >= at(66) && timeout < at(66) + Duration::from_millis(22), "{timeout:?}");
    assert!(batcher.poll_close(at(65), Some(playout)).is_none());
    let held = batcher.poll_close(at(67), Some(playout)).unwrap();
    assert_eq!((held.number, frames(&held), held.video.is_some()), (1, 3, false));
    assert_eq!(batcher.poll_timeout(Some(playout)), None);
    // The source comes back: what follows joins.
    let next = feed(&mut batcher, (5..10).map(segment)).remove(0);
    assert_eq!(next.audio.as_ref().unwrap().start, held.audio.as_ref().unwrap().end());
}
