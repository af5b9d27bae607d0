//! Where the boxes of an ISO base media file lie (ISO/IEC 14496-12 4.2). Pure.

use std::ops::Range;

/// The header of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoxHeader {
    pub(super) kind: [u8; 4],
    /// Where it begins.
    pub(super) start: usize,
    /// Of the header itself: 8, or 16 with a long size.
    pub(super) length: usize,
    /// Of the whole box, as it says: it may be smaller than its header, or reach beyond the bytes.
    pub(super) size: u64,
    open: bool,
}

impl BoxHeader {
    /// The header at `at`; none where the bytes end within it.
    pub(super) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let header = bytes.get(at..)?;
        let (size, rest) = header.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (length, size) = match u32::from_be_bytes(*size) {
            1 => (16, u64::from_be_bytes(*rest.first_chunk::<8>()?)),
            // To the end of the file.
            0 => (8, header.len() as u64),
            size => (8, size.into()),
        };
        Some(Self { kind: *kind, start: at, length, size, open: header.starts_with(&[0; 4]) })
    }

    /// It has no size: it goes on to the end of the file.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Where it ends; none where it does not fit into `limit` bytes, or not even its header into its size.
    pub(super) fn end(&self, limit: usize) -> Option<usize> {
        let size = usize::try_from(self.size).ok().filter(|size| *size >= self.length)?;
        self.start.checked_add(size).filter(|end| *end <= limit)
    }
}

/// A box that is there as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) kind: [u8; 4],
    pub(super) start: usize,
    pub(super) body: Range<usize>,
}

/// Whether a file or a segment of one begins like this.
pub(super) fn begin_file(bytes: &[u8]) -> bool {
    // ISO/IEC 14496-12, 23009-1, 23000-19; `wide` and `skip` are QuickTime's.
    const FIRST: [&[u8; 4]; 13] = [
        b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"ssix", b"emsg", b"prft", b"mdat", b"free", b"skip",
        b"wide", b"pdin",
    ];
    bytes.get(4..8).is_some_and(|kind| FIRST.iter().any(|first| first.as_slice() == kind))
}

/// The boxes within `range`, up to the first that is broken.
pub(super) fn boxes(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Whole> + '_ {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let header = BoxHeader::read(bytes.get(..range.end)?, at)?;
        let end = header.end(range.end)?;
        at = end;
        let (kind, start) = (header.kind, header.start);
        Some(Whole { kind, start, body: start + header.length..end })
    })
}

/// The first box of a `kind` within `range`.
pub(super) fn find(bytes: &[u8], range: Range<usize>, kind: &[u8; 4]) -> Option<Whole> {
    boxes(bytes, range).find(|found| found.kind == *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_walked_up_to_the_first_that_is_broken() {
        let bytes = b"\0\0\0\x09aaaa.\0\0\0\x01bbbb\0\0\0\0\0\0\0\x11!\0\0\0\x07cccc\0\0\0\x08dddd";
        let found: Vec<_> = boxes(bytes, 0..bytes.len()).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind, found[0].body.clone()), (*b"aaaa", 8..9));
        assert_eq!((found[1].kind, found[1].start, found[1].body.clone()), (*b"bbbb", 9, 25..26));
        assert_eq!(find(bytes, 0..bytes.len(), b"dddd"), None);
        let last = boxes(b"\0\0\0\0last...", 0..11).next();
        assert_eq!(last, Some(Whole { kind: *b"last", start: 0, body: 8..11 }));
        for length in 0..bytes.len() {
            assert!(boxes(&bytes[..length], 0..length).count() <= 2);
        }
    }
}
