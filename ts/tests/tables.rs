//! Tables that are late, broken, moved or missing: nothing of what they describe is lost.

mod support;

use bytes::Bytes;
use overdub_ts::{DamageKind, Demuxer, Event, Program, Sample, section_crc};
use support::{AUDIO, Mux, PMT, PPS, SPS, VIDEO, adts, annex_b, demux, events, slice};

const PACKET: usize = 188;
/// H.264, AAC.
const TYPES: [u8; 2] = [0x1B, 0x0F];

fn at(n: u64) -> u64 {
    90_000 + 3_600 * n
}

/// Pictures and frames `numbers` on these PIDs; a picture lies in three packets.
fn media(mux: &mut Mux, numbers: std::ops::Range<u64>, [video, audio]: [u16; 2]) {
    for n in numbers {
        let unit = slice(n % 4 == 0, true, n as u8, 2 * n as u8, 0x33, 400);
        let data = if n % 4 == 0 { annex_b(&[SPS, PPS, &unit]) } else { annex_b(&[&unit]) };
        mux.pes(video, 0xE0, Some((at(n), at(n))), false, &data);
        mux.pes(audio, 0xC0, Some((at(n), at(n))), true, &adts(n as u8, 150));
    }
}

/// A section, with this version; `broken`: with a wrong CRC.
fn section(table: u8, version: u8, body: &[u8], broken: bool) -> Vec<u8> {
    let mut section = vec![table, 0xB0, body.len() as u8 + 9, 0, 1, 0xC1 | version << 1, 0, 0];
    section.extend(body);
    let crc = section_crc(&section) ^ u32::from(broken);
    section.extend(crc.to_be_bytes());
    section.insert(0, 0);
    section.resize(184, 0xFF);
    section
}

/// A PAT with program 1.
fn pat(pmt_pid: u16, version: u8) -> Vec<u8> {
    section(0, version, &[0, 1, 0xE0 | (pmt_pid >> 8) as u8, pmt_pid as u8], false)
}

fn pmt(pids: [u16; 2], version: u8, broken: bool) -> Vec<u8> {
    let mut body = vec![0xE0 | (pids[0] >> 8) as u8, pids[0] as u8, 0xF0, 0];
    for (kind, pid) in TYPES.into_iter().zip(pids) {
        body.extend([kind, 0xE0 | (pid >> 8) as u8, pid as u8, 0xF0, 0]);
    }
    section(2, version, &body, broken)
}

const PIDS: [u16; 2] = [VIDEO, AUDIO];
const OTHERS: [u16; 2] = [0x200, 0x201];

fn samples(events: &[Event]) -> Vec<&Sample> {
    events.iter().filter_map(|event| if let Event::Sample(it) = event { Some(it) } else { None }).collect()
}

/// The PTS of what came undamaged, pictures and frames, in the order of time.
fn whole(events: &[Event]) -> [Vec<i64>; 2] {
    let of = |is_video: bool| {
        let kind = |sample: &&&Sample| (sample.pid & 1 == 0) == is_video && !sample.damaged;
        let mut all: Vec<i64> = samples(events).iter().filter(kind).map(|it| it.pts.get()).collect();
        all.sort_unstable();
        all
    };
    [of(true), of(false)]
}

fn everything(count: u64) -> [Vec<i64>; 2] {
    let all: Vec<i64> = (0..count).map(|n| at(n) as i64).collect();
    [all.clone(), all]
}

fn programs(events: &[Event]) -> Vec<&Program> {
    fn program(event: &Event) -> Option<&Program> {
        if let Event::Program(it) = event { Some(it) } else { None }
    }
    events.iter().filter_map(program).filter(|program| program.selected).collect()
}

/// What comes of these segments, of which `restart` begin after a discontinuity.
fn segmented(segments: &[Vec<u8>], restart: &[usize]) -> Vec<Event> {
    let mut demuxer = Demuxer::new();
    let mut all = Vec::new();
    for (n, segment) in segments.iter().enumerate() {
        if restart.contains(&n) {
            demuxer.finish();
            all.extend(events(&mut demuxer));
            demuxer.restart();
        }
        demuxer.push(Bytes::copy_from_slice(segment));
        demuxer.end_segment();
        all.extend(events(&mut demuxer));
    }
    demuxer.finish();
    all.extend(events(&mut demuxer));
    all
}

