//! Files built box by box, for what few real files do.

use bytes::Bytes;

use super::*;
use crate::Codec;

fn boxed(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(&body);
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A full box of version 0 without flags whose fields are all 32 bits.
fn table(kind: &[u8; 4], fields: &[u32]) -> Vec<u8> {
    boxed(kind, &[words(&[0]), words(fields)])
}

fn tkhd(id: u32) -> Vec<u8> {
    let mut fields = vec![0, 0, id, 0, 0];
    fields.resize(20, 0);
    table(b"tkhd", &fields)
}

/// A `trak` with timescale 1000 whose sample entry is of an unknown codec.
fn trak(id: u32, tables: &[Vec<u8>], extra: Vec<u8>) -> Vec<u8> {
    let stsd = boxed(b"stsd", &[words(&[0, 1]), boxed(b"xxxx", &[vec![0; 8]])]);
    let stbl = boxed(b"stbl", &[stsd, tables.concat()]);
    let mdhd = table(b"mdhd", &[0, 0, 1_000, 0, 0x55C4_0000]);
    boxed(b"trak", &[tkhd(id), extra, boxed(b"mdia", &[mdhd, boxed(b"minf", &[stbl])])])
}

fn moov(parts: &[Vec<u8>]) -> Vec<u8> {
    boxed(b"moov", parts)
}

/// The samples of track 0: decoding time, composition offset, sync, bytes.
fn samples(movie: &Movie) -> Vec<(i64, i32, bool, Vec<u8>)> {
    assert_eq!(movie.damage, Damage::default());
    let of = |s: &TimedSample| (s.dts, s.composition_offset, s.sync, s.data.to_vec());
    movie.tracks[0].samples.iter().map(of).collect()
}

/// Twelve bytes of samples at offset 8, then the `moov`.
fn plain(tables: &[Vec<u8>]) -> Movie {
    let mdat = boxed(b"mdat", &[b"AABBBCDDDDEE".to_vec()]);
    let movie = [mdat, moov(&[trak(1, tables, Vec::new())])].concat();
    parse(&movie.into()).unwrap()
}

#[test]
fn chunks_sizes_times_and_sync_samples_of_a_plain_file_come_together() {
    let movie = plain(&[
        table(b"stts", &[2, 3, 10, 2, 20]),
        table(b"ctts", &[2, 1, 5, 4, -5_i32 as u32]),
        table(b"stss", &[2, 1, 4]),
        table(b"stsz", &[0, 5, 2, 3, 1, 2, 4]),
        // Two samples in the first chunk, one in each other, and those lie in the other order.
        table(b"stsc", &[2, 1, 2, 1, 2, 1, 1]),
        table(b"stco", &[4, 8, 13, 18, 14]),
    ]);
    let expected = [
        (0, 5, true, b"AA".to_vec()),
        (10, -5, false, b"BBB".to_vec()),
        (20, -5, false, b"C".to_vec()),
        (30, -5, true, b"EE".to_vec()),
        (50, -5, false, b"DDDD".to_vec()),
    ];
    assert_eq!(samples(&movie), expected);
}

#[test]
fn compact_sizes_of_4_8_and_16_bits_and_64_bit_offsets_are_read() {
    let bytes = |kind: &[u8; 4], head: &[u32], tail: &[u8]| boxed(kind, &[words(head), tail.to_vec()]);
    for (field, sizes) in
        [(4, &[0x23, 0x14, 0x20][..]), (8, &[2, 3, 1, 4, 2]), (16, &[0, 2, 0, 3, 0, 1, 0, 4, 0, 2])]
    {
        let movie = plain(&[
            table(b"stts", &[1, 5, 10]),
            bytes(b"stz2", &[0, field, 5], sizes),
            table(b"stsc", &[1, 1, 5, 1]),
            table(b"co64", &[1, 0, 8]),
        ]);
        let data: Vec<_> =
            samples(&movie).into_iter().map(|(dts, _, sync, data)| (dts, sync, data)).collect();
        let expected = [b"AA".to_vec(), b"BBB".to_vec(), b"C".to_vec(), b"DDDD".to_vec(), b"EE".to_vec()];
        let expected: Vec<_> =
            (0..5).map(|i| i64::from(i) * 10).zip(expected).map(|(t, d)| (t, true, d)).collect();
        assert_eq!(data, expected, "{field} bits");
    }
}

#[test]
fn sizes_that_are_all_the_same_need_no_table() {
    let movie = plain(&[
        table(b"stts", &[1, 3, 7]),
        table(b"stsz", &[4, 3]),
        table(b"stsc", &[1, 1, 3, 1]),
        table(b"stco", &[1, 8]),
    ]);
    let data: Vec<_> = samples(&movie).into_iter().map(|s| s.3).collect();
    assert_eq!(data, [b"AABB", b"BCDD", b"DDEE"]);
}

#[test]
fn itunsmpb_gives_priming_and_padding_where_no_edit_does() {
    let text = b" 00000000 00000840 000001CA 00000000003F31F6 00000000";
    let data = boxed(b"data", &[words(&[1, 0]), text.to_vec()]);
    let item = |name: &[u8]| {
        let mean = boxed(b"mean", &[words(&[0]), b"com.apple.iTunes".to_vec()]);
        boxed(b"----", &[mean, boxed(b"name", &[words(&[0]), name.to_vec()]), data.clone()])
    };
    let ilst = boxed(b"ilst", &[item(b"iTunNORM"), item(b"iTunSMPB")]);
    let hdlr = table(b"hdlr", &[0; 6]);
    for head in [words(&[0]), Vec::new()] {
        let udta = boxed(b"udta", &[boxed(b"meta", &[head, hdlr.clone(), ilst.clone()])]);
        let tables = [
            table(b"stts", &[1, 1, 7]),
            table(b"stsz", &[0, 1, 3]),
            table(b"stsc", &[1, 1, 1, 1]),
            table(b"stco", &[1, 0]),
        ];
        let movie = parse(&moov(&[trak(1, &tables, Vec::new()), udta]).into()).unwrap();
        let track = &movie.tracks[0];
        assert_eq!(track.info.gapless.map(|gapless| gapless.length), Some(0x3F_31F6));
        assert_eq!((track.priming(), track.trailing()), (2_112, 458));
    }
}

#[test]
fn an_edit_hides_priming_and_padding_and_delays() {
    // Movie timescale 100, track 1000: the rest of the second sample is padding.
    let mvhd = table(b"mvhd", &[0, 0, 100, 0]);
    let mvhd = [mvhd, vec![0; 80]].concat();
    let mvhd = [(mvhd.len() as u32).to_be_bytes().to_vec(), mvhd[4..].to_vec()].concat();
    let elst = table(b"elst", &[2, 50, u32::MAX, 0x1_0000, 90, 24, 0x1_0000]);
    let tables = [
        table(b"stts", &[1, 2, 1_000]),
        table(b"stsz", &[0, 2, 1, 1]),
        table(b"stsc", &[1, 1, 2, 1]),
        table(b"stco", &[1, 0]),
    ];
    let movie = parse(&moov(&[mvhd, trak(1, &tables, boxed(b"edts", &[elst]))]).into()).unwrap();
    let track = &movie.tracks[0];
    let expected = crate::Edit { delay: 500, media_time: 24, duration: 900 };
    assert_eq!(track.info.config.edit, Some(expected));
    assert_eq!(track.samples[0].dts, 500 - 24);
    assert_eq!((track.priming(), track.trailing()), (24, 2_000 - 24 - 900));
}

/// An init segment with tracks 1 and 2.
fn init() -> Bytes {
    let mvex = boxed(b"mvex", &[table(b"trex", &[1, 1, 10, 4, 0]), table(b"trex", &[2, 1, 20, 5, 0x1_0000])]);
    moov(&[trak(1, &[], Vec::new()), trak(2, &[], Vec::new()), mvex]).into()
}

fn moof(trafs: &[Vec<u8>]) -> Vec<u8> {
    boxed(b"moof", &[table(b"mfhd", &[1]), trafs.concat()])
}

#[test]
fn without_offsets_the_data_of_runs_and_tracks_follow_one_another() {
    let traf = |id: u32, trun: &[u32]| {
        let tfhd = table(b"tfhd", &[id]);
        boxed(b"traf", &[tfhd, boxed(b"trun", &[words(trun)]), boxed(b"trun", &[words(trun)])])
    };
    // Without default-base-is-moof, and the first run's offset to the `mdat`'s payload.
    let trafs = |offset| {
        let first = boxed(b"trun", &[words(&[1, 1, offset])]);
        let second = boxed(b"trun", &[words(&[0, 2])]);
        let one = boxed(b"traf", &[table(b"tfhd", &[1]), first, second]);
        moof(&[one, traf(2, &[0, 1])])
    };
    let offset = trafs(0).len() as u32 + 8;
    let fragment = [trafs(offset), boxed(b"mdat", &[b"111122223333.....-----".to_vec()])].concat();
    // A second fragment without `tfdt` goes on in time.
    let movie = parse_segment(&init(), &[fragment.clone(), fragment].concat().into()).unwrap();
    let times: Vec<_> = movie.tracks[0].samples.iter().map(|s| s.dts).collect();
    assert_eq!(times, [0, 10, 20, 30, 40, 50]);
    let data =
        |track: usize| -> Vec<_> { movie.tracks[track].samples.iter().map(|s| s.data.as_ref()).collect() };
    assert_eq!(data(0), [b"1111", b"2222", b"3333", b"1111", b"2222", b"3333"]);
    assert_eq!(data(1), [b".....", b"-----", b".....", b"-----"]);
}

#[test]
fn an_absolute_base_counts_from_the_input_and_events_come_out() {
    let emsg = boxed(
        b"emsg",
        &[words(&[0]), b"urn:x\0v\0".to_vec(), words(&[1_000, 5, u32::MAX, 7]), b"hello".to_vec()],
    );
    let mdats =
        [boxed(b"mdat", &[b"xxxx".to_vec()]), boxed(b"free", &[]), boxed(b"mdat", &[b"yyyy".to_vec()])];
    let run = |base: u32| {
        let tfhd = boxed(b"tfhd", &[words(&[1, 1, 0, base])]);
        boxed(b"traf", &[tfhd, boxed(b"trun", &[words(&[0, 1])])])
    };
    let first = emsg.len() as u32 + 8;
    let second = first + 4 + 8 + 8;
    let unknown = boxed(b"wxyz", &[vec![1; 30]]);
    let segment = [emsg, mdats.concat(), unknown, moof(&[run(first), run(second)])].concat();
    let movie = parse_segment(&init(), &segment.into()).unwrap();
    let found = samples(&movie);
    assert_eq!(
        found.iter().map(|s| (s.0, s.3.clone())).collect::<Vec<_>>(),
        [(0, b"xxxx".to_vec()), (10, b"yyyy".to_vec())]
    );
    let [event] = movie.events.as_slice() else { panic!("one event") };
    assert_eq!((event.time, event.duration, event.id), (EventTime::AfterSegmentStart(5), None, 7));
    assert_eq!((event.scheme_id_uri.as_str(), event.message.as_ref()), ("urn:x", b"hello".as_ref()));
}

#[test]
fn an_absolute_base_counts_from_the_start_of_the_file() {
    let fragment = |base: u32| {
        let tfhd = boxed(b"tfhd", &[words(&[1, 1, 0, base])]);
        let trun = |offset| boxed(b"trun", &[words(&[1, 1, offset])]);
        let moof = |offset| moof(&[boxed(b"traf", &[tfhd.clone(), trun(offset)])]);
        let offset = moof(0).len() as u32 + 8;
        [moof(offset), boxed(b"mdat", &[b"xxxx".to_vec()])].concat()
    };
    let read = |origin: u64, base: u32| {
        let (init, segment) = (init(), Bytes::from(fragment(base)));
        let mut reader = Reader::new().with_len(init.len() as u64);
        let mut movie = Movie::default();
        read_all(&mut reader, &init, &mut movie, usize::MAX).unwrap();
        reader.next_input(Some(segment.len() as u64));
        reader.begins_at(origin);
        read_all(&mut reader, &segment, &mut movie, usize::MAX).unwrap();
        finish(&reader, movie).unwrap()
    };
    // A byte range of one file; a packager that counts from the segment; a file that was cut up afterwards.
    for (origin, base) in [(10_000, 10_000), (20, 20), (10_000, 0), (0, 0), (0, 10_000)] {
        let found = samples(&read(origin, base));
        assert_eq!(found.len(), 1, "{origin} {base}");
        assert_eq!(found[0].3, b"xxxx", "{origin} {base}");
    }
}

#[test]
fn the_only_sample_entry_is_meant_whatever_its_number() {
    for description in [0_u32, 1, 2, 77] {
        let tfhd = boxed(b"tfhd", &[words(&[0x2_0002, 1, description])]);
        let trun = |offset| boxed(b"trun", &[words(&[1, 1, offset])]);
        let moof = |offset| moof(&[boxed(b"traf", &[tfhd.clone(), trun(offset)])]);
        let offset = moof(0).len() as u32 + 8;
        let segment = [moof(offset), boxed(b"mdat", &[b"xxxx".to_vec()])].concat();
        let movie = parse_segment(&init(), &segment.into()).unwrap();
        assert_eq!(samples(&movie).len(), 1, "{description}");
        assert_eq!(movie.tracks[0].samples[0].entry, 0);
    }
}

#[test]
fn first_sample_flags_count_even_where_each_sample_has_its_own() {
    // The standard forbids both (8.8.8.1), and real packagers write both.
    let fields = [0x405, 2, 0, 0x0200_0000, 0x1_0000, 0x1_0000];
    let traf = |offset: u32| {
        let mut fields = fields;
        fields[2] = offset;
        boxed(b"traf", &[boxed(b"tfhd", &[words(&[0x2_0000, 1])]), boxed(b"trun", &[words(&fields)])])
    };
    let offset = moof(&[traf(0)]).len() as u32 + 8;
    let segment = [moof(&[traf(offset)]), boxed(b"mdat", &[b"aaaabbbb".to_vec()])].concat();
    let movie = parse_segment(&init(), &segment.into()).unwrap();
    assert_eq!(samples(&movie).iter().map(|s| s.2).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn each_sample_says_which_sample_entry_it_needs() {
    let entry = |kind: &[u8; 4]| boxed(kind, &[vec![0; 8]]);
    let stsd = boxed(b"stsd", &[words(&[0, 2]), entry(b"xxxx"), entry(b"yyyy")]);
    let tables = [
        table(b"stts", &[1, 3, 10]),
        table(b"stsc", &[2, 1, 2, 1, 2, 1, 2]),
        table(b"stsz", &[0, 3, 2, 3, 1]),
        table(b"stco", &[2, 8, 13]),
    ];
    let stbl = boxed(b"stbl", &[stsd, tables.concat()]);
    let mdhd = table(b"mdhd", &[0, 0, 1_000, 0, 0x55C4_0000]);
    let trak = boxed(b"trak", &[tkhd(1), boxed(b"mdia", &[mdhd, boxed(b"minf", &[stbl])])]);
    let movie = [boxed(b"mdat", &[b"AABBBC".to_vec()]), moov(&[trak])].concat();
    let movie = parse(&movie.into()).unwrap();
    assert_eq!(movie.damage, Damage::default());
    let track = &movie.tracks[0];
    assert_eq!(track.samples.iter().map(|s| s.entry).collect::<Vec<_>>(), [0, 0, 1]);
    let fourcc = |entry| match track.info.codec_of(entry) {
        Some(Codec::Other { fourcc, .. }) => Some(*fourcc),
        _ => None,
    };
    assert_eq!([0, 1, 2].map(fourcc), [Some(*b"xxxx"), Some(*b"yyyy"), None]);
}

#[test]
fn sound_without_an_audio_specific_config_is_assumed_to_be_aac_lc() {
    // A DecoderConfigDescriptor of MPEG-4 audio with nothing in it, as FFmpeg writes it before it has seen a
    // frame.
    let esds =
        boxed(b"esds", &[words(&[0]), vec![3, 21, 0, 1, 0, 4, 13, 0x40, 0x15], vec![0; 11], vec![6, 1, 2]]);
    let entry = |channels: u16, rate: u32| {
        let fields =
            [vec![0; 6], vec![0, 1], vec![0; 8], channels.to_be_bytes().to_vec(), vec![0, 16, 0, 0, 0, 0]];
        boxed(b"mp4a", &[fields.concat(), words(&[rate << 16]), esds.clone()])
    };
    let read = |channels, rate| {
        let stsd = boxed(b"stsd", &[words(&[0, 1]), entry(channels, rate)]);
        let mdhd = table(b"mdhd", &[0, 0, 48_000, 0, 0x55C4_0000]);
        let stbl = boxed(b"minf", &[boxed(b"stbl", &[stsd])]);
        let trak = boxed(b"trak", &[tkhd(1), boxed(b"mdia", &[mdhd, stbl])]);
        parse(&moov(&[trak]).into()).unwrap()
    };
    let movie = read(2, 48_000);
    let info = &movie.tracks[0].info;
    assert!(info.assumed_config);
    assert!(matches!(&info.config.codec, Codec::Aac { asc, .. } if asc.as_ref() == [0x11, 0x90]), "{info:?}");
    // No configuration of one word says this.
    let movie = read(2, 47_999);
    assert!(!movie.tracks[0].info.assumed_config && movie.damage.total() == 1);
    assert!(matches!(movie.tracks[0].info.config.codec, Codec::Other { .. }));
}
