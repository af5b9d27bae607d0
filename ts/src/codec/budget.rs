//! How much may come of one segment.
//!
//! A frame of eight bytes is an object of twenty times that in memory, and plays as long as one of four hundred: a
//! segment of a few megabytes could hold hours of audio. What is beyond the budget is left out and told.

use std::collections::BTreeMap;

use crate::Ticks;

/// Media of one stream in one segment: segments have some seconds, and servers that make one of a whole item make it
/// of songs and clips.
pub const MAX_SEGMENT_MEDIA: Ticks = Ticks(15 * 60 * Ticks::PER_SECOND);

/// Samples of a segment, of all streams: a minute and a half of digital silence in AAC, whatever it takes...
pub const FREE_SAMPLES: u64 = 4_096;
/// ... and one more for so many bytes: frames of real streams have more, with their share of packets and headers.
pub const BYTES_PER_SAMPLE: u64 = 128;

/// NAL units and audio frames of a segment, of use or not: ten to each picture of a minute...
const FREE_UNITS: u64 = 16_384;
/// ... and one more for so many bytes.
const BYTES_PER_UNIT: u64 = 64;

/// Events of a segment that tell what is broken. All are counted.
const MAX_DAMAGES: u64 = 1_024;

/// Configurations of a segment: where each picture brings another, no decoder follows.
const MAX_PARAMS: u64 = 256;

/// Sections that are handed on, of one segment: splice information comes once in some seconds.
const MAX_SECTIONS: u64 = 256;

/// What came of the segment in work.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// None: the input is no segments, and its events are taken as they come.
    bytes: Option<u64>,
    samples: u64,
    units: u64,
    media: BTreeMap<u16, Ticks>,
    damages: u64,
    params: u64,
    sections: u64,
    /// No more is taken of any stream.
    spent: bool,
    left_out: LeftOut,
}

/// What was left out of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) samples: u64,
    /// Of elementary streams, not even looked at.
    pub(crate) bytes: u64,
    /// Sections, and tables.
    pub(crate) sections: u64,
}

impl Budget {
    /// A segment of so many bytes begins.
    pub(crate) fn begin(&mut self, bytes: u64) {
        *self = Self { bytes: Some(bytes), ..Self::default() };
    }

    /// The segment ended.
    pub(crate) fn end(&mut self) -> Option<LeftOut> {
        let left_out = std::mem::take(self).left_out;
        (left_out != LeftOut::default()).then_some(left_out)
    }

    /// Whether one more sample of `pid` that lasts so long is within the budget.
    pub(super) fn takes_sample(&mut self, pid: u16, duration: Ticks) -> bool {
        let Some(bytes) = self.bytes else { return true };
        let media = self.media.entry(pid).or_default();
        if self.spent || *media >= MAX_SEGMENT_MEDIA {
            self.left_out.samples += 1;
            return false;
        }
        *media = *media + duration.max(Ticks(0));
        self.samples += 1;
        self.spent = self.samples >= FREE_SAMPLES + bytes / BYTES_PER_SAMPLE;
        true
    }

    /// One more NAL unit, or audio frame.
    pub(super) fn unit(&mut self) {
        let Some(bytes) = self.bytes else { return };
        self.units += 1;
        self.spent |= self.units >= FREE_UNITS + bytes / BYTES_PER_UNIT;
    }

    /// Whether one more configuration is; the streams are of no use where it is not.
    pub(super) fn takes_params(&mut self) -> bool {
        self.params += 1;
        self.spent |= self.bytes.is_some() && self.params > MAX_PARAMS;
        !self.spent
    }

    pub(super) fn takes_damage(&mut self) -> bool {
        self.damages += 1;
        self.bytes.is_none() || self.damages <= MAX_DAMAGES
    }

    pub(crate) fn takes_section(&mut self) -> bool {
        self.sections += 1;
        let within = self.bytes.is_none() || self.sections <= MAX_SECTIONS;
        self.left_out.sections += u64::from(!within);
        within
    }

    /// A table was not read.
    pub(crate) fn leave_table(&mut self) {
        self.left_out.sections += u64::from(self.bytes.is_some());
    }

    /// Whether bytes of a stream are still of use; they are left out where not.
    pub(crate) fn takes_bytes(&mut self, pid: u16, bytes: usize) -> bool {
        if self.bytes.is_none()
            || !self.spent && self.media.get(&pid).is_none_or(|it| *it < MAX_SEGMENT_MEDIA)
        {
            return true;
        }
        self.left_out.bytes += bytes as u64;
        false
    }
}
