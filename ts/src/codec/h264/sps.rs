//! Sequence and picture parameter sets (ISO/IEC 14496-10 7.3.2.1.1, 7.3.2.2, annex E).

use crate::codec::bits::{Bits, unescape};
use crate::codec::vui;
use crate::event::Colour;

/// What is used of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    pub(crate) id: u8,
    pub(crate) profile: u8,
    pub(crate) constraints: u8,
    pub(crate) level: u8,
    pub(crate) chroma_format: u8,
    pub(crate) separate_colour_planes: bool,
    pub(crate) bit_depth_luma: u8,
    pub(crate) bit_depth_chroma: u8,
    pub(crate) frame_num_bits: u32,
    pub(crate) order_type: u32,
    pub(crate) order_lsb_bits: u32,
    pub(crate) delta_order_always_zero: bool,
    pub(crate) frame_mbs_only: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixel_aspect: Option<(u32, u32)>,
    pub(crate) colour: Option<Colour>,
    pub(crate) frame_rate: Option<(u32, u32)>,
}

impl Sps {
    /// Reads an SPS NAL unit.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let mut plain = vec![0; unit.len()];
        let length = unescape(unit.get(1..)?, &mut plain);
        Self::read(&mut Bits::new(&plain[..length]))
    }

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let profile = bits.byte(8)?;
        let constraints = bits.byte(8)?;
        let level = bits.byte(8)?;
        let id = u8::try_from(bits.ue()?).ok().filter(|&id| id < 32)?;
        let mut chroma_format = 1;
        let mut separate_colour_planes = false;
        let mut bit_depth_luma = 8;
        let mut bit_depth_chroma = 8;
        if has_chroma_format(profile) {
            chroma_format = bits.ue().filter(|&format| format < 4)? as u8;
            separate_colour_planes = chroma_format == 3 && bits.bit()?;
            bit_depth_luma = 8 + bits.ue().filter(|&depth| depth < 7)? as u8;
            bit_depth_chroma = 8 + bits.ue().filter(|&depth| depth < 7)? as u8;
            bits.bit()?; // qpprime_y_zero_transform_bypass_flag
            if bits.bit()? {
                skip_scaling_lists(bits, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        let frame_num_bits = 4 + bits.ue().filter(|&more| more <= 12)?;
        let order_type = bits.ue().filter(|&kind| kind < 3)?;
        let mut order_lsb_bits = 0;
        let mut delta_order_always_zero = false;
        if order_type == 0 {
            order_lsb_bits = 4 + bits.ue().filter(|&more| more <= 12)?;
        } else if order_type == 1 {
            delta_order_always_zero = bits.bit()?;
            bits.se()?;
            bits.se()?;
            let count = bits.ue().filter(|&count| count < 256)?;
            for _ in 0..count {
                bits.se()?;
            }
        }
        bits.ue()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let width_mbs = bits.ue()?.checked_add(1)?;
        let height_units = bits.ue()?.checked_add(1)?;
        let frame_mbs_only = bits.bit()?;
        if !frame_mbs_only {
            bits.bit()?; // mb_adaptive_frame_field_flag
        }
        bits.bit()?; // direct_8x8_inference_flag
        // 7.4.2.1.1: crop units are in chroma samples and, for fields, in pairs of lines.
        let fields = if frame_mbs_only { 1 } else { 2 };
        let (unit_x, unit_y) = match chroma_format {
            1 => (2, 2 * fields),
            2 => (2, fields),
            _ => (1, fields),
        };
        let mut crop = [0; 4];
        if bits.bit()? {
            for edge in &mut crop {
                *edge = bits.ue()?;
            }
        }
        let size = |units: u32, unit: u32, a: u32, b: u32, step: u32| {
            let whole = units.checked_mul(unit)?;
            let cut = a.checked_add(b)?.checked_mul(step)?;
            whole.checked_sub(cut).filter(|&rest| rest > 0)
        };
        let width = size(width_mbs, 16, crop[0], crop[1], unit_x)?;
        let height = size(height_units, 16 * fields, crop[2], crop[3], unit_y)?;
        let mut sps = Self {
            id,
            profile,
            constraints,
            level,
            chroma_format,
            separate_colour_planes,
            bit_depth_luma,
            bit_depth_chroma,
            frame_num_bits,
            order_type,
            order_lsb_bits,
            delta_order_always_zero,
            frame_mbs_only,
            width,
            height,
            pixel_aspect: None,
            colour: None,
            frame_rate: None,
        };
        // Some encoders cut their VUI short; what stands before it is good all the same.
        if bits.bit() == Some(true) {
            let _ = sps.read_vui(bits);
        }
        Some(sps)
    }

    /// E.1.1, up to the timing information.
    fn read_vui(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        (self.pixel_aspect, self.colour) = vui::read_start(bits)?;
        if bits.bit()? {
            let ticks = bits.bits(32)?;
            let scale = bits.bits(32)?;
            // Two ticks are one frame (D.2.1, table D-1 with E.2.1).
            self.frame_rate =
                ticks.checked_mul(2).filter(|&ticks| ticks > 0 && scale > 0).map(|t| (scale, t));
        }
        Some(())
    }
}

/// Profiles whose SPS says its chroma format (7.3.2.1.1).
pub(super) fn has_chroma_format(profile: u8) -> bool {
    matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
}

/// 7.3.2.1.1.1.
fn skip_scaling_lists(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    for list in 0..count {
        if !bits.bit()? {
            continue;
        }
        let mut next = 8_i32;
        for _ in 0..if list < 6 { 16 } else { 64 } {
            next = (next + bits.se()?).rem_euclid(256);
            if next == 0 {
                break; // the rest repeats the last value
            }
        }
    }
    Some(())
}

/// What is used of a picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pps {
    pub(crate) id: u8,
    pub(crate) sps_id: u8,
    /// bottom_field_pic_order_in_frame_present_flag.
    pub(crate) bottom_field_order: bool,
    /// redundant_pic_cnt_present_flag.
    pub(crate) redundant_pictures: bool,
}

