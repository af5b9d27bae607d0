//! Which playlist of a source a segment is from.

use serde::{Deserialize, Serialize};

/// A source whose sound has a playlist of its own has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rendition {
    /// The variant: the picture, and the sound unless that is apart.
    Main,
    /// The sound in a playlist of its own (`EXT-X-MEDIA`).
    Audio,
}
