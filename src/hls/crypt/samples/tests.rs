//! The encrypting side is written here from Apple's document and ISO/IEC 23001-7, for comparison.

use cbc::Encryptor;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use overdub_ts::Codec;
use proptest::prelude::*;

use super::*;

const KEY: [u8; BLOCK] = *b"0123456789abcdef";
const IV: [u8; BLOCK] = [7; BLOCK];

struct Writer(Encryptor<Aes128>);

impl Writer {
    fn new() -> Self {
        Self(Encryptor::new((&KEY).into(), (&IV).into()))
    }

    fn blocks(&mut self, bytes: &mut [u8]) {
        bytes.as_chunks_mut::<BLOCK>().0.iter_mut().for_each(|block| self.0.encrypt_block(block.into()));
    }
}

/// A NAL unit as an encoder makes it: no three bytes look like a start code, and the last is not zero.
fn nal(first: u8, length: usize, seed: u8) -> Vec<u8> {
    let mut unit = vec![first];
    let byte = |at: usize| (at as u8).wrapping_mul(seed).wrapping_add(1) | 1;
    unit.extend((1..length).map(byte));
    unit
}

/// Encrypts a unit, and prevents emulation once more.
fn encrypted_nal(mut unit: Vec<u8>) -> Vec<u8> {
    if unit.len() <= 48 || !matches!(unit[0] & 0x1F, 1 | 5) {
        return unit;
    }
    let (mut at, mut writer) = (32, Writer::new());
    while unit.len() - at > 16 {
        writer.blocks(&mut unit[at..at + 16]);
        at += 16;
        at += (unit.len() - at).min(144);
    }
    let mut out = Vec::new();
    for byte in unit {
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}

fn annex_b(units: &[Vec<u8>]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
}

/// The NAL units of a stream, without the zeros that may stand behind each.
fn units(stream: &[u8]) -> Vec<Vec<u8>> {
    let trimmed = |unit: &[u8]| {
        let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        unit[..end].to_vec()
    };
    let mut found = Vec::new();
    let mut rest = stream;
    while let Some(at) = memchr::memmem::find(rest, b"\0\0\x01") {
        if !found.is_empty() || at > 1 {
            found.push(trimmed(&rest[..at]));
        }
        rest = &rest[at + 3..];
    }
    found.push(trimmed(rest));
    found.into_iter().filter(|unit| !unit.is_empty()).collect()
}

#[test]
fn slices_of_all_lengths_come_out_as_they_went_in() {
    for length in (40..200).chain([352, 353, 2_000, 100_000]) {
        let plain = vec![
            nal(0x67, 20, 3),
            nal(0x68, 5, 5),
            nal(0x65, length, 11),
            nal(0x06, 60, 7),
            nal(0x41, length + 9, 13),
        ];
        let mut stream = annex_b(&plain.iter().cloned().map(encrypted_nal).collect::<Vec<_>>());
        let size = stream.len();
        elementary::h264(&Cipher::new(&KEY), &IV, &mut stream);
        assert_eq!(units(&stream), plain, "{length}");
        assert_eq!(stream.len(), size);
    }
}

#[test]
fn start_codes_that_the_cipher_makes_are_not_taken_for_any() {
    let wanted = *b"\0\0\x01\x65\0\0\0\0\x02\0\0\x03\x01...";
    let mut unit = nal(0x41, 500, 7);
    unit[32..48].copy_from_slice(&wanted);
    Cipher::new(&KEY).run(&IV).decrypt(&mut unit[32..48]);
    let encrypted = encrypted_nal(unit.clone());
    assert_eq!(encrypted.len(), unit.len() + 4, "the block was chosen for that");
    let mut stream = annex_b(&[encrypted, nal(0x68, 9, 3)]);
    elementary::h264(&Cipher::new(&KEY), &IV, &mut stream);
    assert_eq!(units(&stream), [unit, nal(0x68, 9, 3)]);
}

/// An ADTS frame of this payload, with or without CRC.
fn adts(payload: &[u8], crc: bool) -> Vec<u8> {
    let header = if crc { 9 } else { 7 };
    let length = header + payload.len();
    let mut frame = vec![0xFF, if crc { 0xF0 } else { 0xF1 }, 0x50, 0x80 | (length >> 11) as u8];
    frame.extend([(length >> 3) as u8, (length << 5) as u8 | 0x1F, 0xFC]);
    frame.resize(header, 0);
    frame.extend(payload);
    frame
}

#[test]
fn audio_frames_of_all_lengths_come_out_as_they_went_in() {
    let mut plain = Vec::new();
    let mut stream = b"junk".to_vec();
    for length in 1..200_usize {
        let payload: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
        let crc = length % 3 == 0;
        plain.extend(adts(&payload, crc));
        let mut hidden = payload;
        if let Some(encrypted) = hidden.get_mut(16..) {
            Writer::new().blocks(encrypted);
        }
        stream.extend(adts(&hidden, crc));
    }
    elementary::audio(Codec::AacAdts, &Cipher::new(&KEY), &IV, &mut stream).unwrap();
    assert_eq!(&stream[4..], plain);
    // AC-3 at 48 kHz and 32 kbit/s: frames of 128 bytes.
    let mut frame = vec![0x0B, 0x77, 0, 0, 0x00, 0x40, 0x40];
    frame.resize(128, 0x55);
    let mut hidden = frame.clone();
    Writer::new().blocks(&mut hidden[16..]);
    let mut stream = hidden.repeat(3);
    elementary::audio(Codec::Ac3, &Cipher::new(&KEY), &IV, &mut stream).unwrap();
    assert_eq!(stream, frame.repeat(3));
}

/// Packets of a payload: the first says that a unit begins.
fn packets(pid: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in payload.chunks(100).enumerate() {
        let start = if index == 0 { 0x40 } else { 0 };
        out.extend([0x47, start | (pid >> 8) as u8, pid as u8, 0x30, (183 - part.len()) as u8, 0]);
        out.resize(out.len() + 182 - part.len(), 0xFF);
        out.extend(part);
    }
    out
}

fn section(table: u8, rest: &[u8]) -> Vec<u8> {
    let length = rest.len() + 4;
    let mut out = [&[0, table, 0xB0 | (length >> 8) as u8, length as u8], rest].concat();
    let crc = overdub_ts::section_crc(&out[1..]);
    out.extend(crc.to_be_bytes());
    out
}

/// A program with H.264 and AAC, of these stream types.
fn transport_stream(video: u8, audio: u8, registration: u8, pictures: &[Vec<u8>], frames: &[u8]) -> Vec<u8> {
    let mut out = packets(0, &section(0, &[0, 1, 0xC1, 0, 0, 0, 1, 0xE0 | 0x10, 0]));
    let mut map = vec![0, 1, 0xC1, 0, 0, 0xE1, 0, 0xF0, 0];
    // Long enough that the section needs several packets.
    map.extend([video, 0xE1, 0, 0xF0, 156, 0x0F, 150]);
    map.extend([0x11; 150]);
    map.extend([registration, 2, b'z', b'a']);
    map.extend([audio, 0xE1, 1, 0xF0, 6, registration, 4, b'a', b'a', b'p', b'd']);
    out.extend(packets(0x1000, &section(2, &map)));
    let pes = |id: u8, data: &[u8]| [&[0, 0, 1, id, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1], data].concat();
    for picture in pictures {
        out.extend(packets(0x100, &pes(0xE0, &annex_b(std::slice::from_ref(picture)))));
    }
    // Frames that lie across the PES packets.
    for part in frames.chunks(333) {
        out.extend(packets(0x101, &pes(0xC0, part)));
    }
    out
}

#[test]
fn a_transport_stream_comes_out_as_one_that_was_never_encrypted() {
    let pictures: Vec<_> =
        (1..20_u8).map(|n| nal(0x41, 500 + usize::from(n), n.wrapping_mul(2) + 1)).collect();
    let payloads: Vec<Vec<u8>> = (20..60).map(|length| vec![length as u8; length * 3]).collect();
    let hidden = payloads.iter().map(|payload| {
        let mut payload = payload.clone();
        Writer::new().blocks(&mut payload[16..]);
        adts(&payload, false)
    });
    let hidden: Vec<u8> = hidden.flatten().collect();
    let frames: Vec<u8> = payloads.iter().flat_map(|payload| adts(payload, false)).collect();
    let encrypted: Vec<_> = pictures.iter().cloned().map(encrypted_nal).collect();
    let same_size = encrypted.iter().zip(&pictures).all(|(a, b)| a.len() == b.len());
    assert!(same_size, "choose other seeds: the expected packets would differ");
    let plain = transport_stream(0x1B, 0x0F, 0x80, &pictures, &frames);
    let body = transport_stream(0xDB, 0xCF, 0x05, &encrypted, &hidden);
    let key = super::super::Key::Aes128(KEY);
    let out = key.decrypt_samples(&IV, None, body.clone().into()).unwrap();
    assert!(out == plain);
    // In the clear already: nothing changes.
    let again = key.decrypt_samples(&IV, None, out.clone()).unwrap();
    assert!(again == out);
    // Cut anywhere, with bytes in front: no panic.
    for length in (0..body.len()).step_by(97) {
        let _ = key.decrypt_samples(&IV, None, Bytes::copy_from_slice(&body[..length]));
        let _ = key.decrypt_samples(&IV, None, Bytes::copy_from_slice(&body[length..]));
    }
}

#[test]
fn packed_audio_is_decrypted_behind_its_tags() {
    let payload = vec![9_u8; 100];
    let mut hidden = payload.clone();
    Writer::new().blocks(&mut hidden[16..]);
    let tag = id3::tests::tag(90_000);
    let body = [tag.clone(), adts(&hidden, false).repeat(5)].concat();
    let out = super::super::Key::Aes128(KEY).decrypt_samples(&IV, None, body.into()).unwrap();
    assert_eq!(out, [tag, adts(&payload, false).repeat(5)].concat());
}

#[test]
fn what_sample_aes_does_not_have_is_refused() {
    let key = super::super::Key::Aes128(KEY);
    for body in [&b"WEBVTT"[..], b"", &[0xFF; 300], b"\0\0\0\x08moof"] {
        let refused = key.decrypt_samples(&IV, None, Bytes::from_static(body));
        assert!(matches!(refused, Err(CryptError::Samples { .. })), "{body:?}");
    }
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32 + 8).to_be_bytes(), &kind[..], &body].concat()
}

