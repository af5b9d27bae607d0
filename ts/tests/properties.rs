//! What holds for every input: cuts between pushes change nothing, garbage neither stops nor crashes, damage
//! costs what it touches. And the cases that the corpus does not have.

mod support;

use bytes::Bytes;
use overdub_ts::{Choice, Codec, Config, DamageKind, Demuxer, Event, Params, Program, Sample, Ticks};
use proptest::prelude::*;
use support::*;

/// Two GOPs of video and their audio, several frames to a PES packet.
fn clip(bounded: bool) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.tables(&[(0x1B, VIDEO), (0x0F, AUDIO)]);
    for n in 0..8_u8 {
        let stamp = 90_000 + 3_600 * u64::from(n);
        let idr = n % 4 == 0;
        let picture = slice(idr, true, n % 4, 2 * (n % 4), 0x55 + n, 300);
        let second = slice(idr, false, n % 4, 2 * (n % 4), 0x15 + n, 90);
        let delimiter = [0x09, 0xF0];
        let units: &[&[u8]] =
            if idr { &[&delimiter, SPS, PPS, &picture, &second] } else { &[&delimiter, &picture, &second] };
        mux.pes(VIDEO, 0xE0, Some((stamp + 3_600, stamp)), bounded, &annex_b(units));
        if n % 2 == 0 {
            let frames = (0..3).flat_map(|k| adts(n + k, 100 + usize::from(k))).collect::<Vec<_>>();
            mux.pes(AUDIO, 0xC0, Some((stamp, stamp)), true, &frames);
        }
    }
    mux.bytes
}

fn samples(events: &[Event], pid: u16) -> Vec<&Sample> {
    fn sample(event: &Event) -> Option<&Sample> {
        if let Event::Sample(sample) = event { Some(sample) } else { None }
    }
    events.iter().filter_map(sample).filter(|sample| sample.pid == pid).collect()
}

fn damages(events: &[Event]) -> Vec<DamageKind> {
    let kind = |event: &Event| if let Event::Damage(damage) = event { Some(damage.kind) } else { None };
    events.iter().filter_map(kind).collect()
}

fn programs(events: &[Event]) -> Vec<Program> {
    let program = |event: &Event| if let Event::Program(it) = event { Some((**it).clone()) } else { None };
    events.iter().filter_map(program).collect()
}

