//! AAC in ADTS frames (ISO/IEC 13818-7 6.2, ISO/IEC 14496-3 1.A.2.2).
//!
//! Used by the demuxer, and by itself for ADTS files: [`frames`] takes a buffer apart without copying.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::aac::{SAMPLE_RATES, copy_program_config};
use super::audio::{Format, Head, Unit};
use super::bits::{BitWriter, Bits};
use crate::event::{AudioParams, Codec};

/// Header without its CRC.
const SHORT_HEADER: usize = 7;
/// Audio samples in one raw data block.
pub const BLOCK_SAMPLES: u32 = 1024;

/// The fields of a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Audio object type: the profile field plus one.
    pub object_type: u8,
    /// In Hz.
    pub sample_rate: u32,
    /// sampling_frequency_index.
    pub rate_index: u8,
    /// channel_configuration; 0: the channels are described in the frame itself.
    pub channel_configuration: u8,
    /// Bytes of the whole frame.
    pub frame_len: usize,
    /// Bytes before the first raw data block: fixed and variable header, and the error check where there is
    /// one.
    pub header_len: usize,
    /// Raw data blocks in the frame, 1 to 4.
    pub blocks: u8,
    /// The frame has a CRC.
    pub crc: bool,
}

/// Why bytes are no ADTS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// More bytes are needed to tell.
    #[error("{have} bytes are too few for an adts header")]
    Short { have: usize },
    /// The sync word is missing.
    #[error("no adts sync word")]
    NoSync,
    /// sampling_frequency_index is reserved.
    #[error("reserved sampling frequency index {index}")]
    SampleRate { index: u8 },
    /// The frame's length does not hold its own header.
    #[error("frame length {length} is shorter than its header")]
    Length { length: usize },
}

impl Header {
    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        // What is there must fit before more is asked for, so that a search does not wait at every 0xFF.
        if bytes.first().is_some_and(|&byte| byte != 0xFF)
            || bytes.get(1).is_some_and(|byte| byte & 0xF6 != 0xF0)
        {
            return Err(HeaderError::NoSync);
        }
        let &[_, b1, b2, b3, b4, b5, b6, ..] = bytes else {
            return Err(HeaderError::Short { have: bytes.len() });
        };
        let crc = b1 & 1 == 0;
        let rate_index = b2 >> 2 & 0x0F;
        let Some(&sample_rate) = SAMPLE_RATES.get(usize::from(rate_index)) else {
            return Err(HeaderError::SampleRate { index: rate_index });
        };
        let frame_len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
        let blocks = (b6 & 3) + 1;
        // adts_header_error_check: positions of the blocks but the first, and the CRC, 16 bits each.
        let header_len = SHORT_HEADER + if crc { 2 * usize::from(blocks) } else { 0 };
        if frame_len <= header_len {
            return Err(HeaderError::Length { length: frame_len });
        }
        Ok(Self {
            object_type: (b2 >> 6) + 1,
            sample_rate,
            rate_index,
            channel_configuration: (b2 & 1) << 2 | b3 >> 6,
            frame_len,
            header_len,
            blocks,
            crc,
        })
    }

    /// The AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) of the frame whose first raw data block is `block`,
    /// and its number of channels. Where channel_configuration is 0, the program_config_element at the start
    /// of the block is part of it; `None` where there is none.
    pub fn config(&self, block: &[u8]) -> Option<(Vec<u8>, u16)> {
        let mut config = BitWriter::default();
        config.put(u32::from(self.object_type), 5);
        config.put(u32::from(self.rate_index), 4);
        config.put(u32::from(self.channel_configuration), 4);
        config.put(0, 3); // GASpecificConfig: 1024 samples, no core coder, no extension
        let channels = match self.channel_configuration {
            0 => program_config(block, &mut config)?,
            7 => 8,
            n => u16::from(n),
        };
        Some((config.bytes, channels))
    }

    /// What a decoder must know of the frame whose first raw data block is `block`; `None` where the channels
    /// are not described.
    pub fn params(&self, block: &[u8]) -> Option<AudioParams> {
        let (config, channels) = self.config(block)?;
        Some(AudioParams {
            codec: Codec::AacAdts,
            config: config.into(),
            codec_string: format!("mp4a.40.{}", self.object_type),
            sample_rate: self.sample_rate,
            channels,
            frame_len: BLOCK_SAMPLES,
        })
    }
}

