//! What the simulated reader reads: an encoder, its numbering, and the playlists of the servers in front of it.

use std::collections::BTreeSet;

use super::super::*;
use super::{SEGMENT, WINDOW};
use crate::hls::playlist::Media;

/// An encoder and the servers in front of it.
pub(super) struct Origin {
    /// When the present numbering began, its first segment's global index, and that one's number.
    pub(super) epoch_at: Moment,
    pub(super) epoch_first: u64,
    pub(super) base: u64,
    pub(super) epoch: u64,
    pub(super) dates: bool,
    /// While the encoder makes nothing.
    pub(super) frozen_until: Moment,
    pub(super) made: u64,
    /// Global indices that EXT-X-DISCONTINUITY stands before, and those that are only listed (EXT-X-GAP).
    pub(super) breaks: BTreeSet<u64>,
    pub(super) gaps: BTreeSet<u64>,
    pub(super) ended: bool,
}

impl Origin {
    pub(super) fn new(dates: bool) -> Self {
        Self {
            epoch_at: Moment::ZERO,
            epoch_first: 0,
            base: 0,
            epoch: 0,
            dates,
            frozen_until: Moment::ZERO,
            made: 20,
            breaks: BTreeSet::new(),
            gaps: BTreeSet::new(),
            ended: false,
        }
    }

    /// Makes what is due between two moments a second apart.
    pub(super) fn tick(&mut self, now: Moment) {
        let due = now.saturating_since(self.epoch_at).as_secs().is_multiple_of(SEGMENT.as_secs());
        if due && now >= self.frozen_until {
            self.made += 1;
        }
    }

    /// Numbers from `base` on anew, with one segment made.
    pub(super) fn restart(&mut self, base: u64, now: Moment) {
        self.epoch += 1;
        self.epoch_first = self.made;
        self.base = base;
        self.epoch_at = now;
        self.made += 1;
    }

    /// The number that the next segment will have.
    pub(super) fn next_number(&self) -> u64 {
        self.base + self.made - self.epoch_first
    }

    /// What a server that is `lag` segments behind answers for one of its variants. The URI carries the global
    /// index.
    pub(super) fn playlist(&self, lag: u64, variant: u64) -> Media {
        let end = (self.made - lag.min(self.made - self.epoch_first)).max(self.epoch_first);
        let first = end.saturating_sub(WINDOW).max(self.epoch_first);
        let number = |index: u64| self.base + index - self.epoch_first;
        let passed = |index: u64| self.breaks.range(self.epoch_first..=index).count() as u64;
        let segments = (first..end)
            .map(|index| SegmentRef {
                sequence: number(index),
                uri: format!("http://h/{variant}/{}/seg-{}.ts#{index}", self.epoch, number(index)),
                duration: SEGMENT,
                discontinuity: self.breaks.contains(&index),
                discontinuity_sequence: passed(index),
                gap: self.gaps.contains(&index),
                key: None,
                map: None,
                byte_range: None,
                program_date_time: self.dates.then(|| date(index).into()),
                cue: None,
            })
            .collect();
        Media {
            target_duration: SEGMENT,
            media_sequence: number(first),
            numbered: true,
            kind: None,
            ended: self.ended && lag == 0,
            start: None,
            iframes_only: false,
            skip: None,
            date_ranges: Vec::new(),
            segments,
        }
    }
}

fn date(index: u64) -> String {
    let seconds = index * SEGMENT.as_secs();
    let (day, hour, minute) = (1 + seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{:02}Z", seconds % 60)
}

pub(super) fn index_of(segment: &SegmentRef) -> u64 {
    segment.uri.split_once('#').and_then(|(_, index)| index.parse().ok()).expect("made above")
}
