//! The decoder configuration record (ISO/IEC 14496-15 8.3.3.1) and its RFC 6381 string.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};

use super::nal;
use super::sps::{Pps, Profile, Sps};
use crate::codec::h264::put_set;
use crate::codec::sets::{Coding, Units};
use crate::event::{Codec, VideoParams};

/// The parameter sets of HEVC.
#[derive(Debug, Default)]
pub(crate) struct HevcSets;

impl Coding for HevcSets {
    type Sps = Sps;
    type Pps = Pps;

    fn vps(unit: &[u8]) -> Option<u8> {
        unit.get(2).map(|byte| byte >> 4)
    }

    fn sps(unit: &[u8]) -> Option<(u8, Sps)> {
        Sps::parse(unit).map(|sps| (sps.id, sps))
    }

    fn pps(unit: &[u8]) -> Option<(u8, Pps)> {
        Pps::parse(unit).map(|pps| (pps.id, pps))
    }

    fn sps_of(pps: &Pps) -> u8 {
        pps.sps_id
    }

    fn params(sps: &Sps, units: &Units<'_>) -> VideoParams {
        let Profile { space, high_tier, idc, compatibility, constraints, level } = sps.profile;
        let mut record = BytesMut::new();
        record.put_slice(&[1, space << 6 | u8::from(high_tier) << 5 | idc]);
        record.put_u32(compatibility);
        record.put_slice(&constraints);
        // min_spatial_segmentation_idc 0: no restriction; with it, parallelismType is unknown.
        record.put_slice(&[level, 0xF0, 0x00, 0xFC]);
        record.put_u8(0xFC | sps.chroma_format);
        record.put_u8(0xF8 | (sps.bit_depth_luma - 8));
        record.put_u8(0xF8 | (sps.bit_depth_chroma - 8));
        record.put_u16(0); // avgFrameRate: not told
        record.put_u8(sps.sub_layers << 3 | u8::from(sps.nested) << 2 | 3); // lengths of 4 bytes
        let arrays = [(nal::VPS, &units.vps), (nal::SPS, &units.sps), (nal::PPS, &units.pps)];
        record.put_u8(arrays.iter().filter(|(_, units)| !units.is_empty()).count() as u8);
        for (kind, units) in arrays.into_iter().filter(|(_, units)| !units.is_empty()) {
            put_array(&mut record, kind, units);
        }
        VideoParams {
            codec: Codec::Hevc,
            config: record.freeze(),
            codec_string: codec_string(&sps.profile),
            width: sps.width,
            height: sps.height,
            profile: idc,
            level,
            chroma_format: sps.chroma_format,
            bit_depth_luma: sps.bit_depth_luma,
            bit_depth_chroma: sps.bit_depth_chroma,
            interlaced: sps.fields,
            pixel_aspect: sps.pixel_aspect,
            frame_rate: sps.frame_rate,
            colour: sps.colour,
        }
    }
}

/// At most 64 sets of a kind exist. array_completeness: none of them is in the samples.
fn put_array(record: &mut BytesMut, kind: u8, units: &[&Bytes]) {
    record.put_u8(0x80 | kind);
    record.put_u16(units.len() as u16);
    units.iter().for_each(|unit| put_set(record, unit));
}

/// ISO/IEC 14496-15 annex E.3.
fn codec_string(profile: &Profile) -> String {
    let mut text = String::from("hvc1.");
    if let Some(space) = ["", "A", "B", "C"].get(usize::from(profile.space)) {
        text += space;
    }
    let tier = if profile.high_tier { 'H' } else { 'L' };
    let _ =
        write!(text, "{}.{:X}.{tier}{}", profile.idc, profile.compatibility.reverse_bits(), profile.level);
    let used = profile.constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in &profile.constraints[..used] {
        let _ = write!(text, ".{byte:X}");
    }
    text
}
