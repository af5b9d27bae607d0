//! Sequence and picture parameter sets (ISO/IEC 23008-2 7.3.2.2, 7.3.2.3, 7.3.3, annex E).

use crate::codec::bits::{Bits, unescape};
use crate::codec::vui;
use crate::event::Colour;

/// General part of profile_tier_level (7.3.3), as the configuration record repeats it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) space: u8,
    pub(crate) high_tier: bool,
    pub(crate) idc: u8,
    pub(crate) compatibility: u32,
    pub(crate) constraints: [u8; 6],
    pub(crate) level: u8,
}

/// What is used of a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    pub(crate) id: u8,
    pub(crate) sub_layers: u8,
    pub(crate) nested: bool,
    pub(crate) profile: Profile,
    pub(crate) chroma_format: u8,
    pub(crate) separate_colour_planes: bool,
    pub(crate) bit_depth_luma: u8,
    pub(crate) bit_depth_chroma: u8,
    /// Bits of slice_pic_order_cnt_lsb.
    pub(crate) order_bits: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits of slice_segment_address, where the sizes of coding tree blocks could be read (7.4.7.1).
    pub(crate) address_bits: Option<u32>,
    pub(crate) pixel_aspect: Option<(u32, u32)>,
    pub(crate) colour: Option<Colour>,
    pub(crate) frame_rate: Option<(u32, u32)>,
    /// Pictures are fields.
    pub(crate) fields: bool,
}

impl Sps {
    /// Reads an SPS NAL unit.
    pub(super) fn parse(unit: &[u8]) -> Option<Self> {
        let mut plain = vec![0; unit.len()];
        let length = unescape(unit.get(2..)?, &mut plain);
        Self::read(&mut Bits::new(&plain[..length]))
    }

    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        bits.bits(4)?; // sps_video_parameter_set_id
        let sub_layers = 1 + bits.byte(3).filter(|&max| max < 7)?;
        let nested = bits.bit()?;
        let profile = read_profile(bits, sub_layers)?;
        let id = u8::try_from(bits.ue()?).ok().filter(|&id| id < 16)?;
        let chroma_format = bits.ue().filter(|&format| format < 4)? as u8;
        let separate_colour_planes = chroma_format == 3 && bits.bit()?;
        let (coded_width, coded_height) = (bits.ue()?, bits.ue()?);
        let mut crop = [0; 4];
        if bits.bit()? {
            for edge in &mut crop {
                *edge = bits.ue()?;
            }
        }
        // Table 6-1: the window counts chroma samples.
        let (unit_x, unit_y) = match chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let size = |whole: u32, a: u32, b: u32, step: u32| {
            whole.checked_sub(a.checked_add(b)?.checked_mul(step)?).filter(|&rest| rest > 0)
        };
        let width = size(coded_width, crop[0], crop[1], unit_x)?;
        let height = size(coded_height, crop[2], crop[3], unit_y)?;
        let bit_depth_luma = 8 + bits.ue().filter(|&depth| depth <= 8)? as u8;
        let bit_depth_chroma = 8 + bits.ue().filter(|&depth| depth <= 8)? as u8;
        let order_bits = 4 + bits.ue().filter(|&more| more <= 12)?;
        let mut sps = Self {
            id,
            sub_layers,
            nested,
            profile,
            chroma_format,
            separate_colour_planes,
            bit_depth_luma,
            bit_depth_chroma,
            order_bits,
            width,
            height,
            address_bits: None,
            pixel_aspect: None,
            colour: None,
            frame_rate: None,
            fields: false,
        };
        // What follows is of use for the VUI behind it and for slices behind the first; a stream decodes without.
        let _ = sps.read_rest(bits, (coded_width, coded_height));
        Some(sps)
    }

    fn read_rest(&mut self, bits: &mut Bits<'_>, coded: (u32, u32)) -> Option<()> {
        let all_layers = bits.bit()?;
        for _ in 0..if all_layers { self.sub_layers } else { 1 } {
            for _ in 0..3 {
                bits.ue()?; // picture buffer size, reordering, latency
            }
        }
        // log2_min_luma_coding_block_size_minus3 and the difference to the coding tree block's; 64 at most.
        let block = bits.ue()?.checked_add(bits.ue()?)?.checked_add(3).filter(|&log2| log2 <= 6)?;
        let blocks = |length: u32| u64::from(length).div_ceil(1 << block);
        let last = (blocks(coded.0) * blocks(coded.1)).saturating_sub(1);
        self.address_bits = Some(u64::BITS - last.leading_zeros()).filter(|&bits| bits <= u32::BITS);
        for _ in 0..4 {
            bits.ue()?; // sizes of transform blocks and hierarchy depths
        }
        if bits.bit()? && bits.bit()? {
            skip_scaling_lists(bits)?;
        }
        bits.bits(2)?; // asymmetric motion partitions, sample adaptive offset
        if bits.bit()? {
            bits.bits(8)?; // PCM bit depths
            bits.ue()?;
            bits.ue()?;
            bits.bit()?;
        }
        skip_reference_sets(bits)?;
        if bits.bit()? {
            let count = bits.ue().filter(|&count| count <= 32)?;
            for _ in 0..count {
                bits.bits(self.order_bits + 1)?; // lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag
            }
        }
        bits.bits(2)?; // temporal motion vectors, strong intra smoothing
        if bits.bit()? {
            self.read_vui(bits)?;
        }
        Some(())
    }

    /// E.2.1, up to the timing information.
    fn read_vui(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        (self.pixel_aspect, self.colour) = vui::read_start(bits)?;
        bits.bit()?; // neutral_chroma_indication_flag
        self.fields = bits.bit()?;
        bits.bit()?; // frame_field_info_present_flag
        if bits.bit()? {
            for _ in 0..4 {
                bits.ue()?; // default display window
            }
        }
        if bits.bit()? {
            let ticks = bits.bits(32)?;
            let scale = bits.bits(32)?;
            self.frame_rate = (ticks > 0 && scale > 0).then_some((scale, ticks));
        }
        Some(())
    }
}

