//! Broken and malicious input: no panic, an end, and no more samples than the input can hold.
#![expect(clippy::disallowed_methods, reason = "tests read files")]

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use std::fs;

use bytes::Bytes;
use overdub_fmp4::{
    Chunks, Codec, Edit, Fragment, Movie, Problem, Sample, TrackConfig, TrackRun, init_segment, parse,
    parse_segment,
};
use proptest::prelude::*;
use support::{cases, corpus};

/// What must hold of any input, whether it is read as a whole file or behind an init segment.
fn check(input: &Bytes) {
    let bounded = |movie: &Movie| {
        let samples: usize = movie.tracks.iter().map(|t| t.samples.len()).sum();
        assert!(samples <= input.len() + 4_096, "{samples} samples of {} bytes", input.len());
        let payload: usize = movie.tracks.iter().flat_map(|t| &t.samples).map(|s| s.data.len()).sum();
        assert!(payload <= 2 * input.len() + 4_096, "{payload} bytes of {}", input.len());
        assert!(movie.damage.errors().len() <= 32);
        for track in &movie.tracks {
            let _ = (track.priming(), track.trailing());
        }
    };
    if let Ok(movie) = parse(input) {
        bounded(&movie);
    }
    if let Ok(movie) = parse_segment(&init(), input) {
        bounded(&movie);
    }
}

