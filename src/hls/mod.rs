//! A live HLS source to captured segments, in order, each once.
//!
//! - [`playlist`]: text to playlist. Pure.
//! - [`variant`]: which variant of a master playlist, and which sound. Pure.
//! - `failover`: when another variant stands in for one that fails. Pure.
//! - [`cursor`]: which segment next, when to read the playlist again. Pure.
//! - `join`: the order of two renditions. Pure.
//! - `retry`, `attempt`: how long to wait before trying again, and how often. Pure.
//! - `crypt`: encryption, of whole segments and of samples; `whole`: whether a body is all of a segment;
//!   `boxes`: where the boxes of an MP4 lie; `unpack`: the text of a playlist out of its body. Pure.
//! - `fetch`: one HTTP request, bounded; `keys`: those for keys; `segment`: one attempt at a segment.
//! - `load`, `work`: what a source waits for, playlists and segments; `maps`: initialization sections.
//! - `file`: a film in one MP4 file, in place of a playlist.
//! - `presentation`: what a master playlist offers; `reader`: one rendition of it; `source`: the task.
//!
//! RFC 8216 and draft-pantos-hls-rfc8216bis. A source that has worked once is never given up: what fails
//! later is retried, and what is lost is reported as [`Event::Lost`].

mod attempt;
mod boxes;
mod crypt;
pub mod cursor;
mod error;
mod failover;
mod fetch;
mod file;
mod join;
mod keys;
mod load;
mod maps;
mod marks;
pub mod playlist;
mod presentation;
mod reader;
mod report;
mod retry;
mod segment;
mod settings;
mod slot;
mod source;
mod status;
mod unpack;
pub mod variant;
mod whole;
mod work;

use std::time::Duration;

use bytes::Bytes;

pub use crypt::CryptError;
pub use error::Error;
pub(crate) use fetch::tls;
pub use fetch::{Resolved, Resolver, ResolverAnswer, SystemResolver};
pub use settings::{Continue, Proxy, Settings, Timeouts};
pub use source::run;
pub use status::{SourceKind, Status};

use crate::media::{Moment, Rendition};
use crate::outside::{ShownUrl, Text};

/// What a source yields, in the order of the stream.
#[derive(Clone, Debug)]
pub enum Event {
    /// The playlist's target duration, before the first segment and whenever it changes.
    TargetDuration(Duration),
    /// Whether the sound has a playlist of its own: before the first segment, and whenever it changes.
    Renditions {
        separate_audio: bool,
    },
    Segment(Segment),
    /// Media that will not come: `duration` of it (what the playlist said; a target duration for each
    /// segment that was never seen listed).
    Lost {
        rendition: Rendition,
        media_sequence: u64,
        duration: Duration,
        reason: Text,
    },
    /// The playlist has ended and all of it was delivered.
    Ended,
}

/// A captured segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Overdub's own number: consecutive, never used twice.
    pub number: u64,
    /// Of which playlist; each has discontinuities of its own.
    pub rendition: Rendition,
    /// The source's number; it may restart.
    pub media_sequence: u64,
    /// A new period must begin here: EXT-X-DISCONTINUITY (also of a lost segment before this one), or the
    /// source's numbering began anew.
    pub discontinuity: bool,
    /// The source's own count of discontinuities (RFC 8216 6.2.2): equal in both renditions where they belong
    /// together, in sources that keep to it.
    pub discontinuity_sequence: u64,
    /// `EXTINF`.
    pub duration: Duration,
    /// `EXT-X-PROGRAM-DATE-TIME` as written.
    pub program_date_time: Option<String>,
    /// Redacted.
    pub url: ShownUrl,
    /// The file extension in the source's address: letters and digits, `ts` where it has none.
    pub extension: String,
    /// The body of its `EXT-X-MAP`, where it has one: the same bytes, shared, as long as it does not change.
    pub init: Option<Bytes>,
    pub data: Bytes,
    /// Where `data` begins in its file (`EXT-X-BYTERANGE`).
    pub offset: u64,
    /// When its last byte arrived.
    pub captured_at: Moment,
}
