//! What can be wrong with a file, and where.

use std::fmt::Write as _;

/// Something wrong in the input, with the box and the byte where it was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} at byte {offset}: {problem}")]
pub struct ReadError {
    /// The boxes from the outside in, for example `moof/traf[0]/trun`; `file` outside any box. Several
    /// boxes of one type in one parent are counted from 0.
    pub path: String,
    /// Byte offset in the input (of the segment, where init and segment are two inputs).
    pub offset: u64,
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no `moov`, so nothing is known of the tracks.
    #[error("no moov: this is not an init segment or a movie")]
    NoMovie,
    /// The input ends inside a box or a sample, or a child ends outside of its parent.
    #[error("{needed} bytes needed, {available} there")]
    Truncated { needed: u64, available: u64 },
    /// A box that is smaller than its own header.
    #[error("box size {0} is smaller than its header")]
    InvalidSize(u64),
    /// A `moov` or `moof` beyond every real one; see [`crate::Reader`] for the limits.
    #[error("box of {size} bytes is larger than the limit of {limit}")]
    TooLarge { size: u64, limit: u64 },
    /// A box without which its parent means nothing.
    #[error("{} is missing", kind_name(.0))]
    Missing([u8; 4]),
    /// The fields of a box contradict the box.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A field with a value that the format forbids.
    #[error("{field} is {value}")]
    InvalidValue { field: &'static str, value: u64 },
    /// A table says that it has more entries than its box holds.
    #[error("{declared} entries declared, {available} there")]
    ShortTable { declared: u64, available: u64 },
    /// A fragment of a track that the `moov` does not have.
    #[error("track {0} is not in the movie")]
    UnknownTrack(u32),
    /// Two tracks have one id; the first one counts.
    #[error("track {0} is there twice")]
    DuplicateTrack(u32),
    /// More tracks than are kept.
    #[error("more than {0} tracks")]
    TooManyTracks(usize),
    /// A second `moov` with other tracks than the first; it is ignored.
    #[error("a second moov differs from the first")]
    ChangedMovie,
    /// Samples point outside of the input, or before its beginning.
    #[error("sample data at {offset} lies outside of the input")]
    OutsideOfInput { offset: i64 },
    /// Samples claim more bytes, or are more in number, than the input can hold without overlap.
    #[error("samples claim more than the input can hold")]
    Overcommitted,
    /// Samples that all have no bytes: they are not read.
    #[error("all samples are empty")]
    EmptySamples,
    /// A decoding time beyond 63 bits.
    #[error("decoding time does not fit 63 bits")]
    TimeTooLarge,
    /// Edits that are not one continuous stretch of media: times follow the first one.
    #[error("edit list with several stretches of media: only the first is applied")]
    SeveralEdits,
    /// More runs of samples in a `moof`, or track fragments, than are read.
    #[error("more than {limit} of them")]
    TooMany { limit: usize },
    /// Boxes of hardly more than their headers, so many that nothing else can be in the input.
    #[error("too many tiny boxes")]
    TinyBoxes,
    /// Too many errors: the rest is not read.
    #[error("too much is wrong before it")]
    TooDamaged,
    /// Samples of a sample entry (counted from 0) that the track does not have.
    #[error("sample entry {0} is not in the track")]
    UnknownSampleEntry(u16),
}

fn kind_name(kind: &[u8; 4]) -> String {
    kind.escape_ascii().to_string()
}

/// A position in the tree of boxes, on the stack: it becomes text only when something is wrong there.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    kind: [u8; 4],
    index: Option<usize>,
    /// Where the box begins in the input.
    pub(crate) offset: u64,
}

impl<'a> Place<'a> {
    pub(crate) fn root(kind: [u8; 4], offset: u64) -> Self {
        Self { parent: None, kind, index: None, offset }
    }

    pub(crate) fn child(&'a self, kind: [u8; 4], offset: u64) -> Self {
        Self { parent: Some(self), kind, index: None, offset }
    }

    /// The `index`th child of its type.
    pub(crate) fn nth(&'a self, kind: [u8; 4], index: usize, offset: u64) -> Self {
        Self { parent: Some(self), kind, index: Some(index), offset }
    }

    pub(crate) fn error(&self, problem: Problem) -> ReadError {
        ReadError { path: self.path(), offset: self.offset, problem }
    }

    pub(crate) fn path(&self) -> String {
        let mut path = self.parent.map(|parent| parent.path() + "/").unwrap_or_default();
        path += &kind_name(&self.kind);
        if let Some(index) = self.index {
            let _ = write!(path, "[{index}]"); // a String takes everything
        }
        path
    }
}

/// Errors that cost a part of the input but not all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    first: Vec<ReadError>,
    total: u64,
}

impl Damage {
    /// Enough to see what is wrong; a file of nothing but errors must not fill the memory with them.
    const KEPT: usize = 32;

    pub(crate) fn push(&mut self, error: ReadError) {
        if self.first.len() < Self::KEPT {
            self.first.push(error);
        }
        self.total = self.total.saturating_add(1);
    }

    /// The first errors, at most 32.
    pub fn errors(&self) -> &[ReadError] {
        &self.first
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn is_empty(&self) -> bool {
        self.total == 0
    }
}
