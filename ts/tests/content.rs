//! Streams that the tables do not describe, times that the headers do not give, and where segments may end.

mod support;

use bytes::Bytes;
use overdub_ts::{Choice, Codec, Config, DamageKind, Demuxer, Event, Params, Program, Sample, Ticks};
use support::{AUDIO, Mux, PPS, SPS, VIDEO, adts, annex_b, demux, events, slice};

/// PES packets of one frame each, with 24 frames.
fn sound(stream_type: u8, stamped: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.tables(&[(stream_type, AUDIO)]);
    for n in 0..24 {
        let stamp = stamped(n).then_some((90_000 + 1920 * n, 90_000 + 1920 * n));
        mux.pes(AUDIO, 0xC0, stamp, true, &adts(n as u8, 200));
    }
    mux.bytes
}

/// Eight pictures without reordering.
fn pictures(bounded: bool, stamp: impl Fn(u64) -> Option<u64>) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.tables(&[(0x1B, VIDEO)]);
    for n in 0..8 {
        let unit = slice(n == 0, true, n as u8, 2 * n as u8, 0x33, 400);
        let data = if n == 0 { annex_b(&[SPS, PPS, &unit]) } else { annex_b(&[&unit]) };
        mux.pes(VIDEO, 0xE0, stamp(n).map(|at| (at, at)), bounded, &data);
    }
    mux.bytes
}

fn samples(events: &[Event]) -> Vec<&Sample> {
    events.iter().filter_map(|event| if let Event::Sample(it) = event { Some(it) } else { None }).collect()
}

fn times(events: &[Event]) -> Vec<i64> {
    samples(events).iter().map(|sample| sample.pts.get()).collect()
}

/// As often as the chosen program is told.
fn programs(events: &[Event]) -> Vec<&Program> {
    fn program(event: &Event) -> Option<&Program> {
        if let Event::Program(it) = event { Some(it) } else { None }
    }
    events.iter().filter_map(program).filter(|program| program.selected).collect()
}

fn damages(events: &[Event]) -> Vec<DamageKind> {
    events
        .iter()
        .filter_map(|event| if let Event::Damage(it) = event { Some(it.kind) } else { None })
        .collect()
}

fn in_two_pieces(input: &[u8], cut: usize) -> Vec<Event> {
    let mut demuxer = Demuxer::with_config(Config { raw: true, programs: Choice::First });
    demuxer.push(Bytes::copy_from_slice(&input[..cut]));
    let mut all = events(&mut demuxer);
    demuxer.push(Bytes::copy_from_slice(&input[cut..]));
    demuxer.finish();
    all.extend(events(&mut demuxer));
    all
}

#[test]
fn private_data_that_is_sound_is_told_and_loses_nothing() {
    let known = demux(&sound(0x0F, |_| true));
    // Private data, types for users to define, and MPEG audio that is AAC.
    for stream_type in [0x06, 0x83, 0x04] {
        let out = demux(&sound(stream_type, |_| true));
        let codecs: Vec<_> = programs(&out).iter().map(|program| program.streams[0].codec).collect();
        let before = (stream_type == 0x04).then_some(Codec::MpegAudio);
        assert_eq!(codecs, [before, Some(Codec::AacAdts)], "{stream_type:#x}");
        assert_eq!(samples(&out), samples(&known), "{stream_type:#x}");
        assert_eq!(damages(&out), []);
    }
}

#[test]
fn what_is_shown_by_content_stays_known_when_the_map_comes_again() {
    let mut input = sound(0x06, |_| true);
    let tables = input[..376].to_vec();
    // Of another continuity, as a multiplexer that was restarted sends them.
    input.extend(&tables);
    let out = demux(&input);
    assert_eq!((programs(&out).len(), samples(&out).len()), (2, 24));
}

#[test]
fn private_data_that_is_none_of_ours_is_listed_and_its_bytes_come_raw() {
    let mut mux = Mux::default();
    mux.tables(&[(0x06, AUDIO), (0x0F, VIDEO)]);
    let texts: Vec<Vec<u8>> = (0..9_u8).map(|n| (0..150).map(|byte| byte ^ n).collect()).collect();
    for text in &texts {
        mux.pes(AUDIO, 0xBD, Some((0, 0)), true, text);
    }
    for cut in (0..mux.bytes.len()).step_by(61) {
        let out = in_two_pieces(&mux.bytes, cut);
        let raw: Vec<u8> = out
            .iter()
            .filter_map(
                |event| if let Event::Payload { data, .. } = event { Some(data.to_vec()) } else { None },
            )
            .flatten()
            .collect();
        assert_eq!((programs(&out).len(), programs(&out)[0].streams[0].codec), (1, None));
        assert_eq!((samples(&out).len(), raw), (0, texts.concat()));
    }
}

#[test]
fn without_tables_private_data_is_recognised_too() {
    let mut mux = Mux::default();
    for n in 0..24 {
        mux.pes(AUDIO, 0xBD, Some((1920 * n, 1920 * n)), true, &adts(n as u8, 200));
    }
    let out = demux(&mux.bytes);
    let last = programs(&out).last().map(|program| program.streams[0].codec);
    assert_eq!((last, samples(&out).len()), (Some(Some(Codec::AacAdts)), 24));
}

