//! Where the fragmenter cuts, and that nothing is lost on the way.

use std::time::Duration;

use bytes::Bytes;
use overdub_fmp4::{Codec, CutRule, Edit, Fragment, Fragmenter, Sample, TrackConfig, WriteError};
use proptest::collection::vec;
use proptest::prelude::*;

fn video() -> TrackConfig {
    let codec = Codec::Avc { avcc: Bytes::from_static(&[1; 8]), width: 64, height: 64 };
    TrackConfig { id: 1, timescale: 90_000, codec, language: None, edit: None }
}

fn audio() -> TrackConfig {
    let codec = Codec::MpegAudio { sample_rate: 48_000, channels: 2 };
    TrackConfig { id: 2, timescale: 48_000, codec, language: None, edit: None }
}

fn sample(duration: u32, sync: bool, size: usize) -> Sample {
    Sample { duration, composition_offset: 0, sync, data: vec![0; size].into() }
}

/// A picture every 40 ms, every 25th a random-access point.
fn picture(n: i64) -> (i64, Sample) {
    (n * 3_600, sample(0, n % 25 == 0, 100))
}

fn drain(fragmenter: &mut Fragmenter) -> Vec<Fragment> {
    std::iter::from_fn(|| fragmenter.next_fragment()).collect()
}

/// For each fragment its tracks with their first times and numbers of samples.
fn shape(fragments: &[Fragment]) -> Vec<Vec<(u32, u64, usize)>> {
    let run = |run: &overdub_fmp4::TrackRun| (run.track_id, run.base_decode_time, run.samples.len());
    fragments.iter().map(|fragment| fragment.tracks.iter().map(run).collect()).collect()
}

#[test]
fn a_fragment_begins_at_the_first_random_access_point_after_the_target() {
    let rule = CutRule { target: Duration::from_millis(1_500), ..CutRule::default() };
    let mut fragmenter = Fragmenter::new(&[video()], rule).unwrap();
    for (dts, picture) in (0..110).map(picture) {
        fragmenter.push(0, dts, picture).unwrap();
    }
    fragmenter.finish();
    let fragments = drain(&mut fragmenter);
    assert_eq!(shape(&fragments), [[(1, 0, 50)], [(1, 180_000, 50)], [(1, 360_000, 10)]]);
    assert_eq!(fragments.iter().map(|f| f.sequence_number).collect::<Vec<_>>(), [1, 2, 3]);
    // Durations are the distances; the last lasts as long as the one before.
    assert!(fragments.iter().flat_map(|f| &f.tracks[0].samples).all(|sample| sample.duration == 3_600));
}

#[test]
fn the_sound_of_a_fragment_is_what_is_presented_with_its_pictures() {
    // Priming of 1024 samples before the sound, and pictures that begin half a second later.
    let sound = TrackConfig { edit: Some(Edit { delay: 0, media_time: 1_024, duration: 0 }), ..audio() };
    let pictures = TrackConfig { edit: Some(Edit { delay: 45_000, media_time: 0, duration: 0 }), ..video() };
    let mut fragmenter = Fragmenter::new(&[sound, pictures], CutRule::default()).unwrap();
    // One track whole before the other: what is together is decided by times alone.
    for n in 0..190 {
        fragmenter.push(0, n * 1_152, sample(1_152, true, 10)).unwrap();
    }
    assert!(drain(&mut fragmenter).is_empty(), "the pictures have not come to the cut");
    for (dts, picture) in (0..100).map(picture) {
        fragmenter.push(1, dts, picture).unwrap();
    }
    fragmenter.finish();
    // The second fragment of pictures begins at 2.5 s; frame 105 is the first of sound behind that:
    // (105 * 1152 - 1024) / 48000 = 2.4987, and 106: 2.5227.
    assert_eq!(
        shape(&drain(&mut fragmenter)),
        [[(2, 0, 106), (1, 0, 50)], [(2, 106 * 1_152, 84), (1, 180_000, 50)]]
    );
}

#[test]
fn a_track_that_ends_does_not_hold_the_other_back_and_hands_over_the_lead() {
    let mut fragmenter = Fragmenter::new(&[video(), audio()], CutRule::default()).unwrap();
    for (dts, picture) in (0..10).map(picture) {
        fragmenter.push(0, dts, picture).unwrap();
    }
    fragmenter.end_track(0);
    for n in 0..250 {
        fragmenter.push(1, n * 960, sample(960, true, 10)).unwrap();
    }
    let fragments = drain(&mut fragmenter);
    assert_eq!(shape(&fragments), [vec![(1, 0, 10), (2, 0, 100)], vec![(2, 96_000, 100)]]);
}

