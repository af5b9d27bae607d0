//! AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1), as far as timing and silence need it. Pure.

use bytes::Bytes;

/// What a frame grid must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aac {
    /// Audio object type of the core coder; 2 is AAC-LC.
    pub core: u32,
    /// ISO/IEC 14496-3 table 1.19; 0: described by a program config element.
    pub channel_configuration: u32,
    /// Of the core coder, in Hz.
    pub sample_rate: u32,
    /// `None`: described by a program config element.
    pub channels: Option<u16>,
    /// Samples per frame at `sample_rate`.
    pub frame_len: u32,
    /// RFC 6381.
    pub codec_string: String,
}

/// ISO/IEC 14496-3 table 1.18.
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Audio object types with a GASpecificConfig: main, LC, SSR, LTP, scalable, and the error resilient ones.
const GENERAL_AUDIO: [u32; 11] = [1, 2, 3, 4, 6, 7, 17, 19, 20, 22, 23];

/// Spectral band replication and parametric stereo: a second sample rate, then the core's object type.
const SBR: u32 = 5;
const PS: u32 = 29;

/// Reads a config; `None` where it is cut off or of a coder without frames of 1024 or 960 samples.
pub fn parse(config: &[u8]) -> Option<Aac> {
    let mut bits = Bits { data: config, at: 0 };
    let signalled = bits.object_type()?;
    let sample_rate = bits.sample_rate()?;
    let channel_configuration = bits.take(4)?;
    let mut core = signalled;
    if matches!(signalled, SBR | PS) {
        bits.sample_rate()?;
        core = bits.object_type()?;
    }
    if !GENERAL_AUDIO.contains(&core) {
        return None;
    }
    let short = bits.take(1)? == 1;
    let channels = match channel_configuration {
        0 => None,
        n @ 1..=6 => u16::try_from(n).ok(),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        _ => return None,
    };
    // Parametric stereo decodes one core channel to two.
    let channels = if signalled == PS && channels == Some(1) { Some(2) } else { channels };
    let low_delay = core == 23;
    let frame_len = match (low_delay, short) {
        (false, false) => 1024,
        (false, true) => 960,
        (true, false) => 512,
        (true, true) => 480,
    };
    let codec_string = format!("mp4a.40.{signalled}");
    Some(Aac { core, channel_configuration, sample_rate, channels, frame_len, codec_string })
}

/// The config of AAC-LC (1.6.2.1); `None`: no such rate or number of channels.
pub fn low_complexity(sample_rate: u32, channels: u16) -> Option<Bytes> {
    const AAC_LC: u16 = 2;
    let rate = u16::try_from(SAMPLE_RATES.iter().position(|rate| *rate == sample_rate)?).ok()?;
    // Table 1.19: configuration 7 is eight channels, and seven have none.
    let configuration = match channels {
        1..=6 => channels,
        8 => 7,
        _ => return None,
    };
    let bits = AAC_LC << 11 | rate << 7 | configuration << 3;
    Some(Bytes::copy_from_slice(&bits.to_be_bytes()))
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            object_type => Some(object_type),
        }
    }

    fn sample_rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24).filter(|&rate| rate > 0),
            index => SAMPLE_RATES.get(index as usize).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    fn parsed(config: &[u8]) -> Option<(u32, Option<u16>, u32, String)> {
        parse(config).map(|aac| (aac.sample_rate, aac.channels, aac.frame_len, aac.codec_string))
    }

    #[test]
    fn the_grid_is_that_of_the_core() {
        // As FFmpeg and fdk-aac write them.
        assert_eq!(parsed(&hex!("1190")), Some((48_000, Some(2), 1024, "mp4a.40.2".into())));
        assert_eq!(parsed(&hex!("121056e500")), Some((44_100, Some(2), 1024, "mp4a.40.2".into())));
        assert_eq!(parsed(&hex!("2b118800")), Some((24_000, Some(2), 1024, "mp4a.40.5".into())));
        assert_eq!(parsed(&hex!("eb098800")), Some((24_000, Some(2), 1024, "mp4a.40.29".into())));
        // frameLengthFlag: 960 samples.
        assert_eq!(parsed(&hex!("1194")), Some((48_000, Some(2), 960, "mp4a.40.2".into())));
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_refused() {
        for config in [&[][..], &hex!("11"), &hex!("2b11"), &hex!("1700"), &hex!("f94040"), &hex!("17800000")]
        {
            assert_eq!(parse(config), None, "{config:02x?}");
        }
    }
}
