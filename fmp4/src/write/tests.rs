use bytes::Bytes;
use hex_literal::hex;
use mp4_atom::{Any, Decode, Header, Moof, TrunSamples};

use super::*;
use crate::Codec;

const ASC: &[u8] = &hex!("2b92 0800 56e5 98"); // HE-AAC, explicit: longer than two bytes

fn aac(id: u32) -> TrackConfig {
    let codec = Codec::Aac { asc: Bytes::from_static(ASC), sample_rate: 44_100, channels: 2 };
    TrackConfig { id, timescale: 44_100, codec, language: Some(*b"deu"), edit: None }
}

fn sample(duration: u32, composition_offset: i32, sync: bool, data: &'static [u8]) -> Sample {
    Sample { duration, composition_offset, sync, data: Bytes::from_static(data) }
}

fn moof_of(chunks: &Chunks) -> Moof {
    let head = chunks.iter().next().expect("a header");
    Moof::decode(&mut head.as_ref()).expect("a moof")
}

#[test]
fn the_audio_specific_config_is_written_whole() {
    let init = init_segment(&[aac(1)]).unwrap();
    assert!(init.windows(ASC.len()).any(|window| window == ASC));
    let mut rest = init.as_ref();
    while !rest.is_empty() {
        Any::decode(&mut rest).unwrap();
    }
}

#[test]
fn an_edit_is_exact_in_a_movie_timescale_that_both_tracks_divide() {
    let mut video = aac(2);
    video.timescale = 90_000;
    video.edit = Some(Edit { delay: 1, media_time: 3_003, duration: 0 });
    let init = init_segment(&[aac(1), video]).unwrap();
    let mut rest = init.as_ref();
    Any::decode(&mut rest).unwrap();
    let Ok(Any::Moov(moov)) = Any::decode(&mut rest) else { panic!("no moov") };
    assert_eq!(moov.mvhd.timescale, 4_410_000);
    let elst = moov.trak[1].edts.as_ref().and_then(|edts| edts.elst.as_ref()).unwrap();
    assert_eq!(elst.entries[0].segment_duration, 49);
    assert_eq!(elst.entries[0].media_time, None);
    assert_eq!(elst.entries[1].media_time, Some(3_003));
}

#[test]
fn payloads_are_chained_and_never_copied() {
    let data = Bytes::from(vec![7_u8; 1_000]);
    let samples = vec![Sample { duration: 1, composition_offset: 0, sync: true, data: data.clone() }];
    let chunks =
        Fragment::new(1, vec![TrackRun { track_id: 1, base_decode_time: 0, samples }]).encode().unwrap();
    let payload = chunks.iter().nth(1).unwrap();
    assert_eq!(payload.as_ptr(), data.as_ptr());
    assert_eq!(chunks.to_bytes().len() as u64, chunks.len());
}

#[test]
fn each_track_s_offset_leads_to_its_first_byte() {
    let video = vec![
        sample(3_000, 3_000, true, b"IDR"),
        sample(3_000, -3_000, false, b"b"),
        sample(3_001, 0, false, b"p"),
    ];
    let audio = vec![sample(1_024, 0, true, b"aaaa"), sample(1_024, 0, true, b"aaaa")];
    let chunks = Fragment {
        sequence_number: 7,
        tracks: vec![
            TrackRun { track_id: 1, base_decode_time: u64::from(u32::MAX) + 1, samples: video },
            TrackRun { track_id: 2, base_decode_time: 5, samples: audio },
        ],
        segment: SegmentBoxes::default(),
    }
    .encode()
    .unwrap();
    let all = chunks.to_bytes();
    let moof = moof_of(&chunks);
    let at = |traf: usize| moof.traf[traf].trun[0].data_offset.unwrap() as usize;
    assert_eq!(&all[at(0)..at(0) + 5], b"IDRbp");
    assert_eq!(&all[at(1)..], b"aaaaaaaa");
    assert_eq!(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time, 1 << 32);
    assert!(moof.traf.iter().all(|traf| traf.tfhd.default_base_is_moof));
    assert_eq!(moof.traf[0].trun[0].samples.get(1).unwrap().cts, Some(-3_000));
    // Sound of one size and one duration needs no entry for each sample.
    assert_eq!(moof.traf[1].trun[0].samples, TrunSamples::Inherited { count: 2, first_flags: None });
}

#[test]
fn only_the_first_picture_s_flags_are_written_when_the_rest_agree() {
    let samples = vec![sample(1, 0, true, b"aa"), sample(1, 0, false, b"b"), sample(1, 0, false, b"c")];
    let chunks =
        Fragment::new(1, vec![TrackRun { track_id: 1, base_decode_time: 0, samples }]).encode().unwrap();
    let traf = &moof_of(&chunks).traf[0];
    assert_eq!(traf.tfhd.default_sample_flags, Some(0x0101_0000));
    let flags: Vec<_> = traf.trun[0].samples.iter().map(|entry| entry.flags).collect();
    assert_eq!(flags, [Some(0x0200_0000), None, None]);
}

