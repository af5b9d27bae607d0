//! Writes transport streams for tests, field by field.

use bytes::Bytes;
use hex_literal::hex;
use overdub_ts::{Demuxer, Event};

pub(crate) const VIDEO: u16 = 0x100;
pub(crate) const AUDIO: u16 = 0x101;
pub(crate) const PMT: u16 = 0x1000;

/// SPS and PPS of x264 for 160x90, 25 frames per second, High profile, level 1.1: frame_num of 4 bits, picture
/// order count of type 0 with 6 bits.
pub(crate) const SPS: &[u8] = &hex!("6764000bacd9428df93011000003000100000300320f142996");
pub(crate) const PPS: &[u8] = &hex!("68ef8fcb");

/// A multiplexer: one continuity counter per PID.
#[derive(Default)]
pub(crate) struct Mux {
    pub(crate) bytes: Vec<u8>,
    counters: std::collections::BTreeMap<u16, u8>,
}

impl Mux {
    /// Splits `payload` into packets of `pid`, the last one stuffed.
    pub(crate) fn packets(&mut self, pid: u16, payload: &[u8]) -> &mut Self {
        for (n, part) in payload.chunks(184).enumerate() {
            let counter = self.counters.entry(pid).or_default();
            let start = if n == 0 { 0x40 } else { 0 };
            let stuffing = 184 - part.len();
            let control = if stuffing > 0 { 0x30 } else { 0x10 };
            self.bytes.extend([0x47, start | (pid >> 8) as u8, pid as u8, control | *counter]);
            *counter = (*counter + 1) % 16;
            if stuffing > 0 {
                // adaptation_field_length, flags, stuffing bytes
                let field = [stuffing as u8 - 1, 0x00].into_iter().chain(std::iter::repeat(0xFF));
                self.bytes.extend(field.take(stuffing));
            }
            self.bytes.extend(part);
        }
        self
    }

    pub(crate) fn section(&mut self, pid: u16, table: u8, extension: u16, body: &[u8]) -> &mut Self {
        let length = body.len() + 9;
        let mut section = vec![table, 0xB0 | (length >> 8) as u8, length as u8];
        section.extend(extension.to_be_bytes());
        section.extend([0xC1, 0, 0]);
        section.extend(body);
        section.extend(crc(&section).to_be_bytes());
        section.insert(0, 0); // pointer_field
        section.resize(section.len().next_multiple_of(184), 0xFF);
        self.packets(pid, &section)
    }

    /// A PAT with program 1 and its PMT with these streams: (stream_type, PID).
    pub(crate) fn tables(&mut self, streams: &[(u8, u16)]) -> &mut Self {
        self.section(0, 0, 1, &[0, 1, 0xE0 | (PMT >> 8) as u8, PMT as u8]);
        let mut body = vec![0xE1, 0x00, 0xF0, 0x00];
        for (stream_type, pid) in streams {
            body.extend([*stream_type, 0xE0 | (pid >> 8) as u8, *pid as u8, 0xF0, 0]);
        }
        self.section(PMT, 2, 1, &body)
    }

    /// A PES packet; `bounded`: with its length.
    pub(crate) fn pes(
        &mut self,
        pid: u16,
        id: u8,
        stamp: Option<(u64, u64)>,
        bounded: bool,
        data: &[u8],
    ) -> &mut Self {
        let mut header = vec![0x80];
        match stamp {
            Some((pts, dts)) => {
                header.extend([0xC0, 10]);
                header.extend(stamp_bytes(3, pts));
                header.extend(stamp_bytes(1, dts));
            }
            None => header.extend([0, 0]),
        }
        let length = if bounded { header.len() + data.len() } else { 0 };
        let mut pes = vec![0, 0, 1, id, (length >> 8) as u8, length as u8];
        pes.extend(header);
        pes.extend(data);
        self.packets(pid, &pes)
    }
}

fn stamp_bytes(prefix: u8, stamp: u64) -> [u8; 5] {
    [
        prefix << 4 | (stamp >> 29) as u8 & 0x0E | 1,
        (stamp >> 22) as u8,
        (stamp >> 14) as u8 | 1,
        (stamp >> 7) as u8,
        (stamp << 1) as u8 | 1,
    ]
}

fn crc(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            if crc & 1 << 31 == 0 { crc << 1 } else { crc << 1 ^ 0x04C1_1DB7 }
        })
    })
}

/// A slice NAL unit for [`SPS`] and [`PPS`]: first macroblock 0 or not, frame number, order count.
pub(crate) fn slice(idr: bool, first: bool, frame_num: u8, order: u8, fill: u8, len: usize) -> Vec<u8> {
    let mut bits = String::from(if first { "1" } else { "010" });
    bits += "00110"; // slice_type 5
    bits += "1"; // PPS 0
    bits += &format!("{:04b}", frame_num % 16);
    if idr {
        bits += "1"; // idr_pic_id 0
    }
    bits += &format!("{:06b}", order % 64);
    bits += "1111111111";
    let mut unit = vec![if idr { 0x65 } else { 0x41 }];
    let bytes = bits.as_bytes().chunks_exact(8);
    unit.extend(bytes.map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'))));
    unit.resize(unit.len() + len, fill.max(4));
    unit
}

/// NAL units behind start codes of 4 and 3 bytes in turn.
pub(crate) fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, unit) in units.iter().enumerate() {
        out.extend(if n % 2 == 0 { &[0, 0, 0, 1][..] } else { &[0, 0, 1] });
        out.extend(*unit);
    }
    out
}

/// An ADTS frame, 48 kHz stereo, with `len` bytes of payload.
pub(crate) fn adts(fill: u8, len: usize) -> Vec<u8> {
    let frame = len + 7;
    let mut out =
        vec![0xFF, 0xF1, 0x4C, 0x80 | (frame >> 11) as u8, (frame >> 3) as u8, (frame << 5) as u8 | 0x1F];
    out.push(0xFC);
    out.resize(frame, fill);
    out
}

pub(crate) fn events(demuxer: &mut Demuxer) -> Vec<Event> {
    std::iter::from_fn(|| demuxer.next_event()).collect()
}

/// Everything that comes of `input`, pushed at once.
pub(crate) fn demux(input: &[u8]) -> Vec<Event> {
    let mut demuxer = Demuxer::new();
    demuxer.push(Bytes::copy_from_slice(input));
    demuxer.finish();
    events(&mut demuxer)
}
