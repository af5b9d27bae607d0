//! HEVC (ISO/IEC 23008-2): access unit boundaries, random access, parameter sets.

mod hvcc;
mod slice;
mod sps;

use std::sync::Arc;

use super::annexb::{Keep, Picture, Role, Rules, frame_ticks, kept};
use super::h264::has_recovery_point;
use super::order::OrderCount;
use super::sets::ParameterSets;
use crate::event::{Intra, VideoParams};
use slice::Slice;

pub(super) use hvcc::HevcSets;
pub(super) use slice::is_intra;

type HevcParameterSets = ParameterSets<HevcSets>;

/// nal_unit_type, table 7-1.
mod nal {
    /// Sub-layer non-reference pictures are even below this.
    pub(super) const RSV_VCL_R15: u8 = 15;
    pub(super) const RADL_N: u8 = 6;
    pub(super) const RASL_R: u8 = 9;
    pub(super) const BLA_W_LP: u8 = 16;
    pub(super) const BLA_N_LP: u8 = 18;
    pub(super) const IDR_W_RADL: u8 = 19;
    pub(super) const IDR_N_LP: u8 = 20;
    pub(super) const RSV_IRAP: u8 = 23;
    pub(super) const RSV_VCL31: u8 = 31;
    pub(super) const VPS: u8 = 32;
    pub(super) const SPS: u8 = 33;
    pub(super) const PPS: u8 = 34;
    pub(super) const DELIMITER: u8 = 35;
    pub(super) const END_OF_SEQUENCE: u8 = 36;
    pub(super) const END_OF_BITSTREAM: u8 = 37;
    pub(super) const FILLER: u8 = 38;
    pub(super) const PREFIX_SEI: u8 = 39;
}

/// An access unit in work.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// It has begun.
    open: bool,
    /// It has a slice segment.
    coded: bool,
    /// The PPS of its first slice segment, where its header could be read.
    pps_id: Option<u8>,
    kind: u8,
    /// All of its slices are I slices; `None` before the first.
    intra: Option<bool>,
    /// A sequence parameter set came with it.
    with_sets: bool,
    recovery_point: bool,
    order: Option<i64>,
    /// End of sequence or of the bitstream: whatever follows is another access unit.
    ended: bool,
}

/// The rules of HEVC.
#[derive(Debug, Default)]
pub(crate) struct Hevc {
    sets: HevcParameterSets,
    order: OrderCount,
    unit: Unit,
    /// The unit that begins with the NAL unit just placed.
    next: Option<Unit>,
    /// The configuration told last.
    params: Option<Arc<VideoParams>>,
}

impl Rules for Hevc {
    /// The start of a slice segment header up to the order count.
    const HEADER: usize = 24;

    fn role(&mut self, header: &[u8], stamped: bool) -> Role {
        self.unit.ended |= stamped && !self.unit.coded;
        let &[b0, b1, ..] = header else { return Role::Continues };
        let kind = b0 >> 1 & 0x3F;
        let layer = (b0 & 1) << 5 | b1 >> 3;
        let going_on = self.unit.open && !self.unit.ended;
        if has_no_sublayer(b1) {
            return Role::Continues;
        }
        let begins = match kind {
            // Pictures of other layers belong to the access unit of the base layer's.
            _ if layer > 0 => !going_on,
            // first_slice_segment_in_pic_flag
            0..=nal::RSV_VCL31 => return self.place_slice(kind, header, going_on),
            // 7.4.2.4.4: these begin an access unit when they follow the last slice segment of a picture.
            nal::VPS..=nal::DELIMITER | nal::PREFIX_SEI | 41..=44 | 48..=55 => self.unit.coded || !going_on,
            _ => !going_on,
        };
        if begins {
            self.next = Some(Unit { open: true, ..Unit::default() });
            Role::Begins
        } else {
            Role::Continues
        }
    }

    fn is_delimiter(header: &[u8]) -> bool {
        header.first().is_some_and(|byte| byte >> 1 & 0x3F == nal::DELIMITER)
    }

