//! Transport streams (ISO/IEC 13818-1).

use std::collections::HashMap;

const PACKET: usize = 188;
pub const PMT: u16 = 0x100;
pub const VIDEO: u16 = 0x101;
pub const AUDIO: u16 = 0x102;
pub const CUES: u16 = 0x103;

/// Stream types (table 2-34, SCTE 35 9.3).
pub const H264: u8 = 0x1B;
pub const AAC: u8 = 0x0F;
pub const MP3: u8 = 0x03;
pub const AC3: u8 = 0x81;
pub const ID3: u8 = 0x15;
pub const SCTE35: u8 = 0x86;

/// A stream that is being written. Its clock is `at`, in ticks of 90 kHz.
#[derive(Default)]
pub struct Ts {
    pub out: Vec<u8>,
    pub at: u64,
    counters: HashMap<u16, u8>,
}

impl Ts {
    /// Segment `number` of a stream of 2 s segments, with tables for these streams.
    pub fn segment(number: u64, streams: &[(u16, u8)]) -> Self {
        let mut this = Self { at: 90_000 + number * 180_000, ..Self::default() };
        this.pat();
        this.pmt(0, streams);
        this
    }

    pub fn pat(&mut self) {
        self.section(0, &pat(0, 1));
    }

    pub fn pmt(&mut self, version: u8, streams: &[(u16, u8)]) {
        let clock = streams.first().map_or(0x1FFF, |(pid, _)| *pid);
        let mut body = (0xE000 | clock).to_be_bytes().to_vec();
        body.extend([0xF0, 0]);
        for (pid, kind) in streams {
            body.push(*kind);
            body.extend((0xE000 | pid).to_be_bytes());
            body.extend([0xF0, 0]);
        }
        self.section(PMT, &table(2, 1, version, &body));
    }

    /// A section in packets of its own (2.4.4).
    pub fn section(&mut self, pid: u16, section: &[u8]) {
        let mut payload = vec![0];
        payload.extend(section);
        payload.resize(payload.len().div_ceil(PACKET - 4) * (PACKET - 4), 0xFF);
        for (at, part) in payload.chunks(PACKET - 4).enumerate() {
            self.packet(pid, at == 0, part);
        }
    }

    /// A PES packet of unbounded length with a PTS, and the packets that carry it (2.4.3.6).
    pub fn pes(&mut self, pid: u16, stream_id: u8, data: &[u8]) {
        let at = self.at;
        let stamp = [
            0x21 | (at >> 29) as u8 & 0x0E,
            (at >> 22) as u8,
            (at >> 14) as u8 | 1,
            (at >> 7) as u8,
            (at << 1) as u8 | 1,
        ];
        // Audio packets have a length where it fits.
        let len = if data.len() + 8 < 0x1_0000 { data.len() as u16 + 8 } else { 0 };
        let mut pes = vec![0, 0, 1, stream_id];
        pes.extend(len.to_be_bytes());
        pes.extend([0x80, 0x80, 5]);
        pes.extend(stamp);
        pes.extend(data);
        for (at, part) in pes.chunks(PACKET - 4).enumerate() {
            self.packet(pid, at == 0, part);
        }
    }

    /// One packet; what is missing to its end is adaptation field (2.4.3.4).
    fn packet(&mut self, pid: u16, starts: bool, payload: &[u8]) {
        let counter = self.counters.entry(pid).or_insert(15);
        *counter = (*counter + 1) & 15;
        let stuffing = PACKET - 4 - payload.len();
        let adaptation = if stuffing == 0 { 0x10 } else { 0x30 };
        self.out.push(0x47);
        self.out.extend((u16::from(starts) << 14 | pid).to_be_bytes());
        self.out.push(adaptation | *counter);
        if stuffing > 0 {
            self.out.push(stuffing as u8 - 1);
            if stuffing > 1 {
                self.out.push(0);
                self.out.resize(self.out.len() + stuffing - 2, 0xFF);
            }
        }
        self.out.extend(payload);
    }
}

/// A program association section that lists so many programs, all at one PID (2.4.4.3).
pub fn pat(version: u8, programs: u16) -> Vec<u8> {
    let mut body = Vec::new();
    for program in 1..=programs {
        body.extend(program.to_be_bytes());
        body.extend((0xE000 | PMT).to_be_bytes());
    }
    table(0, 1, version, &body)
}

/// A long section with its checksum (2.4.4.3).
fn table(id: u8, number: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let mut section = vec![id];
    section.extend((0xB000 | (body.len() as u16 + 9)).to_be_bytes());
    section.extend(number.to_be_bytes());
    section.extend([0xC1 | (version & 31) << 1, 0, 0]);
    section.extend(body);
    section.extend(crc(&section).to_be_bytes());
    section
}

/// A splice_null of SCTE 35 (9.6.1), whose time differs with `number`.
pub fn splice_null(number: u32) -> Vec<u8> {
    let mut section = vec![0xFC, 0x30, 17, 0, 0];
    section.extend(number.to_be_bytes());
    section.extend([0, 0xFF, 0xF0, 0, 0, 0, 0]);
    section.extend(crc(&section).to_be_bytes());
    section
}

/// CRC_32 of annex A.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    })
}