/// An initialization section with one track; `pattern` is the byte of `tenc`, `iv` its constant vector.
fn init(scheme: &[u8; 4], pattern: u8, iv_size: u8) -> Bytes {
    let constant = if iv_size == 0 { [&[16][..], &IV].concat() } else { Vec::new() };
    let tenc = boxed(b"tenc", &[&[1, 0, 0, 0, 0, pattern, 1, iv_size], &[0xAA; 16], &constant]);
    let sinf = boxed(
        b"sinf",
        &[
            &boxed(b"frma", &[b"avc1"]),
            &boxed(b"schm", &[&[0; 4], scheme, &[0; 4]]),
            &boxed(b"schi", &[&tenc]),
        ],
    );
    let entry = boxed(b"encv", &[&[0; VIDEO_ENTRY], &boxed(b"avcC", &[b"...."]), &sinf]);
    let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &entry]);
    let mdia = boxed(b"mdia", &[&boxed(b"minf", &[&boxed(b"stbl", &[&stsd])])]);
    let tkhd = boxed(b"tkhd", &[&[0; 12], &5_u32.to_be_bytes(), &[0; 68]]);
    let trex = boxed(b"trex", &[&[0; 4], &5_u32.to_be_bytes(), &1_u32.to_be_bytes(), &[0; 12]]);
    let moov = [boxed(b"trak", &[&tkhd, &mdia]), boxed(b"mvex", &[&trex]), boxed(b"pssh", &[b"system"])];
    [boxed(b"ftyp", &[b"iso6"]), boxed(b"moov", &[&moov.concat()])].concat().into()
}