fn demux_in_pieces(input: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<Event> {
    let mut demuxer = Demuxer::with_config(Config { raw: true, programs: Choice::All });
    let mut all = Vec::new();
    let mut start = 0;
    for end in cuts.into_iter().chain([input.len()]) {
        let end = end.clamp(start, input.len());
        demuxer.push(Bytes::copy_from_slice(&input[start..end]));
        start = end;
        all.extend(events(&mut demuxer));
    }
    demuxer.finish();
    all.extend(events(&mut demuxer));
    all
}

#[test]
fn a_cut_at_every_position_gives_the_same_events() {
    let input = clip(false);
    let whole = demux_in_pieces(&input, []);
    assert_eq!(samples(&whole, VIDEO).len(), 8);
    assert_eq!(samples(&whole, AUDIO).len(), 12);
    assert_eq!(damages(&whole), []);
    for cut in 1..input.len() {
        assert_eq!(demux_in_pieces(&input, [cut]), whole, "cut at {cut}");
    }
    assert_eq!(demux_in_pieces(&input, 1..input.len()), whole, "byte by byte");
}

#[test]
fn samples_are_length_prefixed_and_parameter_sets_stand_in_the_record() {
    let out = demux(&clip(false));
    let video = samples(&out, VIDEO);
    let first = slice(true, true, 0, 0, 0x55, 300);
    let second = slice(true, false, 0, 0, 0x15, 90);
    let expected =
        [&(first.len() as u32).to_be_bytes()[..], &first, &(second.len() as u32).to_be_bytes(), &second]
            .concat();
    assert_eq!(video[0].data, expected);
    assert_eq!((video[0].pts, video[0].dts), (Ticks(93_600), Ticks(90_000)));
    let keys: Vec<bool> = video.iter().map(|sample| sample.random_access && sample.idr).collect();
    assert_eq!(keys, [true, false, false, false, true, false, false, false]);
    let params: Vec<_> = out
        .iter()
        .filter_map(|it| if let Event::Params { params, .. } = it { Some(params) } else { None })
        .collect();
    let [Params::Audio(audio), Params::Video(video)] = params[..] else { panic!("{params:?}") };
    assert_eq!((video.width, video.height, video.frame_rate), (160, 90, Some((50, 2))));
    assert_eq!(video.codec_string, "avc1.64000b");
    let record =
        [&[1, 0x64, 0, 0x0B, 0xFF, 0xE1, 0, 25][..], SPS, &[1, 0, 4], PPS, &[0xFD, 0xF8, 0xF8, 0]].concat();
    assert_eq!(video.config, record);
    assert_eq!((&audio.config[..], audio.sample_rate, audio.channels), (&[0x11, 0x90][..], 48_000, 2));
    assert_eq!(audio.codec_string, "mp4a.40.2");
}

#[test]
fn pictures_are_told_apart_without_delimiters_and_within_one_pes() {
    let mut mux = Mux::default();
    mux.tables(&[(0x1B, VIDEO)]);
    let pictures: Vec<_> = (0..4_u8).map(|n| slice(n == 0, true, n, 2 * n, 0x30, 50)).collect();
    let rest: Vec<_> = (0..4_u8).map(|n| slice(n == 0, false, n, 2 * n, 0x31, 50)).collect();
    let mut units: Vec<&[u8]> = vec![SPS, PPS];
    for (picture, rest) in pictures.iter().zip(&rest) {
        units.extend([picture.as_slice(), rest]);
    }
    mux.pes(VIDEO, 0xE0, Some((90_000, 90_000)), false, &annex_b(&units));
    let out = demux(&mux.bytes);
    let found: Vec<_> = samples(&out, VIDEO).iter().map(|it| (it.pts.get(), it.stamped)).collect();
    // The frame rate of the SPS places what has no stamp.
    assert_eq!(found, [(90_000, true), (93_600, false), (97_200, false), (100_800, false)]);
}

#[test]
fn a_new_parameter_set_is_told_before_its_picture_and_an_old_one_is_not_told_again() {
    let mut mux = Mux::default();
    mux.tables(&[(0x1B, VIDEO)]);
    let other = [&PPS[..3], &[0xCA]].concat();
    for (n, pps) in [PPS, PPS, &other, &other].into_iter().enumerate() {
        let picture = slice(true, true, 0, 0, 0x30, 50);
        let stamp = 3_600 * n as u64;
        mux.pes(VIDEO, 0xE0, Some((stamp, stamp)), false, &annex_b(&[&[9, 0xF0], SPS, pps, &picture]));
    }
    let shape: String = demux(&mux.bytes)
        .iter()
        .map(|event| match event {
            Event::Params { .. } => 'P',
            Event::Sample(_) => 's',
            _ => '.',
        })
        .collect();
    assert_eq!(shape, ".PssPss");
}

#[test]
fn a_lost_packet_marks_its_picture_and_no_other() {
    let input = clip(false);
    let whole = demux(&input);
    let video: Vec<usize> =
        (0..input.len()).step_by(188).filter(|&at| input[at + 1] & 0x1F == 1 && input[at + 2] == 0).collect();
    let mut cut = input.clone();
    cut.drain(video[4]..video[4] + 188); // the middle of the second picture
    let out = demux(&cut);
    let marks: Vec<bool> = samples(&out, VIDEO).iter().map(|sample| sample.damaged).collect();
    assert_eq!(marks, [false, true, false, false, false, false, false, false]);
    let good = |events: &[Event]| {
        let all = samples(events, VIDEO).into_iter().filter(|it| it.pts != Ticks(97_200));
        all.map(|it| (it.pts, it.data.clone())).collect::<Vec<_>>()
    };
    assert_eq!(good(&out), good(&whole));
    assert!(matches!(damages(&out)[..], [DamageKind::Continuity { .. }]));
}

#[test]
fn a_duplicate_packet_is_dropped() {
    let input = clip(false);
    let whole = demux(&input);
    let mut twice = Vec::new();
    input.chunks(188).for_each(|packet| twice.extend([packet, packet].concat()));
    let mut demuxer = Demuxer::new();
    demuxer.push(twice.into());
    demuxer.finish();
    let out = events(&mut demuxer);
    assert_eq!(demuxer.stats().duplicates, input.len() as u64 / 188);
    assert_eq!(damages(&out), []);
    let data = |events: &[Event]| samples(events, VIDEO).iter().map(|it| it.data.clone()).collect::<Vec<_>>();
    assert_eq!(data(&out), data(&whole));
}

#[test]
fn a_segment_end_completes_unbounded_video_and_keeps_the_rest_of_an_audio_frame() {
    let frames: Vec<u8> = (0..4).flat_map(|n| adts(n, 100)).collect();
    let mut first = Mux::default();
    first.tables(&[(0x1B, VIDEO), (0x0F, AUDIO)]);
    let picture = slice(true, true, 0, 0, 0x30, 500);
    first.pes(VIDEO, 0xE0, Some((0, 0)), false, &annex_b(&[&[9, 0xF0], SPS, PPS, &picture]));
    first.pes(AUDIO, 0xC0, Some((0, 0)), true, &frames[..250]);
    let mut second = Mux::default();
    second.tables(&[(0x1B, VIDEO), (0x0F, AUDIO)]);
    second.pes(AUDIO, 0xC0, Some((5_760, 5_760)), true, &frames[250..]);
    let mut demuxer = Demuxer::new();
    demuxer.push(first.bytes.into());
    demuxer.end_segment();
    let out = events(&mut demuxer);
    assert_eq!((samples(&out, VIDEO).len(), samples(&out, AUDIO).len()), (1, 2));
    demuxer.push(second.bytes.into());
    demuxer.finish();
    let out = events(&mut demuxer);
    let found: Vec<_> = samples(&out, AUDIO).iter().map(|it| (it.pts.get(), it.data[0])).collect();
    assert_eq!(found, [(3_840, 2), (5_760, 3)]);
    assert_eq!(damages(&out), []);
}

#[test]
fn a_bounded_pes_goes_on_in_the_next_segment() {
    let mut mux = Mux::default();
    mux.tables(&[(0x1B, VIDEO)]);
    let tables = mux.bytes.len();
    let picture = slice(true, true, 0, 0, 0x30, 1000);
    mux.pes(VIDEO, 0xE0, Some((0, 0)), true, &annex_b(&[&[9, 0xF0], SPS, PPS, &picture]));
    let mut demuxer = Demuxer::new();
    demuxer.push(Bytes::copy_from_slice(&mux.bytes[..tables + 3 * 188]));
    demuxer.end_segment();
    assert_eq!(samples(&events(&mut demuxer), VIDEO).len(), 0);
    demuxer.push(Bytes::copy_from_slice(&mux.bytes[tables + 3 * 188..]));
    demuxer.end_segment();
    let out = events(&mut demuxer);
    assert_eq!(samples(&out, VIDEO)[0].data.len(), 4 + picture.len());
    assert!(!samples(&out, VIDEO)[0].damaged);
}

#[test]
fn a_changed_map_is_followed_whatever_its_version_and_an_equal_one_is_not_told_again() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0F, AUDIO)]).pes(AUDIO, 0xC0, Some((0, 0)), true, &adts(1, 50));
    mux.tables(&[(0x0F, AUDIO)]).tables(&[(0x0F, 0x123), (0x24, 0x124)]);
    mux.pes(0x123, 0xC0, Some((1_920, 1_920)), true, &adts(2, 50));
    let out = demux(&mux.bytes);
    let listed: Vec<Vec<_>> =
        programs(&out).iter().map(|it| it.streams.iter().map(|it| (it.pid, it.codec)).collect()).collect();
    let adts = Some(Codec::AacAdts);
    assert_eq!(listed, [vec![(AUDIO, adts)], vec![(0x123, adts), (0x124, Some(Codec::Hevc))]]);
    assert_eq!((samples(&out, AUDIO).len(), samples(&out, 0x123).len()), (1, 1));
}

