//! What a source tells of itself.

use std::time::Duration;

use crate::media::Moment;
use crate::outside::{Name, ShownUrl, Text};

/// A snapshot; totals count from the start of the run. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Redacted.
    pub source_url: ShownUrl,
    /// None until a media playlist was read.
    pub kind: Option<SourceKind>,
    /// The variant chosen from a master playlist.
    pub variant: Option<Text>,
    /// Changes to another variant because one failed, and back.
    pub variant_changes: u64,
    /// The NAME of the audio rendition that is read beside it.
    pub audio_rendition: Option<Name>,
    /// The language of the audio in the variant's own segments, where the master playlist says one.
    pub muxed_language: Option<Name>,
    pub target_duration: Option<Duration>,
    /// The media sequence number of the last segment delivered of the main rendition.
    pub last_media_sequence: Option<u64>,
    /// Media listed by the playlist and not yet delivered.
    pub lag: Duration,
    /// The same of a separate audio rendition.
    pub audio_lag: Option<Duration>,
    pub segments: u64,
    pub bytes: u64,
    /// How long the last segment took to fetch, all attempts together.
    pub last_fetch: Option<Duration>,
    /// That against how long it plays: above 1 the source cannot be kept up with.
    pub fetch_ratio: Option<f64>,
    /// Attempts after the first, of segments and playlists.
    pub retries: u64,
    /// Segments lost, and how long they would have played.
    pub gaps: u64,
    pub gap_duration: Duration,
    /// Of these, what the playlist marked as missing (`EXT-X-GAP`).
    pub gaps_marked: u64,
    /// Segments delivered that begin a new period.
    pub discontinuities: u64,
    /// Discontinuities that were known by their number only, their tag having left with a lost segment.
    pub discontinuities_inferred: u64,
    /// Segments whose date does not follow from the one before, though nothing says why.
    pub dates_astray: u64,
    /// Breaks that began or ended (`EXT-X-CUE-OUT`, `EXT-X-CUE-IN`), and date ranges listed.
    pub cues: u64,
    pub date_ranges: u64,
    /// Numberings that began anew or jumped.
    pub restarts: u64,
    /// Playlists from a server that is behind what was seen already.
    pub lagging_reloads: u64,
    pub reloads: u64,
    /// Reloads that brought nothing new.
    pub unchanged_reloads: u64,
    /// Times that the window ran past the reader.
    pub windows_missed: u64,
    /// Since when a live playlist lists nothing new; none while it moves.
    pub stalled_since: Option<Moment>,
    /// One line, its URL redacted.
    pub last_error: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Live,
    Vod,
}
