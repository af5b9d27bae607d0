//! What was seen of one publication, and what was wrong with it.

use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;

/// Violations that are kept; the rest are only counted. A stream that breaks a rule breaks it often.
pub const MAX_VIOLATIONS: usize = 100;

/// Which of the two tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    Video,
    Audio,
}

/// One publication, from `publish` to its end. A publisher that comes back begins a new one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub app: String,
    /// The stream key, query included.
    pub key: String,
    /// `onMetaData` messages.
    pub metadata: u64,
    pub video: Track,
    pub audio: Track,
    /// Furthest that media came before and after its time: its timestamps on the clock of the arrivals, from the
    /// first media on, at the pace of the publisher's clock.
    pub earliest: Duration,
    pub latest: Duration,
    /// How far the publisher's clock has fallen behind that of the arrivals, in milliseconds; negative where it is
    /// ahead.
    pub drift_ms: i64,
    /// How long after its time media came, on the same clock; what came before it counts as 0.
    #[serde(skip)]
    pub late: Histogram,
    /// The connection is gone.
    pub closed: bool,
    /// The publisher ended the stream properly.
    pub ended: bool,
    /// All violations; the first [`MAX_VIOLATIONS`] are in `violations`.
    pub violation_count: u64,
    pub violations: Vec<Violation>,
}

/// What one track carried. Times are milliseconds of DTS, unwrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Track {
    /// Sequence headers.
    pub headers: u64,
    /// Frames.
    pub packets: u64,
    pub keyframes: u64,
    /// Bytes of tag bodies.
    pub bytes: u64,
    pub first_ms: Option<i64>,
    pub last_ms: Option<i64>,
}

impl Report {
    pub(super) fn violate(&mut self, violation: Violation) {
        self.violation_count += 1;
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    pub(super) fn track(&mut self, kind: TrackKind) -> &mut Track {
        match kind {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        }
    }
}

/// A rule that was broken. Times are milliseconds of DTS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "rule")]
pub enum Violation {
    /// The peer broke the protocol below the media.
    #[error("protocol: {error}")]
    Protocol { error: String },
    #[error("{track:?} tag at {at} ms: {error}")]
    Tag { track: TrackKind, at: i64, error: String },
    #[error("{track:?} before its sequence header at {at} ms")]
    NoSequenceHeader { track: TrackKind, at: i64 },
    #[error("{track:?} sequence header at {at} ms: {error}")]
    SequenceHeader { track: TrackKind, at: i64, error: String },
    #[error("first picture, at {at} ms, is not a keyframe")]
    NoKeyframe { at: i64 },
    #[error("{track:?} goes from {previous} to {at} ms")]
    NotMonotonic { track: TrackKind, previous: i64, at: i64 },
    #[error("{track:?} jumps from {previous} to {at} ms")]
    Gap { track: TrackKind, previous: i64, at: i64 },
    #[error("{track:?} at {at} ms comes behind media of {newest} ms")]
    Interleaving { track: TrackKind, at: i64, newest: i64 },
    #[error("picture at {at} ms is presented {by} ms before it is decoded")]
    Composition { at: i64, by: i32 },
    #[error("picture at {at} ms: {error}")]
    Units { at: i64, error: String },
    #[error("{track:?} at {at} ms came {by:?} too early")]
    Early { track: TrackKind, at: i64, by: Duration },
    #[error("{track:?} at {at} ms came {by:?} too late")]
    Late { track: TrackKind, at: i64, by: Duration },
}
