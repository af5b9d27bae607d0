//! What a source tells of itself.

use std::time::Duration;

use crate::media::Moment;

/// A snapshot; totals count from the start of the run. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Redacted.
    pub source_url: String,
    /// None until a media playlist was read.
    pub kind: Option<SourceKind>,
    /// The variant chosen from a master playlist.
    pub variant: Option<String>,
    pub target_duration: Option<Duration>,
    /// The media sequence number of the last segment delivered.
    pub last_media_sequence: Option<u64>,
    /// Media listed by the playlist and not yet delivered.
    pub lag: Duration,
    pub segments: u64,
    pub bytes: u64,
    /// How long the last segment took to fetch, all attempts together.
    pub last_fetch: Option<Duration>,
    /// Attempts after the first, of segments and playlists.
    pub retries: u64,
    /// Segments lost, and how long they would have played.
    pub gaps: u64,
    pub gap_duration: Duration,
    /// Segments delivered that begin a new period.
    pub discontinuities: u64,
    /// Numberings that began anew or jumped.
    pub restarts: u64,
    /// Playlists from a server that is behind what was seen already.
    pub lagging_reloads: u64,
    pub reloads: u64,
    /// Since when a live playlist lists nothing new; none while it moves.
    pub stalled_since: Option<Moment>,
    /// One line, its URL redacted.
    pub last_error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Live,
    Vod,
}