const VIDEO_ENTRY: usize = 78;

/// A fragment with these samples; of each, so many bytes at the beginning are in the clear.
fn fragment(samples: &[Vec<u8>], clear: usize, iv: bool) -> Vec<u8> {
    let mut trun = [0x0000_0201_u32.to_be_bytes(), (samples.len() as u32).to_be_bytes()].concat();
    let offset_at = trun.len();
    trun.extend([0; 4]);
    let mut senc = [2_u32.to_be_bytes(), (samples.len() as u32).to_be_bytes()].concat();
    for sample in samples {
        trun.extend((sample.len() as u32).to_be_bytes());
        if iv {
            senc.extend(&IV[..8]);
        }
        senc.extend(1_u16.to_be_bytes());
        senc.extend((clear as u16).to_be_bytes());
        senc.extend(((sample.len() - clear) as u32).to_be_bytes());
    }
    let tfhd = boxed(b"tfhd", &[&0x02_0000_u32.to_be_bytes(), &5_u32.to_be_bytes()]);
    let moof = |trun: &[u8]| {
        let traf = boxed(b"traf", &[&tfhd, &boxed(b"trun", &[trun]), &boxed(b"senc", &[&senc])]);
        boxed(b"moof", &[&boxed(b"mfhd", &[&[0; 8]]), &traf])
    };
    let offset = moof(&trun).len() as u32 + 8;
    trun[offset_at..offset_at + 4].copy_from_slice(&offset.to_be_bytes());
    [moof(&trun), boxed(b"mdat", &[&samples.concat()])].concat()
}

