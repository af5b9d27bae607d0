//! AC-3 and E-AC-3 (ETSI TS 102 366): frames, `dac3` and `dec3`.
//!
//! Which of the two a stream is, its frames say (bsid); stream types are not trusted for it.

use std::sync::Arc;

use bytes::Bytes;

use super::audio::{Format, Head, Unit};
use super::bits::{BitWriter, Bits};
use crate::event::{AudioParams, Codec};

/// Enough of a header for the length.
const HEADER: usize = 6;
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// kbit/s by frmsizecod / 2, table 4.13.
const RATES: [u16; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
/// Front and surround channels by acmod, table 4.3.
const CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
const BLOCK: u32 = 256;
/// Dependent substreams that an independent one may have (E.1.3.1.2, substreamid).
const MAX_DEPENDENTS: usize = 8;

/// What a syncframe is to its neighbours (E.1.3.1.1, strmtyp).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// AC-3.
    Plain,
    /// An E-AC-3 substream that is decoded by itself.
    Independent,
    /// It adds channels to the independent substream before it.
    Dependent,
}

/// The header of a syncframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: Kind,
    length: usize,
    sample_rate: u32,
    rate_code: u8,
    samples: u32,
    bsid: u8,
    mode: u8,
    lfe: bool,
    /// frmsizecod / 2 of AC-3.
    size_code: u8,
    bsmod: u8,
}

impl Header {
    /// Reads a header; elements behind the first [`HEADER`] bytes are left 0 where `bytes` ends before.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut whole = [0; 12];
        let have = bytes.len().min(whole.len());
        whole[..have].copy_from_slice(&bytes[..have]);
        if have < HEADER || whole[..2] != [0x0B, 0x77] {
            return None;
        }
        match whole[5] >> 3 {
            0..=10 => Self::parse_ac3(&whole),
            11..=16 => Self::parse_eac3(&whole),
            _ => None,
        }
    }

    /// 4.3.1, 4.3.2.
    fn parse_ac3(bytes: &[u8]) -> Option<Self> {
        let bits = &mut Bits::new(&bytes[4..]);
        let rate_code = bits.byte(2)?;
        let size = bits.byte(6)?;
        let (bsid, bsmod, mode) = (bits.byte(5)?, bits.byte(3)?, bits.byte(3)?);
        let full_rate = *SAMPLE_RATES.get(usize::from(rate_code))?;
        let rate = u32::from(*RATES.get(usize::from(size / 2))?);
        if mode & 1 == 1 && mode != 1 {
            bits.bits(2)?; // cmixlev
        }
        if mode & 4 != 0 {
            bits.bits(2)?; // surmixlev
        }
        if mode == 2 {
            bits.bits(2)?; // dsurmod
        }
        // 1536 samples at so many bits each, in words of 16; at 44.1 kHz odd codes have one word more.
        let words = rate * 1000 * 96 / full_rate + if rate_code == 1 { u32::from(size & 1) } else { 0 };
        Some(Self {
            kind: Kind::Plain,
            length: words as usize * 2,
            sample_rate: full_rate >> bsid.saturating_sub(8),
            rate_code,
            samples: 6 * BLOCK,
            bsid,
            mode,
            lfe: bits.bit()?,
            size_code: size / 2,
            bsmod,
        })
    }

    /// E.1.2.1, E.1.2.2.
    fn parse_eac3(bytes: &[u8]) -> Option<Self> {
        let bits = &mut Bits::new(&bytes[2..]);
        // AC-3 frames in E-AC-3 clothes (strmtyp 2) stand by themselves.
        let kind = match bits.byte(2)? {
            0 | 2 => Kind::Independent,
            1 => Kind::Dependent,
            _ => return None,
        };
        bits.bits(3)?; // substreamid
        let length = (bits.bits(11)? as usize + 1) * 2;
        let rate_code = bits.byte(2)?;
        let (sample_rate, blocks) = if rate_code == 3 {
            (SAMPLE_RATES.get(usize::from(bits.byte(2)?))? / 2, 6)
        } else {
            (*SAMPLE_RATES.get(usize::from(rate_code))?, [1, 2, 3, 6][usize::from(bits.byte(2)?)])
        };
        let mode = bits.byte(3)?;
        let lfe = bits.bit()?;
        let bsid = bits.byte(5)?;
        let samples = blocks * BLOCK;
        let frame =
            Self { kind, length, sample_rate, rate_code, samples, bsid, mode, lfe, size_code: 0, bsmod: 0 };
        Some(frame).filter(|frame| frame.length >= HEADER)
    }

    /// Equal but for the length.
    fn is_like(&self, other: &Self) -> bool {
        Self { length: other.length, ..*self } == *other
    }

    fn channels(&self) -> u16 {
        CHANNELS[usize::from(self.mode)] + u16::from(self.lfe)
    }
}