#[test]
fn streams_that_are_encrypted_by_their_type_are_listed_and_left_alone() {
    for stream_type in [0xCF, 0xC1, 0xC2, 0xDB] {
        let out = demux(&sound(stream_type, |_| true));
        let stream = &programs(&out)[0].streams[0];
        assert_eq!((stream.codec, stream.encrypted, samples(&out).len()), (None, true, 0));
    }
}

#[test]
fn a_cut_at_every_position_gives_the_same_events_while_content_is_in_question() {
    let input = sound(0x06, |n| n > 4);
    let whole = in_two_pieces(&input, 0);
    assert_eq!(samples(&whole).len(), 24);
    for cut in 1..input.len() {
        assert_eq!(in_two_pieces(&input, cut), whole, "cut at {cut}");
    }
}

#[test]
fn frames_before_the_first_stamp_are_dated_from_it() {
    let all = times(&demux(&sound(0x0F, |_| true)));
    for first in 1..24 {
        let out = demux(&sound(0x0F, |n| n >= first));
        assert_eq!(times(&out), all, "{first} without a stamp");
        let stamped: Vec<_> = samples(&out).iter().map(|sample| sample.stamped).collect();
        assert_eq!(stamped.iter().position(|stamped| *stamped), Some(first as usize));
    }
}

#[test]
fn pictures_before_the_first_stamp_are_dated_from_it_and_without_any_they_are_told() {
    let at = |n: u64| 90_000 + 3_600 * n;
    let all = times(&demux(&pictures(false, |n| Some(at(n)))));
    for first in 1..8 {
        let out = demux(&pictures(false, |n| (n >= first).then(|| at(n))));
        assert_eq!(times(&out), all, "{first} without a stamp");
    }
    let out = demux(&pictures(false, |_| None));
    assert_eq!(samples(&out).len(), 0);
    assert!(matches!(damages(&out)[..], [DamageKind::NoFrame { .. }]), "{:?}", damages(&out));
}

#[test]
fn the_clock_goes_on_where_its_33_bits_begin_again() {
    let start = (1 << 33) - 4 * 3_600;
    let out = demux(&pictures(false, |n| Some((start + 3_600 * n) % (1 << 33))));
    let expected: Vec<_> = (0..8).map(|n| 3_600 * (n - 4)).collect();
    assert_eq!(times(&out), expected);
    let durations: Vec<_> = samples(&out).iter().map(|sample| sample.duration).collect();
    assert_eq!(durations, [Ticks(3_600); 8]);
}

#[test]
fn a_segment_may_end_at_every_packet_of_bounded_pes_packets_and_between_unbounded_ones() {
    for bounded in [true, false] {
        let input = pictures(bounded, |n| Some(90_000 + 3_600 * n));
        let whole = demux(&input);
        let starts = |at: usize| input.get(at + 1).is_none_or(|byte| byte & 0x40 != 0);
        for at in (376..=input.len()).step_by(188).filter(|&at| bounded || starts(at)) {
            let mut demuxer = Demuxer::new();
            demuxer.push(Bytes::copy_from_slice(&input[..at]));
            demuxer.end_segment();
            demuxer.push(Bytes::copy_from_slice(&input[at..]));
            demuxer.finish();
            let cut = events(&mut demuxer);
            assert_eq!((samples(&cut), damages(&cut)), (samples(&whole), vec![]), "{bounded}, {at}");
        }
    }
}

#[test]
fn an_announced_discontinuity_is_no_damage_and_an_unannounced_one_is() {
    // The second packet of the fourth PES packet: it is stuffed, so that it has an adaptation field with flags.
    const AT: usize = 2 + 7;
    let input = sound(0x0F, |_| true);
    for (announced, expected) in [(true, 0), (false, 1)] {
        let mut broken = input.clone();
        for packet in broken.chunks_exact_mut(188).skip(AT) {
            packet[3] = packet[3] & 0xF0 | (packet[3] + 3) & 0x0F;
        }
        assert_eq!(broken[188 * AT + 3] & 0x30, 0x30);
        broken[188 * AT + 5] |= if announced { 0x80 } else { 0 };
        let kinds = damages(&demux(&broken));
        let counted = kinds.iter().filter(|it| matches!(it, DamageKind::Continuity { .. })).count();
        assert_eq!(counted, expected, "{kinds:?}");
    }
}

#[test]
fn packets_of_192_bytes_give_the_same_samples_however_they_are_pushed() {
    let input = pictures(false, |n| Some(90_000 + 3_600 * n));
    let whole: Vec<_> = samples(&demux(&input)).iter().map(|it| (it.pts, it.data.clone())).collect();
    let mut longer = Vec::new();
    for packet in input.chunks_exact(188) {
        longer.extend([0x00, 0x47, 0x12, 0x34]);
        longer.extend(packet);
    }
    for cut in (0..longer.len()).step_by(7) {
        let out = in_two_pieces(&longer, cut);
        let found: Vec<_> = samples(&out).iter().map(|it| (it.pts, it.data.clone())).collect();
        assert_eq!((found, damages(&out)), (whole.clone(), vec![]), "{cut}");
    }
    let params = demux(&longer).iter().any(|it| matches!(it, Event::Params { params: Params::Video(_), .. }));
    assert!(params);
}
