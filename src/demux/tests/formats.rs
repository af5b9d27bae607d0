use overdub_ts::Ticks;
use proptest::prelude::*;

use super::*;
use crate::demux::SegmentError;
use crate::media::CueKind;
use crate::media::id3::tests::tag;

fn one(input: &Input) -> (Vec<Piece>, Option<SegmentError>) {
    let mut demuxer = Demuxer::new();
    let pieces = demuxer.handle_segment(input, &origin(0));
    (pieces, demuxer.damage().last_refusal.clone())
}

#[test]
fn fragments_give_pictures_with_the_size_and_profile_of_their_sets() {
    let init = video_init(&video(SPS_320, 1, 1));
    let (pieces, error) = one(&main_input(&init, video_segment(1_000, 3_000), false, 0));
    assert_eq!((shape(&pieces), error), (vec![(0, 50, 0)], None));
    let (params, samples) = pieces[0].video.as_ref().unwrap();
    assert_eq!((params.width, params.height, params.codec_string.as_str()), (320, 180, "avc1.64000c"));
    assert_eq!(params.config, avcc(SPS_320), "the record as it came");
    assert_eq!(*samples, pictures(1_000, 3_000));
}

#[test]
fn another_init_segment_at_a_discontinuity_or_without_one_begins_a_period() {
    let small = video_init(&video(SPS_320, 320, 180));
    let large = video_init(&video(SPS_640, 640, 360));
    for discontinuity in [true, false] {
        let mut demuxer = Demuxer::new();
        let inputs = [
            main_input(&small, video_segment(0, 2_000), false, 0),
            main_input(&large, video_segment(2_000, 4_000), discontinuity, 1),
            main_input(&large, video_segment(4_000, 6_000), false, 1),
        ];
        let pieces = demux_all(&mut demuxer, &inputs);
        assert_eq!(shape(&pieces), [(0, 50, 0), (1, 50, 0), (1, 50, 0)], "{discontinuity}");
        let size = |piece: &Piece| piece.video.as_ref().map(|(params, _)| (params.width, params.height));
        assert_eq!(size(&pieces[0]), Some((320, 180)));
        assert_eq!(size(&pieces[2]), Some((640, 360)));
    }
}

#[test]
fn an_ad_with_another_resolution_rate_and_clock_is_a_period_between_two() {
    let programme = mp4::init(Some(&video(SPS_640, 640, 360)), Some(&aac_48())).unwrap();
    let ad = mp4::init(Some(&video(SPS_320, 320, 180)), Some(&aac(&hex!("1210"), 44_100))).unwrap();
    let both =
        |start: i64, frames| [video_segment(start, start + 2_000), audio_segment(frames)].concat().into();
    let inputs = [
        main_input(&programme, both(100_000, 4_688..4_781), false, 7),
        main_input(&ad, both(0, 0..86), true, 8),
        main_input(&programme, both(104_000, 4_875..4_969), true, 9),
    ];
    let pieces = demux_all(&mut Demuxer::new(), &inputs);
    assert_eq!(shape(&pieces), [(0, 50, 93), (1, 50, 86), (2, 50, 94)]);
    let rates: Vec<_> = pieces.iter().map(|p| p.audio.as_ref().unwrap().0.sample_rate).collect();
    assert_eq!(rates, [48_000, 44_100, 48_000]);
}

#[test]
fn sets_in_the_samples_make_and_change_the_configuration() {
    // An init segment without sets, as of `avc3`.
    let mut bare = video(SPS_320, 320, 180);
    bare.config = Bytes::from_static(&hex!("01 64000C FF E0 00"));
    let init = video_init(&bare);
    let unit = |nal: &[u8]| [&(nal.len() as u32).to_be_bytes()[..], nal].concat();
    let key = |sps| Bytes::from([unit(sps), unit(PPS), unit(&[0x65, 0x88])].concat());
    let rest = || (3_600, false, Bytes::from(unit(&[0x41, 0xE0])));
    let samples = vec![rest(), (3_600, true, key(SPS_320)), rest(), (3_600, true, key(SPS_640)), rest()];
    let mut demuxer = Demuxer::new();
    let input = main_input(&init, fragment(mp4::VIDEO_TRACK, 0, samples), false, 0);
    let pieces = demuxer.handle_segment(&input, &origin(0));
    assert_eq!(shape(&pieces), [(0, 2, 0), (1, 2, 0)]);
    assert_eq!(pieces[1].video.as_ref().unwrap().0.width, 640);
    assert_eq!(demuxer.damage().dropped, 1, "the picture before the first sets");
}

