//! H.264 (ISO/IEC 14496-10): access unit boundaries, random access, parameter sets.

mod avcc;
mod slice;
mod sps;

use std::sync::Arc;

use super::annexb::{Keep, Picture, Role, Rules, frame_ticks, kept};
use super::bits::{Bits, unescape};
use super::order::OrderCount;
use super::sets::ParameterSets;
use crate::event::{Intra, VideoParams};
use slice::{Seen, Slice};

pub(super) use avcc::{AvcSets, put_set};

type AvcParameterSets = ParameterSets<AvcSets>;

/// nal_unit_type, table 7-1.
mod nal {
    pub(super) const SLICE: u8 = 1;
    pub(super) const PARTITION_A: u8 = 2;
    pub(super) const IDR: u8 = 5;
    pub(super) const SEI: u8 = 6;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
    pub(super) const END_OF_SEQUENCE: u8 = 10;
    pub(super) const END_OF_STREAM: u8 = 11;
    pub(super) const FILLER: u8 = 12;
    pub(super) const PREFIX: u8 = 14;
    pub(super) const SUBSET_SPS: u8 = 15;
    pub(super) const RESERVED_18: u8 = 18;
}

/// An access unit in work.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// It has begun.
    open: bool,
    /// It has a slice.
    coded: bool,
    /// The last slice of its primary coded picture whose header could be read.
    slice: Option<Slice>,
    idr: bool,
    /// All of its slices are I slices; `None` before the first.
    intra: Option<bool>,
    /// A sequence parameter set came with it.
    with_sets: bool,
    recovery_point: bool,
    order: Option<i64>,
    /// end_of_seq or end_of_stream came: whatever follows is another access unit.
    ended: bool,
}

/// The rules of H.264.
#[derive(Debug, Default)]
pub(crate) struct Avc {
    sets: AvcParameterSets,
    order: OrderCount,
    unit: Unit,
    /// The unit that begins with the NAL unit just placed.
    next: Option<Unit>,
    /// The configuration told last.
    params: Option<Arc<VideoParams>>,
}

impl Rules for Avc {
    /// A slice header up to what 7.4.1.2.4 compares: below 30 bytes with emulation prevention.
    const HEADER: usize = 40;

    fn role(&mut self, header: &[u8], stamped: bool) -> Role {
        let kind = header.first().map_or(0, |byte| byte & 0x1F);
        self.unit.ended |= stamped && !self.unit.coded;
        let coded = self.unit.coded;
        let role = match kind {
            nal::SLICE | nal::PARTITION_A | nal::IDR => return self.place_slice(header),
            _ if !self.unit.open || self.unit.ended => Role::Begins,
            // 7.4.1.2.3: these begin an access unit when they follow the last slice of a picture.
            nal::SEI..=nal::DELIMITER | nal::SUBSET_SPS..=nal::RESERVED_18 if coded => Role::Begins,
            // So does a prefix NAL unit, but it may also stand before another slice of the same picture.
            nal::PREFIX if coded => Role::Precedes,
            _ => Role::Continues,
        };
        if role == Role::Begins {
            self.next = Some(Unit { open: true, ..Unit::default() });
        }
        role
    }

    fn is_delimiter(header: &[u8]) -> bool {
        header.first().is_some_and(|byte| byte & 0x1F == nal::DELIMITER)
    }