/// A stream of 12 pictures, with these sections before pictures 0, 5 and 12.
fn with_sections(first: &[(u16, Vec<u8>)], later: &[(u16, Vec<u8>)], last: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut mux = Mux::default();
    for (sections, numbers) in [(first, 0..5), (later, 5..12), (last, 12..12)] {
        for (pid, section) in sections {
            mux.packets(*pid, section);
        }
        media(&mut mux, numbers, PIDS);
    }
    mux.bytes
}

#[test]
fn tables_may_be_late_broken_or_missing() {
    let good = |version| pmt(PIDS, version, false);
    let bad = |version| pmt(PIDS, version, true);
    let pat = || (0, pat(PMT, 0));
    let cases: [(&str, Vec<u8>); 10] = [
        ("in front", with_sections(&[pat(), (PMT, good(0))], &[], &[])),
        ("behind the first pictures", with_sections(&[], &[pat(), (PMT, good(0))], &[])),
        ("at the end", with_sections(&[], &[], &[pat(), (PMT, good(0))])),
        ("the map before the PAT", with_sections(&[(PMT, good(0)), pat()], &[], &[])),
        ("the map at the start, the PAT at the end", with_sections(&[(PMT, good(0))], &[], &[pat()])),
        ("no PAT", with_sections(&[(PMT, good(0))], &[(PMT, good(0))], &[])),
        ("the map with a wrong CRC", with_sections(&[pat(), (PMT, bad(0))], &[(PMT, bad(0))], &[])),
        (
            "the map with a wrong CRC, then right",
            with_sections(&[pat(), (PMT, bad(0))], &[(PMT, good(0))], &[]),
        ),
        ("no PAT, and the map with a wrong CRC", with_sections(&[(PMT, bad(0))], &[], &[])),
        ("none", with_sections(&[], &[], &[])),
    ];
    for (name, input) in cases {
        let out = demux(&input);
        assert_eq!(whole(&out), everything(12), "{name}");
        let number = programs(&out).last().map(|program| program.number);
        assert_eq!(number, Some(u16::from(name != "none")), "{name}");
    }
}

#[test]
fn a_map_with_a_wrong_crc_is_not_believed_against_what_is_on_air() {
    let lie = pmt(OTHERS, 0, true);
    let input = with_sections(&[(0, pat(PMT, 0)), (PMT, lie)], &[], &[]);
    let out = demux(&input);
    assert_eq!(whole(&out), everything(12));
    assert_eq!(programs(&out)[0].number, 0);
}

#[test]
fn a_map_may_move_and_change_in_mid_segment_under_any_version() {
    for (version, counter) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        // Before the media, in the middle of it, and behind it.
        for (moved, before) in [(PMT, 5), (0x1100, 5), (PMT, 8), (0x1100, 8), (PMT, 12), (0x1100, 12)] {
            for pids in [PIDS, OTHERS] {
                let mut mux = Mux::default();
                mux.packets(0, &pat(PMT, 0)).packets(PMT, &pmt(PIDS, 0, false));
                media(&mut mux, 0..5, PIDS);
                media(&mut mux, 5..before, pids);
                // Some multiplexers send tables always with the same counter.
                let from = mux.bytes.len();
                mux.packets(0, &pat(moved, version)).packets(moved, &pmt(pids, version, false));
                for packet in mux.bytes[from..].chunks_mut(PACKET) {
                    packet[3] = packet[3] & 0xF0 | counter;
                }
                media(&mut mux, before..12, pids);
                let out = demux(&mux.bytes);
                assert_eq!(whole(&out), everything(12), "{version} {counter} {moved:#x} {before} {pids:?}");
            }
        }
    }
}

#[test]
fn the_last_samples_of_a_stream_come_before_the_program_that_lists_it_no_more() {
    let mut mux = Mux::default();
    mux.tables(&[(TYPES[0], PIDS[0]), (TYPES[1], PIDS[1])]);
    media(&mut mux, 0..4, PIDS);
    mux.packets(PMT, &pmt(OTHERS, 1, false));
    media(&mut mux, 4..8, OTHERS);
    let out = demux(&mux.bytes);
    let second = out.iter().rposition(|event| matches!(event, Event::Program(_))).expect("a program");
    assert!(samples(&out[..second]).iter().all(|it| PIDS.contains(&it.pid)));
    assert_eq!(samples(&out[second..]).iter().filter(|it| PIDS.contains(&it.pid)).count(), 0);
    assert_eq!(whole(&out), everything(8));
}

