use proptest::prelude::*;

use super::*;

const FRAME: i64 = 3_600;

const NONE: [usize; 0] = [];

fn ticks(ticks: i64) -> Flicks {
    Flicks::from_ticks(ticks)
}

/// A picture with its times in ticks of 90 kHz.
fn raw(dts: i64, pts: i64) -> RawTimes {
    RawTimes { dts: ticks(dts), pts: ticks(pts), source: StampSource::Header, length: None }
}

/// The wrap of 33 bits is undone before this.
fn flipped(stamp: i64, bit: u32) -> i64 {
    stamp ^ 1 << bit
}

/// `count` pictures of 25/s in the order I P B B, or each at its decode time.
fn pictures(from: i64, count: i64, reordered: bool) -> Vec<RawTimes> {
    let offset = |n: i64| match (reordered, n % 3) {
        (false, _) => 0,
        _ if n == 0 => FRAME,
        (_, 1) => 3 * FRAME,
        _ => 0,
    };
    (0..count).map(|n| raw(from + n * FRAME, from + n * FRAME + offset(n))).collect()
}

/// AAC at 48 kHz, `each` frames with one stamp.
fn audio(from: i64, count: i64, each: i64) -> Vec<RawTimes> {
    let frame = |n: i64| RawTimes {
        source: if n % each == 0 { StampSource::Header } else { StampSource::Counted },
        length: Some(ticks(1_920)),
        ..raw(from + n * 1_920, from + n * 1_920)
    };
    (0..count).map(frame).collect()
}

/// What comes of segments; checks what always holds.
fn clean(segments: &[Vec<RawTimes>]) -> Vec<CleanTimes> {
    let mut stamps = Stamps::default();
    let mut out = Vec::new();
    for segment in segments {
        segment.iter().for_each(|raw| stamps.push(*raw));
        stamps.end();
        out.extend(std::iter::from_fn(|| stamps.poll()));
    }
    assert_eq!(out.len(), segments.iter().map(Vec::len).sum::<usize>());
    assert!(out.iter().all(|times| times.dts <= times.pts));
    for pair in out.windows(2) {
        assert!(pair[1].restart || pair[1].dts > pair[0].dts, "{pair:?}");
    }
    out
}

fn restarts(times: &[CleanTimes]) -> Vec<usize> {
    times.iter().enumerate().filter(|(_, times)| times.restart).map(|(n, _)| n).collect()
}

/// The samples whose presentation times are others than in `truth`.
fn moved(times: &[CleanTimes], truth: &[RawTimes]) -> Vec<usize> {
    let pairs = times.iter().zip(truth).enumerate();
    pairs.filter(|(_, (times, raw))| times.pts != raw.pts).map(|(n, _)| n).collect()
}

#[test]
fn times_that_are_right_come_out_as_they_came() {
    for track in [pictures(0, 300, false), pictures(-9_000, 300, true), audio(77, 300, 5)] {
        let out = clean(&[track[..130].to_vec(), track[130..].to_vec()]);
        assert!(out.iter().zip(&track).all(|(times, raw)| (times.dts, times.pts) == (raw.dts, raw.pts)));
        assert!(restarts(&out).is_empty());
    }
}

#[test]
fn a_decode_time_that_steps_back_for_a_moment_leaves_no_trace() {
    for reordered in [false, true] {
        for back in [FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 7, 300 * FRAME] {
            let truth = pictures(1_000_000, 120, reordered);
            let mut track = truth.clone();
            for at in [11, 45, 46, 100] {
                // With a decode time of its own: the presentation time stays.
                track[at].dts = truth[at].dts - ticks(back);
            }
            let out = clean(&[track]);
            assert!(restarts(&out).is_empty(), "{back}");
            assert_eq!(moved(&out, &truth), NONE, "{back}");
            let late = out.iter().zip(&truth).map(|(times, raw)| (times.dts - raw.dts).abs()).max();
            assert!(late < Some(ticks(2 * FRAME)), "{back}: {late:?}");
        }
    }
}

#[test]
fn a_step_back_for_good_is_jitter_up_to_half_a_second_and_another_clock_beyond() {
    for (back, restart) in [(1, false), (FRAME, false), (3 * FRAME, false), (45_000, false), (46_000, true)] {
        let track: Vec<_> =
            pictures(0, 60, true).into_iter().chain(pictures(60 * FRAME - back, 60, true)).collect();
        let expected = if restart { vec![60] } else { vec![] };
        // Within a segment, and over the border of two.
        for segments in [vec![track.clone()], vec![track[..60].to_vec(), track[60..].to_vec()]] {
            let out = clean(&segments);
            assert_eq!(restarts(&out), expected, "{back}");
            // What is behind the border and should have been shown before it is shown late.
            let late = moved(&out, &track);
            assert!(
                late.is_empty() || segments.len() == 2 && late.iter().all(|n| (60..74).contains(n)),
                "{late:?}"
            );
            let lasts = out[119].dts - out[0].dts;
            assert!(restart || lasts <= ticks(119 * FRAME - back), "no time is added: {back}");
        }
    }
}

