//! Headers of syncframes (ETSI TS 102 366 4.3, E.1.2).

use crate::codec::bits::Bits;

/// Enough of a header for the length.
pub(super) const HEADER: usize = 6;
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// kbit/s by frmsizecod / 2, table 4.13.
const RATES: [u16; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
/// Front and surround channels by acmod, table 4.3.
const CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
pub(super) const BLOCK: u32 = 256;

/// What a syncframe is to its neighbours (E.1.3.1.1, strmtyp).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// AC-3.
    Plain,
    /// An E-AC-3 substream that is decoded by itself.
    Independent,
    /// It adds channels to the independent substream before it.
    Dependent,
}

/// The header of a syncframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// substreamid; 0 of AC-3.
    pub(super) substream: u8,
    pub(super) length: usize,
    pub(super) sample_rate: u32,
    pub(super) rate_code: u8,
    pub(super) samples: u32,
    pub(super) bsid: u8,
    pub(super) mode: u8,
    pub(super) lfe: bool,
    /// frmsizecod / 2 of AC-3.
    pub(super) size_code: u8,
    pub(super) bsmod: u8,
}

impl Header {
    /// Reads a header; elements behind the first [`HEADER`] bytes are left 0 where `bytes` ends before.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
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
            substream: 0,
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
        let substream = bits.byte(3)?;
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
        let (size_code, bsmod) = (0, 0);
        let frame = Self {
            kind,
            substream,
            length,
            sample_rate,
            rate_code,
            samples,
            bsid,
            mode,
            lfe,
            size_code,
            bsmod,
        };
        Some(frame).filter(|frame| frame.length >= HEADER)
    }

    /// It begins a stretch of time: what follows until the next one like it are other substreams of the same.
    pub(super) fn leads(&self) -> bool {
        self.kind == Kind::Plain || self.kind == Kind::Independent && self.substream == 0
    }

    /// Equal but for the length.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        Self { length: other.length, ..*self } == *other
    }

    pub(super) fn channels(&self) -> u16 {
        CHANNELS[usize::from(self.mode)] + u16::from(self.lfe)
    }
}