#[test]
fn a_flag_on_every_sample_does_not_make_random_access_of_predicted_pictures() {
    let init = video_init(&video(SPS_320, 320, 180));
    let samples = pictures(0, 2_000).into_iter().map(|sample| (3_600, true, sample.data)).collect();
    let (pieces, _) = one(&main_input(&init, fragment(mp4::VIDEO_TRACK, 0, samples), false, 0));
    let flags = pieces[0].video.as_ref().unwrap().1.iter().filter(|sample| sample.random_access);
    assert_eq!(flags.count(), 2);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_reason_and_costs_one_segment() {
    let init = video_init(&video(SPS_320, 320, 180));
    let fragments = video_segment(0, 1_000);
    let no_init = Input { init: None, ..main_input(&init, fragments.clone(), false, 0) };
    assert_eq!(one(&no_init).1, Some(SegmentError::NoInit));
    let broken = main_input(&init.slice(..init.len() / 3), fragments.clone(), false, 0);
    assert!(
        matches!(one(&broken).1, Some(SegmentError::Init(_) | SegmentError::NoInit)),
        "{:?}",
        one(&broken).1
    );
    let page = Input::main(Bytes::from_static(b"<html>not found</html>"), false);
    assert!(matches!(one(&page).1, Some(SegmentError::Unrecognised { .. })));

    let mut demuxer = Demuxer::new();
    let good = |start| main_input(&init, video_segment(start, start + 1_000), false, 0);
    let pieces = demux_all(&mut demuxer, &[good(0), page, broken, no_init, good(4_000)]);
    assert_eq!(shape(&pieces), [(0, 25, 0), (0, 25, 0)]);
    assert_eq!(demuxer.damage().refused, 3);
}

#[test]
fn encrypted_samples_are_refused_as_such() {
    // The writer refuses to write what it does not know, so the entry's type is changed afterwards.
    let mut init = video_init(&video(SPS_320, 320, 180)).to_vec();
    // The first one is a brand.
    let entry = init.windows(4).rposition(|kind| kind == b"avc1").unwrap();
    init[entry..entry + 4].copy_from_slice(b"encv");
    let (pieces, error) = one(&main_input(&init.into(), video_segment(0, 1_000), false, 0));
    assert_eq!((pieces.len(), error), (0, Some(SegmentError::Encrypted { entry: *b"encv" })));
}

#[test]
fn a_self_contained_file_is_a_segment_too() {
    let init = video_init(&video(SPS_320, 320, 180));
    let whole = Bytes::from([&init[..], &video_segment(0, 1_000)].concat());
    assert_eq!(shape(&one(&Input::main(whole, false)).0), [(0, 25, 0)]);
}

#[test]
fn times_beyond_32_bits_of_any_timescale_are_exact() {
    // Seconds since 1970 at 48 kHz.
    let params = aac_48();
    let first = 1_700_000_000 * 48_000 / 1_024;
    let (pieces, _) = one(&main_input(&audio_init(&params), audio_segment(first..first + 10), false, 0));
    let frames = &pieces[0].audio.as_ref().unwrap().1;
    let exact = Flicks::from_samples((first * 1_024) as i64, 48_000);
    assert_eq!(
        (frames[0].pts, frames[9].pts - frames[0].pts),
        (exact, Flicks::from_samples(9 * 1_024, 48_000))
    );
}

/// ADTS, 48 kHz stereo, with `count` frames.
fn adts(count: usize) -> Vec<u8> {
    let length = 7 + 6;
    let mut frame = vec![0xFF, 0xF1, 0x4C, 0x80, (length >> 3) as u8, ((length & 7) << 5) as u8 | 0x1F, 0xFC];
    frame.extend(hex!("21000000001C"));
    frame.repeat(count)
}

fn packed(stamp: Option<u64>, count: usize) -> Input {
    let data = [stamp.map(tag).unwrap_or_default(), adts(count)].concat();
    Input::main(data.into(), false)
}

fn audio_times(pieces: &[Piece]) -> Vec<Flicks> {
    pieces.iter().flat_map(|p| p.audio.iter().flat_map(|(_, f)| f.iter().map(|f| f.pts))).collect()
}

#[test]
fn packed_audio_stands_where_its_stamp_says_and_goes_on_where_there_is_none() {
    let frame = Flicks::from_samples(1_024, 48_000);
    let wrap = Ticks::WRAP as u64;
    let inputs = [packed(Some(wrap - 90_000), 47), packed(Some(256), 47), packed(None, 2)];
    let pieces = demux_all(&mut Demuxer::new(), &inputs);
    assert_eq!(shape(&pieces), [(0, 0, 47), (0, 0, 47), (0, 0, 2)]);
    let times = audio_times(&pieces);
    assert_eq!(times[0], ms(-1_000), "just before the wrap");
    assert_eq!(times[1] - times[0], frame);
    assert_eq!(times[47], Flicks::from_ticks(256));
    assert_eq!(times[94], Flicks::from_ticks(256) + Flicks::from_samples(47 * 1_024, 48_000));
    assert_eq!(pieces[0].audio.as_ref().unwrap().1[0].data, &hex!("21000000001C")[..]);
    assert_eq!(audio_times(&demux_all(&mut Demuxer::new(), &[packed(None, 1)])), [Flicks::ZERO]);
}

#[test]
fn packed_audio_without_a_timestamp_plays_in_step_with_the_video_beside_it() {
    let init = video_init(&video(SPS_320, 320, 180));
    let video = |start: i64, number| Input {
        media_sequence: Some(number),
        ..main_input(&init, video_segment(1_000_000 + start, 1_000_000 + start + 1_000), false, 0)
    };
    // 47 frames are 1003 ms.
    let audio =
        |number| Input { rendition: Rendition::Audio, media_sequence: Some(number), ..packed(None, 47) };
    let mut demuxer = Demuxer::new();
    demuxer.set_separate_audio(true);
    let inputs = [audio(6), video(0, 7), audio(7), video(1_000, 8), audio(8), video(2_000, 9), audio(9)];
    let mut pieces = demux_all(&mut demuxer, &inputs);
    let times = audio_times(&pieces);
    // Of the first a frame is from more than a second before the video.
    assert_eq!(times.len(), 4 * 47 - 1);
    let frame = Flicks::from_samples(1_024, 48_000);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == frame), "they follow one another");
    assert_eq!(times[46], ms(1_000_000), "number 7 begins with number 7");
    assert_eq!(demuxer.damage().events, 1);
    assert!(demuxer.damage().last.as_ref().unwrap().contains("ID3 timestamp"), "{:?}", demuxer.damage());
    // One is lost: those behind it stand where they belong.
    demuxer.handle_lost(Rendition::Audio);
    for input in [video(4_000, 11), audio(11)] {
        pieces.extend(demuxer.handle_segment(&input, &origin(20)));
    }
    pieces.extend(demuxer.flush());
    assert_eq!(audio_times(&pieces)[4 * 47 - 1], ms(1_004_000));
    assert_eq!(demuxer.damage().late, 1);
}

