//! Timestamps that are off, through the whole of the stage.

use overdub_fmp4::{Fragment, Sample, TrackRun};

use super::*;
use crate::demux::RandomAccess;

/// A fragment of 25 pictures of 25/s whose first is decoded at `base`, each presented `offset(n)` after; 90 kHz.
fn segment(base: u64, nal: impl Fn(usize) -> [u8; 2], offset: impl Fn(usize) -> i32) -> Bytes {
    let sample = |n: usize| {
        let [header, slice] = nal(n);
        let data = Bytes::copy_from_slice(&[0, 0, 0, 4, header, slice, n as u8, 1]);
        Sample { duration: 3_600, composition_offset: offset(n), sync: false, data }
    };
    let run = TrackRun {
        track_id: mp4::VIDEO_TRACK,
        base_decode_time: base,
        samples: (0..25).map(sample).collect(),
    };
    Fragment::new(1, vec![run]).encode().unwrap().to_bytes()
}

fn idr_first(n: usize) -> [u8; 2] {
    if n == 0 { [0x65, 0x88] } else { [0x41, 0xE0] }
}

fn demuxed(demuxer: &mut Demuxer, segments: Vec<Bytes>) -> Vec<Piece> {
    let init = video_init(&video(SPS_320, 320, 180));
    let inputs: Vec<_> = segments.into_iter().map(|data| main_input(&init, data, false, 0)).collect();
    demux_all(demuxer, &inputs)
}

fn samples(pieces: &[Piece]) -> Vec<VideoSample> {
    let video = pieces.iter().filter_map(|piece| piece.video.as_ref());
    video.flat_map(|(_, samples)| samples.clone()).collect()
}

#[test]
fn fragments_that_step_back_by_a_few_frames_stay_in_their_period_and_a_restart_does_not() {
    // Each third fragment begins so much too early.
    for (early, one_period) in [(1, true), (3_600, true), (3 * 3_600, true), (50_000, false)] {
        let base = |n: u64| 900_000 + 90_000 * n - if n % 3 == 2 { early } else { 0 };
        let segments = (0..9).map(|n| segment(base(n), idr_first, |_| 0)).collect();
        let pieces = demuxed(&mut Demuxer::new(), segments);
        let periods = pieces.last().map(|piece| piece.period);
        assert_eq!((pieces.len(), periods == Some(0)), (9, one_period), "{early}");
        let samples = samples(&pieces);
        if one_period {
            assert!(samples.windows(2).all(|pair| pair[0].dts < pair[1].dts), "{early}");
            let lasts = samples[224].pts - samples[0].pts;
            assert!(
                (lasts - ms(224 * 40)).abs() <= Flicks::from_ticks(early.cast_signed()),
                "{early}: {lasts:?}"
            );
        }
    }
}

#[test]
fn negative_composition_offsets_move_the_decode_times_and_keep_the_presentation() {
    let offset = |n: usize| [0, 3_600, -3_600][if n == 0 { 0 } else { 2 - n % 2 }];
    let segments = (0..4).map(|n| segment(900_000 + 90_000 * n, idr_first, offset)).collect();
    let samples = samples(&demuxed(&mut Demuxer::new(), segments));
    assert_eq!(samples.len(), 100);
    for (n, sample) in samples.iter().enumerate() {
        let raw = 900_000 + 3_600 * n as i64;
        assert_eq!(sample.dts, Flicks::from_ticks(raw - 3_600), "{n}");
        assert_eq!(sample.pts, Flicks::from_ticks(raw + i64::from(offset(n % 25))), "{n}");
    }
}

#[test]
fn decode_times_near_63_bits_are_on_one_axis() {
    let start = (1_u64 << 63) - 90_000;
    let segments = (0..3).map(|n| segment(start + 90_000 * n, idr_first, |_| 0)).collect();
    let mut demuxer = Demuxer::new();
    let pieces = demuxed(&mut demuxer, segments);
    assert_eq!(shape(&pieces), [(0, 25, 0), (0, 25, 0), (0, 25, 0)]);
    assert!(samples(&pieces).windows(2).all(|pair| pair[1].dts - pair[0].dts == ms(40)));
    assert_eq!(demuxer.damage().events, 0);
}

#[test]
fn i_pictures_are_entered_where_the_source_has_nothing_better() {
    let mut demuxer = Demuxer::new();
    let intra_first = |n: usize| if n == 0 { [0x41, 0x88] } else { [0x41, 0xE0] };
    let segments = (0..3).map(|n| segment(90_000 * n, intra_first, |_| 0)).collect();
    let entered: Vec<_> = samples(&demuxed(&mut demuxer, segments)).iter().map(|s| s.random_access).collect();
    assert!(entered.iter().enumerate().all(|(n, entered)| *entered == (n % 25 == 0)));
    assert_eq!(demuxer.random_access(), RandomAccess::Intra);
    // And one without any.
    let mut demuxer = Demuxer::new();
    let segments = (0..12).map(|n| segment(90_000 * n, |_| [0x41, 0xE0], |_| 0)).collect();
    assert!(samples(&demuxed(&mut demuxer, segments)).iter().all(|sample| !sample.random_access));
    assert_eq!(demuxer.random_access(), RandomAccess::Missing);
}