/// Channel locations that the dependent substreams in `rest` add, as `dec3` has them (F.6.2.13), and how
/// many there are.
fn dependents(rest: &[u8]) -> (u8, u16) {
    let (mut count, mut locations) = (0, 0);
    let mut rest = rest;
    while let Some(header) = Header::parse(rest).filter(|header| header.kind == Kind::Dependent) {
        count += 1;
        locations |= channel_map(rest, header.mode).map_or(0, locations_of);
        rest = rest.get(header.length..).unwrap_or_default();
    }
    (count, locations)
}

/// chanmap of a dependent substream (E.1.2.2).
fn channel_map(frame: &[u8], mode: u8) -> Option<u16> {
    let bits = &mut Bits::new(frame);
    bits.skip(16 + 16 + 2 + 2 + 3 + 1 + 5)?; // up to bsid
    for _ in 0..if mode == 0 { 2 } else { 1 } {
        bits.bits(5)?; // dialnorm
        if bits.bit()? {
            bits.bits(8)?; // compr
        }
    }
    if bits.bit()? { Some(bits.bits(16)? as u16) } else { None }
}

/// Bits 5 to 12 of chanmap, counted from the most significant, are bits 0 to 7 of chan_loc; bit 14, the
/// second LFE channel, is its bit 8.
fn locations_of(map: u16) -> u16 {
    let pairs = (0..8).filter(|n| map >> (15 - 5 - n) & 1 == 1).fold(0, |locations, n| locations | 1 << n);
    pairs | (map >> 1 & 1) << 8
}

/// Channels at each location: pairs, and single ones.
fn channels_at(locations: u16) -> u16 {
    const CHANNELS: [u16; 9] = [2, 2, 1, 1, 2, 2, 2, 1, 1];
    CHANNELS.iter().enumerate().filter(|(n, _)| locations >> n & 1 == 1).map(|(_, channels)| channels).sum()
}

/// AC-3 and E-AC-3 in a transport stream.
#[derive(Debug, Default)]
pub(crate) struct Dolby {
    /// The last access unit's headers, and what came of them.
    last: Option<(Header, (u8, u16), Arc<AudioParams>)>,
}

impl Format for Dolby {
    const SYNC: u8 = 0x0B;

    /// An access unit is an independent substream with the dependent ones behind it.
    fn sync(&self, bytes: &[u8], ended: bool) -> Head {
        if bytes.len() >= 2 && bytes[..2] != [0x0B, 0x77] {
            return Head::None;
        }
        if bytes.len() < HEADER {
            return Head::More;
        }
        let Some(first) = Header::parse(bytes) else { return Head::None };
        let mut length = first.length;
        if first.kind == Kind::Plain {
            return Head::Frame(length);
        }
        for _ in 0..=MAX_DEPENDENTS {
            let rest = bytes.get(length..).unwrap_or_default();
            if rest.len() < HEADER {
                return if ended { Head::Frame(length) } else { Head::More };
            }
            match Header::parse(rest) {
                Some(header) if header.kind == Kind::Dependent => length += header.length,
                _ => return Head::Frame(length),
            }
        }
        Head::None
    }

    fn is_familiar(&self, bytes: &[u8]) -> bool {
        let like = |header: &Header| Header::parse(bytes).is_some_and(|it| it.is_like(header));
        self.last.as_ref().is_some_and(|(header, ..)| like(header))
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        let header = Header::parse(&frame)?;
        let added = match header.kind {
            Kind::Plain => (0, 0),
            _ => dependents(frame.get(header.length..).unwrap_or_default()),
        };
        let length = frame.len();
        units.push(Unit::new(frame, header.samples));
        // The lengths of frames vary, and dec3 tells a rate that need not be exact.
        let known = self.last.as_ref().filter(|(last, before, _)| last.is_like(&header) && *before == added);
        if let Some((_, _, params)) = known {
            return Some(Arc::clone(params));
        }
        let mut config = BitWriter::default();
        let codec = if header.kind == Kind::Plain {
            put_dac3(&header, &mut config);
            Codec::Ac3
        } else {
            put_dec3(&header, length, added, &mut config);
            Codec::Eac3
        };
        let params = Arc::new(AudioParams {
            codec,
            config: config.bytes.into(),
            codec_string: if codec == Codec::Ac3 { "ac-3" } else { "ec-3" }.to_owned(),
            sample_rate: header.sample_rate,
            channels: header.channels() + channels_at(added.1),
            frame_len: header.samples,
        });
        self.last = Some((header, added, Arc::clone(&params)));
        Some(params)
    }
}

