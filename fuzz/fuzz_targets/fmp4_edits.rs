//! Any edit list over any timescales, in a plain and in a fragmented file: no overflow, trims that fit, and the
//! same again when it is written.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_fmp4::{Movie, init_segment, parse};
use overdub_fuzz::mp4::{self, boxed};
use overdub_fuzz::{Control, mp4::check};

struct Entry {
    segment_duration: u64,
    media_time: i64,
    rate: u32,
}

fuzz_target!(|data: &[u8]| {
    let mut control = Control(data);
    let shape = control.byte();
    let timescales = (timescale(&mut control), timescale(&mut control));
    let first_dts = control.any_u64();
    let wide = shape & 1 != 0;
    let entries: Vec<_> = (0..control.byte() & 7).map(|_| entry(&mut control, wide)).collect();
    let samples: Vec<_> =
        (0..control.byte() & 7).map(|_| (control.any_u64() as u32, control.any_u64() as i32)).collect();
    let fragmented = shape & 2 != 0;
    let edts = boxed(b"edts", &elst(&entries, wide));
    let input = if fragmented {
        fragmented_file(timescales, &edts, first_dts, &samples)
    } else {
        plain_file(timescales, &edts, &samples)
    };
    let Ok(movie) = parse(&input) else { return };
    check(&movie, &input);
    check_trims(&movie);
    let (tracks, _) = mp4::read_in_pieces(&input, true).expect("read whole before");
    assert!(movie.tracks.iter().map(|track| &track.samples).eq(&tracks));
    if let [Entry { media_time: 0.., rate: 0x1_0000, .. }] = entries[..] {
        check_single(&movie, &entries[0], timescales);
    }
});

/// No more is hidden than the edit says, and the edit can be written and read again.
fn check_trims(movie: &Movie) {
    for track in &movie.tracks {
        let Some(edit) = track.info.config.edit else { continue };
        // Composition offsets may move the first picture before the first decoding time, which may itself lie
        // below zero: nothing below is presented either.
        let first = track.samples.iter().map(|sample| sample.dts).min().unwrap_or(0);
        let below = first.saturating_sub(track.info.shift()).min(0).unsigned_abs();
        assert!(track.priming() <= edit.media_time.saturating_add(below).saturating_add(1 << 31));
        let Ok(init) = init_segment(std::slice::from_ref(&track.info.config)) else { continue };
        let again = parse(&init).expect("what was written");
        // With one track the movie's timescale is the track's: every edit is exact.
        assert_eq!(again.tracks[0].info.config, track.info.config);
    }
}

/// One edit at the usual rate: presentation begins where it says, for as long as it says.
fn check_single(movie: &Movie, entry: &Entry, (movie_scale, media_scale): (u32, u32)) {
    let Some(track) = movie.tracks.first() else { return };
    let edit = track.info.config.edit.expect("one edit with media");
    assert_eq!((edit.delay, edit.media_time), (0, entry.media_time as u64));
    let (from, to) = (u128::from(movie_scale.max(1)), u128::from(media_scale));
    let exact = u128::from(entry.segment_duration) * to;
    let ours = u128::from(edit.duration) * from;
    assert!(exact.abs_diff(ours) * 2 <= from || edit.duration == u64::MAX, "{exact} {ours}");
    assert_eq!(track.info.shift(), -entry.media_time);
}

fn timescale(control: &mut Control<'_>) -> u32 {
    match control.byte() {
        0 => 0,
        1 => 1,
        2 => u32::MAX,
        3..=100 => 1_000,
        101..=150 => 48_000,
        151..=200 => 90_000,
        _ => control.u32(),
    }
}

/// `wide`: version 1, with times of 64 bits.
fn entry(control: &mut Control<'_>, wide: bool) -> Entry {
    let kind = control.byte();
    let (segment_duration, media_time) = match (control.any_u64(), control.any_u64() as i64) {
        both if wide => both,
        (duration, time) => (u64::from(duration as u32), i64::from(time as i32)),
    };
    let media_time = if kind & 1 == 0 { -1 } else { media_time };
    let rate = if kind & 0xE0 == 0 { control.u32() } else { 0x1_0000 };
    Entry { segment_duration, media_time, rate }
}

fn elst(entries: &[Entry], wide: bool) -> Vec<u8> {
    let mut body = vec![u8::from(wide), 0, 0, 0];
    body.extend((entries.len() as u32).to_be_bytes());
    for entry in entries {
        if wide {
            body.extend(entry.segment_duration.to_be_bytes());
            body.extend(entry.media_time.to_be_bytes());
        } else {
            body.extend((entry.segment_duration as u32).to_be_bytes());
            body.extend((entry.media_time as i32).to_be_bytes());
        }
        body.extend(entry.rate.to_be_bytes());
    }
    boxed(b"elst", &body)
}