#[test]
fn jitter_is_forgiven_at_a_tenth_of_the_time_and_beyond_that_a_clock_begins_again() {
    let steps = |every: i64, back: i64| {
        let parts = (0..40).map(|n| pictures(n * (every * FRAME - back), every, false));
        restarts(&clean(&parts.collect::<Vec<_>>()))
    };
    // Each segment of a second overlaps the one before by two frames, or by a fifth of a second.
    assert_eq!(steps(25, 2 * FRAME), NONE);
    assert!(!steps(25, 5 * FRAME).is_empty());
    assert_eq!(steps(60, 5 * FRAME), NONE);
}

#[test]
fn a_clock_that_begins_again_is_found_at_its_first_sample() {
    for begins in [-300_000, 0, 100 * FRAME - 54_000, 100 * FRAME + 901_000, 1 << 40] {
        let track: Vec<_> = pictures(0, 100, true).into_iter().chain(pictures(begins, 30, true)).collect();
        for cut in [99, 100, 101, 130] {
            let out = clean(&[track[..cut].to_vec(), track[cut..].to_vec()]);
            // One picture at the end of a segment does not make a clock yet: it goes on in the old one.
            let first = if cut == 101 { 101 } else { 100 };
            assert_eq!(restarts(&out), [first], "{begins} {cut}");
            assert!(moved(&out, &track).iter().all(|n| *n == 100 && cut == 101), "{begins} {cut}");
        }
    }
}

#[test]
fn segments_of_one_sample_follow_a_new_clock_at_its_second() {
    let track = [pictures(0, 3, false), pictures(9_000_000, 3, false)].concat();
    let segments: Vec<_> = track.iter().map(|raw| vec![*raw]).collect();
    assert_eq!(restarts(&clean(&segments)), [4]);
}

#[test]
fn a_gap_is_no_clock_of_its_own() {
    for gap in [FRAME, 90_000, 896_000] {
        let track: Vec<_> =
            pictures(0, 50, true).into_iter().chain(pictures(50 * FRAME + gap, 50, true)).collect();
        let out = clean(std::slice::from_ref(&track));
        assert_eq!((restarts(&out), moved(&out, &track)), (vec![], vec![]), "{gap}");
    }
}

#[test]
fn one_frame_follows_another_track_to_its_new_clock_and_none_goes_there_alone() {
    for expected in [true, false] {
        let mut stamps = Stamps::default();
        audio(0, 50, 1).into_iter().chain(audio(9_000_000, 1, 1)).for_each(|raw| stamps.push(raw));
        if expected {
            stamps.expect(ticks(9_003_600));
        }
        stamps.end();
        let out: Vec<_> = std::iter::from_fn(|| stamps.poll()).collect();
        assert_eq!(restarts(&out), if expected { vec![50] } else { vec![] });
        assert_eq!(out[50].pts, ticks(if expected { 9_000_000 } else { 96_000 }));
    }
}

#[test]
fn decode_times_after_presentation_times_are_moved_all_alike() {
    // As Apple's segmenters write QuickTime sources: I P B P B, decoded a picture late.
    let offset = [0, 1, -1];
    let at = |n: i64| if n == 0 { 0 } else { offset[(2 - n % 2) as usize] };
    let track: Vec<_> = (0..100).map(|n| raw(n * FRAME, (n + at(n)) * FRAME)).collect();
    for cut in [1, 2, 50, 99] {
        let out = clean(&[track[..cut].to_vec(), track[cut..].to_vec()]);
        let late: Vec<_> = out.iter().zip(&track).map(|(times, raw)| times.pts - raw.pts).collect();
        // A picture that has to be decoded before it is known of is shown a tick late.
        assert!(late.iter().all(|late| *late <= ticks(if cut == 2 { 1 } else { 0 })), "{cut}: {late:?}");
    }
    let out = clean(std::slice::from_ref(&track));
    assert!(out.iter().zip(&track).all(|(times, raw)| times.dts == raw.dts - ticks(FRAME)));
}

#[test]
fn offsets_that_become_more_negative_move_decode_times_once_more_and_never_back() {
    let mut track = pictures(0, 200, true);
    for raw in &mut track[100..] {
        raw.dts += ticks(2 * FRAME);
    }
    let out = clean(std::slice::from_ref(&track));
    assert_eq!((restarts(&out), moved(&out, &track)), (vec![], vec![]));
    assert_eq!(out[199].dts, track[199].dts - ticks(2 * FRAME));
}

