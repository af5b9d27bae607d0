use proptest::prelude::*;

use super::*;

/// Both sides, and the order in which their segments arrive.
struct Case {
    picture: Bytes,
    sound: Bytes,
}

impl Case {
    fn new() -> Self {
        Self { picture: video_init(&video(SPS_320, 320, 180)), sound: audio_init(&aac_48()) }
    }

    fn video(&self, start: i64, end: i64, sequence: u64) -> Input {
        main_input(&self.picture, video_segment(start, end), false, sequence)
    }

    /// Frames from the first at or after `start` ms to the last before `end` ms.
    fn audio(&self, start: u64, end: u64, sequence: u64) -> Input {
        audio_input(&self.sound, audio_segment(frame_at(start)..frame_at(end)), false, sequence)
    }

    fn separate() -> Demuxer {
        let mut demuxer = Demuxer::new();
        demuxer.set_separate_audio(true);
        demuxer
    }
}

fn frame_at(millis: u64) -> u64 {
    (millis * 48).div_ceil(1_024)
}

fn discontinuous(input: Input) -> Input {
    Input { discontinuity: true, ..input }
}

fn picture_times(pieces: &[Piece]) -> Vec<Flicks> {
    pieces.iter().flat_map(|p| p.video.iter().flat_map(|(_, s)| s.iter().map(|s| s.dts))).collect()
}

fn frame_times(pieces: &[Piece]) -> Vec<Flicks> {
    pieces.iter().flat_map(|p| p.audio.iter().flat_map(|(_, f)| f.iter().map(|f| f.pts))).collect()
}

#[test]
fn pictures_wait_for_the_sound_of_their_time_and_take_no_more() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    assert!(demuxer.handle_segment(&case.video(0, 2_000, 0), &origin(0)).is_empty());
    assert!(demuxer.is_waiting());
    let pieces = demuxer.handle_segment(&case.audio(0, 6_000, 0), &origin(1));
    assert_eq!(shape(&pieces), [(0, 50, 94)]);
    assert_eq!(pieces[0].origin.segment, 0);
    assert_eq!(shape(&demuxer.handle_segment(&case.video(2_000, 4_000, 0), &origin(2))), [(0, 50, 94)]);
    assert_eq!(shape(&demuxer.flush()), [(0, 0, 94)]);
}

#[test]
fn sound_that_stays_away_is_waited_for_within_bounds_and_dropped_when_its_time_is_over() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    let mut pieces = demuxer.handle_segment(&case.audio(0, 2_000, 0), &origin(0));
    for start in (0..60_000).step_by(2_000) {
        pieces.extend(demuxer.handle_segment(&case.video(start, start + 2_000, 0), &origin(1)));
        let held = start / 2_000 + 1 - pieces.len() as i64;
        assert!(held <= 10, "{held} segments of 2 s wait at {start}");
    }
    assert_eq!(frame_times(&pieces).len(), 94);
    let released = pieces.len() as u64 * 2_000;
    // It is back, from 30 s on: what is for released pictures is late.
    let back = demuxer.handle_segment(&case.audio(30_000, 60_000, 0), &origin(2));
    assert_eq!(
        frame_times(&back).first().copied(),
        Some(Flicks::from_samples(frame_at(released) as i64 * 1_024, 48_000))
    );
    assert_eq!(demuxer.damage().late, frame_at(released) - frame_at(30_000));
    pieces.extend(back);
    assert_eq!(picture_times(&pieces).len(), 1_500);
}

#[test]
fn pictures_that_stay_away_do_not_silence_the_sound_for_long() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    demuxer.handle_segment(&case.video(0, 2_000, 0), &origin(0));
    let mut frames = 0;
    for start in (0..60_000).step_by(2_000) {
        let pieces = demuxer.handle_segment(&case.audio(start, start + 2_000, 0), &origin(1));
        frames += frame_times(&pieces).len() as u64;
        let held = frame_at(start + 2_000) - frames;
        assert!(held <= frame_at(22_000), "{held} frames wait at {start}");
    }
    assert!(frames > frame_at(36_000));
    let pieces = demuxer.handle_segment(&case.video(58_000, 60_000, 0), &origin(2));
    // A step of more than ten seconds is a period, as within one playlist; the sound before it ends the old one.
    assert!(
        pieces.first().is_some_and(|piece| piece.period == 0)
            && pieces.last().is_some_and(|piece| piece.period == 1)
    );
    assert_eq!(frames + frame_times(&pieces).len() as u64, frame_at(60_000));
}

#[test]
fn sound_over_a_lost_segment_of_pictures_plays_on() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    let mut pieces = demux_all(&mut demuxer, &[case.video(0, 2_000, 0), case.audio(0, 2_000, 0)]);
    demuxer.handle_lost(Rendition::Main);
    let later = [case.audio(2_000, 4_000, 0), case.video(4_000, 6_000, 0), case.audio(4_000, 6_000, 0)];
    pieces.extend(demux_all(&mut demuxer, &later));
    pieces.extend(demuxer.flush());
    assert_eq!(shape(&pieces)[..2], [(0, 50, 94), (0, 50, 188)]);
    assert_eq!(frame_times(&pieces).len() as u64, frame_at(6_000));
}