/// Bodies are lists of 32-bit fields, and so is most of what they hold.
fn fields(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

/// A `moov` with one Opus track of these edits and this sample table.
fn moov((movie, media): (u32, u32), edts: &[u8], tables: &[u8], mvex: &[u8]) -> Vec<u8> {
    let matrix = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
    let mvhd = [&[0, 0, 0, movie, 0, 0x1_0000, 0x0100_0000, 0, 0][..], &matrix, &[0; 6], &[2]].concat();
    let tkhd = [&[7, 0, 0, 1, 0, 0, 0, 0, 0, 0x0100_0000][..], &matrix, &[0, 0]].concat();
    let mdhd = [0, 0, 0, media, 0, 0x55C4_0000];
    let hdlr = [&fields(&[0, 0])[..], b"soun", &[0; 13]].concat();
    let dops = boxed(b"dOps", &[0, 2, 1, 0x38, 0, 0, 0xBB, 0x80, 0, 0, 0]);
    // Six reserved bytes, data reference 1, eight more; channels, bits, rate.
    let opus = [&fields(&[0, 1, 0, 0, 0x2_0010, 0, 0xBB80_0000])[..], &dops].concat();
    let stsd = [fields(&[0, 1]), boxed(b"Opus", &opus)].concat();
    let stbl = [boxed(b"stsd", &stsd), tables.to_vec()].concat();
    let minf = boxed(b"stbl", &stbl);
    let mdia = [boxed(b"mdhd", &fields(&mdhd)), boxed(b"hdlr", &hdlr), boxed(b"minf", &minf)].concat();
    let trak = [boxed(b"tkhd", &fields(&tkhd)), edts.to_vec(), boxed(b"mdia", &mdia)].concat();
    boxed(b"moov", &[boxed(b"mvhd", &fields(&mvhd)), boxed(b"trak", &trak), mvex.to_vec()].concat())
}

fn plain_file(timescales: (u32, u32), edts: &[u8], samples: &[(u32, i32)]) -> Bytes {
    let count = samples.len() as u32;
    let stts: Vec<_> = samples.iter().flat_map(|&(duration, _)| [1, duration]).collect();
    let ctts: Vec<_> = samples.iter().flat_map(|&(_, offset)| [1, offset.cast_unsigned()]).collect();
    let tables = |chunk: u32| {
        [
            boxed(b"stts", &[fields(&[0, count]), fields(&stts)].concat()),
            boxed(b"ctts", &[fields(&[0x0100_0000, count]), fields(&ctts)].concat()),
            boxed(b"stsc", &fields(&[0, 1, 1, count, 1])),
            boxed(b"stsz", &fields(&[0, 4, count])),
            boxed(b"stco", &fields(&[0, 1, chunk])),
        ]
        .concat()
    };
    let len = moov(timescales, edts, &tables(0), &[]).len() as u32;
    let mdat = boxed(b"mdat", &vec![7; 4 * samples.len()]);
    [moov(timescales, edts, &tables(len + 8), &[]), mdat].concat().into()
}

fn fragmented_file(timescales: (u32, u32), edts: &[u8], dts: u64, samples: &[(u32, i32)]) -> Bytes {
    let empty = [b"stts", b"stsc", b"stco"].map(|kind| boxed(kind, &fields(&[0, 0]))).concat();
    let tables = [empty, boxed(b"stsz", &fields(&[0, 0, 0]))].concat();
    let mvex = boxed(b"mvex", &boxed(b"trex", &fields(&[0, 1, 1, 0, 4, 0])));
    let runs: Vec<_> =
        samples.iter().flat_map(|&(duration, offset)| [duration, offset.cast_unsigned()]).collect();
    let moof = |offset: u32| {
        // Durations and signed composition offsets are there, and the place of the data.
        let head = fields(&[0x0100_0901, samples.len() as u32, offset]);
        let traf = [
            boxed(b"tfhd", &fields(&[0x0002_0000, 1])),
            boxed(b"tfdt", &[&fields(&[0x0100_0000])[..], &dts.to_be_bytes()].concat()),
            boxed(b"trun", &[head, fields(&runs)].concat()),
        ]
        .concat();
        boxed(b"moof", &[boxed(b"mfhd", &fields(&[0, 1])), boxed(b"traf", &traf)].concat())
    };
    let len = moof(0).len() as u32;
    let mdat = boxed(b"mdat", &vec![7; 4 * samples.len()]);
    [moov(timescales, edts, &tables, &mvex), moof(len + 8), mdat].concat().into()
}