#[test]
fn media_before_the_tables_and_without_any_is_not_lost() {
    let tables = {
        let mut mux = Mux::default();
        mux.tables(&[(0x1B, VIDEO), (0x0F, AUDIO)]).bytes.len()
    };
    let input = clip(false);
    let whole = demux(&input);
    let (head, media) = input.split_at(tables);
    for late in [[media, head].concat(), media.to_vec()] {
        let out = demux(&late);
        for pid in [VIDEO, AUDIO] {
            let data =
                |events: &[Event]| samples(events, pid).iter().map(|it| it.data.clone()).collect::<Vec<_>>();
            assert_eq!(data(&out), data(&whole));
        }
    }
}

#[test]
fn a_map_without_a_pat_is_found_and_a_pat_that_comes_later_takes_over() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0F, AUDIO)]);
    let pat = mux.bytes.drain(..188).collect::<Vec<_>>();
    mux.pes(AUDIO, 0xC0, Some((0, 0)), true, &adts(1, 50));
    let out = demux(&mux.bytes);
    assert_eq!(programs(&out).iter().map(|it| (it.number, it.selected)).collect::<Vec<_>>(), [(1, true)]);
    assert_eq!(samples(&out, AUDIO).len(), 1);
    let mut demuxer = Demuxer::new();
    demuxer.push(Bytes::from(mux.bytes.split_off(188)));
    demuxer.end_segment();
    assert_eq!(programs(&events(&mut demuxer))[0].number, 0);
    mux.bytes.splice(..0, pat);
    mux.pes(AUDIO, 0xC0, Some((1_920, 1_920)), true, &adts(2, 50));
    demuxer.push(mux.bytes.into());
    demuxer.finish();
    let out = events(&mut demuxer);
    assert_eq!(programs(&out).iter().map(|it| (it.number, it.selected)).collect::<Vec<_>>(), [(1, true)]);
    assert_eq!(samples(&out, AUDIO).iter().map(|it| it.pts.get()).collect::<Vec<_>>(), [1_920]);
}

