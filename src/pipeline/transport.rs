//! Transport streams whose tables, cuts and audio streams are not as they are drawn in the RFC, up to the batches.

use bytes::Bytes;
use proptest::prelude::*;

use crate::batch::{Batcher, Settings};
use crate::demo::clip;
use crate::demux::{AudioChoice, Demuxer, Input, SegmentError};
use crate::media::{Flicks, Moment, Origin, Piece, Rendition, VideoSample};

const PACKET: usize = 188;
/// The PMT of FFmpeg's multiplexer.
const PMT: u16 = 0x1000;
const AUDIO: u16 = 0x101;

fn origin(segment: u64) -> Origin {
    Origin { segment, captured_at: Moment::ZERO, program_date_time: None }
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1F, packet[2]])
}

/// The packets of `data` that `keep` wants.
fn only(data: &[u8], keep: impl Fn(u16) -> bool) -> Vec<u8> {
    data.chunks(PACKET).filter(|packet| keep(pid(packet))).flatten().copied().collect()
}

fn is_table(pid: u16) -> bool {
    pid == 0 || pid == PMT
}

fn input(data: impl Into<Bytes>, init: Option<&Bytes>, discontinuity: bool) -> Input {
    Input { init: init.cloned(), ..Input::main(data.into(), discontinuity) }
}

/// DTS of the pictures and PTS of the frames of all pieces.
fn times(pieces: &[Piece]) -> (Vec<Flicks>, Vec<Flicks>) {
    let pictures = pieces.iter().flat_map(|piece| piece.video.iter().flat_map(|(_, all)| all));
    let frames = pieces.iter().flat_map(|piece| piece.audio.iter().flat_map(|(_, all)| all));
    (pictures.map(|it| it.dts).collect(), frames.map(|it| it.pts).collect())
}

/// The same with the payloads, for a comparison of everything.
fn media(pieces: &[Piece]) -> (Vec<Bytes>, Vec<Bytes>) {
    let pictures = pieces.iter().flat_map(|piece| piece.video.iter().flat_map(|(_, all)| all));
    let frames = pieces.iter().flat_map(|piece| piece.audio.iter().flat_map(|(_, all)| all));
    (pictures.map(|it| it.data.clone()).collect(), frames.map(|it| it.data.clone()).collect())
}

fn run(inputs: &[Input]) -> (Vec<Piece>, Demuxer) {
    let mut demuxer = Demuxer::new();
    let each = (0..).zip(inputs);
    let mut pieces: Vec<Piece> =
        each.flat_map(|(number, input)| demuxer.handle_segment(input, &origin(number))).collect();
    pieces.extend(demuxer.flush());
    (pieces, demuxer)
}

/// Four segments as they are.
fn plain() -> Vec<Input> {
    (0..4).map(|n| input(clip::segment(n), None, false)).collect()
}