#[test]
fn a_section_may_be_cut_by_the_end_of_a_segment() {
    // A map of two packets, its descriptors filled up.
    let mut body = vec![0xE1, 0, 0xF0, 150, 0xFE, 148];
    body.resize(4 + 150, 7);
    body.extend([
        0x1B, 0xE1, 0x00, 0xF0, 0, 0x0F, 0xE1, 0x01, 0xF0, 0, 0x06, 0xE1, 0x02, 0xF0, 0, 0x06, 0xE1, 3, 0xF0,
        0,
    ]);
    body.extend([0x06, 0xE1, 0x04, 0xF0, 0]);
    let mut map = vec![2, 0xB0, body.len() as u8 + 9, 0, 1, 0xC1, 0, 0];
    map.extend(&body);
    map.extend(section_crc(&map).to_be_bytes());
    map.insert(0, 0);
    let (first, rest) = map.split_at(184);
    let mut mux = Mux::default();
    mux.packets(0, &pat(PMT, 0)).packets(PMT, first);
    let end = mux.bytes.len();
    mux.packets(PMT, rest);
    mux.bytes[end + 1] &= !0x40;
    media(&mut mux, 0..4, PIDS);
    let out = segmented(&[mux.bytes[..end].to_vec(), mux.bytes[end..].to_vec()], &[]);
    assert_eq!(whole(&out), everything(4));
    assert_eq!(programs(&out)[0].streams.len(), 5);
}

#[test]
fn tables_of_an_initialization_section_hold_until_others_come() {
    let mut init = Mux::default();
    init.packets(0, &pat(PMT, 0)).packets(PMT, &pmt(PIDS, 0, false));
    let mut other = Mux::default();
    other.packets(0, &pat(0x1200, 0)).packets(0x1200, &pmt(OTHERS, 0, false));
    let mut mux = Mux::default();
    media(&mut mux, 0..5, PIDS);
    let first = std::mem::take(&mut mux.bytes);
    media(&mut mux, 5..9, PIDS);
    let second = std::mem::take(&mut mux.bytes);
    media(&mut mux, 9..12, OTHERS);
    let mut demuxer = Demuxer::new();
    let mut all = Vec::new();
    for (init, segment) in [(Some(init), first), (None, second), (Some(other), mux.bytes)] {
        if let Some(init) = init {
            demuxer.push_init(Bytes::from(init.bytes));
        }
        demuxer.push(Bytes::from(segment));
        demuxer.end_segment();
        all.extend(events(&mut demuxer));
    }
    assert_eq!(whole(&all), everything(12));
    assert!(all.iter().all(|event| !matches!(event, Event::Damage(_))));
    assert!(programs(&all).iter().all(|program| program.number == 1));
}

#[test]
fn tables_of_the_first_segment_hold_for_the_others_and_across_a_discontinuity() {
    let with_tables = |with: bool, numbers: std::ops::Range<u64>, pids| {
        let mut mux = Mux::default();
        if with {
            mux.packets(0, &pat(PMT, 0)).packets(PMT, &pmt(pids, 0, false));
        }
        media(&mut mux, numbers, pids);
        mux.bytes
    };
    let number = |out: &[Event]| programs(out).last().map(|program| program.number);
    let first = with_tables(true, 0..4, PIDS);
    let out =
        segmented(&[first.clone(), with_tables(false, 4..8, PIDS), with_tables(false, 8..12, PIDS)], &[2]);
    assert_eq!((whole(&out), number(&out)), (everything(12), Some(1)), "the same PIDs");
    // The map of before does not list what is there now: content decides, and is told.
    let segments = [first.clone(), with_tables(false, 4..8, OTHERS), with_tables(false, 8..12, OTHERS)];
    for restart in [&[1][..], &[]] {
        let out = segmented(&segments, restart);
        assert_eq!((whole(&out), number(&out)), (everything(12), Some(0)), "{restart:?}");
        let told = |event: &Event| matches!(event, Event::Damage(it) if it.kind == DamageKind::NoTables);
        assert_eq!(out.iter().filter(|event| told(event)).count(), 1);
    }
    // And then they come again.
    let segments = [first, with_tables(false, 4..8, OTHERS), with_tables(true, 8..12, OTHERS)];
    let out = segmented(&segments, &[1]);
    assert_eq!((whole(&out), number(&out)), (everything(12), Some(1)));
}