#[test]
fn stretches_that_begin_at_the_same_time_are_told_apart_by_their_number() {
    // Two ads with clocks that begin at zero; the sound arrives late, and ends a little after its pictures.
    let case = Case::new();
    let inputs = [
        case.video(0, 2_000, 4),
        discontinuous(case.video(0, 4_000, 5)),
        case.audio(0, 2_500, 4),
        discontinuous(case.audio(0, 4_000, 5)),
    ];
    let mut demuxer = Case::separate();
    let pieces = demux_all(&mut demuxer, &inputs);
    let total = |wanted| {
        shape(&pieces)
            .iter()
            .filter(|(p, ..)| *p == wanted)
            .map(|&(_, v, a)| (v, a))
            .fold((0, 0), |x, y| (x.0 + y.0, x.1 + y.1))
    };
    assert_eq!(total(0), (50, frame_at(2_500) as usize));
    assert_eq!(total(1), (100, frame_at(4_000) as usize));
    assert_eq!(demuxer.damage().late, 0);
}

#[test]
fn an_audio_playlist_that_counts_discontinuities_differently_joins_after_a_while() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    let mut pieces = Vec::new();
    for start in (0..120_000).step_by(2_000) {
        pieces.extend(demuxer.handle_segment(&case.video(start, start + 2_000, 9), &origin(0)));
        let audio = case.audio(start as u64, start as u64 + 2_000, 0);
        pieces.extend(demuxer.handle_segment(&audio, &origin(1)));
    }
    let joined = pieces.iter().filter(|piece| piece.audio.is_some() && piece.video.is_some()).count();
    assert!(joined >= 40, "{joined} of 60");
}

#[test]
fn another_configuration_of_the_sound_begins_a_period_and_costs_no_picture() {
    let case = Case::new();
    let other = audio_init(&aac(&hex!("1188"), 48_000));
    let changed = audio_input(&other, audio_segment(frame_at(3_000)..frame_at(6_000)), false, 0);
    let inputs = [
        case.video(0, 2_000, 0),
        case.audio(0, 3_000, 0),
        case.video(2_000, 4_000, 0),
        changed,
        case.video(4_000, 6_000, 0),
    ];
    let mut demuxer = Case::separate();
    let mut pieces = demux_all(&mut demuxer, &inputs);
    pieces.extend(demuxer.flush());
    let shape: Vec<_> = shape(&pieces).into_iter().map(|(period, video, _)| (period, video)).collect();
    assert_eq!(shape, [(0, 50), (0, 50), (1, 0), (1, 50)]);
    assert_eq!(frame_times(&pieces).len() as u64, frame_at(6_000));
}

#[test]
fn a_clock_that_begins_anew_without_a_word_is_followed_by_both() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    let inputs = [
        case.video(500_000, 502_000, 0),
        case.video(0, 2_000, 0),
        case.audio(500_000, 502_000, 0),
        case.audio(0, 2_000, 0),
        case.video(2_000, 4_000, 0),
        case.audio(2_000, 4_000, 0),
    ];
    let mut pieces = demux_all(&mut demuxer, &inputs);
    pieces.extend(demuxer.flush());
    let video: Vec<_> = shape(&pieces).into_iter().filter(|(_, video, _)| *video > 0).collect();
    assert_eq!(video.iter().map(|(period, ..)| *period).collect::<Vec<_>>(), [0, 1, 1]);
    assert!(video.iter().all(|(_, _, audio)| *audio >= 92), "{video:?}");
}

#[test]
fn a_wrap_that_one_side_has_passed_is_undone() {
    // Packed audio counts 33 bits; the pictures, in fragments, have passed the first wrap long ago.
    let case = Case::new();
    let wrap_ms = (1_i64 << 33) / 90;
    let start = (wrap_ms / 1_000 + 100) * 1_000;
    let stamp = (start as u64 * 90) % (1 << 33);
    let frame = hex!("FFF14C8001BFFC 21000000001C");
    let data = [crate::media::id3::tests::tag(stamp), frame.repeat(94)].concat();
    let packed = Input { init: None, ..audio_input(&case.sound, data.into(), false, 0) };
    let mut demuxer = Case::separate();
    let pieces = demux_all(&mut demuxer, &[case.video(start, start + 2_000, 0), packed]);
    assert_eq!(shape(&pieces), [(0, 50, 94)]);
    assert_eq!(frame_times(&pieces)[0], ms(start));
}