#[test]
fn tables_may_stand_in_the_initialization_section_alone() {
    let init = Bytes::from(only(&clip::segment(0)[..2_000], is_table));
    let bare = |n: u64| only(&clip::segment(n), |pid| !is_table(pid));
    let expected = run(&plain()).0;
    for discontinuities in [[false; 4], [false, true, false, false], [true, true, true, true]] {
        let inputs: Vec<Input> =
            (0..4).map(|n| input(bare(n), Some(&init), discontinuities[n as usize])).collect();
        let (pieces, demuxer) = run(&inputs);
        assert_eq!((media(&pieces), times(&pieces)), (media(&expected), times(&expected)));
        assert_eq!(demuxer.damage().events, 0, "{:?}", demuxer.damage().last);
    }
    // A section that changes without a word: its tables are of other PIDs.
    let moved = |data: &[u8]| {
        let mut data = data.to_vec();
        for packet in data.chunks_mut(PACKET).filter(|packet| pid(packet) == AUDIO || pid(packet) == 0x100) {
            packet[1] |= 0x02;
        }
        Bytes::from(data)
    };
    let mut map = only(&init, |pid| pid == PMT);
    let section = 5;
    let length = usize::from(map[section + 2]) + 3;
    for at in section + 8..section + length - 4 {
        // elementary_PID and PCR_PID 0x100 and 0x101.
        if map[at] == 0xE1 && map[at + 1] < 2 {
            map[at] |= 0x02;
        }
    }
    let crc = overdub_ts::section_crc(&map[section..section + length - 4]).to_be_bytes();
    map[section + length - 4..section + length].copy_from_slice(&crc);
    let other = Bytes::from([only(&init, |pid| pid == 0), map].concat());
    let inputs = [
        input(bare(0), Some(&init), false),
        input(bare(1), Some(&init), false),
        input(moved(&bare(2)), Some(&other), false),
        input(moved(&bare(3)), Some(&other), false),
    ];
    let (pieces, demuxer) = run(&inputs);
    assert_eq!(media(&pieces), media(&expected));
    assert_eq!(demuxer.damage().events, 0, "{:?}", demuxer.damage().last);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn segments_may_be_cut_anywhere(cuts in prop::collection::btree_set(0_usize..10_000, 1..6), aligned: bool) {
        let whole: Vec<u8> = (0..3).flat_map(|n| clip::segment(n).to_vec()).collect();
        let mut ends: Vec<usize> = cuts
            .into_iter()
            .map(|part| part * whole.len() / 10_000)
            .map(|at| if aligned { at - at % PACKET } else { at })
            .filter(|at| (10 * PACKET..whole.len() - 11 * PACKET).contains(at))
            .collect();
        ends.push(whole.len());
        let mut start = 0;
        let inputs: Vec<Input> = ends
            .into_iter()
            .filter_map(|end| {
                let data = whole.get(start..end).filter(|data| data.len() > 10 * PACKET)?;
                start = end;
                Some(input(data.to_vec(), None, false))
            })
            .collect();
        let (cut, demuxer) = run(&inputs);
        let expected: Vec<Input> = (0..3).map(|n| input(clip::segment(n), None, false)).collect();
        let (expected, _) = run(&expected);
        prop_assert_eq!(media(&cut), media(&expected));
        prop_assert_eq!(times(&cut), times(&expected));
        prop_assert_eq!((demuxer.damage().events, demuxer.damage().dropped), (0, 0));
    }
}

/// The clip's first two segments, cut in the middle of the picture before the last of the first: where a packet is full.
fn cut_in_mid_picture() -> (Bytes, Bytes) {
    let both = [clip::segment(0), clip::segment(1)].concat();
    let end = clip::segment(0).len();
    let packets: Vec<&[u8]> = both[..end].chunks(PACKET).collect();
    let at = (0..packets.len() - 1)
        .rev()
        .find(|n| {
            let video = |packet: &[u8]| pid(packet) == 0x100;
            video(packets[*n])
                && packets[*n][3] & 0x20 == 0
                && video(packets[*n + 1])
                && packets[*n + 1][1] & 0x40 == 0
        })
        .expect("a picture of several packets");
    let (one, two) = both.split_at((at + 1) * PACKET);
    (Bytes::copy_from_slice(one), Bytes::copy_from_slice(two))
}

#[test]
fn what_waits_for_its_rest_comes_out_before_a_discontinuity_a_hole_and_the_end() {
    let (one, two) = cut_in_mid_picture();
    let (joined, _) = run(&[input(one.clone(), None, false), input(two, None, false)]);
    assert!(joined[1].continues && !joined[0].continues);
    let whole = run(&plain()[..2]).0;
    assert_eq!(media(&joined), media(&whole));
    let count = joined[0].video.as_ref().map_or(0, |(_, samples)| samples.len());
    // The end of the source, a discontinuity, a lost segment: the picture takes its place before what follows.
    let (ended, _) = run(&[input(one.clone(), None, false)]);
    assert_eq!(times(&ended).0.len(), count + 1);
    for lost in [false, true] {
        let mut demuxer = Demuxer::new();
        let mut pieces = demuxer.handle_segment(&input(one.clone(), None, false), &origin(0));
        if lost {
            demuxer.handle_lost(Rendition::Main);
        }
        pieces.extend(demuxer.handle_segment(&input(clip::segment(3), None, !lost), &origin(2)));
        let segments: Vec<u64> = pieces.iter().map(|piece| piece.origin.segment).collect();
        let periods: Vec<u64> = pieces.iter().map(|piece| piece.period).collect();
        assert_eq!(segments, [0, 0, 2], "{lost}");
        assert_eq!(periods, [0, 0, u64::from(!lost)], "{lost}");
        assert_eq!(pieces[1].video.as_ref().map_or(0, |(_, samples)| samples.len()), 1);
    }
}

