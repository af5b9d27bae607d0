//! Segments that end within a picture, a frame, a section or a packet, and lengths that are wrong.

mod support;

use bytes::Bytes;
use overdub_ts::{DamageKind, Demuxer, Event, Sample};
use proptest::prelude::*;
use support::{AUDIO, Mux, PPS, SPS, VIDEO, adts, annex_b, demux, events, slice};

const STREAMS: [(u8, u16); 2] = [(0x1B, VIDEO), (0x0F, AUDIO)];
const PACKET: usize = 188;

fn at(n: u64) -> u64 {
    90_000 + 3_600 * n
}

/// A picture of about `len` bytes, with parameter sets where it is an IDR picture.
fn picture(n: u64, idr: bool, len: usize) -> Vec<u8> {
    let unit = slice(idr, true, n as u8, 2 * n as u8, 0x33, len);
    if idr { annex_b(&[SPS, PPS, &unit]) } else { annex_b(&[&unit]) }
}

/// Pictures of these sizes without lengths, each followed by two audio frames, of which PES packets take one and a half.
fn stream(sizes: &[usize]) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.tables(&STREAMS);
    let frames: Vec<Vec<u8>> = (0..2 * sizes.len()).map(|n| adts(n as u8, 90 + n % 7)).collect();
    let audio = frames.concat();
    let mut parts = audio.chunks(150);
    for (n, size) in (0..).zip(sizes) {
        mux.pes(VIDEO, 0xE0, Some((at(n), at(n))), false, &picture(n, n == 0, *size));
        let part = parts.next().unwrap_or_default();
        let stamp = (n == 0).then_some((at(0), at(0)));
        mux.pes(AUDIO, 0xC0, stamp, true, part);
    }
    mux.pes(AUDIO, 0xC0, None, true, &parts.flatten().copied().collect::<Vec<_>>());
    mux.bytes
}

/// What comes of `input` in segments that end at `cuts`, and how many samples had come at each end.
fn segmented(input: &[u8], cuts: &[usize]) -> (Vec<Event>, Vec<usize>) {
    let mut demuxer = Demuxer::new();
    let (mut all, mut counts, mut start) = (Vec::new(), Vec::new(), 0);
    for end in cuts.iter().copied() {
        demuxer.push(Bytes::copy_from_slice(&input[start..end]));
        demuxer.end_segment();
        start = end;
        all.extend(events(&mut demuxer));
        counts.push(samples(&all).len());
    }
    demuxer.push(Bytes::copy_from_slice(&input[start..]));
    demuxer.finish();
    all.extend(events(&mut demuxer));
    (all, counts)
}

fn samples(events: &[Event]) -> Vec<&Sample> {
    events.iter().filter_map(|event| if let Event::Sample(it) = event { Some(it) } else { None }).collect()
}

fn damages(events: &[Event]) -> Vec<DamageKind> {
    let kind = |event: &Event| if let Event::Damage(it) = event { Some(it.kind) } else { None };
    events.iter().filter_map(kind).collect()
}

/// What makes a sample, in order of the PIDs: frames may come out later than pictures by another cut.
fn content(events: &[Event]) -> Vec<(u16, i64, bool, Bytes)> {
    let mut all: Vec<_> =
        samples(events).iter().map(|it| (it.pid, it.pts.get(), it.damaged, it.data.clone())).collect();
    all.sort_by_key(|sample| sample.0);
    all
}

proptest! {
    #[test]
    fn whatever_a_segment_ends_within_comes_out_whole(
        sizes in prop::collection::vec(20_usize..900, 4..9),
        cuts in prop::collection::btree_set(0_usize..10_000, 1..5),
        aligned: bool,
    ) {
        let input = stream(&sizes);
        let mut cuts: Vec<usize> = cuts
            .into_iter()
            .map(|part| part * input.len() / 10_000)
            .map(|at| if aligned { at - at % PACKET } else { at })
            .filter(|at| *at > 2 * PACKET)
            .collect();
        // No segment is shorter than a packet.
        cuts.dedup_by(|later, earlier| *later < *earlier + PACKET);
        let (cut, _) = segmented(&input, &cuts);
        prop_assert_eq!(content(&cut), content(&demux(&input)));
        prop_assert_eq!(damages(&cut), vec![]);
    }
}

#[test]
fn a_segment_may_end_at_every_byte() {
    let input = stream(&[700, 60, 350, 164, 500]);
    let whole = content(&demux(&input));
    for at in 2 * PACKET..input.len() {
        let (cut, _) = segmented(&input, &[at]);
        assert_eq!((content(&cut), damages(&cut)), (whole.clone(), vec![]), "{at}");
    }
}

