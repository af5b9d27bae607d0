//! Pictures that decode on their own, as a hole needs them. Pure.

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::VideoCodec;

/// ISO/IEC 14496-10 table 7-1: the slices of an IDR picture.
const AVC_IDR: u8 = 5;
/// What of an IDR access unit is repeated: its slices, those of a second field (1), which refers to the first (7.4.1.2.4),
/// and parameter sets (7, 8, 13). Not messages: captions and timing are of the one time only.
const AVC_KEPT: [u8; 5] = [1, AVC_IDR, 7, 8, 13];

/// ISO/IEC 23008-2 table 7-1: IRAP pictures that need nothing before them, or nothing once they are called BLA.
const HEVC_IRAP: std::ops::RangeInclusive<u8> = 16..=21;
/// A broken link without leading pictures.
const BLA_N_LP: u8 = 18;
/// BLA with leading pictures, which are not repeated, and CRA: decoded after another picture than the one that
/// was before it, a CRA is a BLA (8.1.3), and the NAL unit type is all that differs.
const BECOMES_BLA: [u8; 3] = [16, 17, 21];

/// The access unit `data` (4-byte lengths) as it can be repeated after anything: an IDR picture, or with HEVC
/// another IRAP picture as BLA, and the parameter sets with it. `None`: it is no such picture.
pub(super) fn still(codec: VideoCodec, data: &Bytes) -> Option<Bytes> {
    if !is_whole(codec, data) {
        return None;
    }
    let mut out = BytesMut::with_capacity(data.len());
    for unit in units(data) {
        let kept = kind(codec, unit).is_some_and(|kind| match codec {
            VideoCodec::Avc => AVC_KEPT.contains(&kind),
            // Slices and parameter sets.
            VideoCodec::Hevc => kind <= 34,
        });
        if kept {
            out.put_u32(u32::try_from(unit.len()).ok()?);
            put_unit(&mut out, codec, unit);
        }
    }
    Some(out.freeze())
}

/// Whether [`still`] can repeat `data`.
pub(super) fn is_whole(codec: VideoCodec, data: &[u8]) -> bool {
    units(data).filter_map(|unit| kind(codec, unit)).any(|kind| match codec {
        VideoCodec::Avc => kind == AVC_IDR,
        VideoCodec::Hevc => HEVC_IRAP.contains(&kind),
    })
}

/// The random-access picture `data` as the first after a hole: a CRA as BLA, everything else as it is.
pub(super) fn resumed(codec: VideoCodec, data: &Bytes) -> Bytes {
    let becomes = |unit| kind(codec, unit).is_some_and(|kind| BECOMES_BLA.contains(&kind));
    if codec != VideoCodec::Hevc || !units(data).any(becomes) {
        return data.clone();
    }
    let mut out = BytesMut::with_capacity(data.len());
    for unit in units(data) {
        // A part of `data`, whose lengths had 32 bits.
        out.put_u32(unit.len() as u32);
        put_unit(&mut out, codec, unit);
    }
    out.freeze()
}

fn put_unit(out: &mut BytesMut, codec: VideoCodec, unit: &[u8]) {
    match unit.split_first() {
        Some((first, rest))
            if codec == VideoCodec::Hevc
                && kind(codec, unit).is_some_and(|kind| BECOMES_BLA.contains(&kind)) =>
        {
            out.put_u8(first & 0x81 | BLA_N_LP << 1);
            out.put_slice(rest);
        }
        _ => out.put_slice(unit),
    }
}

/// `nal_unit_type` (7.3.1 of H.264, 7.3.1.2 of HEVC).
fn kind(codec: VideoCodec, unit: &[u8]) -> Option<u8> {
    let first = *unit.first()?;
    Some(match codec {
        VideoCodec::Avc => first & 0x1F,
        VideoCodec::Hevc => first >> 1 & 0x3F,
    })
}

/// The NAL units of a sample, up to the first whose length is wrong.
fn units(sample: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = sample;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (unit, after) = after.split_at_checked(length)?;
        rest = after;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn an_idr_picture_is_repeated_with_its_parameter_sets_and_without_its_messages() {
        let data = hex!("00000002 6764 00000002 68EE 00000003 060580 00000002 6588 00000001 65");
        let kept = hex!("00000002 6764 00000002 68EE 00000002 6588 00000001 65");
        assert_eq!(still(VideoCodec::Avc, &Bytes::copy_from_slice(&data)).as_deref(), Some(&kept[..]));
        let fields = Bytes::from_static(&hex!("00000002 6588 00000001 06 00000002 4188"));
        assert_eq!(
            still(VideoCodec::Avc, &fields).as_deref(),
            Some(&hex!("00000002 6588 00000002 4188")[..])
        );
        let other = Bytes::from_static(&hex!("00000002 6588 00000002"));
        assert_eq!(still(VideoCodec::Avc, &other).as_deref(), Some(&hex!("00000002 6588")[..]));
    }

    #[test]
    fn a_picture_that_needs_others_is_none() {
        for data in
            [&hex!("00000002 4188")[..], &hex!("00000003 060580 00000002 6188"), &[], &[0, 0, 0, 9, 1]]
        {
            assert_eq!(still(VideoCodec::Avc, &Bytes::copy_from_slice(data)), None);
        }
        // TRAIL_R.
        assert_eq!(still(VideoCodec::Hevc, &Bytes::from_static(&hex!("00000003 020188"))), None);
    }

    #[test]
    fn a_cra_becomes_a_bla_and_an_idr_stays() {
        // CRA 21, layer 0, temporal id 1; a prefix SEI before it.
        let cra = Bytes::from_static(&hex!("00000003 4E0105 00000004 2A01AF33"));
        assert_eq!(
            still(VideoCodec::Hevc, &cra).as_deref(),
            Some(&hex!("00000004 2401AF33")[..]),
            "and without the message"
        );
        assert_eq!(resumed(VideoCodec::Hevc, &cra)[..], hex!("00000003 4E0105 00000004 2401AF33"));
        let idr = Bytes::from_static(&hex!("00000004 2601AF33"));
        assert_eq!(still(VideoCodec::Hevc, &idr), Some(idr.clone()));
        assert_eq!(resumed(VideoCodec::Hevc, &idr), idr);
        let avc = Bytes::from_static(&hex!("00000002 2A88"));
        assert_eq!(resumed(VideoCodec::Avc, &avc), avc);
    }
}
