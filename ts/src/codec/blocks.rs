//! Memory that samples are gathered in: blocks, used again when all samples in them are gone.

use std::collections::VecDeque;

use bytes::BytesMut;

/// Blocks that are remembered while samples in them are alive. Who keeps samples for two seconds (a writer of
/// fragments) finds the oldest free when the next is due, so that the same memory, still in the processor's
/// cache, serves a whole file; who keeps them longer gets new blocks, and these are freed with their samples.
const REMEMBERED: usize = 4;

/// The buffer of one stream.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Size of the next block.
    size: usize,
    /// Each block is twice the one before, up to this.
    largest: usize,
    /// Blocks that were filled, oldest first: empty handles that keep them.
    filled: VecDeque<BytesMut>,
}

impl Blocks {
    pub(crate) const fn new(smallest: usize, largest: usize) -> Self {
        Self { size: smallest, largest, filled: VecDeque::new() }
    }

    /// Appends `bytes` to `buffer`, whose content moves to another block if this one is full.
    pub(crate) fn append(&mut self, buffer: &mut BytesMut, bytes: &[u8]) {
        if buffer.capacity() - buffer.len() < bytes.len() {
            self.change(buffer, bytes.len());
        }
        buffer.extend_from_slice(bytes);
    }

    fn change(&mut self, buffer: &mut BytesMut, more: usize) {
        // What is moved may be as long as a block; then there is to be as much room behind it.
        let wanted = buffer.len() + more.max(self.size).max(buffer.len());
        let free = self.filled.iter_mut().position(|block| block.try_reclaim(wanted));
        let mut next = match free.and_then(|index| self.filled.remove(index)) {
            Some(block) => block,
            None => BytesMut::with_capacity(wanted),
        };
        self.size = (2 * self.size).min(self.largest);
        next.extend_from_slice(buffer);
        let mut full = std::mem::replace(buffer, next);
        full.clear();
        if self.filled.len() == REMEMBERED {
            self.filled.pop_front();
        }
        self.filled.push_back(full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Fills a buffer with samples of 100 bytes, each kept until `held` others came; returns how many places
    /// in memory they began at.
    fn places(held: usize) -> usize {
        let mut blocks = Blocks::new(256, 1024);
        let (mut buffer, mut alive, mut seen) = (BytesMut::new(), VecDeque::new(), Vec::new());
        for n in 0..=250_u8 {
            blocks.append(&mut buffer, &[n; 100]);
            let sample: Bytes = buffer.split().freeze();
            assert!(sample.iter().all(|&byte| byte == n));
            seen.push(sample.as_ptr());
            alive.push_back((n, sample));
            if alive.len() > held {
                alive.pop_front();
            }
            assert!(alive.iter().all(|(n, sample)| sample.iter().all(|byte| byte == n)));
        }
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    }

    #[test]
    fn blocks_are_used_again_when_their_samples_are_gone_and_not_before() {
        assert!(places(20) < 100, "{}", places(20));
        assert_eq!(places(251), 251);
    }

    #[test]
    fn what_is_in_work_moves_along_and_may_be_larger_than_a_block() {
        let mut blocks = Blocks::new(4, 16);
        let mut buffer = BytesMut::new();
        let all: Vec<u8> = (0..=255).collect();
        for piece in all.chunks(7) {
            blocks.append(&mut buffer, piece);
        }
        assert_eq!(buffer, all);
    }
}
