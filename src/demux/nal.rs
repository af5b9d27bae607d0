//! NAL units behind lengths, and the configuration records that say how long the lengths are
//! (ISO/IEC 14496-15 5.3.3.1, 8.3.3.1). Pure.

use bytes::{BufMut, Bytes, BytesMut};

/// What a configuration record holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Bytes of the length before each NAL unit of a sample: 1, 2 or 4.
    pub(super) length_size: usize,
    pub(super) sets: Vec<&'a [u8]>,
}

/// Reads an AVCDecoderConfigurationRecord, as far as it goes.
pub(super) fn avcc(record: &[u8]) -> Option<Record<'_>> {
    let length_size = usize::from(record.get(4)? & 3) + 1;
    let mut sets = Vec::new();
    let mut rest = record.get(5..).unwrap_or_default();
    for mask in [0x1F, 0xFF] {
        let Some((count, after)) = rest.split_first() else { break };
        rest = take_sets(after, usize::from(count & mask), &mut sets);
    }
    Some(Record { length_size, sets })
}

/// Reads an HEVCDecoderConfigurationRecord, as far as it goes.
pub(super) fn hvcc(record: &[u8]) -> Option<Record<'_>> {
    let length_size = usize::from(record.get(21)? & 3) + 1;
    let mut sets = Vec::new();
    let arrays = record.get(22).copied().unwrap_or(0);
    let mut rest = record.get(23..).unwrap_or_default();
    for _ in 0..arrays {
        let Some(count) = rest.get(1..3) else { break };
        let count = usize::from(u16::from_be_bytes([count[0], count[1]]));
        rest = take_sets(rest.get(3..).unwrap_or_default(), count, &mut sets);
    }
    Some(Record { length_size, sets })
}

fn take_sets<'a>(mut rest: &'a [u8], count: usize, sets: &mut Vec<&'a [u8]>) -> &'a [u8] {
    for _ in 0..count {
        let Some((set, after)) = split(rest, 2) else { return &[] };
        sets.push(set);
        rest = after;
    }
    rest
}

/// The first NAL unit and what follows it; `None` where its length is wrong.
fn split(bytes: &[u8], length_size: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length_size)?;
    let length = length.iter().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

/// The NAL units of a sample, up to the first whose length is wrong.
pub(super) fn units(sample: &[u8], length_size: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = sample;
    std::iter::from_fn(move || {
        let (unit, after) = split(rest, length_size)?;
        rest = after;
        Some(unit)
    })
}

/// The sample with lengths of 4 bytes, as everything behind this stage has them. `None`: a length is wrong.
pub(super) fn with_long_lengths(sample: &Bytes, length_size: usize) -> Option<Bytes> {
    let mut out = BytesMut::with_capacity(sample.len() + 64);
    let mut rest = &sample[..];
    while !rest.is_empty() {
        let (unit, after) = split(rest, length_size)?;
        out.put_u32(u32::try_from(unit.len()).ok()?);
        out.put_slice(unit);
        rest = after;
    }
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn records_are_read_as_far_as_they_go() {
        let avc = hex!("01 64001F FE E1 0003 676401 01 0002 68EE FDF8F800");
        assert_eq!(avcc(&avc), Some(Record { length_size: 3, sets: vec![&[0x67, 0x64, 1], &[0x68, 0xEE]] }));
        assert_eq!(avcc(&avc[..13]).map(|record| record.sets.len()), Some(1));
        assert_eq!(avcc(&avc[..4]), None);
        let mut hevc = vec![0; 21];
        hevc.extend(hex!("03 02 A0 0001 0002 4001 A1 0002 0001 42 0002 4201"));
        let sets: Vec<&[u8]> = vec![&[0x40, 1], &[0x42], &[0x42, 1]];
        assert_eq!(hvcc(&hevc), Some(Record { length_size: 4, sets }));
        assert_eq!(hvcc(&hevc[..21]), None);
    }

    #[test]
    fn short_lengths_become_long_or_the_sample_is_broken() {
        let sample = Bytes::from_static(&hex!("0002 6588 0001 41"));
        assert_eq!(with_long_lengths(&sample, 2).as_deref(), Some(&hex!("00000002 6588 00000001 41")[..]));
        assert_eq!(units(&sample, 2).collect::<Vec<_>>(), [&[0x65, 0x88][..], &[0x41]]);
        for cut in [1, 3, 5, 6] {
            assert_eq!(with_long_lengths(&sample.slice(..cut), 2), None, "{cut}");
        }
    }
}