/// A frame of an ADTS buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub header: Header,
    /// Position of the header in the buffer.
    pub at: usize,
    /// The raw data blocks, without header and CRC.
    pub data: Bytes,
}

/// The frames of `buffer`, one after the other, without a cut one at the end. Bytes that are no frame are
/// passed over until two headers in a row fit (or one at the end), and show as a step in [`Frame::at`].
pub fn frames(buffer: Bytes) -> Frames {
    Frames { rest: buffer, at: 0, synced: true }
}

/// See [`frames`].
#[derive(Clone, Debug)]
pub struct Frames {
    rest: Bytes,
    at: usize,
    synced: bool,
}

impl Iterator for Frames {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        loop {
            let header = match Header::parse(&self.rest) {
                Ok(header)
                    if header.frame_len <= self.rest.len() && (self.synced || self.is_followed(&header)) =>
                {
                    header
                }
                Err(HeaderError::Short { .. }) => return None,
                _ => {
                    self.synced = false;
                    let next = memchr::memchr(0xFF, self.rest.get(1..)?)? + 1;
                    self.rest = self.rest.slice(next..);
                    self.at += next;
                    continue;
                }
            };
            let frame = self.rest.split_to(header.frame_len);
            let at = self.at;
            self.at += frame.len();
            self.synced = true;
            return Some(Frame { header, at, data: frame.slice(header.header_len..) });
        }
    }
}

impl Frames {
    fn is_followed(&self, header: &Header) -> bool {
        match self.rest.get(header.frame_len..) {
            Some([]) => true,
            Some(next) => !matches!(Header::parse(next), Err(e) if !matches!(e, HeaderError::Short { .. })),
            None => false,
        }
    }
}

/// ADTS in a transport stream.
#[derive(Debug, Default)]
pub(crate) struct Adts {
    /// The last frame's header, as far as it describes the stream, and what came of it.
    last: Option<([u8; 3], Arc<AudioParams>)>,
}

impl Format for Adts {
    const SYNC: u8 = 0xFF;
    const WHOLE_TICKS: bool = false;

    fn sync(&self, bytes: &[u8], _: bool) -> Head {
        match Header::parse(bytes) {
            Ok(header) => Head::Frame(header.frame_len),
            Err(HeaderError::Short { .. }) => Head::More,
            Err(_) => Head::None,
        }
    }

    fn is_familiar(&self, bytes: &[u8]) -> bool {
        self.last.as_ref().is_some_and(|(fixed, _)| bytes.len() > 3 && fixed_header(bytes) == *fixed)
    }

    fn header_len(&self, bytes: &[u8]) -> usize {
        Header::parse(bytes).map_or(0, |header| header.header_len)
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        let header = Header::parse(&frame).ok()?;
        let fixed = fixed_header(&frame);
        let params = match &self.last {
            Some((last, params)) if *last == fixed => Arc::clone(params),
            _ => {
                let block = &frame[header.header_len..];
                // A stream sends its program_config_element now and then; it is in force in between.
                let params = Arc::new(header.params(block)?);
                self.last = Some((fixed, Arc::clone(&params)));
                params
            }
        };
        split_blocks(&frame, &header, units);
        Some(params)
    }
}

/// adts_fixed_header behind its sync word, without private_bit and what follows channel_configuration.
fn fixed_header(frame: &[u8]) -> [u8; 3] {
    [frame[1], frame[2] & !2, frame[3] & 0xC0]
}

/// The raw data blocks of a frame. Several without positions cannot be told apart without decoding them:
/// they stay together.
fn split_blocks(frame: &Bytes, header: &Header, units: &mut Vec<Unit>) {
    const CRC: usize = 2;
    let data = frame.slice(header.header_len..);
    let blocks = usize::from(header.blocks);
    if blocks > 1 && header.crc {
        // raw_data_block_position counts from the first block; each block has a CRC behind it.
        let positions = frame[SHORT_HEADER..].chunks_exact(2).take(blocks - 1);
        let starts = positions.map(|two| usize::from(u16::from_be_bytes([two[0], two[1]])));
        let starts: Vec<usize> = std::iter::once(0).chain(starts).collect();
        let ends = starts.iter().skip(1).copied().chain([data.len()]);
        let ranges: Vec<_> = starts.iter().copied().zip(ends).collect();
        if ranges.iter().all(|&(start, end)| start + CRC < end && end <= data.len()) {
            units.extend(
                ranges.into_iter().map(|(start, end)| Unit::new(data.slice(start..end - CRC), BLOCK_SAMPLES)),
            );
            return;
        }
    }
    units.push(Unit::new(data, BLOCK_SAMPLES * u32::from(header.blocks)));
}