    fn take(&mut self, unit: &[u8]) -> Keep {
        let Some(&first) = unit.first() else { return Keep::Drop };
        match first & 0x1F {
            nal::DELIMITER | nal::FILLER => Keep::Drop,
            nal::SPS => {
                self.unit.with_sets = true;
                kept(&self.sets.take_sps(unit))
            }
            nal::PPS => kept(&self.sets.take_pps(unit)),
            nal::SEI => {
                self.unit.recovery_point |= has_recovery_point(&unit[1..]);
                Keep::Sample
            }
            nal::END_OF_SEQUENCE | nal::END_OF_STREAM => {
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
        let params = unit.slice.as_ref().and_then(|slice| self.sets.params(slice.pps_id));
        let fields = if unit.slice.as_ref().is_some_and(|slice| slice.field) { 2 } else { 1 };
        let nominal = params.as_ref().and_then(|params| frame_ticks(params, fields));
        let changed = params.filter(|params| self.params.as_ref() != Some(params));
        if changed.is_some() {
            self.params.clone_from(&changed);
        }
        Picture {
            coded: true,
            // A recovery point says from where on pictures are right again; that is how streams without
            // IDR pictures (open GOP, gradual refresh) are entered (D.2.8).
            random_access: unit.idr || unit.recovery_point,
            idr: unit.idr,
            intra: Intra::of(unit.intra == Some(true), unit.with_sets),
            field: fields == 2,
            order: unit.order,
            first: unit.idr,
            nominal,
            params: changed,
        }
    }
}

impl Avc {
    fn place_slice(&mut self, header: &[u8]) -> Role {
        let seen = Seen::parse(header, &self.sets);
        let going_on = self.unit.open && !self.unit.ended;
        let same = going_on
            && match (&self.unit.slice, &seen) {
                (_, Seen::Redundant) => true,
                (Some(before), Seen::Primary(slice)) => slice.is_of_same_picture(before),
                (None, Seen::Primary(_)) => !self.unit.coded,
                (_, Seen::Unknown { first }) => !(self.unit.coded && *first),
            };
        let mut unit =
            if same { std::mem::take(&mut self.unit) } else { Unit { open: true, ..Unit::default() } };
        unit.idr |= header.first().is_some_and(|byte| byte & 0x1F == nal::IDR);
        unit.coded = true;
        unit.intra = Some(unit.intra.unwrap_or(true) && is_intra(header.get(1..).unwrap_or_default()));
        if let Seen::Primary(slice) = seen {
            if unit.slice.is_none() {
                unit.order = self.count(&slice);
            }
            unit.slice = Some(slice);
        }
        if same {
            self.unit = unit;
            Role::Continues
        } else {
            self.next = Some(unit);
            Role::Begins
        }
    }
}

impl Avc {
    /// The order count of a picture. Only type 0 is decoded: with type 2, pictures come in output order, so that
    /// their times are those of decoding; type 1 no encoder in use writes.
    fn count(&mut self, slice: &Slice) -> Option<i64> {
        let sps = self.sets.sps_for(slice.pps_id).filter(|sps| sps.order_type == 0)?;
        Some(self.order.next(slice.order_lsb, sps.order_lsb_bits, slice.idr, slice.reference))
    }
}

/// slice_type is I or SI, of this slice or of the whole picture (7.4.3). `slice`: behind the NAL unit header.
pub(super) fn is_intra(slice: &[u8]) -> bool {
    let mut plain = [0; 24];
    let length = unescape(slice, &mut plain);
    let bits = &mut Bits::new(&plain[..length]);
    bits.ue().is_some() && matches!(bits.ue(), Some(2 | 4 | 7 | 9))
}

/// Whether a SEI NAL unit has a recovery point message (D.1.8; of HEVC, with the same syntax and payloadType, D.2.8).
pub(super) fn has_recovery_point(rbsp: &[u8]) -> bool {
    const RECOVERY_POINT: u32 = 6;
    // Only types and sizes are read, and a payload's own bytes are stepped over, so emulation prevention
    // matters for the sizes alone: undone for the start, where the message stands in practice.
    let mut plain = [0; 256];
    let length = unescape(rbsp, &mut plain);
    let mut rest = &plain[..length];
    loop {
        let Some(kind) = sei_number(&mut rest) else { return false };
        let Some(size) = sei_number(&mut rest) else { return false };
        if kind == RECOVERY_POINT && !rest.is_empty() {
            return true;
        }
        match rest.get(size as usize..) {
            Some(after) if after.len() > 1 => rest = after,
            _ => return false,
        }
    }
}

/// 7.3.2.3.1: bytes of 255 add up.
fn sei_number(rest: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number += u32::from(byte);
        if byte != 0xFF {
            return Some(number);
        }
    }
}