    fn take(&mut self, unit: &[u8]) -> Keep {
        let &[b0, b1, ..] = unit else { return Keep::Drop };
        if has_no_sublayer(b1) {
            return Keep::Drop;
        }
        if (b0 & 1) << 5 | b1 >> 3 > 0 {
            return Keep::Sample;
        }
        match b0 >> 1 & 0x3F {
            nal::DELIMITER | nal::FILLER => Keep::Drop,
            nal::VPS => kept(&self.sets.take_vps(unit)),
            nal::SPS => {
                self.unit.with_sets = true;
                kept(&self.sets.take_sps(unit))
            }
            nal::PPS => kept(&self.sets.take_pps(unit)),
            nal::PREFIX_SEI => {
                self.unit.recovery_point |= has_recovery_point(&unit[2..]);
                Keep::Sample
            }
            nal::END_OF_SEQUENCE | nal::END_OF_BITSTREAM => {
                self.unit.ended = true;
                Keep::Sample
            }
            _ => Keep::Sample,
        }
    }

    fn end(&mut self) -> Picture {
        let unit = std::mem::replace(&mut self.unit, self.next.take().unwrap_or_default());
        if !unit.coded {
            return Picture::default();
        }
        let params = unit.pps_id.and_then(|id| self.sets.params(id));
        let nominal = params.as_ref().and_then(|params| frame_ticks(params, 1));
        let changed = params.filter(|params| self.params.as_ref() != Some(params));
        if changed.is_some() {
            self.params.clone_from(&changed);
        }
        let idr = matches!(unit.kind, nal::IDR_W_RADL | nal::IDR_N_LP);
        Picture {
            coded: true,
            // Decoding may begin at every IRAP picture; leading pictures of a CRA or BLA picture that refer to
            // what came before it (RASL) are to be left out then (8.1.3). Gradual refresh has none, and says by a
            // recovery point from where on pictures are right (D.3.8).
            random_access: is_irap(unit.kind) || unit.recovery_point,
            idr,
            intra: Intra::of(unit.intra == Some(true) || is_irap(unit.kind), unit.with_sets),
            field: false,
            order: unit.order,
            first: begins_sequence(unit.kind),
            nominal,
            params: changed,
        }
    }
}

impl Hevc {
    fn place_slice(&mut self, kind: u8, header: &[u8], going_on: bool) -> Role {
        let first = header.get(2).is_some_and(|byte| byte & 0x80 != 0);
        let begins = !going_on || first && self.unit.coded;
        let mut unit =
            if begins { Unit { open: true, ..Unit::default() } } else { std::mem::take(&mut self.unit) };
        if let Some(intra) = is_intra(header, &self.sets) {
            unit.intra = Some(unit.intra.unwrap_or(true) && intra);
        }
        if !unit.coded {
            unit.coded = true;
            unit.kind = kind;
            if let Some(slice) = Slice::parse(header, &self.sets).filter(|_| first) {
                unit.pps_id = Some(slice.pps_id);
                // Later pictures count from those of the lowest sub-layer that others may refer to (8.3.1).
                let lowest = header[1] & 7 == 1; // nuh_temporal_id_plus1
                let leading = (nal::RADL_N..=nal::RASL_R).contains(&kind);
                let referred = kind > nal::RSV_VCL_R15 || kind % 2 == 1;
                let anchor = lowest && !leading && referred;
                let first = begins_sequence(kind);
                unit.order = Some(self.order.next(slice.order_lsb, slice.order_bits, first, anchor));
            }
        }
        if begins {
            self.next = Some(unit);
            Role::Begins
        } else {
            self.unit = unit;
            Role::Continues
        }
    }
}

/// nuh_temporal_id_plus1 is never 0 (7.4.2.2), so that no header looks like the zeros behind a NAL unit.
fn has_no_sublayer(second: u8) -> bool {
    second & 7 == 0
}

/// Intra random access point pictures.
pub(super) fn is_irap(kind: u8) -> bool {
    matches!(kind, nal::BLA_W_LP..=nal::RSV_IRAP)
}

/// IDR and BLA pictures: the order count begins anew.
fn begins_sequence(kind: u8) -> bool {
    matches!(kind, nal::BLA_W_LP..=nal::BLA_N_LP | nal::IDR_W_RADL | nal::IDR_N_LP)
}