/// AC3SpecificBox, F.4.
fn put_dac3(header: &Header, out: &mut BitWriter) {
    out.put(u32::from(header.rate_code), 2);
    out.put(u32::from(header.bsid), 5);
    out.put(u32::from(header.bsmod), 3);
    out.put(u32::from(header.mode), 3);
    out.put(u32::from(header.lfe), 1);
    out.put(u32::from(header.size_code), 5);
    out.put(0, 5);
}

/// EC3SpecificBox, F.6, with one independent substream.
fn put_dec3(header: &Header, length: usize, (count, locations): (u8, u16), out: &mut BitWriter) {
    const MAX_RATE: u64 = 0x1FFF;
    let rate = length as u64 * 8 * u64::from(header.sample_rate) / u64::from(header.samples) / 1000;
    out.put(rate.min(MAX_RATE) as u32, 13);
    out.put(0, 3); // num_ind_sub less one
    out.put(u32::from(header.rate_code), 2);
    out.put(u32::from(header.bsid), 5);
    out.put(0, 2); // reserved, asvc
    out.put(u32::from(header.bsmod), 3);
    out.put(u32::from(header.mode), 3);
    out.put(u32::from(header.lfe), 1);
    out.put(0, 3);
    out.put(u32::from(count), 4);
    if count > 0 {
        out.put(u32::from(locations), 9);
    } else {
        out.put(0, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with these bits behind its sync word, filled up to `length`.
    fn frame(fields: &[(u32, u32)], length: usize) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.put(0x0B77, 16);
        fields.iter().for_each(|&(value, count)| bits.put(value, count));
        bits.bytes.resize(length, 0);
        bits.bytes
    }

    #[test]
    fn ac3_lengths_are_those_of_the_table() {
        // crc1, fscod, frmsizecod, bsid, bsmod, acmod 3/2, cmixlev, surmixlev, lfeon
        for (rate, size, length) in [(0, 30, 1792), (1, 0, 138), (1, 1, 140), (2, 37, 3840), (0, 8, 256)] {
            let fields = [(0, 16), (rate, 2), (size, 6), (8, 5), (0, 3), (7, 3), (0, 2), (0, 2), (1, 1)];
            let header = Header::parse(&frame(&fields, length)).expect("header");
            assert_eq!(
                (header.length, header.channels(), header.samples),
                (length, 6, 1536),
                "{rate} {size}"
            );
        }
        assert_eq!(Header::parse(&frame(&[(0, 16), (3, 2), (0, 6), (8, 5)], 20)), None);
        assert_eq!(Header::parse(&frame(&[(0, 16), (0, 2), (38, 6), (8, 5)], 20)), None);
    }

    #[test]
    fn dependent_substreams_stay_with_their_independent_one_and_add_channels() {
        // strmtyp, substreamid, frmsiz, fscod, numblkscod, acmod, lfeon, bsid, dialnorm, compre
        let independent = [(0, 2), (0, 3), (19, 11), (0, 2), (3, 2), (7, 3), (1, 1), (16, 5), (0, 6)];
        let dependent = [(1, 2), (0, 3), (9, 11), (0, 2), (3, 2), (2, 3), (0, 1), (16, 5), (0, 6)];
        // chanmape, chanmap: left and right rear surround
        let dependent = [&dependent[..], &[(1, 1), (0x0200, 16)]].concat();
        let unit = [frame(&independent, 40), frame(&dependent, 20)].concat();
        let stream = [&unit[..], &unit].concat();
        let mut dolby = Dolby::default();
        assert_eq!(dolby.sync(&stream, false), Head::Frame(60));
        assert_eq!(dolby.sync(&unit, false), Head::More);
        assert_eq!(dolby.sync(&unit, true), Head::Frame(60));
        let params = dolby.open(unit.into(), &mut Vec::new()).expect("parameters");
        assert_eq!((params.codec, params.channels, params.frame_len), (Codec::Eac3, 8, 1536));
        // 15 kbit/s; one substream at 48 kHz, bsid 16, 3/2 with LFE; one dependent at location 1.
        let mut expected = BitWriter::default();
        let fields =
            [(15, 13), (0, 3), (0, 2), (16, 5), (0, 2), (0, 3), (7, 3), (1, 1), (0, 3), (1, 4), (2, 9)];
        fields.into_iter().for_each(|(value, count)| expected.put(value, count));
        assert_eq!(params.config, expected.bytes);
    }
}
