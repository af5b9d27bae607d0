//! Slice segment headers up to the picture order count (ISO/IEC 23008-2 7.3.6.1).

use super::{HevcParameterSets, is_irap, nal};
use crate::codec::bits::{Bits, unescape};

/// What is used of the header of a picture's first slice segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) pps_id: u8,
    /// slice_pic_order_cnt_lsb and its size.
    pub(super) order_lsb: u32,
    pub(super) order_bits: u32,
}

impl Slice {
    /// Reads the header of a first slice segment; `None` where its parameter sets are not known or it is
    /// broken.
    pub(super) fn parse(unit: &[u8], sets: &HevcParameterSets) -> Option<Self> {
        let kind = unit.first()? >> 1 & 0x3F;
        let mut plain = [0; 24];
        let length = unescape(unit.get(2..)?, &mut plain);
        let mut bits = Bits::new(&plain[..length]);
        if !bits.bit()? {
            return None;
        }
        if is_irap(kind) {
            bits.bit()?; // no_output_of_prior_pics_flag
        }
        let pps_id = u8::try_from(bits.ue()?).ok()?;
        let pps = sets.pps(pps_id)?;
        let sps = sets.sps_for(pps_id)?;
        bits.skip(usize::from(pps.extra_bits))?;
        bits.ue()?; // slice_type
        if pps.output_flag {
            bits.bit()?;
        }
        if sps.separate_colour_planes {
            bits.bits(2)?;
        }
        let order_lsb = match kind {
            nal::IDR_W_RADL | nal::IDR_N_LP => 0,
            _ => bits.bits(sps.order_bits)?,
        };
        Some(Self { pps_id, order_lsb, order_bits: sps.order_bits })
    }
}

/// Whether slice_type is I. `None`: the header cannot be read, or the slice segment depends on the one before and
/// has no type of its own (7.4.7.1).
pub(crate) fn is_intra(unit: &[u8], sets: &HevcParameterSets) -> Option<bool> {
    const I: u32 = 2;
    let kind = unit.first()? >> 1 & 0x3F;
    let mut plain = [0; 24];
    let length = unescape(unit.get(2..)?, &mut plain);
    let mut bits = Bits::new(&plain[..length]);
    let first = bits.bit()?;
    if is_irap(kind) {
        bits.bit()?; // no_output_of_prior_pics_flag
    }
    let pps_id = u8::try_from(bits.ue()?).ok()?;
    let pps = sets.pps(pps_id)?;
    if !first {
        if pps.dependent_slices && bits.bit()? {
            return None;
        }
        bits.bits(sets.sps_for(pps_id)?.address_bits?)?;
    }
    bits.skip(usize::from(pps.extra_bits))?;
    bits.ue().map(|kind| kind == I)
}
