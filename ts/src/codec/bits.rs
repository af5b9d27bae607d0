//! Bits of a header, most significant first.

/// Reads bits; `None` past the end.
#[derive(Clone, Debug)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    /// Next bit.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// How many bits were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// How many bits are left.
    pub(crate) fn left(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.at)
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next `count` (at most 32) bits as a number.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    /// The next `count` (at most 8) bits.
    pub(crate) fn byte(&mut self, count: u32) -> Option<u8> {
        Some(self.bits(count)? as u8)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        let end = self.at.checked_add(count)?;
        if end > self.data.len() * 8 {
            return None;
        }
        self.at = end;
        Some(())
    }

    /// ue(v), ISO/IEC 14496-10 9.1.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None; // above every value that the syntax allows
            }
        }
        Some(((1_u64 << zeros) - 1) as u32 + self.bits(zeros)?)
    }

    /// se(v), ISO/IEC 14496-10 9.1.1.
    pub(crate) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let value = (code + 1) / 2;
        Some((if code % 2 == 0 { -value } else { value }) as i32)
    }
}

/// Writes bits, most significant first; the last byte is filled with zeros.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    pub(crate) bytes: Vec<u8>,
    used: usize,
}

impl BitWriter {
    pub(crate) fn put(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> shift & 1) as u8) << (7 - self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Fills the last byte with zeros.
    pub(crate) fn align(&mut self) {
        self.used = self.bytes.len() * 8;
    }
}

/// Copies `nal` without its emulation prevention bytes (7.3.1) into `out`; stops when `out` is full.
/// Returns how many bytes were written.
pub(crate) fn unescape(nal: &[u8], out: &mut [u8]) -> usize {
    let mut zeros = 0;
    let mut length = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        let Some(slot) = out.get_mut(length) else { break };
        *slot = byte;
        length += 1;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_the_table_are_read() {
        // 9.1, table 9-2: 1, 010, 011, 00100 are 0, 1, 2, 3; signed: 0, 1, -1, 2.
        let data = [0b1010_0110, 0b0100_0000];
        let mut bits = Bits::new(&data);
        assert_eq!([bits.ue(), bits.ue(), bits.ue(), bits.ue()], [Some(0), Some(1), Some(2), Some(3)]);
        let mut bits = Bits::new(&data);
        assert_eq!([bits.se(), bits.se(), bits.se(), bits.se()], [Some(0), Some(1), Some(-1), Some(2)]);
    }

    #[test]
    fn the_end_and_endless_zeros_are_none() {
        assert_eq!(Bits::new(&[0; 8]).ue(), None);
        assert_eq!(Bits::new(&[0; 2]).ue(), None);
        assert_eq!(Bits::new(&[1]).bits(9), None);
        assert_eq!(Bits::new(&[1]).skip(9), None);
    }

    #[test]
    fn emulation_prevention_is_undone() {
        let mut out = [0; 16];
        let length = unescape(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3], &mut out);
        assert_eq!(out[..length], [0, 0, 1, 0, 0, 0, 0]);
    }
}
