//! AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1), read and written.

use super::bits::{BitWriter, Bits};

/// Table 1.18.
pub(super) const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What is used of an AudioSpecificConfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// The first audio object type: 5 and 29 announce HE-AAC explicitly.
    pub(super) object_type: u8,
    /// Of the core, in Hz.
    pub(super) sample_rate: u32,
    pub(super) channels: u16,
    pub(super) frame_len: u32,
}

impl Config {
    /// Reads a configuration of general audio coding, which may begin at any bit; `None` for other kinds.
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Self> {
        const SBR: u8 = 5;
        const PS: u8 = 29;
        let start = bits.position();
        let object_type = read_object_type(bits)?;
        let sample_rate = read_rate(bits)?;
        let configuration = bits.byte(4)?;
        let mut core = object_type;
        if object_type == SBR || object_type == PS {
            read_rate(bits)?;
            core = read_object_type(bits)?;
        }
        if !matches!(core, 1..=4 | 6 | 7 | 17 | 19..=23) {
            return None;
        }
        let frame_len = if bits.bit()? { 960 } else { 1024 };
        if bits.bit()? {
            bits.bits(14)?; // coreCoderDelay
        }
        let extension = bits.bit()?;
        let channels = match configuration {
            0 => copy_program_config(bits, start, &mut BitWriter::default())?,
            7 => 8,
            n @ 1..=6 => u16::from(n),
            11 => 7,
            12 | 14 => 8,
            _ => return None,
        };
        if matches!(core, 6 | 20) {
            bits.bits(3)?; // layerNr
        }
        if extension {
            match core {
                22 => bits.skip(16)?,
                17 | 19 | 20 | 23 => bits.skip(3)?,
                _ => {}
            }
            bits.bit()?; // extensionFlag3
        }
        Some(Self { object_type, sample_rate, channels, frame_len })
    }
}

fn read_object_type(bits: &mut Bits<'_>) -> Option<u8> {
    match bits.byte(5)? {
        31 => Some(32 + bits.byte(6)?),
        object_type => Some(object_type),
    }
}

fn read_rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.byte(4)? {
        15 => bits.bits(24).filter(|&rate| rate > 0),
        index => SAMPLE_RATES.get(usize::from(index)).copied(),
    }
}

/// Copies a program_config_element (4.4.1.1), without the id before it, and counts its channels. `origin`: the
/// bit to which byte_alignment refers where it is read; where it is written, that is the start.
pub(super) fn copy_program_config(bits: &mut Bits<'_>, origin: usize, out: &mut BitWriter) -> Option<u16> {
    let mut copy = |bits: &mut Bits<'_>, count: u32| {
        let value = bits.bits(count)?;
        out.put(value, count);
        Some(value)
    };
    copy(bits, 4 + 2 + 4)?; // element_instance_tag, object_type, sampling_frequency_index
    let mut counts = [0; 3]; // front, side, back
    for count in &mut counts {
        *count = copy(bits, 4)?;
    }
    let lfe = copy(bits, 2)?;
    let associated = copy(bits, 3)?;
    let coupling = copy(bits, 4)?;
    for mixdown in [4, 4, 3] {
        if copy(bits, 1)? == 1 {
            copy(bits, mixdown)?;
        }
    }
    let mut channels = lfe;
    for _ in 0..counts.iter().sum() {
        let pair = copy(bits, 1)?;
        copy(bits, 4)?;
        channels += 1 + pair;
    }
    for _ in 0..lfe + associated {
        copy(bits, 4)?;
    }
    for _ in 0..coupling {
        copy(bits, 5)?;
    }
    bits.skip((8 - (bits.position() - origin) % 8) % 8)?;
    out.align();
    let comment = bits.bits(8)?;
    out.put(comment, 8);
    for _ in 0..comment {
        out.put(bits.bits(8)?, 8);
    }
    u16::try_from(channels).ok()
}
