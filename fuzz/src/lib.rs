//! What the targets share: they write valid frames around hostile bytes, and say what must hold of whatever
//! comes out.

pub mod mp4;
pub mod ts;

/// Control bytes from the front of an input; zeros where it ends.
pub struct Control<'a>(pub &'a [u8]);

impl<'a> Control<'a> {
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// A number that is an extreme of its kind as often as not.
    pub fn any_u64(&mut self) -> u64 {
        match self.byte() {
            0 => 0,
            1 => u64::MAX,
            2 => i64::MAX as u64,
            3 => u32::MAX.into(),
            4 => i32::MAX as u64,
            5 => 1 << 63,
            6..=40 => self.u64(),
            41..=90 => self.u32().into(),
            91..=180 => self.u16().into(),
            _ => self.byte().into(),
        }
    }

    /// The next bytes, fewer where the input ends.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
