//! The name of a stream, which is also a folder's name: checked once, here.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

/// `[A-Za-z0-9._-]{1,64}`, not starting with a dot, so that it is one harmless path component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$", example = "news")]
pub struct StreamId(Arc<str>);

/// The text cannot be a stream id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream id must be 1 to 64 of A-Z a-z 0-9 . _ - and not start with a dot")]
pub struct InvalidStreamId;

impl StreamId {
    /// Longest id in bytes: leaves room for numbers and suffixes within any file system's 255.
    const MAX_LEN: usize = 64;

    pub fn new(text: &str) -> Result<Self, InvalidStreamId> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        if fits && !text.starts_with('.') && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidStreamId)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for StreamId {
    type Err = InvalidStreamId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_are_refused() {
        for bad in ["", ".", "..", ".x", "a/b", "../x", "a\\b", "%2e", "a b", "ü", "a\0", &"x".repeat(65)] {
            assert_eq!(StreamId::new(bad), Err(InvalidStreamId), "{bad:?}");
        }
        for good in ["a", "A-1_b.c", &"x".repeat(64)] {
            assert!(StreamId::new(good).is_ok(), "{good:?}");
        }
    }
}