/// 7.3.3 with profilePresentFlag 1.
fn read_profile(bits: &mut Bits<'_>, sub_layers: u8) -> Option<Profile> {
    let mut profile = Profile {
        space: bits.byte(2)?,
        high_tier: bits.bit()?,
        idc: bits.byte(5)?,
        compatibility: bits.bits(32)?,
        ..Profile::default()
    };
    for byte in &mut profile.constraints {
        *byte = bits.byte(8)?;
    }
    profile.level = bits.byte(8)?;
    let mut present = [(false, false); 8];
    for layer in present.iter_mut().take(usize::from(sub_layers) - 1) {
        *layer = (bits.bit()?, bits.bit()?);
    }
    if sub_layers > 1 {
        bits.skip(2 * (9 - usize::from(sub_layers)))?; // reserved_zero_2bits up to 8 entries
    }
    for (has_profile, has_level) in present {
        bits.skip(if has_profile { 88 } else { 0 })?;
        bits.skip(if has_level { 8 } else { 0 })?;
    }
    Some(profile)
}

/// 7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.bit()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            if size > 1 {
                bits.se()?; // scaling_list_dc_coef_minus8
            }
            for _ in 0..if size == 0 { 16 } else { 64 } {
                bits.se()?;
            }
        }
    }
    Some(())
}

/// st_ref_pic_set (7.3.7) of every index; each may be predicted from the one before, so their sizes are kept.
fn skip_reference_sets(bits: &mut Bits<'_>) -> Option<()> {
    const MAX_PICTURES: u32 = 16;
    let count = bits.ue().filter(|&count| count <= 64)?;
    let mut before = 0_u32;
    for index in 0..count {
        if index > 0 && bits.bit()? {
            bits.bit()?; // delta_rps_sign
            bits.ue()?; // abs_delta_rps_minus1
            let mut pictures = 0;
            for _ in 0..=before {
                let used = bits.bit()?;
                let kept = used || bits.bit()?; // use_delta_flag
                pictures += u32::from(kept);
            }
            before = pictures;
        } else {
            let pictures = bits.ue()?.checked_add(bits.ue()?)?;
            for _ in 0..Some(pictures).filter(|&pictures| pictures <= MAX_PICTURES)? {
                bits.ue()?;
                bits.bit()?;
            }
            before = pictures;
        }
    }
    Some(())
}

/// What is used of a picture parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pps {
    pub(crate) id: u8,
    pub(crate) sps_id: u8,
    /// dependent_slice_segments_enabled_flag.
    pub(crate) dependent_slices: bool,
    /// output_flag_present_flag.
    pub(crate) output_flag: bool,
    /// num_extra_slice_header_bits.
    pub(crate) extra_bits: u8,
}

impl Pps {
    /// Reads a PPS NAL unit.
    pub(super) fn parse(unit: &[u8]) -> Option<Self> {
        let mut plain = [0; 16];
        let length = unescape(unit.get(2..)?, &mut plain);
        let mut bits = Bits::new(&plain[..length]);
        let id = u8::try_from(bits.ue()?).ok().filter(|&id| id < 64)?;
        let sps_id = u8::try_from(bits.ue()?).ok().filter(|&id| id < 16)?;
        let dependent_slices = bits.bit()?;
        let output_flag = bits.bit()?;
        let extra_bits = bits.byte(3)?;
        Some(Self { id, sps_id, dependent_slices, output_flag, extra_bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// x265, 1920x1080 at 50 frames per second, Main 10, BT.2020 with PQ.
    const MAIN10: [u8; 47] = hex!(
        "42010102200000030090000003000003007ba003c08010e4d96566924caf016a122012080000030008000003019040"
    );

    #[test]
    fn an_sps_tells_profile_size_depth_colour_and_rate() {
        let sps = Sps::parse(&MAIN10).expect("sps");
        let Profile { idc, compatibility, constraints, level, .. } = sps.profile;
        assert_eq!((idc, compatibility, constraints, level), (2, 0x2000_0000, [0x90, 0, 0, 0, 0, 0], 123));
        assert_eq!((sps.width, sps.height, sps.chroma_format), (1920, 1080, 1));
        assert_eq!((sps.bit_depth_luma, sps.bit_depth_chroma, sps.sub_layers), (10, 10, 1));
        assert_eq!(sps.colour, Some(Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false }));
        assert_eq!(sps.frame_rate, Some((50, 1)));
    }

    #[test]
    fn an_sps_cut_anywhere_is_refused_or_keeps_what_it_has() {
        for end in 0..MAIN10.len() {
            if let Some(sps) = Sps::parse(&MAIN10[..end]) {
                assert_eq!((sps.width, sps.height), (1920, 1080), "{end}");
            }
        }
    }
}
