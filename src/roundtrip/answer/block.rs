//! What a raw data block of AAC begins with (ISO/IEC 14496-3 4.4.2.1). Pure.

/// The first syntactic element with sound in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// single_channel_element: one channel, or the middle one of many.
    Single,
    /// channel_pair_element.
    Pair,
}

/// Passes over fill and data stream elements, in which encoders leave their names. `None`: neither of the two, or
/// cut off.
pub(super) fn first_element(block: &[u8]) -> Option<Element> {
    let mut bits = Bits { data: block, at: 0 };
    loop {
        match bits.take(3)? {
            0 => return Some(Element::Single),
            1 => return Some(Element::Pair),
            // data_stream_element (table 4.10): tag, alignment, length.
            4 => {
                bits.take(4)?;
                let aligned = bits.take(1)? == 1;
                let mut count = bits.take(8)?;
                if count == 255 {
                    count += bits.take(8)?;
                }
                if aligned {
                    bits.at = bits.at.next_multiple_of(8);
                }
                bits.at += count * 8;
            }
            // fill_element (table 4.11).
            6 => {
                let mut count = bits.take(4)?;
                if count == 15 {
                    count += bits.take(8)?.checked_sub(1)?;
                }
                bits.at += count * 8;
            }
            _ => return None,
        }
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            value = value << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_encoder_is_passed_over() {
        // A pair at once; FFmpeg's: a data stream element "Lavc", then a pair; a fill element of two bytes, then
        // a single channel.
        assert_eq!(first_element(&[0b0010_0000]), Some(Element::Pair));
        assert_eq!(
            first_element(&[0b1000_0000, 4, b'L', b'a', b'v', b'c', 0b0010_0000]),
            Some(Element::Pair)
        );
        assert_eq!(first_element(&[0b1100_0100, 0, 0, 0b0000_0000]), Some(Element::Single));
        for cut in [&[][..], &[0b1100_0100, 0], &[0b1100_1111, 0xFF], &[0xE0]] {
            assert_eq!(first_element(cut), None, "{cut:x?}");
        }
    }
}