#[test]
fn of_several_programs_the_first_usable_one_is_demuxed_and_all_are_listed() {
    let mut mux = Mux::default();
    mux.section(0, 0, 1, &[0, 1, 0xE2, 0, 0, 2, 0xE3, 0]);
    mux.section(0x200, 2, 1, &[0xE1, 0, 0xF0, 0, 0x02, 0xE4, 0x00, 0xF0, 0]);
    mux.section(0x300, 2, 2, &[0xE1, 0, 0xF0, 0, 0x0F, 0xE1, 0x01, 0xF0, 0]);
    mux.pes(AUDIO, 0xC0, Some((0, 0)), true, &adts(1, 50));
    let out = demux(&mux.bytes);
    let listed: Vec<_> = programs(&out).iter().map(|it| (it.number, it.selected)).collect();
    assert_eq!(listed, [(1, false), (2, true)]);
    assert_eq!(samples(&out, AUDIO).len(), 1);
}

#[test]
fn a_broken_section_is_told_and_changes_nothing() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0F, AUDIO)]);
    let mut input = mux.bytes.clone();
    input[188 + 20] ^= 1;
    input.extend(&mux.tables(&[(0x0F, AUDIO)]).bytes[376..]);
    let out = demux(&input);
    assert_eq!(damages(&out), [DamageKind::Section { table: 2 }]);
    assert_eq!(programs(&out).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn cuts_anywhere_in_a_damaged_stream_give_the_same_events(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cuts in prop::collection::btree_set(0_usize..12_000, 0..20),
        bounded in any::<bool>(),
    ) {
        let mut input = clip(bounded);
        for (at, value) in flips {
            let at = at.index(input.len());
            input[at] = value;
        }
        prop_assert_eq!(demux_in_pieces(&input, cuts), demux_in_pieces(&input, []));
    }

    #[test]
    fn garbage_between_packets_costs_no_sample(
        garbage in prop::collection::vec(0x48_u8.., 1..500),
        at in 2_usize..20,
    ) {
        let input = clip(false);
        let mut broken = input.clone();
        broken.splice(188 * at..188 * at, garbage);
        let data = |events: &[Event]| samples(events, VIDEO).iter().map(|it| it.data.clone()).collect::<Vec<_>>();
        prop_assert_eq!(data(&demux(&broken)), data(&demux(&input)));
    }

    #[test]
    fn random_packets_neither_crash_nor_stop_the_demuxer(
        packets in prop::collection::vec(
            (prop::sample::select(vec![0, PMT, VIDEO, AUDIO, 0x1FFF]), any::<[u8; 2]>(), prop::collection::vec(any::<u8>(), 184)),
            0..40,
        ),
    ) {
        let mut input = clip(false);
        let end = input.split_off(input.len() / 188 / 2 * 188);
        for (pid, [start, control], payload) in packets {
            input.extend([0x47, start & 0xE0 | (pid >> 8) as u8, pid as u8, control]);
            input.extend(payload);
        }
        input.extend(end);
        demux(&input);
    }

    #[test]
    fn random_bytes_neither_crash_nor_stop_the_demuxer(input in prop::collection::vec(any::<u8>(), 0..3000)) {
        demux(&input);
    }
}