#[test]
fn garbage_in_packed_audio_costs_what_it_touches() {
    let data = [&tag(0)[..], &adts(3), b"garbage", &adts(3)].concat();
    let mut demuxer = Demuxer::new();
    let pieces = demuxer.handle_segment(&Input::main(data.into(), false), &origin(0));
    assert_eq!(shape(&pieces), [(0, 0, 6)]);
    assert_eq!(demuxer.damage().events, 1);
}

#[test]
fn the_format_may_change_at_a_discontinuity() {
    let init = video_init(&video(SPS_320, 320, 180));
    let mut last = packed(Some(0), 10);
    last.discontinuity = true;
    let inputs = [
        Input::main(Bytes::from_static(include_bytes!("../../../tests/data/ts/bframes_48k.ts")), false),
        main_input(&init, video_segment(0, 1_000), true, 1),
        last,
    ];
    let pieces = demux_all(&mut Demuxer::new(), &inputs);
    let periods: Vec<_> =
        shape(&pieces).iter().map(|&(period, video, audio)| (period, video > 0, audio > 0)).collect();
    assert_eq!(periods, [(0, true, true), (1, true, false), (2, false, true)]);
}

#[test]
fn event_messages_are_cues_on_the_axis_of_the_samples() {
    let init = video_init(&video(SPS_320, 320, 180));
    // Version 0: timescale 1000, 250 after the segment's start, for 500.
    let mut emsg = hex!("00000000 656D7367 00000000").to_vec();
    emsg.extend(b"urn:x\0v\0");
    emsg.extend([1_000_u32, 250, 500, 9].map(u32::to_be_bytes).concat());
    emsg.extend(b"hello");
    let length = (emsg.len() as u32).to_be_bytes();
    emsg[..4].copy_from_slice(&length);
    let data = Bytes::from([&emsg[..], &video_segment(2_000, 3_000)].concat());
    let mut demuxer = Demuxer::new();
    assert_eq!(shape(&demuxer.handle_segment(&main_input(&init, data, false, 0), &origin(3))), [(0, 25, 0)]);
    let cues = demuxer.take_cues();
    assert_eq!((cues.len(), cues[0].segment), (1, 3));
    assert_eq!((cues[0].time, cues[0].duration), (Some(ms(2_250)), Some(ms(500))));
    assert_eq!(cues[0].kind, CueKind::Message { scheme: "urn:x".into(), value: "v".into() });
    assert_eq!(cues[0].data, &b"hello"[..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_anywhere_is_no_panic_and_costs_no_later_segment(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        in_init in any::<bool>(),
    ) {
        let init = mp4::init(Some(&video(SPS_320, 320, 180)), Some(&aac_48())).unwrap();
        let data = [video_segment(0, 1_000), audio_segment(0..47)].concat();
        let (mut broken_init, mut broken) = (init.to_vec(), data.clone());
        let target = if in_init { &mut broken_init } else { &mut broken };
        let index = at.index(target.len());
        target[index] = byte;
        let later = [video_segment(100_000, 101_000), audio_segment(4_688..4_735)].concat();
        let inputs = [
            main_input(&broken_init.into(), broken.into(), false, 0),
            main_input(&init, later.into(), true, 1),
        ];
        let mut demuxer = Demuxer::new();
        demuxer.handle_segment(&inputs[0], &origin(0));
        let pieces = demuxer.handle_segment(&inputs[1], &origin(1));
        prop_assert_eq!(pieces.len(), 1);
        prop_assert_eq!(shape(&pieces)[0].1, 25);
    }
}

/// The property above meets the few bytes of a `tfdt` in one run out of many: here all are visited.
#[test]
fn any_high_bit_of_any_byte_costs_no_later_segment() {
    let init = mp4::init(Some(&video(SPS_320, 320, 180)), Some(&aac_48())).unwrap();
    let data = [video_segment(0, 1_000), audio_segment(0..47)].concat();
    let later: Bytes = [video_segment(100_000, 101_000), audio_segment(4_688..4_735)].concat().into();
    for index in 0..data.len() {
        for byte in [1, 0x40, 0x80, 0xFF] {
            let mut broken = data.clone();
            broken[index] = byte;
            for discontinuity in [true, false] {
                let inputs = [
                    main_input(&init, broken.clone().into(), false, 0),
                    main_input(&init, later.clone(), discontinuity, u64::from(discontinuity)),
                ];
                let mut demuxer = Demuxer::new();
                demuxer.handle_segment(&inputs[0], &origin(0));
                let pieces = demuxer.handle_segment(&inputs[1], &origin(1));
                let pictures: usize = shape(&pieces).iter().map(|(_, pictures, _)| pictures).sum();
                assert_eq!(pictures, 25, "{index} {byte} {discontinuity}");
                // Without the mark a time that was wrong is another clock's.
                assert!(
                    pieces.len() == 1 || !discontinuity && pieces.len() <= 2,
                    "{index} {byte} {pieces:?}"
                );
            }
        }
    }
}
