//! Slice headers as far as they tell pictures apart (ISO/IEC 14496-10 7.3.3), and the picture order count.

use super::AvcParameterSets;
use super::nal;
use crate::codec::bits::{Bits, unescape};

/// The elements that 7.4.1.2.4 compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) reference: bool,
    pub(super) idr: bool,
    pub(super) pps_id: u8,
    pub(super) frame_num: u32,
    pub(super) field: bool,
    pub(super) bottom: bool,
    idr_pic_id: u32,
    pub(super) order_lsb: u32,
    delta_order_bottom: i32,
    delta_order: [i32; 2],
}

/// What a slice says about its picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Primary(Slice),
    /// It repeats a picture: it belongs to the access unit of that picture.
    Redundant,
    /// Its parameter sets are not known, or it is broken. `first`: it has the first macroblock.
    Unknown {
        first: bool,
    },
}

impl Seen {
    pub(super) fn parse(unit: &[u8], sets: &AvcParameterSets) -> Self {
        match Slice::parse(unit, sets) {
            Some(Some(slice)) => Self::Primary(slice),
            Some(None) => Self::Redundant,
            // first_mb_in_slice is 0: a single 1 bit.
            None => Self::Unknown { first: unit.get(1).is_some_and(|byte| byte & 0x80 != 0) },
        }
    }
}

impl Slice {
    /// Reads the header of a slice; `None` where its parameter sets are not known or it is broken,
    /// `Some(None)` for redundant pictures.
    fn parse(unit: &[u8], sets: &AvcParameterSets) -> Option<Option<Self>> {
        let (&first, body) = unit.split_first()?;
        let mut plain = [0; 40];
        let length = unescape(body, &mut plain);
        let mut bits = Bits::new(&plain[..length]);
        bits.ue()?; // first_mb_in_slice
        bits.ue()?; // slice_type
        let pps_id = u8::try_from(bits.ue()?).ok()?;
        let pps = sets.pps(pps_id)?;
        let sps = sets.sps_for(pps_id)?;
        if sps.separate_colour_planes {
            bits.bits(2)?;
        }
        let idr = first & 0x1F == nal::IDR;
        let frame_num = bits.bits(sps.frame_num_bits)?;
        let field = !sps.frame_mbs_only && bits.bit()?;
        let bottom = field && bits.bit()?;
        let idr_pic_id = if idr { bits.ue()? } else { 0 };
        let mut order_lsb = 0;
        let mut delta_order_bottom = 0;
        let mut delta_order = [0; 2];
        match sps.order_type {
            0 => {
                order_lsb = bits.bits(sps.order_lsb_bits)?;
                if pps.bottom_field_order && !field {
                    delta_order_bottom = bits.se()?;
                }
            }
            1 if !sps.delta_order_always_zero => {
                delta_order[0] = bits.se()?;
                if pps.bottom_field_order && !field {
                    delta_order[1] = bits.se()?;
                }
            }
            _ => {}
        }
        if pps.redundant_pictures && bits.ue()? > 0 {
            return Some(None);
        }
        let reference = first & 0x60 != 0;
        Some(Some(Self {
            reference,
            idr,
            pps_id,
            frame_num,
            field,
            bottom,
            idr_pic_id,
            order_lsb,
            delta_order_bottom,
            delta_order,
        }))
    }

    /// 7.4.1.2.4. pic_parameter_set_id is on the clause's list too, but slices of one picture do come with
    /// several PPSs, and two pictures always differ in another element as well.
    pub(super) fn is_of_same_picture(&self, other: &Self) -> bool {
        self.frame_num == other.frame_num
            && self.field == other.field
            && self.bottom == other.bottom
            && self.reference == other.reference
            && self.idr == other.idr
            && self.idr_pic_id == other.idr_pic_id
            && self.order_lsb == other.order_lsb
            && self.delta_order_bottom == other.delta_order_bottom
            && self.delta_order == other.delta_order
    }
}