#[test]
fn the_last_picture_of_a_segment_comes_with_it_unless_it_fills_its_packets() {
    // A picture that ends with its transport packet might go on: one in 184.
    let mut held = 0;
    for size in 100..100 + 184 {
        let mut mux = Mux::default();
        mux.tables(&STREAMS);
        for n in 0..3 {
            mux.pes(VIDEO, 0xE0, Some((at(n), at(n))), false, &picture(n, n == 0, 150));
        }
        mux.pes(VIDEO, 0xE0, Some((at(3), at(3))), false, &picture(3, false, size));
        let end = mux.bytes.len();
        mux.pes(VIDEO, 0xE0, Some((at(4), at(4))), false, &picture(4, true, 200));
        let (cut, counts) = segmented(&mux.bytes, &[end]);
        assert_eq!((samples(&cut).len(), damages(&cut)), (5, vec![]), "{size}");
        held += 4 - counts[0];
    }
    assert_eq!(held, 1);
}

#[test]
fn what_waits_for_its_rest_comes_out_when_none_can_come() {
    let input = stream(&[150, 150, 1_000]);
    // Behind the second packet of the last picture.
    let third = input
        .chunks(PACKET)
        .enumerate()
        .filter(|(_, it)| it[1] & 0x1F == 1 && it[2] == 0 && it[1] & 0x40 != 0)
        .nth(2)
        .map(|(n, _)| (n + 2) * PACKET)
        .expect("three pictures");
    let mut demuxer = Demuxer::new();
    demuxer.push(Bytes::copy_from_slice(&input[..third]));
    demuxer.end_segment();
    let pictures = |events: &[Event]| samples(events).iter().filter(|it| it.pid == VIDEO).count();
    assert_eq!(pictures(&events(&mut demuxer)), 2);
    demuxer.finish();
    assert_eq!(pictures(&events(&mut demuxer)), 1);
}

#[test]
fn a_cut_that_stuffing_hid_is_told_and_not_repeated() {
    // The packets of a multiplexer that stuffs where it likes: the picture goes on all the same.
    let mut mux = Mux::default();
    mux.tables(&STREAMS);
    let mut ends = Vec::new();
    for n in 0..4 {
        let data = picture(n, n == 0, 700);
        let (head, rest) = data.split_at(100);
        mux.pes(VIDEO, 0xE0, Some((at(n), at(n))), false, head);
        ends.push(mux.bytes.len());
        let from = mux.bytes.len();
        mux.packets(VIDEO, rest);
        mux.bytes[from + 1] &= !0x40;
    }
    let (cut, _) = segmented(&mux.bytes, &ends);
    let cuts = damages(&cut).iter().filter(|kind| **kind == DamageKind::CutUnit).count();
    assert_eq!(cuts, 1);
    let whole: Vec<_> =
        samples(&cut).iter().filter(|it| !it.damaged && it.data.len() > 600).map(|it| it.pts.get()).collect();
    assert_eq!(whole, [at(1), at(2), at(3)].map(|at| at as i64));
}

#[test]
fn a_segment_that_repeats_its_counters_is_whole_and_one_that_lost_packets_in_mid_picture_is_not() {
    let input = stream(&[700, 700, 700]);
    let cut = 2 * PACKET + 2 * PACKET;
    let mut broken = input.clone();
    broken.drain(cut..cut + PACKET);
    let (cut_events, _) = segmented(&broken, &[cut]);
    assert_eq!(samples(&cut_events).iter().filter(|it| it.damaged).count(), 1);
    // Between pictures, counters begin anew in every segment of many packagers.
    let second =
        input.chunks(PACKET).position(|it| it[1] == 0x41 && it[2] == 1).map(|n| n * PACKET).expect("audio");
    let mut anew = input.clone();
    for packet in anew[second..].chunks_mut(PACKET).filter(|it| it[1] & 0x1F == 1 && it[2] == 0) {
        packet[3] = packet[3] & 0xF0 | (packet[3] + 9) & 0x0F;
    }
    let (out, _) = segmented(&anew, &[second]);
    assert_eq!((samples(&out).len(), damages(&out)), (samples(&demux(&input)).len(), vec![]));
}

#[test]
fn a_pes_length_that_wrapped_costs_nothing() {
    for wrapped in [0_u16, 1, 2, 7, 8, 40, 160, 175, 176, 500, 5_000] {
        let mut mux = Mux::default();
        mux.tables(&[(0x1B, VIDEO)]);
        for n in 0..6 {
            let from = mux.bytes.len();
            mux.pes(VIDEO, 0xE0, Some((at(n), at(n))), false, &picture(n, n % 3 == 0, 6_000));
            if n % 3 == 0 {
                let header = (from..from + PACKET)
                    .find(|&at| mux.bytes[at..].starts_with(&[0, 0, 1, 0xE0]))
                    .expect("a PES header");
                mux.bytes[header + 4..header + 6].copy_from_slice(&wrapped.to_be_bytes());
            }
        }
        let out = demux(&mux.bytes);
        let lengths: Vec<_> = samples(&out).iter().map(|it| (it.damaged, it.data.len() > 6_000)).collect();
        assert_eq!((lengths, damages(&out)), (vec![(false, true); 6], vec![]), "{wrapped}");
    }
}