#[test]
fn two_fields_with_one_stamp_are_decoded_one_after_the_other() {
    let track: Vec<_> = (0..100).map(|n| raw(n / 2 * FRAME, n / 2 * FRAME)).collect();
    let out = clean(std::slice::from_ref(&track));
    assert_eq!((restarts(&out), moved(&out, &track)), (vec![], vec![]));
}

#[test]
fn a_wrong_first_stamp_is_told_by_those_behind_it() {
    for bit in 16..40 {
        for each in [1, 20] {
            let truth = audio(900_000, 200, each);
            let mut track = truth.clone();
            let by = flipped(900_000, bit) - 900_000;
            for raw in &mut track[..each as usize] {
                (raw.dts, raw.pts) = (raw.dts + ticks(by), raw.pts + ticks(by));
            }
            let out = clean(std::slice::from_ref(&track));
            assert_eq!((restarts(&out), out[199].pts), (vec![], truth[199].pts), "{bit} {each}");
            assert_eq!(out[0].pts, truth[0].pts, "{bit} {each}");
        }
    }
}

fn wrong_bit() -> impl Strategy<Value = u32> {
    // Below this it is jitter that nobody sees.
    13_u32..40
}

proptest! {
    #[test]
    fn a_wrong_bit_costs_the_picture_its_stamp_and_nothing_else(
        at in 1_usize..200,
        bit in wrong_bit(),
        what in 0..2,
        reordered: bool,
        cut in 8_usize..192,
    ) {
        // Bits 31 and 32 of a stamp, unwrapped, are steps of hours in either direction.
        let truth = pictures(900_000, 200, reordered);
        let mut track = truth.clone();
        let wrong = &mut track[at];
        let tied = wrong.pts == wrong.dts;
        let flip = |time: &mut Flicks| *time = ticks(flipped(time.to_ticks(), bit));
        if what != 1 || tied {
            flip(&mut wrong.dts);
        }
        if what != 0 || tied {
            flip(&mut wrong.pts);
        }
        let out = clean(&[track[..cut].to_vec(), track[cut..].to_vec()]);
        prop_assert_eq!(restarts(&out), Vec::<usize>::new());
        for (n, (times, raw)) in out.iter().zip(&truth).enumerate() {
            // At the end of a segment nobody tells which place in the order is free, and up to a second is believed:
            // what is behind has to wait for it.
            let ends = (cut..cut + 8).contains(&(n + 8)) || n + 8 >= 200;
            let late = if at + 1 == cut || at == 199 { 90_000 } else { 4 * FRAME };
            let behind = n > at && at + 1 == cut;
            let most = if n == at && ends || behind { 90_000 } else if n == at { 4 * FRAME } else { 0 };
            prop_assert!((times.pts - raw.pts).abs() <= ticks(most), "{n}: {times:?} {raw:?}");
            prop_assert!(times.dts <= raw.dts + ticks(late) && times.dts >= raw.dts - ticks(4 * FRAME), "{n}: {times:?} {raw:?}");
        }
    }

    #[test]
    fn a_wrong_bit_costs_the_frames_of_its_packet_half_a_frame(
        packet in 1_usize..11,
        each in 1_i64..34,
        bit in wrong_bit(),
        cut in 4_usize..9,
    ) {
        let count = 12 * each;
        let truth = audio(900_000, count, each);
        let mut track = truth.clone();
        let packet = packet * each as usize;
        let by = flipped(track[packet].pts.to_ticks(), bit) - track[packet].pts.to_ticks();
        for raw in &mut track[packet..packet + each as usize] {
            (raw.dts, raw.pts) = (raw.dts + ticks(by), raw.pts + ticks(by));
        }
        let cut = cut * each as usize;
        let out = clean(&[track[..cut].to_vec(), track[cut..].to_vec()]);
        prop_assert_eq!(restarts(&out), Vec::<usize>::new());
        for (times, raw) in out.iter().zip(&truth) {
            let off = (times.pts - raw.pts).abs();
            prop_assert!(off <= ticks(by.abs().min(if packet + each as usize == cut { 45_000 } else { 22_500 })), "{off:?}");
        }
    }

    #[test]
    fn any_times_come_out_in_order(
        segments in prop::collection::vec(
            prop::collection::vec((-20_i64..2_000, -4_i64..40, 0..3, prop::bool::weighted(0.05)), 0..80),
            1..6,
        ),
        each: bool,
    ) {
        let length = each.then(|| ticks(1_920));
        let one = |(dts, offset, source, far): (i64, i64, i32, bool)| RawTimes {
            source: [StampSource::Header, StampSource::Counted, StampSource::Table][source as usize],
            length,
            ..raw(dts * if far { 1 << 31 } else { 1_800 }, (dts + if length.is_some() { 0 } else { offset }) * 1_800)
        };
        let segments: Vec<Vec<_>> = segments.into_iter().map(|part| part.into_iter().map(one).collect()).collect();
        clean(&segments);
    }
}
