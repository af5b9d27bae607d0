//! A live HLS source to captured segments, in order, each once.
//!
//! - [`playlist`]: text to playlist. Pure.
//! - [`variant`]: which variant of a master playlist. Pure.
//! - [`cursor`]: which segment next, when to read the playlist again. Pure.
//! - `retry`: how long to wait before trying again. Pure.
//! - `fetch`: one HTTP request, bounded.
//! - `source`: the task that drives them.
//!
//! RFC 8216 and draft-pantos-hls-rfc8216bis. A source that has worked once is never given up: what fails
//! later is retried, and what is lost is reported as [`Event::Lost`].

mod attempt;
mod crypt;
pub mod cursor;
mod error;
mod fetch;
mod keys;
mod load;
pub mod playlist;
mod retry;
mod segment;
mod settings;
mod source;
mod status;
pub mod variant;
mod whole;

use std::time::Duration;

use bytes::Bytes;

pub use crypt::CryptError;
pub use error::Error;
pub(crate) use fetch::tls;
pub use fetch::{Resolved, Resolver, ResolverAnswer, SystemResolver};
pub use settings::{Proxy, Settings, Timeouts};
pub use source::run;
pub use status::{SourceKind, Status};

use crate::media::Moment;

/// What a source yields, in the order of the stream.
#[derive(Clone, Debug)]
pub enum Event {
    /// The playlist's target duration, before the first segment and whenever it changes.
    TargetDuration(Duration),
    Segment(Segment),
    /// Media that will not come: `duration` of it (what the playlist said; a target duration for each
    /// segment that was never seen listed).
    Lost {
        media_sequence: u64,
        duration: Duration,
        reason: String,
    },
    /// The playlist has ended and all of it was delivered.
    Ended,
}

/// A captured segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Overdub's own number: consecutive, never used twice.
    pub number: u64,
    /// The source's number; it may restart.
    pub media_sequence: u64,
    /// A new period must begin here: EXT-X-DISCONTINUITY (also of a lost segment before this one), or the
    /// source's numbering began anew.
    pub discontinuity: bool,
    /// `EXTINF`.
    pub duration: Duration,
    /// `EXT-X-PROGRAM-DATE-TIME` as written.
    pub program_date_time: Option<String>,
    /// Redacted.
    pub url: String,
    /// The file extension in the source's address: letters and digits, `ts` where it has none.
    pub extension: String,
    pub data: Bytes,
    /// When its last byte arrived.
    pub captured_at: Moment,
}
