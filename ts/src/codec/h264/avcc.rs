//! The decoder configuration record (ISO/IEC 14496-15 5.3.3.1).

use bytes::{BufMut, Bytes, BytesMut};

use super::sps::{Pps, Sps, has_chroma_format};
use crate::codec::sets::{Coding, Units};
use crate::event::{Codec, VideoParams};

/// numOfSequenceParameterSets has 5 bits, numOfPictureParameterSets 8.
const MAX_SPS: usize = 31;
const MAX_PPS: usize = 255;

/// The parameter sets of H.264.
#[derive(Debug, Default)]
pub(crate) struct AvcSets;

impl Coding for AvcSets {
    type Sps = Sps;
    type Pps = Pps;

    fn vps(_: &[u8]) -> Option<u8> {
        None
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
        let mut record = BytesMut::new();
        record.put_slice(&[1, sps.profile, sps.constraints, sps.level, 0xFF]); // lengths of 4 bytes
        record.put_u8(0xE0 | units.sps.len().min(MAX_SPS) as u8);
        units.sps.iter().take(MAX_SPS).for_each(|unit| put_set(&mut record, unit));
        record.put_u8(units.pps.len().min(MAX_PPS) as u8);
        units.pps.iter().take(MAX_PPS).for_each(|unit| put_set(&mut record, unit));
        if has_chroma_format(sps.profile) {
            record.put_u8(0xFC | sps.chroma_format);
            record.put_u8(0xF8 | (sps.bit_depth_luma - 8));
            record.put_u8(0xF8 | (sps.bit_depth_chroma - 8));
            record.put_u8(0); // SPS extensions stay in the samples: they describe alpha pictures
        }
        VideoParams {
            codec: Codec::H264,
            config: record.freeze(),
            codec_string: format!("avc1.{:02x}{:02x}{:02x}", sps.profile, sps.constraints, sps.level),
            width: sps.width,
            height: sps.height,
            profile: sps.profile,
            level: sps.level,
            chroma_format: sps.chroma_format,
            bit_depth_luma: sps.bit_depth_luma,
            bit_depth_chroma: sps.bit_depth_chroma,
            interlaced: !sps.frame_mbs_only,
            pixel_aspect: sps.pixel_aspect,
            frame_rate: sps.frame_rate,
            colour: sps.colour,
        }
    }
}

/// Sets too long for 16 bits were refused when they came.
pub(crate) fn put_set(record: &mut BytesMut, unit: &Bytes) {
    record.put_u16(unit.len() as u16);
    record.put_slice(unit);
}
