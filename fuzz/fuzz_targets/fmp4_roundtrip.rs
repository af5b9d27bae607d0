//! Any tracks and samples, written and read back: the same, or refused by the writer.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_fmp4::{
    Chunks, Codec, Edit, Fragment, ProducerTime, Sample, SegmentBoxes, TrackConfig, TrackRun, init_segment,
    parse, parse_segment,
};
use overdub_fuzz::{Control, mp4};

fuzz_target!(|data: &[u8]| {
    let mut control = Control(data);
    let count = 1 + usize::from(control.byte() & 3);
    let configs: Vec<_> = (0..count).map(|n| config(&mut control, n as u32)).collect();
    let Ok(init) = init_segment(&configs) else { return };
    let mut media = Chunks::default();
    let mut written: Vec<Vec<(i128, Sample)>> = vec![Vec::new(); count];
    for n in 0..4 {
        let (fragment, samples) = fragment(&mut control, &configs, n);
        let Ok(chunks) = fragment.encode() else { return };
        assert_eq!(chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>(), chunks.len());
        media.append(chunks);
        for (track, run) in written.iter_mut().zip(samples) {
            track.extend(run);
        }
    }
    let media = media.to_bytes();
    let movie = parse_segment(&init, &media).expect("what was written");
    assert!(movie.damage.is_empty(), "{:?}", movie.damage);
    mp4::check(&movie, &media);
    assert_eq!(movie.tracks.len(), configs.len());
    for ((track, config), written) in movie.tracks.iter().zip(&configs).zip(&written) {
        let read = &track.info.config;
        assert_eq!((read.id, read.timescale, &read.codec), (config.id, config.timescale, &config.codec));
        assert_eq!(track.samples.len(), written.len());
        let shift = i128::from(track.info.shift());
        for (ours, (dts, theirs)) in track.samples.iter().zip(written) {
            // Times saturate where 64 bits cannot hold them.
            let near = |time: i128| time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            assert_eq!(ours.dts, near(dts + shift));
            assert_eq!(
                (ours.composition_offset, ours.duration),
                (theirs.composition_offset, theirs.duration)
            );
            assert_eq!((ours.sync, &ours.data), (theirs.sync || config.codec.is_audio(), &theirs.data));
        }
    }
    let whole = Bytes::from([init.as_ref(), &media].concat());
    assert_eq!(parse(&whole).expect("the same in one file").tracks, movie.tracks);
    let (tracks, _) = mp4::read_in_pieces(&whole, false).expect("the same in pieces");
    assert!(movie.tracks.iter().map(|track| &track.samples).eq(&tracks));
});

fn config(control: &mut Control<'_>, n: u32) -> TrackConfig {
    let kind = control.byte();
    let long = control.byte();
    // Records longer than a descriptor's length of one byte can say, too.
    let len =
        if long < 0xF0 { usize::from(long & 0x3F) + 1 } else { usize::from(control.u16() & 0x7FFF) + 1 };
    let mut record = control.take(len).to_vec();
    record.resize(len, 0xA5);
    let record = Bytes::from(record);
    let (width, height) = (control.u16(), control.u16());
    let (sample_rate, channels) = (u32::from(width), height);
    let codec = match kind % 7 {
        0 => Codec::Avc { avcc: record, width, height },
        1 => Codec::Hevc { hvcc: record, width, height },
        2 => Codec::Aac { asc: record, sample_rate, channels },
        3 => Codec::MpegAudio { sample_rate, channels },
        4 => Codec::Ac3 { dac3: record, sample_rate, channels },
        5 => Codec::Eac3 { dec3: record, sample_rate, channels },
        _ => Codec::Opus { dops: record, channels },
    };
    let edit = (kind & 0x80 != 0).then(|| Edit {
        delay: control.any_u64(),
        media_time: control.any_u64(),
        duration: control.any_u64(),
    });
    let timescale = control.any_u64() as u32;
    let language = (kind & 0x40 != 0).then_some(*b"deu");
    TrackConfig { id: n + 1, timescale, codec, language, edit }
}

type Timed = Vec<(i128, Sample)>;

fn fragment(control: &mut Control<'_>, configs: &[TrackConfig], n: u32) -> (Fragment, Vec<Timed>) {
    let shape = control.byte();
    let mut times = Vec::new();
    let mut runs = Vec::new();
    for config in configs {
        // The reader's times are signed, and saturate.
        let base_decode_time = control.any_u64() >> 2;
        let mut samples = Vec::new();
        let mut timed = Vec::new();
        let mut dts = i128::from(base_decode_time);
        for _ in 0..control.byte() & 7 {
            let kind = control.byte();
            let size = usize::from(kind >> 3);
            let sample = Sample {
                duration: if kind & 1 == 0 { 1_024 } else { control.any_u64() as u32 },
                composition_offset: if kind & 2 == 0 { 0 } else { control.any_u64() as i32 },
                sync: kind & 4 == 0,
                data: Bytes::copy_from_slice(control.take(size)),
            };
            timed.push((dts, sample.clone()));
            dts += i128::from(sample.duration);
            samples.push(sample);
        }
        runs.push(TrackRun { track_id: config.id, base_decode_time, samples });
        times.push(timed);
    }
    let mut fragment = Fragment::new(n, runs);
    fragment.segment = SegmentBoxes {
        segment_type: shape & 1 != 0,
        producer_time: (shape & 2 != 0).then(|| ProducerTime {
            track_id: 1,
            ntp: control.u64(),
            media_time: control.any_u64(),
        }),
        index: (shape & 4 != 0).then_some(configs[0].timescale),
    };
    (fragment, times)
}
