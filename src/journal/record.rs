//! What is kept of a stream.

use serde::{Deserialize, Serialize};

use crate::config::StreamOptions;
use crate::media::Rendition;

/// Milliseconds since 1970 on the machine's calendar: the only clock that goes on without the process.
pub type WallMillis = i64;

/// Everything that a stream needs to go on. It has no `Debug`: the settings are whole.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The request that would start this stream.
    pub settings: StreamOptions,
    /// When the stream was started, before all resumptions.
    pub started_at: WallMillis,
    /// When this record was made.
    pub saved_at: WallMillis,
    /// The stream was ended in good order: nothing happened after this record.
    pub clean: bool,
    /// The next free numbers.
    pub next_segment: u64,
    pub next_batch: u64,
    /// The source is a complete playlist: it does not run on while nobody reads it.
    pub complete: bool,
    /// The playlist's target duration in milliseconds.
    pub target_duration: u64,
    /// The output time in flicks that was due at `saved_at`; none before anything was.
    pub position: Option<i64>,
    /// Where reading goes on: the segment after the last one captured.
    pub main: Option<Place>,
    pub audio: Option<Place>,
    /// Batches of which something is still to be played, in order, and the last one before them.
    pub batches: Vec<BatchMark>,
    /// The segments from the first of these batches on, in the order of their capture.
    pub segments: Vec<SegmentMark>,
}

impl Record {
    /// Of a stream that starts `at` this time: nothing was captured yet.
    pub fn new(settings: StreamOptions, at: WallMillis) -> Self {
        Self {
            settings,
            started_at: at,
            saved_at: at,
            clean: false,
            next_segment: 0,
            next_batch: 0,
            complete: false,
            target_duration: 0,
            position: None,
            main: None,
            audio: None,
            batches: Vec::new(),
            segments: Vec::new(),
        }
    }
}

/// A place in a playlist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    /// EXT-X-PROGRAM-DATE-TIME, RFC 3339.
    pub date: Option<String>,
    /// Milliseconds of media that the playlists had before it since the stream's start.
    pub from_start: u64,
}

/// A batch that was captured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchMark {
    pub number: u64,
    /// The first of its segments, and the one after its last.
    pub first_segment: u64,
    pub end_segment: u64,
    pub captured_at: WallMillis,
    /// Output times in flicks.
    pub start: i64,
    pub end: i64,
    /// Source time + shift = output time; flicks.
    pub shift: i64,
    /// Source time of its first sample, and which track that time is of.
    pub source: i64,
    pub track: Track,
}

/// Which of the two tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Track {
    Video,
    Audio,
}

/// A segment as it was captured, and where it lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentMark {
    pub number: u64,
    pub rendition: Rendition,
    pub extension: String,
    /// The number under which its initialization section is kept.
    pub init: Option<u64>,
    pub place: Place,
    /// Milliseconds (`EXTINF`).
    pub duration: u64,
    pub discontinuity: bool,
    pub bytes: u64,
    pub captured_at: WallMillis,
}
