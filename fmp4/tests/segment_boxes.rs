//! What stands before a fragment, and the flags of its samples: field by field as the standard lays them out,
//! and accepted by ffprobe.

use std::fs;
use std::process::Command;

use bytes::Bytes;
use overdub_fmp4::{
    Codec, Fragment, ProducerTime, Sample, SegmentBoxes, TrackConfig, TrackRun, init_segment, parse,
};

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) << 32 | u64::from(word(bytes, at + 4))
}

/// The boxes at the top level: type, offset, bytes with the header.
fn boxes(bytes: &[u8]) -> Vec<(&[u8], usize, &[u8])> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let size = word(bytes, at) as usize;
        found.push((&bytes[at + 4..at + 8], at, &bytes[at..at + size]));
        at += size;
    }
    found
}

const BASE: u64 = 1 << 33;
const NTP: u64 = 0xE8F2_0000_8000_0000;

fn track() -> TrackConfig {
    let codec = Codec::MpegAudio { sample_rate: 48_000, channels: 2 };
    TrackConfig { id: 3, timescale: 48_000, codec, language: None, edit: None }
}

/// The header of an MPEG-1 layer III frame of 48 kHz, 32 kbit/s, stereo, and nothing in it.
fn frame() -> Bytes {
    let mut frame = vec![0xFF, 0xFB, 0x14, 0x00];
    frame.resize(96, 0);
    frame.into()
}

fn fragment() -> Vec<u8> {
    let sample = |n: i32| Sample {
        duration: 1_152,
        composition_offset: [2_304, 0, 1_152][n as usize % 3],
        sync: n == 0 || n == 4,
        data: frame(),
    };
    let run = TrackRun { track_id: 3, base_decode_time: BASE, samples: (0..6).map(sample).collect() };
    let producer_time = Some(ProducerTime { track_id: 3, ntp: NTP, media_time: BASE });
    let segment = SegmentBoxes { segment_type: true, producer_time, index: Some(48_000) };
    let fragment = Fragment { segment, ..Fragment::new(1, vec![run]) };
    fragment.encode().expect("a fragment").to_bytes().to_vec()
}

#[test]
fn the_boxes_before_a_fragment_say_what_the_standard_has_them_say() {
    let bytes = fragment();
    let found = boxes(&bytes);
    let kinds: Vec<_> = found.iter().map(|(kind, _, _)| *kind).collect();
    assert_eq!(kinds[0], b"styp", "8.16.2: it is the first box of a segment");
    assert_eq!(kinds[kinds.len() - 2..], [b"moof", b"mdat"]);
    let of = |kind: &[u8]| *found.iter().find(|(k, _, _)| *k == kind).expect("the box");

    // 8.16.3.2. The sizes are counted from behind the sidx, at which `first_offset` begins.
    let (_, at, sidx) = of(b"sidx");
    let (version, width) = (sidx[8], if sidx[8] == 0 { 4 } else { 8 });
    let field = |at: usize| if version == 0 { word(sidx, at).into() } else { long(sidx, at) };
    assert_eq!((word(sidx, 12), word(sidx, 16)), (3, 48_000));
    assert_eq!(field(20), BASE + 1_152, "the earliest presentation: the second sample's");
    let rest = 20 + 2 * width;
    assert_eq!(word(sidx, rest) & 0xFFFF, 1, "one reference");
    let behind = at + sidx.len() + field(20 + width) as usize;
    assert_eq!(behind + (word(sidx, rest + 4) & 0x7FFF_FFFF) as usize, bytes.len());
    assert_eq!(word(sidx, rest + 4) >> 31, 0, "to media, not to another sidx");
    assert_eq!(word(sidx, rest + 8), 6 * 1_152);
    assert_eq!(word(sidx, rest + 12) >> 31, 1, "it starts with a stream access point");

    // 8.16.5.2.
    let (_, at, prft) = of(b"prft");
    assert!(at < of(b"moof").1);
    assert_eq!((word(prft, 12), long(prft, 16)), (3, NTP));
    assert_eq!(if prft[8] == 0 { word(prft, 24).into() } else { long(prft, 24) }, BASE);
}

#[test]
fn each_sample_has_its_flags() {
    let bytes = fragment();
    let trun = bytes.windows(4).position(|w| w == b"trun").expect("a run") - 4;
    let flags = word(&bytes, trun + 8) & 0x00FF_FFFF;
    assert_ne!(flags & 0x400, 0, "not all samples are alike");
    let fields = (flags >> 8 & 15).count_ones() as usize * 4;
    let before = (flags >> 8 & 3).count_ones() as usize * 4;
    let table = trun + 16 + (flags & 1) as usize * 4 + (flags >> 2 & 1) as usize * 4;
    let of = |n: usize| word(&bytes, table + n * fields + before);
    // 8.8.3.1: sample_depends_on 2 is "on no other", 1 is "on others"; bit 16 is sample_is_non_sync_sample.
    let expected = [0x0200_0000, 0x0101_0000, 0x0101_0000, 0x0101_0000, 0x0200_0000, 0x0101_0000];
    assert_eq!((0..6).map(of).collect::<Vec<_>>(), expected);
}

#[test]
fn ffprobe_takes_all_of_them_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("segment.mp4");
    let whole = [&init_segment(&[track()]).expect("an init segment")[..], &fragment()].concat();
    assert!(parse(&whole.clone().into()).expect("our own").damage.is_empty());
    fs::write(&file, whole).expect("a file");
    let args = ["-v", "trace", "-show_entries", "packet=pts,dts,size,flags", "-of", "csv=p=0:nk=1"];
    let run = Command::new("ffprobe").args(args).arg(&file).output();
    let run = run.unwrap_or_else(|error| panic!("ffprobe is needed ({error}): apt-get install ffmpeg"));
    let (said, packets) = (String::from_utf8_lossy(&run.stderr), String::from_utf8_lossy(&run.stdout));
    for kind in ["styp", "sidx", "prft", "tfdt"] {
        assert!(said.contains(&format!("type:'{kind}'")), "{kind}: {said}");
    }
    let first = packets.lines().find(|line| !line.is_empty()).expect("a packet");
    assert!(first.starts_with(&format!("{},{BASE},96,K", BASE + 2_304)), "{packets}");
    let args = ["-v", "warning", "-show_packets", "-of", "csv"];
    let run = Command::new("ffprobe").args(args).arg(&file).output().expect("ffprobe");
    let said = String::from_utf8_lossy(&run.stderr);
    let of_container: Vec<_> = said.lines().filter(|line| line.contains("mov,mp4")).collect();
    assert!(of_container.is_empty(), "{of_container:?}");
}