fn init() -> Bytes {
    let avc =
        Codec::Avc { avcc: Bytes::from_static(b"\x01\x64\x00\x1f\xff\xe0\x00"), width: 640, height: 360 };
    let aac = Codec::Aac { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
    let edit = Some(Edit { delay: 100, media_time: 3_003, duration: 0 });
    init_segment(&[
        TrackConfig { id: 1, timescale: 90_000, codec: avc, language: None, edit },
        TrackConfig { id: 2, timescale: 48_000, codec: aac, language: Some(*b"eng"), edit: None },
    ])
    .expect("an init segment")
}

/// A small file of two fragments with two tracks each.
fn file() -> Bytes {
    let mut out = Chunks::from(init());
    for n in 0..2 {
        let sample = |i: u32| Sample {
            duration: 3_003 + i,
            composition_offset: 3_003 - 1_000 * i as i32,
            sync: i == 0,
            data: Bytes::from(vec![i as u8; 10 + i as usize]),
        };
        let run = |track_id, count| TrackRun {
            track_id,
            base_decode_time: n * 100_000,
            samples: (0..count).map(sample).collect(),
        };
        let fragment = Fragment::new(n as u32 + 1, vec![run(1, 5), run(2, 4)]);
        out.append(fragment.encode().expect("a fragment"));
    }
    out.to_bytes()
}

#[test]
fn a_file_cut_at_any_byte_loses_only_what_is_behind_the_cut() {
    let whole = file();
    let movie = parse(&whole).expect("our own file");
    for cut in 0..whole.len() {
        let part = whole.slice(..cut);
        check(&part);
        if let Ok(part) = parse(&part) {
            for (part, whole) in part.tracks.iter().zip(&movie.tracks) {
                assert_eq!(part.samples, whole.samples[..part.samples.len()], "cut at {cut}");
            }
        }
    }
}

#[test]
fn every_bit_of_every_byte_may_be_wrong() {
    let whole = file();
    for at in 0..whole.len() {
        for value in [0, 1, 0x7F, 0x80, 0xFF, whole[at] ^ 1, whole[at] ^ 0x10] {
            let mut bytes = whole.to_vec();
            bytes[at] = value;
            check(&bytes.into());
        }
    }
}

#[test]
fn any_field_may_hold_its_extremes() {
    let whole = file();
    for at in 0..whole.len() - 4 {
        for value in [0_u32, 1, 7, 8, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            let mut bytes = whole.to_vec();
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
            check(&bytes.into());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn noise_is_survived(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&noise.into());
    }

    #[test]
    fn several_mutations_at_once_are_survived(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = file().to_vec();
        for (index, value) in places {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut.index(40));
        check(&bytes.into());
    }

    #[test]
    fn boxes_in_any_order_and_number_are_survived(
        pieces in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let whole = file();
        let mut bytes = Vec::new();
        for (a, b) in pieces {
            let (a, b) = (a.index(whole.len()), b.index(whole.len()));
            bytes.extend_from_slice(&whole[a.min(b)..a.max(b)]);
        }
        check(&bytes.into());
    }
}

/// A deterministic sequence, so that a failure can be seen again.
fn numbers(mut state: u64) -> impl FnMut() -> usize {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    }
}

#[test]
fn real_files_with_mutations_in_their_headers_are_survived() {
    let Some(corpus) = corpus() else { return };
    let mut next = numbers(1);
    for case in cases(&corpus) {
        // The tables are at the ends of a file; payload is not looked into.
        let head = case.bytes.len().min(4_096);
        for _ in 0..60 {
            let mut bytes = case.bytes.to_vec();
            for _ in 0..=next() % 8 {
                let from_end = next().is_multiple_of(4);
                let at = next() % head.max(1);
                let at = if from_end { bytes.len() - 1 - at } else { at };
                bytes[at] = [0, 0xFF, next() as u8][next() % 3];
            }
            check(&bytes.into());
        }
    }
}

#[test]
fn the_fuzzers_findings_of_other_projects_are_survived() {
    let Some(corpus) = corpus() else { return };
    let mut count = 0;
    for folder in fs::read_dir(corpus.join("fuzz")).expect("fuzz inputs").flatten() {
        if !folder.file_name().to_string_lossy().starts_with("fmp4-") {
            continue;
        }
        for file in fs::read_dir(folder.path()).expect("a folder").flatten() {
            check(&fs::read(file.path()).expect("a file").into());
            count += 1;
        }
    }
    assert!(count > 0, "no fuzz inputs");
}

/// A box of `kind` around `body`.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(body);
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A `moof` of one `trun` whose samples all inherit `size`.
fn inherited(count: u32, size: u32) -> Vec<u8> {
    let tfhd = boxed(b"tfhd", &words(&[0x02_0018, 1, 1_000, size]));
    let trun = boxed(b"trun", &words(&[1, count, 8]));
    let mut moof = boxed(b"mfhd", &words(&[0, 1]));
    moof.extend(boxed(b"traf", &[tfhd, trun].concat()));
    boxed(b"moof", &moof)
}

#[test]
fn four_billion_samples_of_no_bytes_are_refused() {
    let movie = parse_segment(&init(), &inherited(u32::MAX, 0).into()).expect("a movie");
    assert_eq!(movie.tracks[0].samples.len(), 0);
    assert!(matches!(movie.damage.errors()[0].problem, Problem::EmptySamples));
}

#[test]
fn a_run_that_claims_more_than_the_input_ends_with_the_input() {
    let mut bytes = inherited(u32::MAX, 4);
    bytes.extend(boxed(b"mdat", &[0; 400]));
    let movie = parse_segment(&init(), &bytes.into()).expect("a movie");
    assert!((100..200).contains(&movie.tracks[0].samples.len()));
    assert!(matches!(movie.damage.errors()[0].problem, Problem::OutsideOfInput { .. }));
}

#[test]
fn fragments_that_all_claim_the_same_bytes_are_stopped() {
    let mut bytes = Vec::new();
    // Each claims everything that is behind it.
    for _ in 0..2_000 {
        bytes.extend(inherited(u32::MAX, 4));
    }
    bytes.extend(boxed(b"mdat", &vec![0; 100_000]));
    let input = Bytes::from(bytes);
    check(&input);
    let movie = parse_segment(&init(), &input).expect("a movie");
    assert!(movie.damage.errors().iter().any(|error| error.problem == Problem::Overcommitted));
}

/// A `moof` with these children of its only track fragment.
fn moof_of(children: &[u8]) -> Vec<u8> {
    let tfhd = boxed(b"tfhd", &words(&[0x02_0000, 1]));
    let traf = boxed(b"traf", &[tfhd, children.to_vec()].concat());
    boxed(b"moof", &[boxed(b"mfhd", &words(&[0, 1])), traf].concat())
}

#[test]
fn a_fragment_of_nothing_but_runs_is_cut_short() {
    // The smallest run: no samples, or one of a size that the track has for all.
    for count in [0, 1] {
        let runs = boxed(b"trun", &words(&[0, count])).repeat(100_000);
        let input = Bytes::from(moof_of(&runs));
        check(&input);
        let movie = parse_segment(&init(), &input).expect("a movie");
        assert!(movie.damage.total() <= 4_200, "{}", movie.damage.total());
        let kinds = movie.damage.errors().iter().map(|error| &error.problem);
        assert!(kinds.into_iter().any(|problem| *problem == Problem::TooMany { limit: 4_096 }));
    }
}

#[test]
fn a_fragment_of_nothing_but_track_fragments_is_cut_short() {
    let input = Bytes::from(boxed(b"moof", &boxed(b"traf", &[]).repeat(200_000)));
    let movie = parse_segment(&init(), &input).expect("a movie");
    assert!(movie.damage.total() <= 4_100, "{}", movie.damage.total());
}

#[test]
fn tiny_boxes_end_the_walk_and_those_of_real_fragments_do_not() {
    for kind in [b"free", b"emsg", b"moof", b"sidx", b"styp"] {
        let input = Bytes::from(boxed(kind, &[]).repeat(100_000));
        let movie = parse_segment(&init(), &input).expect("a movie");
        let limit = 4_096 * 8 + input.len() / 48;
        assert!(movie.damage.total() as usize * 8 <= limit, "{kind:?}: {}", movie.damage.total());
        let reader_stops = |error: &overdub_fmp4::ReadError| {
            matches!(error.problem, Problem::TinyBoxes | Problem::TooDamaged)
        };
        let (errors, total) = (movie.damage.errors(), movie.damage.total());
        assert!(total > 32 || errors.iter().any(reader_stops), "{kind:?}");
    }
    // A fragment for each sample, as the lowest latency has it.
    let mut bytes = Vec::new();
    for n in 0..20_000 {
        let tfdt = boxed(b"tfdt", &words(&[0, n]));
        let trun = boxed(b"trun", &words(&[0x201, 1, 96, 4]));
        bytes.extend(moof_of(&[tfdt, trun].concat()));
        bytes.extend(boxed(b"mdat", &[1, 2, 3, 4]));
    }
    let movie = parse_segment(&init(), &bytes.into()).expect("a movie");
    assert_eq!((movie.tracks[0].samples.len(), movie.damage.total()), (20_000, 0));
}

#[test]
fn a_file_with_more_samples_than_are_wanted_is_refused() {
    let whole = file();
    let count: usize = parse(&whole).expect("our own file").tracks.iter().map(|it| it.samples.len()).sum();
    assert!(overdub_fmp4::parse_at_most(&whole, count).is_ok());
    let refused = overdub_fmp4::parse_at_most(&whole, count - 1).expect_err("one too many");
    assert_eq!(refused.problem, Problem::TooMany { limit: count - 1 });
}

#[test]
fn a_box_of_size_zero_in_the_middle_ends_the_walk() {
    // The file that makes other readers loop for ever: a child of size zero.
    let child = [0, 0, 0, 0, b'x', b'x', b'x', b'x', 0, 0, 0, 0, 0, 0, 0, 0];
    for kind in [b"moov", b"moof"] {
        check(&boxed(kind, &child).into());
        check(&boxed(kind, &boxed(b"trak", &child)).into());
    }
    let mut bytes = file().to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 0, b'f', b'r', b'e', b'e', 1, 2, 3]);
    assert!(parse(&bytes.into()).expect("our own file").damage.is_empty());
}

#[test]
fn errors_say_which_box_and_which_byte() {
    let mut bytes = file().to_vec();
    let at = bytes.windows(4).position(|w| w == b"trun").expect("a trun");
    bytes[at + 8..at + 12].copy_from_slice(&9_u32.to_be_bytes());
    let movie = parse(&bytes.into()).expect("our own file");
    let error = &movie.damage.errors()[0];
    assert_eq!((error.path.as_str(), error.offset), ("moof/traf[0]/trun[0]", at as u64 - 4));
    assert_eq!(error.problem, Problem::ShortTable { declared: 9, available: 5 });
    let bare = parse(&inherited(1, 4).into()).expect_err("a segment without its init segment");
    assert_eq!(bare.to_string(), "moof at byte 0: no moov: this is not an init segment or a movie");
    assert_eq!(parse(&Bytes::new()).expect_err("nothing").problem, Problem::NoMovie);
}
