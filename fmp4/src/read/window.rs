//! Bytes that the source gave beyond what was asked for.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

/// The latest buffers, so that a source may hand over large pieces and is asked once for what lies in one.
///
/// Several, because the tracks of a badly interleaved file are read in turns from places far apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    /// Offset and bytes, the one used last behind the others.
    held: VecDeque<(u64, Bytes)>,
}

impl Windows {
    /// One for each of two tracks, one for the boxes, one to spare. It bounds what is held.
    const KEPT: usize = 4;

    pub(super) fn clear(&mut self) {
        self.held.clear();
    }

    pub(super) fn keep(&mut self, offset: u64, bytes: Bytes) {
        if self.held.len() == Self::KEPT {
            self.held.pop_front();
        }
        self.held.push_back((offset, bytes));
    }

    /// The bytes of `range`, if one buffer has them all.
    pub(super) fn get(&mut self, range: &Range<u64>) -> Option<Bytes> {
        let found = self.held.iter().position(|(offset, bytes)| {
            *offset <= range.start && range.end <= offset.saturating_add(bytes.len() as u64)
        })?;
        let (offset, bytes) = self.held.remove(found)?;
        // Both lie within the buffer, whose length is a `usize`.
        let (first, last) = ((range.start - offset) as usize, (range.end - offset) as usize);
        let part = bytes.slice(first..last);
        self.held.push_back((offset, bytes));
        Some(part)
    }

    /// Where the buffer that has the byte at `offset` ends.
    pub(super) fn end_at(&self, offset: u64) -> Option<u64> {
        let ends = self.held.iter().map(|(start, bytes)| (*start, start.saturating_add(bytes.len() as u64)));
        ends.filter(|(start, end)| *start <= offset && offset < *end).map(|(_, end)| end).max()
    }
}