#[test]
fn a_picture_that_only_seemed_to_be_cut_does_not_delay_the_batches() {
    let settings = Settings {
        buffer_duration: clip::SEGMENT_DURATION * 2,
        processing_budget: std::time::Duration::from_secs(30),
    };
    let mut batcher = Batcher::new(settings, 0);
    batcher.set_target_duration(clip::SEGMENT_DURATION);
    let mut demuxer = Demuxer::new();
    let mut closed_with = Vec::new();
    for n in 0..9 {
        let mut pieces = demuxer.handle_segment(&input(clip::segment(n), None, false), &origin(n));
        if n == 1 {
            // As if the last picture of the segment before had filled its packets.
            pieces[0].continues = true;
            if let Some((_, samples)) = &mut pieces[0].video {
                let rest = VideoSample { random_access: false, ..samples[0].clone() };
                samples.insert(0, rest);
            }
        }
        for piece in pieces {
            closed_with.extend(batcher.handle_piece(piece).iter().map(|_| n));
        }
    }
    assert_eq!(closed_with, [1, 3, 5, 7]);
}

/// A clip segment with its audio on two PIDs, described (ISO 639) as (language, audio_type).
fn with_two_audios(n: u64, described: [(&[u8; 3], u8); 2]) -> Bytes {
    const SECOND: u16 = 0x102;
    let data = clip::segment(n);
    let mut out = Vec::new();
    for packet in data.chunks(PACKET) {
        if pid(packet) == PMT {
            let mut section = vec![2, 0xB0, 0, 0, 1, 0xC1, 0, 0, 0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0, 0xF0, 0];
            for ((language, kind), pid) in described.into_iter().zip([AUDIO, SECOND]) {
                section.extend([0x0F, 0xE0 | (pid >> 8) as u8, pid as u8, 0xF0, 6, 0x0A, 4]);
                section.extend(language);
                section.push(kind);
            }
            section[2] = (section.len() + 4 - 3) as u8;
            section.extend(overdub_ts::section_crc(&section).to_be_bytes());
            let mut whole = packet[..4].to_vec();
            whole[3] = whole[3] & 0x0F | 0x10;
            whole.push(0);
            whole.extend(section);
            whole.resize(PACKET, 0xFF);
            out.extend(whole);
            continue;
        }
        out.extend(packet);
        if pid(packet) == AUDIO {
            let mut second = packet.to_vec();
            second[2] = SECOND as u8;
            out.extend(second);
        }
    }
    out.into()
}

