//! Messages to chunks, payload by reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{DEFAULT_SIZE, EXTENDED};
use crate::Timestamp;

/// Longest headers of a message's first chunk: type 0 with extended timestamp.
const MAX_HEADER: usize = 18;

/// Bytes on their way out: headers of our own and slices of the caller's payload, in order.
///
/// It is a [`Buf`]: `AsyncWriteExt::write_buf` writes many slices at once and consumes what was written.
#[derive(Debug, Default)]
pub struct Output {
    slices: VecDeque<Bytes>,
    len: usize,
}

impl Output {
    /// Appends bytes behind what waits.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.slices.push_back(bytes);
        }
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.slices.front().map_or(&[], |slice| slice)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (to, slice) in out.iter_mut().zip(&self.slices) {
            *to = IoSlice::new(slice);
            count += 1;
        }
        count
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "advance by {count} of {} bytes", self.len);
        self.len -= count;
        let mut left = count;
        while let Some(first) = self.slices.front_mut() {
            if left < first.len() {
                first.advance(left);
                break;
            }
            left -= first.len();
            self.slices.pop_front();
        }
    }
}

/// Where a message goes and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Chunk stream id, 2 to 63.
    pub chunk_stream: u8,
    pub timestamp: Timestamp,
    pub kind: u8,
    pub stream: u32,
}

/// Cuts messages into chunks.
///
/// Every message begins with a type 0 header: up to 8 bytes more than a delta, but its time is absolute, so
/// that no receiver has to add up anything (they disagree on what a type 3 header after a type 0 adds).
#[derive(Debug)]
pub struct Encoder {
    chunk_size: usize,
    /// Headers are written here and split off. When those before have been sent, their room is used again, so
    /// that a stream in its course allocates nothing.
    headers: BytesMut,
}

/// Room for the headers of two hundred messages: seconds of a stream.
const HEADERS: usize = 4096;

impl Default for Encoder {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_SIZE, headers: BytesMut::with_capacity(HEADERS) }
    }
}

impl Encoder {
    /// From the next message on; the caller has told the peer by a Set Chunk Size. Zero counts as one.
    pub fn set_chunk_size(&mut self, size: usize) {
        self.chunk_size = size.max(1);
    }

    /// Appends the message made of `prefix` (a few bytes, copied) and `body` (sliced) to `output`.
    pub fn message(&mut self, header: Header, prefix: &[u8], body: Bytes, output: &mut Output) {
        let Header { chunk_stream, timestamp, kind, stream } = header;
        let (mut prefix, mut body) = (prefix, body);
        // The 24 bits of the length field; the callers' payloads are far below.
        let len = prefix.len().saturating_add(body.len()).min(EXTENDED as usize) as u32;
        let extended = (timestamp.get() >= EXTENDED).then_some(timestamp.get());

        let own = &mut self.headers;
        own.reserve(MAX_HEADER + prefix.len());
        own.put_u8(chunk_stream & 0x3F);
        own.put_uint(u64::from(timestamp.get().min(EXTENDED)), 3);
        own.put_uint(u64::from(len), 3);
        own.put_u8(kind);
        own.put_u32_le(stream);
        own.extend(extended.iter().flat_map(|field| field.to_be_bytes()));
        loop {
            let (now, later) = prefix.split_at(prefix.len().min(self.chunk_size));
            own.put_slice(now);
            prefix = later;
            output.push(own.split().freeze());
            output.push(body.split_to(body.len().min(self.chunk_size - now.len())));
            if prefix.is_empty() && body.is_empty() {
                break;
            }
            own.put_u8(0xC0 | (chunk_stream & 0x3F));
            own.extend(extended.iter().flat_map(|field| field.to_be_bytes()));
        }
    }
}
