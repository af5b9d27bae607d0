//! Typed settings: what may be set, from where, and why each default is what it is.
//!
//! [`StreamOptions`] and [`ServiceOptions`] are one layer: everything optional, as a request body, a set of
//! flags, the environment or a file gives it. Layers are laid over each other with `or`, and `resolve` turns
//! the result into [`StreamSettings`] and [`ServiceSettings`], checked, or into an [`Invalid`] that names
//! the field. Pure, but for reading the file, which the caller does.

mod access;
mod again;
mod environment;
mod error;
mod limits;
mod options;
mod processor;
mod retention;
mod schema;
mod service;
mod size;
mod source;
mod span;
mod srs;
mod stream;
mod url;

pub use access::{AccessOptions, AccessSettings, Origins};
pub use environment::from_environment;
pub use error::Invalid;
pub use limits::ServiceLimits;
pub use options::{OneOrMany, StreamOptions};
pub use processor::{ProcessorAccess, ProcessorAuth};
pub use retention::{Retention, StorageLimits};
pub use schema::StreamDefaults;
pub use service::{ServiceOptions, ServiceSettings};
pub use size::{InvalidSize, Size};
pub use source::{Secret, SourceAccess, SourceAuth, SourceChoice, SourceProxy};
pub use span::{InvalidSpan, Span};
pub use stream::{Artifacts, ConfigurationChange, Fallback, KickGhost, OnGap, SrsControl, StreamSettings};
pub use url::{HttpUrl, RtmpUrl};

#[cfg(test)]
mod examples;
#[cfg(test)]
mod tests;