/// The program_config_element at the start of a raw data block.
fn program_config(block: &[u8], out: &mut BitWriter) -> Option<u16> {
    const ID_PCE: u32 = 5;
    let bits = &mut Bits::new(block);
    if bits.bits(3)? != ID_PCE {
        return None;
    }
    copy_program_config(bits, 0, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    fn header(bytes: [u8; 7], len: usize) -> Vec<u8> {
        let mut frame = bytes.to_vec();
        frame[3] |= (len >> 11) as u8;
        frame[4] = (len >> 3) as u8;
        frame[5] |= (len << 5) as u8;
        frame.resize(len, 0);
        frame
    }

    #[test]
    fn frames_are_cut_at_their_lengths_and_garbage_between_them_is_passed_over() {
        let one = header(hex!("FFF150800000FC"), 20);
        let two = header(hex!("FFF150800000FC"), 30);
        let input = [&one[..], &[0xFF, 0xF1, 0x00, 1, 2], &two, &one, &two[..29]].concat();
        let found: Vec<_> =
            frames(input.into()).map(|it| (it.at, it.header.frame_len, it.data.len())).collect();
        assert_eq!(found, [(0, 20, 13), (25, 30, 23), (55, 20, 13)]);
    }

    #[test]
    fn reserved_values_and_impossible_lengths_are_refused() {
        assert_eq!(Header::parse(&[0xFF]), Err(HeaderError::Short { have: 1 }));
        assert_eq!(Header::parse(&[0xFF, 0xF2]), Err(HeaderError::NoSync));
        assert_eq!(Header::parse(&hex!("FFF1FC80027FFC")), Err(HeaderError::SampleRate { index: 15 }));
        assert_eq!(Header::parse(&hex!("FFF1508000E0FC")), Err(HeaderError::Length { length: 7 }));
        assert_eq!(Header::parse(&hex!("FFF05080013FFC")), Err(HeaderError::Length { length: 9 }));
    }

    #[test]
    fn a_crc_is_no_part_of_the_frame() {
        let frame = header(hex!("FFF050800000FC"), 12);
        let found: Vec<_> = frames(frame.into()).collect();
        assert_eq!((found[0].header.crc, found[0].data.len()), (true, 3));
    }

    #[test]
    fn several_blocks_with_positions_are_told_apart_and_without_stay_together() {
        let mut frame = header(hex!("FFF050800000FD"), 7 + 4 + 5 + 6);
        frame[7..9].copy_from_slice(&[0, 5]);
        for (at, fill) in [(11, 1), (12, 2), (13, 3), (16, 4), (19, 5)] {
            frame[at] = fill;
        }
        let mut units = Vec::new();
        Adts::default().open(frame.into(), &mut units).expect("parameters");
        let data: Vec<_> = units.iter().map(|unit| (&unit.data[..], unit.samples)).collect();
        assert_eq!(data, [(&[1, 2, 3][..], 1024), (&[4, 0, 0, 5][..], 1024)]);
        units.clear();
        let frame = header(hex!("FFF150800000FD"), 20);
        Adts::default().open(frame.into(), &mut units).expect("parameters");
        assert_eq!((units.len(), units[0].samples), (1, 2048));
    }

    #[test]
    fn a_program_config_element_becomes_part_of_the_configuration() {
        // channel_configuration 0; in the block: ID_PCE, tag 0, LC, 44.1 kHz, one front pair, one LFE channel,
        // no mixdown, aligned, no comment.
        let bits =
            "101 0000 01 0100 0001 0000 0000 01 000 0000 000 1 0000 0000 000000000 00000000".replace(' ', "");
        let mut writer = BitWriter::default();
        bits.bytes().for_each(|bit| writer.put(u32::from(bit - b'0'), 1));
        let frame = header(hex!("FFF150000000FC"), 20);
        let parsed = Header::parse(&frame).expect("header");
        let (config, channels) = parsed.config(&writer.bytes).expect("configuration");
        assert_eq!(channels, 3);
        // AAC LC, 44.1 kHz, 0, GASpecificConfig; then the element without its id, aligned anew.
        assert_eq!(config, hex!("1200 050401002000 00"));
        assert_eq!(parsed.config(&[0; 8]), None);
    }
}
