//! A run of payloads that belong behind one another.

use bytes::{BufMut, Bytes, BytesMut};

/// Encoded bytes as a chain of pieces: a header, then the payloads of the samples, each the very `Bytes`
/// that was handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    parts: Vec<Bytes>,
    len: u64,
}

impl Chunks {
    pub(crate) fn with_capacity(parts: usize) -> Self {
        Self { parts: Vec::with_capacity(parts), len: 0 }
    }

    /// Appends a piece; empty ones are dropped.
    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len() as u64;
            self.parts.push(part);
        }
    }

    /// Appends all pieces of `other`.
    pub fn append(&mut self, other: Self) {
        self.len += other.len;
        self.parts.extend(other.parts);
    }

    /// All bytes together.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order, none of them empty: for vectored writes.
    pub fn iter(&self) -> std::slice::Iter<'_, Bytes> {
        self.parts.iter()
    }

    /// Everything in one piece. This copies, unless there is only one.
    pub fn to_bytes(&self) -> Bytes {
        if let [only] = self.parts.as_slice() {
            return only.clone();
        }
        let mut all = BytesMut::with_capacity(self.parts.iter().map(Bytes::len).sum());
        for part in &self.parts {
            all.put_slice(part);
        }
        all.freeze()
    }
}

impl IntoIterator for Chunks {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;
    fn into_iter(self) -> Self::IntoIter {
        self.parts.into_iter()
    }
}

impl<'a> IntoIterator for &'a Chunks {
    type Item = &'a Bytes;
    type IntoIter = std::slice::Iter<'a, Bytes>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Bytes> for Chunks {
    fn from(part: Bytes) -> Self {
        let mut chunks = Self::default();
        chunks.push(part);
        chunks
    }
}
