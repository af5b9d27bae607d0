//! What is written is read back the same: whole, and piece by piece with any habit of the source.

use bytes::Bytes;
use overdub_fmp4::{
    Chunks, Codec, Edit, Fragment, ProducerTime, Reader, Sample, SegmentBoxes, Step, TimedSample,
    TrackConfig, TrackRun, init_segment, parse, parse_segment,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn record() -> impl Strategy<Value = Bytes> {
    // 127 and 128 bytes: where the length of an `esds` descriptor grows by a byte.
    prop_oneof![vec(any::<u8>(), 1..40), vec(any::<u8>(), 105..135), vec(any::<u8>(), 16_380..16_390)]
        .prop_map(Bytes::from)
}

fn codec() -> impl Strategy<Value = Codec> {
    let rate = prop_oneof![Just(0_u32), Just(22_050), Just(44_100), Just(48_000), Just(65_535)];
    (0..7, record(), any::<u16>(), any::<u16>(), rate).prop_map(|(kind, record, a, channels, sample_rate)| {
        match kind {
            0 => Codec::Avc { avcc: record, width: a, height: channels },
            1 => Codec::Hevc { hvcc: record, width: a, height: channels },
            2 => Codec::Aac { asc: record, sample_rate, channels },
            3 => Codec::MpegAudio { sample_rate, channels },
            4 => Codec::Ac3 { dac3: record, sample_rate, channels },
            5 => Codec::Eac3 { dec3: record, sample_rate, channels },
            _ => Codec::Opus { dops: record, channels },
        }
    })
}

fn config(id: u32) -> impl Strategy<Value = TrackConfig> {
    let timescale =
        prop_oneof![Just(1_u32), Just(1_000), Just(44_100), Just(48_000), Just(90_000), Just(705_600)];
    let edit = proptest::option::of((0..1_u64 << 40, 0..1_u64 << 62, 0..1_u64 << 40));
    let language = proptest::option::of(prop_oneof![Just(*b"eng"), Just(*b"deu"), Just(*b"zxx")]);
    (timescale, codec(), language, edit).prop_map(move |(timescale, codec, language, edit)| {
        let edit = edit.map(|(delay, media_time, duration)| Edit { delay, media_time, duration });
        TrackConfig { id, timescale, codec, language, edit }
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    let size = prop_oneof![Just(0_usize), Just(1), 1..50_usize, Just(70_000)];
    let duration = prop_oneof![Just(0_u32), Just(1_024), Just(3_003), 0..=i32::MAX.cast_unsigned()];
    let offset = prop_oneof![Just(0), Just(1_001), any::<i32>()];
    (duration, offset, any::<bool>(), size, any::<u8>()).prop_map(
        |(duration, composition_offset, sync, size, fill)| Sample {
            duration,
            composition_offset,
            sync,
            data: vec![fill; size].into(),
        },
    )
}

/// Runs as they come from encoders: one duration, one size or one kind of sample for all.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    (vec(sample(), 0..8), any::<[bool; 4]>()).prop_map(|(mut samples, same)| {
        if let Some(first) = samples.first().cloned() {
            for (i, sample) in samples.iter_mut().enumerate() {
                if same[0] {
                    sample.duration = first.duration;
                }
                if same[1] {
                    sample.data = vec![i as u8; 8].into();
                }
                if same[2] {
                    sample.sync = i == 0;
                }
                if same[3] {
                    sample.composition_offset = 0;
                }
            }
        }
        samples
    })
}

fn fragments() -> impl Strategy<Value = Vec<(u64, Vec<Sample>, Vec<Sample>, u8)>> {
    let time = prop_oneof![Just(0_u64), Just(u64::from(u32::MAX)), Just(1 << 62), 0..1_u64 << 40];
    vec((time, samples(), samples(), any::<u8>()), 0..4)
}

fn segment_boxes(choice: u8) -> SegmentBoxes {
    SegmentBoxes {
        segment_type: choice & 1 != 0,
        producer_time: (choice & 2 != 0).then_some(ProducerTime { track_id: 1, ntp: 9, media_time: 1 << 40 }),
        index: None,
    }
}