impl Pps {
    /// Reads a PPS NAL unit.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let mut plain = vec![0; unit.len()];
        let length = unescape(unit.get(1..)?, &mut plain);
        Self::read(&mut Bits::new(&plain[..length]))
    }

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let id = u8::try_from(bits.ue()?).ok()?;
        let sps_id = u8::try_from(bits.ue()?).ok().filter(|&id| id < 32)?;
        bits.bit()?; // entropy_coding_mode_flag
        let bottom_field_order = bits.bit()?;
        let groups = bits.ue().filter(|&groups| groups < 8)? + 1;
        if groups > 1 {
            skip_slice_groups(bits, groups)?;
        }
        bits.ue()?; // num_ref_idx_l0_default_active_minus1
        bits.ue()?;
        bits.bits(3)?; // weighted prediction
        bits.se()?; // pic_init_qp_minus26
        bits.se()?;
        bits.se()?;
        bits.bits(2)?; // deblocking_filter_control, constrained_intra_pred
        let redundant_pictures = bits.bit()?;
        Some(Self { id, sps_id, bottom_field_order, redundant_pictures })
    }
}

fn skip_slice_groups(bits: &mut Bits<'_>, groups: u32) -> Option<()> {
    match bits.ue()? {
        0 => {
            for _ in 0..groups {
                bits.ue()?;
            }
        }
        2 => {
            for _ in 0..2 * (groups - 1) {
                bits.ue()?;
            }
        }
        3..=5 => {
            bits.bit()?;
            bits.ue()?;
        }
        6 => {
            let units = bits.ue()?.checked_add(1)?;
            let width = 32 - (groups - 1).leading_zeros();
            bits.skip(usize::try_from(units).ok()?.checked_mul(width as usize)?)?;
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// x264, interlaced 1440x1080 in 4:2:2 with 10 bits, pixels of 4:3, BT.709, 15000/1001 frames per second.
    const FIELDS: [u8; 29] = hex!("677a0028b6cd9405a044fcb8735010101400000fa40001d4c07c58b658");

    #[test]
    fn an_sps_tells_size_depth_shape_colour_and_rate() {
        let sps = Sps::parse(&FIELDS).expect("sps");
        assert_eq!((sps.profile, sps.level, sps.width, sps.height), (122, 40, 1440, 1080));
        assert_eq!((sps.chroma_format, sps.bit_depth_luma, sps.bit_depth_chroma), (2, 10, 10));
        assert!(!sps.frame_mbs_only);
        assert_eq!(sps.pixel_aspect, Some((4, 3)));
        assert_eq!(sps.colour, Some(Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false }));
        assert_eq!(sps.frame_rate, Some((30_000, 2_002)));
    }

    #[test]
    fn an_sps_cut_before_its_vui_is_refused_and_one_cut_inside_is_not() {
        let accepted: Vec<bool> = (1..FIELDS.len()).map(|end| Sps::parse(&FIELDS[..end]).is_some()).collect();
        let first = accepted.iter().position(|&ok| ok).expect("some");
        assert!(first > 8 && accepted[first..].iter().all(|&ok| ok), "{accepted:?}");
    }

    #[test]
    fn a_window_larger_than_the_picture_is_refused() {
        // Baseline, 16x16 pixels, cropped by 8 chroma samples on the left.
        let bits = "01000010 00000000 00001010 1 1 1 1 1 0 1 1 1 1 1 0001001 1 1 1 0 1".replace(' ', "");
        let byte = |eight: &[u8]| eight.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        let mut unit = vec![0x67];
        unit.extend(format!("{bits:0<64}").as_bytes().chunks_exact(8).map(byte));
        assert_eq!(Sps::parse(&unit), None);
    }

    #[test]
    fn a_pps_tells_what_slice_headers_need() {
        let pps = Pps::parse(&hex!("68ef8fcb")).expect("pps");
        assert_eq!(pps, Pps { id: 0, sps_id: 0, bottom_field_order: false, redundant_pictures: false });
        assert_eq!(Pps::parse(&[0x68, 0x00]), None);
    }
}