#[test]
fn the_main_audio_is_taken_and_what_the_settings_name_and_the_choice_stays() {
    let described = [(b"eng", 3), (b"eng", 0)];
    let languages = [(b"eng", 0), (b"deu", 0)];
    let cases = [
        (described, AudioChoice::default(), 0x102),
        ([(b"eng", 0), (b"eng", 3)], AudioChoice::default(), 0x101),
        (languages, AudioChoice::default(), 0x101),
        (languages, AudioChoice { languages: vec!["de".to_owned()], ..AudioChoice::default() }, 0x102),
        (described, AudioChoice { pid: Some(0x101), ..AudioChoice::default() }, 0x101),
    ];
    for (listed, choice, expected) in cases {
        let mut demuxer = Demuxer::new().with_audio_choice(choice.clone());
        for n in 0..4 {
            let pieces = demuxer.handle_segment(&input(with_two_audios(n, listed), None, n == 2), &origin(n));
            assert!(pieces.iter().all(|piece| piece.audio.is_some()), "{choice:?}");
            let streams = demuxer.audio_streams();
            let selected: Vec<u16> = streams.iter().filter(|it| it.selected).map(|it| it.pid).collect();
            assert_eq!((streams.len(), selected), (2, vec![expected]), "{choice:?}");
        }
    }
    // The map has them the other way round for a while: the language stays, and then the PID again.
    let mut demuxer = Demuxer::new();
    for (n, listed) in [languages, [(b"deu", 0), (b"eng", 0)], languages].into_iter().enumerate() {
        let n = n as u64;
        demuxer.handle_segment(&input(with_two_audios(n, listed), None, n == 1), &origin(n));
        let taken =
            demuxer.audio_streams().into_iter().find(|it| it.selected).map(|it| (it.pid, it.language));
        assert_eq!(taken, Some((if n == 1 { 0x102 } else { 0x101 }, Some("eng".into()))), "{n}");
    }
}

#[test]
fn a_transport_stream_without_anything_to_play_says_why() {
    let refused = |data: Vec<u8>| {
        let (pieces, demuxer) = run(&[input(data, None, false)]);
        assert_eq!(pieces.len(), 0);
        demuxer.damage().last_refusal.clone()
    };
    let clip = clip::segment(0);
    let noise = |packet: &[u8], mark: u8| {
        let mut packet = packet.to_vec();
        let mut state = 0x2545_F491_4F6C_DD1D_u64 ^ u64::from(packet[3]);
        packet[3] = packet[3] & 0x0F | 0x10 | mark;
        for byte in &mut packet[4..] {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        packet
    };
    let scrambled = clip.chunks(PACKET).flat_map(|packet| {
        if is_table(pid(packet)) || pid(packet) == 0x11 { packet.to_vec() } else { noise(packet, 0x80) }
    });
    assert_eq!(refused(scrambled.collect()), Some(SegmentError::Scrambled { pid: 0x100 }));
    // Neither tables nor anything that looks like a stream.
    let nothing =
        clip.chunks(PACKET).filter(|packet| !is_table(pid(packet))).flat_map(|packet| noise(packet, 0));
    assert_eq!(refused(nothing.collect()), Some(SegmentError::NoStreams));
    // A program of streams that are not carried: teletext.
    let mut other = clip.to_vec();
    for packet in other.chunks_mut(PACKET).filter(|packet| pid(packet) == PMT) {
        let length = usize::from(packet[7]) + 3;
        for at in 5 + 12..5 + length - 5 {
            if matches!((packet[at], packet[at + 1]), (0x1B | 0x0F, 0xE1)) {
                packet[at] = 0x0D;
            }
        }
        let crc = overdub_ts::section_crc(&packet[5..5 + length - 4]).to_be_bytes();
        packet[5 + length - 4..5 + length].copy_from_slice(&crc);
    }
    let error = refused(other).map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("type 0x0d"), "{error}");
}

#[test]
fn clear_video_marked_as_scrambled_plays_and_an_image_in_front_costs_nothing() {
    let expected = run(&plain()).0;
    let marked: Vec<Input> = (0..4)
        .map(|n| {
            let mut data = clip::segment(n).to_vec();
            data.chunks_mut(PACKET)
                .filter(|packet| !is_table(pid(packet)))
                .for_each(|packet| packet[3] |= 0xC0);
            input(data, None, false)
        })
        .collect();
    let (pieces, demuxer) = run(&marked);
    assert_eq!((media(&pieces), demuxer.damage().events), (media(&expected), 0));
    let mut image = b"GIF89a".to_vec();
    image.extend((0..110_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    image[188] = 0x47;
    let disguised: Vec<Input> =
        (0..4).map(|n| input([&image[..], &clip::segment(n)].concat(), None, false)).collect();
    let (pieces, _) = run(&disguised);
    assert_eq!(media(&pieces), media(&expected));
}