#[test]
fn fragments_in_a_pattern_and_in_full_come_out_as_they_went_in() {
    for (crypt, skip) in [(1, 9), (0, 0), (2, 3)] {
        for iv_size in [0_u8, 8] {
            let mut vector = IV;
            if iv_size == 8 {
                vector[8..].fill(0);
            }
            let (plain_init, protection) =
                open(&init(b"cbcs", (crypt << 4 | skip) as u8, iv_size)).unwrap().expect("it is encrypted");
            let names = |kind: &[u8]| memchr::memmem::find(&plain_init, kind).is_some();
            assert!(names(b"avc1") && !names(b"encv") && !names(b"sinf") && !names(b"pssh"));
            let plain: Vec<Vec<u8>> =
                (30..500).step_by(31).map(|length| vec![length as u8; length]).collect();
            let mut hidden = plain.clone();
            for sample in &mut hidden {
                let mut writer = Writer(Encryptor::new((&KEY).into(), (&vector).into()));
                let stretch = if skip == 0 { usize::MAX } else { (crypt + skip) * BLOCK };
                for part in sample[20..].chunks_mut(stretch) {
                    let end = if skip == 0 { part.len() } else { part.len().min(crypt * BLOCK) };
                    writer.blocks(&mut part[..end]);
                }
            }
            let key = super::super::Key::Aes128(KEY);
            let body = fragment(&hidden, 20, iv_size > 0);
            let out = key.decrypt_samples(&[0; BLOCK], Some(&protection), body.clone().into()).unwrap();
            let data = memchr::memmem::find(&out, b"mdat").unwrap() + 4;
            assert_eq!(out[data..], plain.concat(), "{crypt}:{skip} {iv_size}");
            assert!(memchr::memmem::find(&out, b"senc").is_none());
            for length in 0..body.len() {
                let _ = key.decrypt_samples(&IV, Some(&protection), Bytes::copy_from_slice(&body[..length]));
            }
        }
    }
}

#[test]
fn other_schemes_and_what_is_in_the_clear_are_told() {
    assert_eq!(open(&Bytes::from_static(b"\0\0\0\x08moov")), Ok(None));
    let refused = open(&init(b"cenc", 0, 8));
    assert_eq!(refused, Err(CryptError::Samples { what: "in another scheme than cbcs" }));
    let whole = init(b"cbcs", 0x19, 0);
    for length in 0..whole.len() {
        let _ = open(&whole.slice(..length));
    }
}

#[test]
fn sections_without_end_are_not_gathered() {
    // A packet that begins a section of no bytes after another, and then packets that begin none.
    let mut body = packets(0, &[0; 184]);
    for _ in 0..20_000 {
        let mut packet = packets(0, &[0; 184]);
        packet[1] &= !0x40;
        body.extend(packet);
    }
    let found = mpegts::sections(&body, |pid| pid == 0);
    assert!(found.len() < 2_000, "{}", found.len());
    let key = super::super::Key::Aes128(KEY);
    assert_eq!(key.decrypt_samples(&IV, None, body.clone().into()).unwrap(), body);
}

#[test]
fn runs_of_samples_without_bytes_are_refused() {
    let tfhd = boxed(b"tfhd", &[&0x02_0010_u32.to_be_bytes(), &5_u32.to_be_bytes(), &[0; 4]]);
    let trun = boxed(b"trun", &[&[0; 4], &1_000_000_u32.to_be_bytes()]);
    let moof = |children: &[u8]| boxed(b"moof", &[&boxed(b"traf", &[&tfhd, children])]);
    let (_, protection) = open(&init(b"cbcs", 0x19, 0)).unwrap().expect("it is encrypted");
    let key = super::super::Key::Aes128(KEY);
    let broken = Err(CryptError::Samples { what: "in a fragment that cannot be read" });
    // Each claims a million; then thousands of runs in one.
    for body in [moof(&trun).repeat(50_000), moof(&boxed(b"trun", &[&[0; 8]]).repeat(5_000))] {
        assert_eq!(key.decrypt_samples(&IV, Some(&protection), body.into()), broken);
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..800), kind in 0..3) {
        let key = super::super::Key::Aes128(KEY);
        let mut body = body;
        if kind == 1 {
            body.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        }
        let (_, protection) = open(&init(b"cbcs", 0x19, 0)).unwrap().expect("it is encrypted");
        let protection = (kind == 2).then_some(&protection);
        let _ = key.decrypt_samples(&IV, protection, body.clone().into());
        let _ = open(&[b"\0\0\x03\x28moov".as_slice(), &body].concat().into());
    }
}
