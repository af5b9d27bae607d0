//! What can be wrong with what a peer sends.

/// The peer broke the protocol; the connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The handshake's first byte or digest is not RTMP's.
    #[error("not an RTMP peer: {0}")]
    Handshake(String),
    /// A chunk whose header refers to an earlier one that never was.
    #[error("chunk stream {stream} begins with a type {format} header, at byte {offset}")]
    NoPreviousChunk { stream: u32, format: u8, offset: u64 },
    /// A new message header inside an unfinished message of the same chunk stream.
    #[error("chunk stream {stream} starts a message inside another, at byte {offset}")]
    Interrupted { stream: u32, offset: u64 },
    /// More chunk streams than [`crate::chunk::MAX_STREAMS`].
    #[error("more than {limit} chunk streams, at byte {offset}")]
    TooManyStreams { limit: usize, offset: u64 },
    /// A message longer than this side takes.
    #[error("message of {len} bytes on chunk stream {stream}, at most {limit} allowed, at byte {offset}")]
    MessageTooLong { stream: u32, len: usize, limit: usize, offset: u64 },
    /// Unfinished messages of all chunk streams together are longer than this side keeps.
    #[error("more than {limit} bytes of unfinished messages, at byte {offset}")]
    TooMuchUnfinished { limit: usize, offset: u64 },
    /// Set Chunk Size with a value outside 1 to 2^31-1 (Adobe RTMP 1.0, section 5.4.1).
    #[error("chunk size {0:#x} is not allowed")]
    ChunkSize(u32),
    /// A message shorter than its type demands.
    #[error("message of type {kind} has {len} bytes, too few")]
    MessageTooShort { kind: u8, len: usize },
    /// A command longer than [`crate::message::MAX_COMMAND`].
    #[error("command of {len} bytes, at most {limit} allowed")]
    CommandTooLong { len: usize, limit: usize },
    /// createStream was answered without a usable stream number.
    #[error("createStream was answered without a stream number")]
    NoStreamNumber,
    /// The server wants to know who publishes, before it answers `connect`: connect again with the answer.
    #[error("server asks for user and password ({0})")]
    Challenged(crate::Challenge),
    /// The server sends publishers elsewhere: a tcUrl, absolute or relative. It may hold tokens and is not shown.
    #[error("server redirects to another address")]
    Redirected { to: String },
    /// The server said no: which code (`NetStream.Publish.BadName`, ...) and in which words.
    #[error("server refused: {0}")]
    Refused(crate::Refusal),
}
