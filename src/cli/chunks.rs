//! Files read piece by piece into memory that is used again.

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;

/// How much is read at once: what the kernel copies is still in the processor's cache when it is parsed.
const CHUNK: u64 = 256 << 10;
/// What is reserved for a longer piece before it is there: the samples of a fragment fit in.
const RESERVED: u64 = 4 << 20;
/// Pieces that are remembered until nobody uses them: a demuxer still has the one before the last.
const REMEMBERED: usize = 4;

/// The pieces of a file.
#[derive(Debug)]
pub(super) struct Chunks<R> {
    input: R,
    handed_out: VecDeque<Bytes>,
}

impl<R: Read> Chunks<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, handed_out: VecDeque::new() }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let chunk = self.take(CHUNK)?;
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// So many bytes, fewer only where the input ends. What is allocated grows with what is read.
    fn take(&mut self, len: u64) -> std::io::Result<Bytes> {
        let mut data = self.free();
        // One more than is read: of a `Vec` that is full, `Bytes` forgets how much it could take.
        data.reserve(usize::try_from(len.min(RESERVED)).unwrap_or(0) + 1);
        self.input.by_ref().take(len).read_to_end(&mut data)?;
        let data = Bytes::from(data);
        if self.handed_out.len() == REMEMBERED {
            self.handed_out.pop_front();
        }
        self.handed_out.push_back(data.clone());
        Ok(data)
    }

    /// Memory that nobody uses any more, or new.
    fn free(&mut self) -> Vec<u8> {
        let unused = self.handed_out.iter().position(Bytes::is_unique);
        let Some(mut data) = unused.and_then(|index| self.handed_out.remove(index)) else {
            return Vec::new();
        };
        // Made short first, so that nothing is moved on the way; an empty `Bytes` lets go of its memory.
        data.truncate(1);
        let mut data = Vec::from(data);
        data.clear();
        data
    }
}

impl<R: Read + Seek> Chunks<R> {
    /// Bytes in all.
    pub(super) fn len(&mut self) -> std::io::Result<u64> {
        self.input.seek(SeekFrom::End(0))
    }

    /// The bytes in `range`, fewer only where the input ends.
    pub(super) fn range(&mut self, range: Range<u64>) -> std::io::Result<Bytes> {
        if self.input.stream_position()? != range.start {
            self.input.seek(SeekFrom::Start(range.start))?;
        }
        self.take(range.end.saturating_sub(range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_when_nobody_holds_it() {
        let input: Vec<u8> = (0..4 * CHUNK + 5).map(|n| (n % 251) as u8).collect();
        let mut chunks = Chunks::new(&input[..]);
        let (mut read, mut places, mut kept) = (Vec::new(), Vec::new(), None);
        while let Some(chunk) = chunks.next().expect("memory") {
            read.extend_from_slice(&chunk);
            places.push(chunk.as_ptr());
            kept = Some(chunk);
        }
        assert!(kept.is_some_and(|chunk| chunk.len() == 5));
        assert_eq!(read, input);
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn ranges_may_go_back_and_end_beyond_the_end() {
        let mut chunks = Chunks::new(std::io::Cursor::new(b"0123456789"));
        let mut range = |range| chunks.range(range).expect("memory");
        assert_eq!(range(4..6), &b"45"[..]);
        assert_eq!(range(6..12), &b"6789"[..]);
        assert_eq!(range(0..1), &b"0"[..]);
        assert!(range(20..30).is_empty());
    }
}