#[test]
fn another_program_does_not_stand_in_for_one_that_pauses() {
    let mut body = Vec::new();
    for (program, pid) in [(1_u16, PMT), (2, 0x1100)] {
        body.extend(program.to_be_bytes());
        body.extend((0xE000 | pid).to_be_bytes());
    }
    let tables = |mux: &mut Mux| {
        mux.packets(0, &section(0, 0, &body, false)).packets(PMT, &pmt(PIDS, 0, false));
        let mut second = vec![0xE2, 0, 0xF0, 0];
        for (kind, pid) in TYPES.into_iter().zip(OTHERS) {
            second.extend([kind, 0xE0 | (pid >> 8) as u8, pid as u8, 0xF0, 0]);
        }
        mux.section(0x1100, 2, 2, &second);
    };
    let segments: Vec<Vec<u8>> = [PIDS, OTHERS, PIDS]
        .into_iter()
        .zip([0..4, 4..8, 8..12])
        .map(|(pids, numbers)| {
            let mut mux = Mux::default();
            tables(&mut mux);
            media(&mut mux, numbers, pids);
            mux.bytes
        })
        .collect();
    let out = segmented(&segments, &[]);
    assert!(samples(&out).iter().all(|sample| PIDS.contains(&sample.pid)));
    assert_eq!(samples(&out).len(), 16);
}

#[test]
fn payload_that_is_marked_as_scrambled_and_clear_comes_out() {
    let plain = with_sections(&[(0, pat(PMT, 0)), (PMT, pmt(PIDS, 0, false))], &[], &[]);
    let expected = everything(12);
    for mark in [0x40, 0x80, 0xC0] {
        for tables_too in [false, true] {
            let mut marked = plain.clone();
            for packet in marked.chunks_mut(PACKET) {
                let table = packet[1] & 0x1F == 0x10 || packet[1] & 0x1F == 0 && packet[2] == 0;
                packet[3] |= if tables_too || !table { mark } else { 0 };
            }
            let out = demux(&marked);
            assert_eq!(whole(&out), expected, "{mark:#x} {tables_too}");
            // Without tables too.
            let out = demux(&marked[2 * PACKET..]);
            assert_eq!(whole(&out), expected, "{mark:#x}, no tables");
        }
    }
    // PES_scrambling_control: after the start code, the stream id and the length.
    let mut marked = plain;
    for at in 0..marked.len() - 8 {
        if marked[at..].starts_with(&[0, 0, 1, 0xE0]) || marked[at..].starts_with(&[0, 0, 1, 0xC0]) {
            marked[at + 6] |= 0x20;
        }
    }
    assert_eq!(whole(&demux(&marked)), expected);
}

#[test]
fn payload_that_is_scrambled_is_told_and_left_out() {
    let plain = with_sections(&[(0, pat(PMT, 0)), (PMT, pmt(PIDS, 0, false))], &[], &[]);
    let mut noise = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    };
    // Transport packets, and the payload of PES packets behind their headers.
    for pes in [false, true] {
        let mut scrambled = plain.clone();
        for packet in scrambled.chunks_mut(PACKET).skip(2) {
            let field = if packet[3] & 0x20 == 0 { 0 } else { usize::from(packet[4]) + 1 };
            let mut from = 4 + field;
            if !pes {
                packet[3] |= 0x80;
            } else if packet[1] & 0x40 != 0 {
                packet[from + 6] |= 0x20;
                from += 9 + usize::from(packet[from + 8]);
            }
            packet[from..].fill_with(&mut random);
        }
        let out = demux(&scrambled);
        assert_eq!(samples(&out).len(), 0, "{pes}");
        let told = |event: &&Event| matches!(event, Event::Damage(it) if it.kind == DamageKind::Scrambled);
        assert_eq!(out.iter().filter(told).count(), 2, "{pes}: once for each PID");
    }
}
