//! Video usability information, as far as H.264 and HEVC have it in common (their annexes E).

use super::bits::Bits;
use crate::event::Colour;

/// Pixel aspect and colour, each where it is told.
type Start = (Option<(u32, u32)>, Option<Colour>);

/// Aspect ratio, overscan, colour and chroma location: where the VUI begins in both. `None`: cut
/// short.
pub(crate) fn read_start(bits: &mut Bits<'_>) -> Option<Start> {
    let aspect = if bits.bit()? { read_aspect(bits)? } else { None };
    if bits.bit()? {
        bits.bit()?; // overscan_appropriate_flag
    }
    let mut colour = None;
    if bits.bit()? {
        bits.bits(3)?; // video_format
        let full_range = bits.bit()?;
        let (mut primaries, mut transfer, mut matrix) = (2, 2, 2); // unspecified
        if bits.bit()? {
            (primaries, transfer, matrix) = (bits.byte(8)?, bits.byte(8)?, bits.byte(8)?);
        }
        colour = Some(Colour { primaries, transfer, matrix, full_range });
    }
    if bits.bit()? {
        bits.ue()?; // chroma_sample_loc_type of both fields
        bits.ue()?;
    }
    Some((aspect, colour))
}

/// aspect_ratio_idc and what may follow it; the outer `None`: cut short.
fn read_aspect(bits: &mut Bits<'_>) -> Option<Option<(u32, u32)>> {
    const EXTENDED: u8 = 255;
    // Table E-1 of both standards.
    const RATIOS: [(u32, u32); 17] = [
        (0, 0),
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    let ratio = match bits.byte(8)? {
        EXTENDED => Some((bits.bits(16)?, bits.bits(16)?)),
        idc => RATIOS.get(usize::from(idc)).copied(),
    };
    Some(ratio.filter(|&(w, h)| w > 0 && h > 0))
}