#[test]
fn a_quiet_source_gives_back_what_waits() {
    let case = Case::new();
    let mut demuxer = Case::separate();
    demuxer.handle_segment(&case.video(0, 2_000, 0), &origin(0));
    assert_eq!(shape(&demuxer.release()), [(0, 50, 0)]);
    assert!(!demuxer.is_waiting());
    let pieces = demux_all(&mut demuxer, &[case.audio(0, 4_000, 0), case.video(2_000, 4_000, 0)]);
    assert_eq!(shape(&pieces), [(0, 50, 94)]);
    assert_eq!(demuxer.damage().late, 94);
}

#[test]
fn a_main_playlist_without_pictures_does_not_hold_the_sound() {
    let case = Case::new();
    let muxed = |second: u64| {
        main_input(
            &case.sound,
            audio_segment(frame_at(second * 1_000)..frame_at((second + 2) * 1_000)),
            false,
            0,
        )
    };
    let mut demuxer = Case::separate();
    let mut frames = 0;
    for second in (0..10).step_by(2) {
        frames += frame_times(&demuxer.handle_segment(&muxed(second), &origin(0))).len();
        let audio = case.audio(second * 1_000, second * 1_000 + 2_000, 0);
        frames += frame_times(&demuxer.handle_segment(&audio, &origin(1))).len();
    }
    assert_eq!(frames as u64, frame_at(10_000));
}

/// Cuts 0 to `end` ms into segments of these lengths, then of 2 s.
fn cuts(lengths: &[u64], end: u64) -> Vec<(u64, u64)> {
    let mut at = 0;
    let mut out = Vec::new();
    for length in lengths.iter().copied().chain(std::iter::repeat(2_000)) {
        if at >= end {
            break;
        }
        out.push((at, (at + length).min(end)));
        at += length;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_segmentation_and_order_of_arrival_gives_the_same_samples(
        video in prop::collection::vec((1_u64..150).prop_map(|n| n * 40), 0..12),
        audio in prop::collection::vec(200_u64..6_000, 0..12),
        lead in prop::collection::vec(0_u64..7_000, 24),
    ) {
        const END: u64 = 24_000;
        let case = Case::new();
        let mut arrivals: Vec<(u64, Input)> = Vec::new();
        for (index, (start, end)) in cuts(&video, END).into_iter().enumerate() {
            let late = lead[index % lead.len()];
            arrivals.push((end + late, case.video(start as i64, end as i64, 0)));
        }
        for (start, end) in cuts(&audio, END) {
            if frame_at(start) < frame_at(end) {
                arrivals.push((end, case.audio(start, end, 0)));
            }
        }
        // Each playlist in its own order.
        let mut newest = 0;
        for (at, input) in &mut arrivals {
            if input.rendition == Rendition::Main {
                newest = newest.max(*at);
                *at = newest;
            }
        }
        arrivals.sort_by_key(|(at, _)| *at);
        let inputs: Vec<_> = arrivals.into_iter().map(|(_, input)| input).collect();
        let mut demuxer = Case::separate();
        let mut pieces = demux_all(&mut demuxer, &inputs);
        pieces.extend(demuxer.flush());
        let expected: Vec<_> = (0..END as i64).step_by(40).map(ms).collect();
        prop_assert_eq!(picture_times(&pieces), expected);
        let frames = 0..frame_at(END) as i64;
        let expected: Vec<_> = frames.map(|k| Flicks::from_samples(k * 1_024, 48_000)).collect();
        prop_assert_eq!(frame_times(&pieces), expected);
        prop_assert!(pieces.iter().all(|piece| piece.period == 0));
    }

    #[test]
    fn lost_segments_of_either_side_cost_their_own_samples_only(
        lost_video in prop::collection::vec(any::<bool>(), 15),
        lost_audio in prop::collection::vec(any::<bool>(), 15),
    ) {
        let case = Case::new();
        let mut demuxer = Case::separate();
        let mut pieces = Vec::new();
        let (mut pictures, mut frames) = (0, 0);
        for index in 0..15_u64 {
            let (start, end) = (index * 2_000, index * 2_000 + 2_000);
            let lost = |list: &[bool]| list[index as usize] && index > 0;
            if lost(&lost_video) {
                demuxer.handle_lost(Rendition::Main);
            } else {
                pictures += 50;
                pieces.extend(demuxer.handle_segment(&case.video(start as i64, end as i64, 0), &origin(index)));
            }
            if lost(&lost_audio) {
                demuxer.handle_lost(Rendition::Audio);
            } else {
                frames += frame_at(end) - frame_at(start);
                pieces.extend(demuxer.handle_segment(&case.audio(start, end, 0), &origin(index)));
            }
        }
        pieces.extend(demuxer.flush());
        // Sides that are apart for longer than is waited for lose what came too late, and say so.
        let late = demuxer.damage().late;
        prop_assert_eq!(picture_times(&pieces).len(), pictures);
        prop_assert_eq!(frame_times(&pieces).len() as u64 + late, frames);
        let times = frame_times(&pieces);
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
