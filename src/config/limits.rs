//! What the service takes on.

/// Limits of all streams together. What is beyond is refused at the start of a stream, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Streams that run at once.
    pub max_streams: usize,
    /// Bytes that all streams may hold in memory, by what is known of their bitrates.
    pub max_memory: Option<u64>,
    /// The same for one stream.
    pub max_stream_memory: Option<u64>,
    /// Bytes that a stream may hold as measured while it runs, where this was set. Otherwise its share follows from what
    /// it is expected to hold.
    pub stream_share: Option<u64>,
    /// Files and sockets that the process may have open.
    pub open_files: Option<u64>,
}

impl ServiceLimits {
    pub const DEFAULT_STREAMS: usize = 100;
    /// Ten minutes of latency at 8 Mbit/s.
    pub const DEFAULT_STREAM_MEMORY: u64 = 1_000_000_000;
    pub const STREAMS_RANGE: (usize, usize) = (1, 10_000);
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            max_streams: Self::DEFAULT_STREAMS,
            max_memory: None,
            max_stream_memory: Some(Self::DEFAULT_STREAM_MEMORY),
            stream_share: None,
            open_files: None,
        }
    }
}
