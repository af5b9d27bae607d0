//! What may stay on the disk.

use std::time::Duration;

/// What is kept of a stream's artifacts at most. Nothing that is still to be published is removed for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    pub batches: Option<u64>,
    pub age: Option<Duration>,
    pub bytes: Option<u64>,
}

/// What the artifacts of all streams together may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageLimits {
    pub max_bytes: Option<u64>,
    /// Below this much free space the oldest artifacts go, and where none may go, no more are written.
    pub min_free: u64,
}
