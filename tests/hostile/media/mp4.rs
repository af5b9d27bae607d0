//! Fragmented MP4 (ISO/IEC 14496-12) with more samples and boxes than any encoder would write.

use bytes::Bytes;
use overdub_fmp4::{Codec, TrackConfig, init_segment};

/// A track of AAC-LC at 48 kHz.
pub fn init() -> Bytes {
    let codec = Codec::Aac { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
    init_segment(&[TrackConfig { id: 1, timescale: 48_000, codec, language: None, edit: None }])
        .expect("a track")
}

pub fn header(kind: &[u8; 4], len: usize) -> Vec<u8> {
    let mut out = (len as u32 + 8).to_be_bytes().to_vec();
    out.extend(kind);
    out
}

pub fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = header(kind, body.len());
    out.extend(body);
    out
}

/// Segment `number` of 2 s with `samples` of `size` bytes, all described by one `trun` (8.8.8); a duration for each
/// stands in it where `listed`.
pub fn segment(number: u64, samples: u32, size: u32, listed: bool) -> Vec<u8> {
    let duration = (96_000 / samples).max(1);
    let mut tfhd = 0x02_0018_u32.to_be_bytes().to_vec();
    tfhd.extend(1_u32.to_be_bytes());
    tfhd.extend(duration.to_be_bytes());
    tfhd.extend(size.to_be_bytes());
    let mut tfdt = 0x0100_0000_u32.to_be_bytes().to_vec();
    tfdt.extend((number * 96_000).to_be_bytes());
    let mut trun = (if listed { 0x101_u32 } else { 1 }).to_be_bytes().to_vec();
    trun.extend(samples.to_be_bytes());
    // The offset of the media behind the moof, whose length is known once this is.
    let listing = if listed { samples as usize * 4 } else { 0 };
    let moof = 8 + 16 + 8 + (8 + tfhd.len()) + (8 + tfdt.len()) + (8 + trun.len() + 4 + listing);
    trun.extend((moof as u32 + 8).to_be_bytes());
    if listed {
        (0..samples).for_each(|_| trun.extend(duration.to_be_bytes()));
    }
    let traf = [boxed(b"tfhd", &tfhd), boxed(b"tfdt", &tfdt), boxed(b"trun", &trun)].concat();
    let mfhd = [0_u32.to_be_bytes(), (number as u32).to_be_bytes()].concat();
    let body = [boxed(b"mfhd", &mfhd), boxed(b"traf", &traf)].concat();
    let mut out = boxed(b"moof", &body);
    debug_assert_eq!(out.len(), moof);
    out.extend(boxed(b"mdat", &vec![0; samples as usize * size as usize]));
    out
}

/// An event message of version 1 (ISO/IEC 23009-1 5.10.3.3).
pub fn emsg(number: u64, id: u32) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0];
    body.extend(48_000_u32.to_be_bytes());
    body.extend((number * 96_000).to_be_bytes());
    body.extend(0_u32.to_be_bytes());
    body.extend(id.to_be_bytes());
    body.extend(b"urn:x\0\0");
    boxed(b"emsg", &body)
}
