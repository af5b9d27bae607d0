//! The segments of a media playlist as they are read: the newest, and those still to be taken. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::limits::{MAX_SEGMENTS, MAX_TEXT, MIN_KEPT};
use super::model::{Key, Map, SegmentRef};

/// Holds what is kept while the list goes by, so that a list of a million costs no more than one of [`MAX_SEGMENTS`].
#[derive(Default)]
pub(super) struct Window {
    kept: VecDeque<SegmentRef>,
    /// Bytes of what they name.
    text: usize,
    /// Listed before those kept: taken already, and beyond the limits.
    pub(super) taken: u64,
    pub(super) left_out: u64,
}

impl Window {
    /// `needed_from` is the index in the list of the first segment that has not been taken yet.
    pub(super) fn push(&mut self, segment: SegmentRef, needed_from: u64) {
        // Room is made first, so that the list never grows beyond the limit.
        while self.kept.len() >= MIN_KEPT && self.before() < needed_from {
            self.pop();
            self.taken += 1;
        }
        let more = segment.own_text() + shared_text(&segment, self.kept.back());
        while !self.kept.is_empty() && (self.kept.len() >= MAX_SEGMENTS || self.text + more > MAX_TEXT) {
            self.pop();
            self.left_out += 1;
        }
        self.text += more;
        self.kept.push_back(segment);
    }

    /// Segments listed before the first one kept.
    pub(super) fn before(&self) -> u64 {
        self.taken + self.left_out
    }

    pub(super) fn into_segments(self) -> Vec<SegmentRef> {
        let mut kept = Vec::from(self.kept);
        kept.shrink_to_fit();
        kept
    }

    fn pop(&mut self) {
        let Some(oldest) = self.kept.pop_front() else { return };
        // A key or map goes with the last segment that it holds for.
        let gone = shared_text(&oldest, self.kept.front());
        self.text = self.text.saturating_sub(oldest.own_text() + gone);
    }
}

/// The text of the key and the map of `segment` that the one beside it does not share.
fn shared_text(segment: &SegmentRef, beside: Option<&SegmentRef>) -> usize {
    let key = |segment: &SegmentRef| segment.key.as_ref().map(Arc::as_ptr);
    let map = |segment: &SegmentRef| segment.map.as_ref().map(Arc::as_ptr);
    let mut text = 0;
    if key(segment) != beside.and_then(key) {
        text += segment.key.as_deref().map_or(0, Key::text);
    }
    if map(segment) != beside.and_then(map) {
        text += segment.map.as_deref().map_or(0, Map::text);
    }
    text
}
