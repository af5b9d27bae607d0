//! Why a source cannot be read, in one line each, without secrets.

use std::time::Duration;

use super::{CryptError, playlist};
use crate::outside::{AddressTooLong, ShownUrl, Text};
use crate::policy::Refused;

/// A failure of one request or of the source as a whole. URLs are redacted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The HTTP client could not be set up: a header or the TLS configuration.
    #[error("the HTTP client cannot be set up: {reason}")]
    Client { reason: Text },
    /// Only http and https are read.
    #[error("{url}: the scheme is neither http nor https")]
    Scheme { url: ShownUrl },
    /// An address that what named it may not lead to (see [`crate::policy`]).
    #[error("{url} is not asked: {source}")]
    Forbidden { url: ShownUrl, source: Refused },
    /// An address in a playlist is none.
    #[error("{playlist} lists an address that is not a URL")]
    Address { playlist: ShownUrl },
    /// An address that is longer than any that is asked, listed or of a redirect.
    #[error("{url} is not asked: {source}")]
    TooLong { url: ShownUrl, source: AddressTooLong },
    /// No connection, no name, or TLS refused.
    #[error("{url} is unreachable: {reason}")]
    Unreachable { url: ShownUrl, reason: Text },
    /// No answer, or no further byte of it, in time.
    #[error("{url}: no {what} within {} s", .after.as_secs_f64())]
    Timeout { url: ShownUrl, what: &'static str, after: Duration },
    #[error("{url} answered HTTP {status}")]
    Status { url: ShownUrl, status: u16 },
    /// The connection ended before the body did.
    #[error("{url}: the body ended after {received} bytes: {reason}")]
    Truncated { url: ShownUrl, received: usize, reason: Text },
    /// The body comes, but more slowly than anything that is worth waiting for.
    #[error("{url}: the body comes too slowly: {received} bytes after a window of {} s", .window.as_secs_f64())]
    Slow { url: ShownUrl, received: usize, window: Duration },
    #[error("{url}: the body is larger than {limit} bytes")]
    TooLarge { url: ShownUrl, limit: usize },
    /// A segment that is empty or a web page.
    #[error("{url}: the body is not a segment: {reason}")]
    NotASegment { url: ShownUrl, reason: &'static str },
    #[error("{url}: {source}")]
    Playlist { url: ShownUrl, source: playlist::Error },
    /// A media playlist was expected: a master playlist lists another master.
    #[error("{url} is a master playlist inside a master playlist")]
    NestedMaster { url: ShownUrl },
    /// A film in one MP4 file, which cannot be read, or not any further.
    #[error("{url}: the MP4 file cannot be read: {reason}")]
    File { url: ShownUrl, reason: Text },
    /// Something that HLS allows and this version does not read.
    #[error("{url}: {what} is not supported")]
    Unsupported { url: ShownUrl, what: Text },
    /// A segment whose encryption cannot be undone. `url` is the segment's, or its key's where that is at
    /// fault.
    #[error("{url}: {source}")]
    Crypt { url: ShownUrl, source: CryptError },
    /// The time for a first success is over.
    #[error("no success within {} s; last: {last}", .budget.as_secs_f64())]
    Startup { budget: Duration, last: Box<Error> },
}

impl Error {
    /// Whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Truncated { .. }
            | Self::Slow { .. }
            | Self::NotASegment { .. } => true,
            // A source that is being started answers 404, a balanced one that lost its token 403.
            Self::Status { status, .. } => matches!(status, 403 | 404 | 408 | 425 | 429 | 500..=599),
            // A damaged body or a key in rotation; what a playlist asks for does not change.
            Self::Crypt { source, .. } => source.is_transient(),
            Self::Playlist { source, .. } => source.is_transient(),
            Self::Client { .. }
            | Self::Scheme { .. }
            | Self::Forbidden { .. }
            | Self::Address { .. }
            | Self::TooLong { .. }
            | Self::TooLarge { .. }
            | Self::NestedMaster { .. }
            | Self::File { .. }
            | Self::Unsupported { .. }
            | Self::Startup { .. } => false,
        }
    }

    /// Whether the segment itself is at fault, and not its server: another attempt rarely brings another body.
    pub(super) fn is_fault_of_the_segment(&self) -> bool {
        matches!(self, Self::Crypt { .. })
    }

    /// Whether the server answered that the resource is not there, or not for us.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { status: 401 | 403 | 404 | 410, .. })
    }
}