#[test]
fn what_is_held_is_bounded_without_random_access_points_and_with_a_track_that_stays_away() {
    let rule = CutRule { max_bytes: 10_000, ..CutRule::default() };
    for tracks in [vec![video()], vec![video(), audio()]] {
        let mut fragmenter = Fragmenter::new(&tracks, rule).unwrap();
        let mut samples = 0;
        for n in 0..1_000 {
            fragmenter.push(0, n * 3_600, sample(0, false, 1_000)).unwrap();
            for fragment in drain(&mut fragmenter) {
                samples += fragment.tracks[0].samples.len();
                assert!(fragment.tracks[0].samples.len() <= 10);
            }
            assert!(n as usize - samples <= 10);
        }
    }
}

#[test]
fn at_the_size_limit_the_tracks_are_cut_where_both_have_come_to() {
    let rule = CutRule { max_bytes: 20_000, ..CutRule::default() };
    let mut fragmenter = Fragmenter::new(&[video(), audio()], rule).unwrap();
    // Two seconds of sound, then pictures up to the limit at about half a second.
    for n in 0..84 {
        fragmenter.push(1, n * 1_152, sample(1_152, true, 1)).unwrap();
    }
    assert!(drain(&mut fragmenter).is_empty());
    for n in 0..15 {
        fragmenter.push(0, n * 3_600, sample(0, n == 0, 1_000)).unwrap();
    }
    let fragments = drain(&mut fragmenter);
    let [first] = fragments.as_slice() else { panic!("{fragments:?}") };
    let ends = |track: usize, rate: f64| {
        first.tracks[track].samples.iter().map(|s| f64::from(s.duration)).sum::<f64>() / rate
    };
    assert!((ends(0, 90_000.0) - ends(1, 48_000.0)).abs() < 0.03, "{:?}", shape(&fragments));
}

#[test]
fn times_that_go_back_or_too_far_forward_begin_a_fragment() {
    let mut fragmenter = Fragmenter::new(&[video()], CutRule::default()).unwrap();
    for dts in [90_000, 93_600, 97_200, 0, 3_600, 2_000_000, 2_003_600, 2_903_600] {
        fragmenter.push(0, dts, sample(0, true, 10)).unwrap();
    }
    fragmenter.finish();
    let fragments = drain(&mut fragmenter);
    let bases: Vec<_> = fragments.iter().map(|f| f.tracks[0].base_decode_time).collect();
    assert_eq!(bases, [90_000, 0, 2_000_000, 2_903_600]);
    let durations: Vec<_> = fragments.iter().flat_map(|f| &f.tracks[0].samples).map(|s| s.duration).collect();
    // Where no next sample says how long one lasts, it lasts as long as the one before; ten seconds are no jump.
    assert_eq!(durations, [3_600, 3_600, 3_600, 3_600, 3_600, 3_600, 900_000, 900_000]);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut fragmenter = Fragmenter::new(&[video()], CutRule::default()).unwrap();
    let negative = fragmenter.push(0, -1, sample(1, true, 1));
    assert!(matches!(negative, Err(WriteError::NegativeTime { track: 1, dts: -1 })));
    assert!(matches!(fragmenter.push(1, 0, sample(1, true, 1)), Err(WriteError::UnknownTrack(1))));
    assert!(matches!(Fragmenter::new(&[], CutRule::default()), Err(WriteError::NoTrack)));
    fragmenter.finish();
    assert!(fragmenter.next_fragment().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn every_sample_comes_out_once_in_order_and_at_its_time(
        input in vec((0..2_usize, 0..200_000_i64, any::<bool>(), 0..400_usize), 0..200),
        target in 0..4_000_u64,
        max_bytes in 500..20_000_usize,
    ) {
        let rule = CutRule { target: Duration::from_millis(target), max_bytes, ..CutRule::default() };
        let mut fragmenter = Fragmenter::new(&[video(), audio()], rule).unwrap();
        let mut times = [0_i64; 2];
        let mut pushed = [Vec::new(), Vec::new()];
        let mut came_out = [Vec::new(), Vec::new()];
        let mut collect = |fragments: Vec<Fragment>| {
            for run in fragments.into_iter().flat_map(|fragment| fragment.tracks) {
                let mut dts = run.base_decode_time as i64;
                for sample in run.samples {
                    came_out[run.track_id as usize - 1].push((dts, sample.sync, sample.data));
                    dts += i64::from(sample.duration);
                }
            }
        };
        for (track, step, sync, size) in input {
            times[track] += step;
            let sample = Sample { data: vec![track as u8; size].into(), ..sample(5, sync, 0) };
            pushed[track].push((times[track], sync, sample.data.clone()));
            fragmenter.push(track, times[track], sample).unwrap();
            collect(drain(&mut fragmenter));
        }
        fragmenter.finish();
        collect(drain(&mut fragmenter));
        prop_assert_eq!(came_out, pushed);
    }
}
