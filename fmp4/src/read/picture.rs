//! What an H.264 sample says of itself.

use crate::Codec;

/// Whether decoding can begin at a sample: at an IDR picture, or at a recovery point (ITU-T H.264 7.4.1.2.4,
/// D.2.8). `None` where the codec is another or the sample cannot be read; then the file's word counts.
///
/// The picture is asked because the files of careless writers call every sample a sync sample: they leave
/// the `stss` out, or the flags of their fragments at zero.
pub(super) fn is_random_access(codec: Option<&Codec>, sample: &[u8]) -> Option<bool> {
    const SLICE: u8 = 1;
    const IDR_SLICE: u8 = 5;
    const SEI: u8 = 6;
    let Some(Codec::Avc { avcc, .. }) = codec else { return None };
    // ISO/IEC 14496-15 5.3.3.1: lengthSizeMinusOne.
    let length_size = usize::from(avcc.get(4)? & 3) + 1;
    let mut rest = sample;
    let mut recovery_point = false;
    // One length field is taken off in each round.
    while let Some((length, behind)) = rest.split_at_checked(length_size) {
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let (unit, behind) = behind.split_at_checked(length)?;
        rest = behind;
        match unit.split_first().map(|(header, payload)| (header & 0x1F, payload)) {
            Some((IDR_SLICE, _)) => return Some(true),
            // Slice data partition A, too, begins a picture that is none.
            Some((SLICE..=2, _)) => return Some(recovery_point),
            Some((SEI, payload)) => recovery_point |= has_recovery_point(payload),
            _ => {}
        }
    }
    None
}

/// Walks the messages of an SEI (7.3.2.3.1).
fn has_recovery_point(sei: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    // Without the emulation prevention bytes (7.4.1.1).
    let mut zeros = 0;
    let mut bytes = sei.iter().copied().filter(move |byte| {
        let escape = zeros >= 2 && *byte == 3;
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        !escape
    });
    /// A number in bytes of 255 and a last one.
    fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<usize> {
        let mut sum = 0_usize;
        loop {
            let byte = bytes.next()?;
            sum = sum.saturating_add(byte.into());
            if byte != 0xFF {
                return Some(sum);
            }
        }
    }
    while let Some(kind) = number(&mut bytes) {
        let Some(size) = number(&mut bytes) else { return false };
        if kind == RECOVERY_POINT && size > 0 {
            return true;
        }
        if size > 0 && bytes.nth(size - 1).is_none() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hex_literal::hex;

    use super::*;

    fn ask(sample: &[u8]) -> Option<bool> {
        let avcc = Bytes::from_static(&hex!("01 64001f ff e000"));
        is_random_access(Some(&Codec::Avc { avcc, width: 16, height: 16 }), sample)
    }

    #[test]
    fn an_idr_picture_is_one_and_another_slice_is_not() {
        assert_eq!(ask(&hex!("00000002 0910 00000003 658880")), Some(true));
        assert_eq!(ask(&hex!("00000002 0910 00000003 419880")), Some(false));
    }

    #[test]
    fn a_recovery_point_makes_any_picture_one() {
        // After a picture timing with an emulation prevention byte inside.
        let sei = hex!("0000000a 06 0103 00000301 0601 c480 00000002 4198");
        assert_eq!(ask(&sei[..]), None, "the length is one byte too short");
        let sei = hex!("0000000b 06 0103 00000301 0601 c480 00000002 4198");
        assert_eq!(ask(&sei[..]), Some(true));
        assert_eq!(ask(&hex!("00000004 06 0501 80 00000002 4198")), Some(false));
    }

    #[test]
    fn what_cannot_be_read_is_left_to_the_file() {
        assert_eq!(ask(&[]), None);
        assert_eq!(ask(&hex!("00000009 65")), None);
        assert_eq!(ask(&hex!("00000000 00000000")), None);
        assert_eq!(is_random_access(None, &hex!("00000001 65")), None);
    }
}