/// The sample as it is read, `dts` of the media moved by `shift`.
fn expected(samples: &[Sample], base: u64, shift: i64) -> impl Iterator<Item = (i64, i64, &Sample)> {
    let mut dts = i64::try_from(base).expect("63 bits").saturating_add(shift);
    samples.iter().map(move |sample| {
        let at = dts;
        dts = dts.saturating_add(sample.duration.into());
        (at, at.saturating_add(sample.composition_offset.into()), sample)
    })
}

/// Reads piece by piece from `input` as any caller would.
fn read_in_pieces(input: &Bytes, len: Option<u64>) -> Vec<Vec<TimedSample>> {
    let mut reader = Reader::new();
    if let Some(len) = len {
        reader = reader.with_len(len);
    }
    let mut tracks = Vec::new();
    loop {
        match reader.poll().expect("our own file") {
            Step::Need(range) => {
                let at = |offset: u64| (offset as usize).min(input.len());
                reader.supply(&input.slice(at(range.start)..at(range.end))).expect("our own file");
            }
            Step::Tracks => tracks = vec![Vec::new(); reader.tracks().len()],
            Step::Samples { track, samples } => tracks[track].extend(samples),
            Step::Event(_) => {}
            Step::End => return tracks,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_is_written_is_read_back_the_same(first in config(1), second in config(7), fragments in fragments()) {
        // A sound track's samples are all sync samples to the reader.
        let configs = [first, second];
        let init = init_segment(&configs).unwrap();
        let mut media = Chunks::default();
        for (n, (base, a, b, boxes)) in fragments.iter().enumerate() {
            let run = |track_id, samples: &Vec<Sample>| {
                TrackRun { track_id, base_decode_time: *base, samples: samples.clone() }
            };
            let mut fragment = Fragment::new(n as u32, vec![run(1, a), run(7, b)]);
            fragment.segment = segment_boxes(*boxes);
            let chunks = fragment.encode().unwrap();
            prop_assert_eq!(chunks.iter().map(|c| c.len() as u64).sum::<u64>(), chunks.len());
            media.append(chunks);
        }
        let media = media.to_bytes();
        let movie = parse_segment(&init, &media).unwrap();
        for (i, (track, config)) in movie.tracks.iter().zip(&configs).enumerate() {
            prop_assert_eq!(&track.info.config, config);
            let all = fragments.iter().map(|(base, a, b, _)| (*base, if i == 0 { a } else { b }));
            let shift = track.info.shift();
            let expected: Vec<_> = all.flat_map(|(base, samples)| expected(samples, base, shift)).collect();
            prop_assert_eq!(track.samples.len(), expected.len());
            for (ours, (dts, pts, written)) in track.samples.iter().zip(expected) {
                prop_assert_eq!((ours.dts, ours.pts(), ours.duration), (dts, pts, written.duration));
                // Of H.264 the picture counts, and these are none.
                if !matches!(config.codec, Codec::Avc { .. }) {
                    prop_assert_eq!(ours.sync, written.sync || config.codec.is_audio());
                }
                prop_assert_eq!(&ours.data, &written.data);
            }
        }
        let whole = Bytes::from([init.as_ref(), &media].concat());
        let as_one = parse(&whole).unwrap();
        prop_assert_eq!(&as_one.tracks, &movie.tracks);
        for len in [None, Some(whole.len() as u64)] {
            let pieces = read_in_pieces(&whole, len);
            let samples: Vec<_> = movie.tracks.iter().map(|t| t.samples.clone()).collect();
            prop_assert_eq!(&pieces, &samples);
        }
    }
}

#[test]
fn samples_are_slices_of_the_input() {
    let codec = Codec::MpegAudio { sample_rate: 48_000, channels: 2 };
    let config = TrackConfig { id: 1, timescale: 48_000, codec, language: None, edit: None };
    let sample = Sample { duration: 1_152, composition_offset: 0, sync: true, data: vec![7; 500].into() };
    let run = TrackRun { track_id: 1, base_decode_time: 0, samples: vec![sample; 3] };
    let media = Fragment::new(1, vec![run]).encode().unwrap().to_bytes();
    let movie = parse_segment(&init_segment(&[config]).unwrap(), &media).unwrap();
    let inside = media.as_ptr_range();
    assert!(movie.tracks[0].samples.iter().all(|s| inside.contains(&s.data.as_ptr())));
}
