//! Boxes inside bytes: headers, children, tables.

use bytes::Bytes;

use super::error::{Place, Problem, ReadError};

/// A box in full.
pub(crate) struct BoxRef {
    pub(crate) kind: [u8; 4],
    /// Where its header begins in the input.
    pub(crate) offset: u64,
    pub(crate) body: Bytes,
    /// Where its body begins in the input.
    pub(crate) body_offset: u64,
}

/// A box header (ISO/IEC 14496-12 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoxHeader {
    pub(crate) kind: [u8; 4],
    pub(crate) header_len: u64,
    /// With the header; `None`: up to the end of what it is in.
    pub(crate) size: Option<u64>,
}

impl BoxHeader {
    /// Bytes of the longest header.
    pub(crate) const MAX_LEN: u64 = 16;

    /// The header at the front of `bytes`; `Ok(None)` when there are too few of them.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Problem> {
        let (Some(size), Some(kind)) = (u32_at(bytes, 0), kind_at(bytes, 4)) else { return Ok(None) };
        let (header_len, size) = match size {
            0 => (8, None),
            1 => match u64_at(bytes, 8) {
                Some(size) => (16, Some(size)),
                None => return Ok(None),
            },
            size => (8, Some(u64::from(size))),
        };
        match size {
            Some(size) if size < header_len => Err(Problem::InvalidSize(size)),
            _ => Ok(Some(Self { kind, header_len, size })),
        }
    }
}

/// The boxes inside `body`, which begins at `offset` of the input. Ends after the first error.
///
/// Fewer than eight bytes at the end are no box: QuickTime ends some lists with four zero bytes.
pub(crate) fn children<'a>(
    body: &Bytes,
    offset: u64,
    parent: &'a Place<'a>,
) -> impl Iterator<Item = Result<BoxRef, ReadError>> + use<'a> {
    let body = body.clone();
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| rest.len() >= 8)?;
        let start = offset.saturating_add(at as u64);
        let fail = |kind: [u8; 4], problem| Some(Err(parent.child(kind, start).error(problem)));
        let kind = kind_at(rest, 4)?;
        let available = rest.len() as u64;
        let header = match BoxHeader::parse(rest) {
            Ok(Some(header)) => header,
            Ok(None) => {
                at = body.len();
                return fail(kind, Problem::Truncated { needed: BoxHeader::MAX_LEN, available });
            }
            Err(problem) => {
                at = body.len();
                return fail(kind, problem);
            }
        };
        let size = header.size.unwrap_or(available);
        if size > available {
            at = body.len();
            return fail(kind, Problem::Truncated { needed: size, available });
        }
        // Both fit: size is at most what is there, and the header is at most the size.
        let (first, last) = (at + header.header_len as usize, at + size as usize);
        at = last;
        let body_offset = start.saturating_add(header.header_len);
        Some(Ok(BoxRef { kind, offset: start, body: body.slice(first..last), body_offset }))
    })
}

impl BoxRef {
    pub(crate) fn place<'a>(&self, parent: &'a Place<'a>) -> Place<'a> {
        parent.child(self.kind, self.offset)
    }

    /// Decodes a leaf box; bytes behind its fields are ignored, as later versions of a box may add some.
    pub(crate) fn decode<T: mp4_atom::Atom>(&self, parent: &Place<'_>) -> Result<T, ReadError> {
        T::decode_body(&mut self.body.as_ref()).map_err(|error| {
            let problem = match error {
                mp4_atom::Error::OutOfBounds => Problem::Malformed("fields do not fit the box".to_owned()),
                other => Problem::Malformed(other.to_string()),
            };
            self.place(parent).error(problem)
        })
    }

    /// The body of a full box: version, flags and what follows them.
    pub(crate) fn full(&self, parent: &Place<'_>) -> Result<(u8, u32, Bytes), ReadError> {
        match (self.body.first(), u32_at(&self.body, 0)) {
            (Some(version), Some(word)) => Ok((*version, word & 0x00FF_FFFF, self.body.slice(4..))),
            _ => Err(self.truncated(parent, 4)),
        }
    }

    pub(crate) fn truncated(&self, parent: &Place<'_>, needed: u64) -> ReadError {
        self.place(parent).error(Problem::Truncated { needed, available: self.body.len() as u64 })
    }
}

/// Entries of one size behind one another, read where they lie: a table costs no memory beside the input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    bytes: Bytes,
    width: usize,
}

impl Table {
    /// At most `declared` entries of `width` bytes from `bytes`, and how many of them are there.
    pub(crate) fn new(bytes: &Bytes, width: usize, declared: u32) -> (Self, usize) {
        let there = (bytes.len() / width.max(1)).min(declared as usize);
        (Self { bytes: bytes.slice(..there * width), width }, there)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().checked_div(self.width).unwrap_or(0)
    }

    /// The `n`th 32-bit field of entry `index`.
    pub(crate) fn u32(&self, index: usize, n: usize) -> Option<u32> {
        u32_at(self.entry(index)?, 4 * n)
    }

    pub(crate) fn u64(&self, index: usize) -> Option<u64> {
        u64_at(self.entry(index)?, 0)
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(self.width)?;
        self.bytes.get(start..start.checked_add(self.width)?)
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_be_bytes(*b))
}

pub(crate) fn kind_at(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..)?.first_chunk().copied()
}