#[test]
fn an_empty_run_says_where_its_track_stands() {
    let run = TrackRun { track_id: 3, base_decode_time: 99, samples: Vec::new() };
    let chunks = Fragment::new(1, vec![run]).encode().unwrap();
    let traf = &moof_of(&chunks).traf[0];
    assert!(traf.tfhd.duration_is_empty && traf.trun.is_empty());
    assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, 99);
}

#[test]
fn segment_boxes_stand_before_the_fragment_and_the_index_measures_it() {
    let samples = vec![sample(10, 0, true, b"abc"), sample(10, 0, true, b"de")];
    let mut fragment = Fragment::new(1, vec![TrackRun { track_id: 1, base_decode_time: 40, samples }]);
    fragment.segment = SegmentBoxes {
        segment_type: true,
        producer_time: Some(ProducerTime { track_id: 1, ntp: 1 << 60, media_time: 40 }),
        index: Some(1_000),
    };
    let all = fragment.encode().unwrap().to_bytes();
    let mut rest = all.as_ref();
    let mut kinds = Vec::new();
    let mut indexed = 0;
    while !rest.is_empty() {
        let before = rest.len();
        let mut peek = rest;
        let header = Header::decode(&mut peek).unwrap();
        kinds.push(header.kind.to_string());
        if let Any::Sidx(sidx) = Any::decode(&mut rest).unwrap() {
            assert_eq!((sidx.earliest_presentation_time, sidx.references[0].subsegment_duration), (40, 20));
            indexed = sidx.references[0].referenced_size as usize;
            assert_eq!(rest.len(), indexed);
        }
        assert!(rest.len() < before);
    }
    assert_eq!(kinds, ["styp", "sidx", "prft", "moof", "mdat"]);
    assert!(indexed > 0);
}

#[test]
fn what_the_format_cannot_say_is_refused() {
    use WriteError as E;
    assert!(matches!(init_segment(&[]), Err(E::NoTrack)));
    assert!(matches!(init_segment(&[aac(0)]), Err(E::ZeroTrackId)));
    assert!(matches!(init_segment(&[aac(1), aac(1)]), Err(E::DuplicateTrackId(1))));
    assert!(matches!(
        init_segment(&[TrackConfig { timescale: 0, ..aac(1) }]),
        Err(E::ZeroTimescale { track: 1 })
    ));
    let language = Some(*b"EN ");
    assert!(matches!(
        init_segment(&[TrackConfig { language, ..aac(1) }]),
        Err(E::InvalidLanguage { track: 1 })
    ));
    let codec = Codec::Opus { dops: Bytes::new(), channels: 2 };
    assert!(matches!(init_segment(&[TrackConfig { codec, ..aac(1) }]), Err(E::EmptyConfig { track: 1 })));
    let codec = Codec::Other { fourcc: *b"encv", entry: Bytes::new() };
    assert!(matches!(init_segment(&[TrackConfig { codec, ..aac(1) }]), Err(E::UnwritableCodec { track: 1 })));
    let edit = Some(Edit { media_time: u64::MAX, ..Edit::default() });
    assert!(matches!(init_segment(&[TrackConfig { edit, ..aac(1) }]), Err(E::EditTooLarge { track: 1 })));
    assert!(matches!(Fragment::new(1, Vec::new()).encode(), Err(E::NoTrack)));
    let run = |track_id| TrackRun { track_id, base_decode_time: 0, samples: Vec::new() };
    assert!(matches!(Fragment::new(1, vec![run(4), run(4)]).encode(), Err(E::DuplicateTrackId(4))));
}

/// The payload is one mebibyte chained thousands of times, so this needs no memory.
#[test]
fn an_mdat_over_4_gib_has_a_64_bit_size() {
    let data = Bytes::from(vec![0_u8; 1 << 20]);
    let run = |track_id, count| TrackRun {
        track_id,
        base_decode_time: 0,
        samples: vec![Sample { duration: 1, composition_offset: 0, sync: true, data: data.clone() }; count],
    };
    let chunks = Fragment::new(1, vec![run(1, 4_097)]).encode().unwrap();
    let head = chunks.iter().next().unwrap();
    let tail = &head[head.len() - 16..];
    assert_eq!(tail[..8], hex!("00000001 6d646174"));
    assert_eq!(tail[8..], (16 + 4_097 * (1_u64 << 20)).to_be_bytes());
    assert_eq!(chunks.len(), head.len() as u64 + 4_097 * (1 << 20));
    assert_eq!(moof_of(&chunks).traf[0].trun[0].data_offset, Some(head.len() as i32));
    let second_too_far = Fragment::new(1, vec![run(1, 2_049), run(2, 1)]).encode();
    assert!(matches!(second_too_far, Err(WriteError::OffsetTooLarge { track: 2, .. })));
}
