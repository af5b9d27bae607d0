//! How much is allocated: for headers only when writing, in proportion to the input when reading.
//!
//! One test, so that no other allocates beside it.
#![expect(clippy::disallowed_methods, reason = "tests read files")]

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use std::alloc::System;
use std::fs;

use bytes::Bytes;
use overdub_fmp4::{
    Chunks, Codec, Fragment, Sample, SegmentBoxes, TrackConfig, TrackRun, init_segment, parse, parse_segment,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use support::{cases, corpus};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What `work` allocates; growth of what is there already counts as well.
fn allocated<T>(work: impl FnOnce() -> T) -> (T, Stats) {
    let region = Region::new(ALLOCATOR);
    let result = work();
    (result, region.change())
}

fn config(id: u32, timescale: u32, codec: Codec) -> TrackConfig {
    TrackConfig { id, timescale, codec, language: None, edit: None }
}

fn init() -> Bytes {
    let avc =
        Codec::Avc { avcc: Bytes::from_static(b"\x01\x64\x00\x1f\xff\xe0\x00"), width: 1280, height: 720 };
    let aac = Codec::Aac { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
    init_segment(&[config(1, 90_000, avc), config(2, 48_000, aac)]).expect("an init segment")
}

/// 30 seconds: 720 pictures of 8 KiB, 1406 frames of sound of 300 bytes, in fragments of two seconds.
fn batch() -> Vec<Fragment> {
    let payload = Bytes::from(vec![0x41; 720 * 8_192]);
    let sound = Bytes::from(vec![0x21; 1_406 * 300]);
    let picture = |n: usize| Sample {
        duration: 3_750,
        composition_offset: [7_500, 0, 3_750][n % 3],
        sync: n.is_multiple_of(48),
        data: payload.slice(n * 8_192..(n + 1) * 8_192),
    };
    let frame = |n: usize| Sample {
        duration: 1_024,
        composition_offset: 0,
        sync: true,
        data: sound.slice(n * 300..(n + 1) * 300),
    };
    let fragment = |n: usize| {
        let frames = n * 1_406 / 15..(n + 1) * 1_406 / 15;
        let run = |track_id, base, samples| TrackRun { track_id, base_decode_time: base as u64, samples };
        let pictures = run(1, n * 180_000, (n * 48..(n + 1) * 48).map(picture).collect());
        let sound = run(2, frames.start * 1_024, frames.map(frame).collect());
        let segment = SegmentBoxes { segment_type: true, ..SegmentBoxes::default() };
        Fragment { segment, ..Fragment::new(n as u32 + 1, vec![pictures, sound]) }
    };
    (0..15).map(fragment).collect()
}

fn writing_allocates_for_headers_only() -> Bytes {
    let fragments = batch();
    let samples: usize = fragments.iter().flat_map(|f| &f.tracks).map(|run| run.samples.len()).sum();
    assert_eq!(samples, 720 + 1_406);
    let (media, stats) = allocated(|| {
        let mut out = Chunks::default();
        for fragment in fragments {
            out.append(fragment.encode().expect("a fragment"));
        }
        out
    });
    println!("writing {} bytes: {stats:?}", media.len());
    // A sample takes 16 bytes of its run and 32 of the list of chunks, each with its growth.
    assert!(media.len() > 6 << 20);
    assert!(stats.bytes_allocated < samples * 150, "{stats:?}");
    assert!(stats.allocations + stats.reallocations < 15 * 60, "{stats:?}");
    media.to_bytes()
}

fn reading_allocates_for_the_list_of_samples_only(init: &Bytes, media: &Bytes) {
    let (movie, stats) = allocated(|| parse_segment(init, media).expect("our own batch"));
    let samples: usize = movie.tracks.iter().map(|track| track.samples.len()).sum();
    println!("reading {samples} samples: {stats:?}");
    assert_eq!(samples, 720 + 1_406);
    assert!(stats.bytes_allocated < samples * 300, "{stats:?}");
}

/// All that is allocated while reading, freed or not, which is more than is ever held at a time. A sample
/// takes 56 bytes in a list, once in its piece and, as lists grow by doubling, up to four times in the movie,
/// and costs its file a byte or more; a run that claims four billion samples is planned for 512 of them
/// before its input turns out to end.
fn check_bounded(name: &str, input: &Bytes, init: &Bytes) {
    const FACTOR: usize = 240;
    /// The errors that are kept, the tables of a reader.
    const CONSTANT: usize = 256 << 10;
    for (what, stats) in [
        ("whole", allocated(|| parse(input).is_ok()).1),
        ("segment", allocated(|| parse_segment(init, input).is_ok()).1),
    ] {
        let limit = FACTOR * input.len() + CONSTANT;
        assert!(stats.bytes_allocated <= limit, "{name}, {what}, {} bytes: {stats:?}", input.len());
    }
}

/// A `moof` whose samples all have the `size` of its header, without an `mdat`.
fn inherited(count: u32, size: u32) -> Vec<u8> {
    let boxed =
        |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let tfhd = boxed(b"tfhd", &words(&[0x02_0018, 1, 1_000, size]));
    let trun = boxed(b"trun", &words(&[1, count, 8]));
    boxed(b"moof", &[boxed(b"mfhd", &words(&[0, 1])), boxed(b"traf", &[tfhd, trun].concat())].concat())
}

#[test]
fn memory_is_for_headers_when_writing_and_in_proportion_to_the_input_when_reading() {
    let init = init();
    let media = writing_allocates_for_headers_only();
    reading_allocates_for_the_list_of_samples_only(&init, &media);

    let mut claims = Vec::new();
    for size in [1, 2, 3, 4, 1_000] {
        claims.extend(inherited(u32::MAX, size));
        check_bounded("one claim", &inherited(u32::MAX, size).into(), &init);
        check_bounded("claims behind one another", &claims.repeat(500).into(), &init);
        check_bounded(
            "a claim and what it claims",
            &[claims.clone(), vec![0; 50_000]].concat().into(),
            &init,
        );
    }
    // Every length field of a real layout at its greatest.
    let small = [&init[..], &media[..4_000]].concat();
    for at in 0..init.len() + 1_500 {
        let mut bytes = small.clone();
        bytes[at..at + 4].fill(0xFF);
        check_bounded(&format!("0xFFFFFFFF at {at}"), &bytes.into(), &init);
    }
    let Some(corpus) = corpus() else { return };
    let mut count = 0;
    for folder in fs::read_dir(corpus.join("fuzz")).expect("fuzz inputs").flatten() {
        for file in fs::read_dir(folder.path()).expect("a folder").flatten() {
            let name = file.path().display().to_string();
            check_bounded(&name, &fs::read(file.path()).expect("a file").into(), &init);
            count += 1;
        }
    }
    for case in cases(&corpus) {
        check_bounded(&case.name, &case.bytes, case.init.as_ref().unwrap_or(&init));
        count += 1;
    }
    println!("{count} files");
}
