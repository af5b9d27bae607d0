//! Whether a window is the numbering that we follow.

use std::time::Duration;

use super::history::{Comparison, Dates};
use super::{LAG_TOLERANCE, Position};
use crate::hls::playlist::Media;
use crate::media::Moment;

/// A window further ahead of us than this many times what could have been produced since we last looked is
/// another numbering, not a hole.
const PLAUSIBLE_SPEED: u32 = 2;

/// Whether a window that ends at or before our position is a numbering that began anew; else it is a server
/// that lags, or a stale copy.
pub(super) fn restarted_behind(position: &mut Position, media: &Media, comparison: Comparison) -> bool {
    if media.segments.is_empty() {
        return false;
    }
    match comparison.dates {
        Dates::Newer => return true,
        Dates::Older | Dates::Same => {
            position.suspect = None;
            return false;
        }
        Dates::Unknown => {}
    }
    // No date to go by. Windows that share names with what we know and overlap our position are lagging
    // servers, however they move.
    let behind = position.next - media.end();
    if comparison.names_agree && behind <= LAG_TOLERANCE.max(media.segments.len() as u64) {
        position.suspect = None;
        return false;
    }
    // A stale copy stands still, a new numbering moves on, or has ended: the second reading tells.
    match position.suspect.replace(media.end()) {
        Some(before) => media.end() > before || media.ended,
        None => false,
    }
}

/// Whether a window that begins ahead of our position can be the same numbering.
pub(super) fn plausible_jump(position: &Position, media: &Media, now: Moment) -> bool {
    if media.media_sequence <= position.next {
        return true;
    }
    let ahead = media.end() - position.next;
    let listed: Duration = media.segments.iter().map(|segment| segment.duration).sum();
    let count = u32::try_from(media.segments.len()).unwrap_or(u32::MAX).max(1);
    let mean = (listed / count).max(Duration::from_millis(100));
    let quiet = now.saturating_since(position.progress_at) + listed;
    let possible = quiet.as_millis() / mean.as_millis() * u128::from(PLAUSIBLE_SPEED);
    u128::from(ahead) <= possible + u128::from(LAG_TOLERANCE)
}
