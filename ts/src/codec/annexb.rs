//! Byte streams of NAL units (ISO/IEC 14496-10 annex B) to length-prefixed access units, in one copy.
//!
//! Payload is appended to one buffer as it comes, with start codes replaced by 4-byte lengths on the way.
//! An access unit is split off that buffer and frozen; the next one goes on behind it in the same block.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::blocks::Blocks;
use super::early::Early;
use super::sets::BadSet;
use super::timing::PictureClock;
use super::{Elementary, Output, Place, Stamps, Times};
use crate::Ticks;
use crate::error::DamageKind;
use crate::event::{Intra, Params, Sample, VideoParams};
use std::sync::Arc;

/// Largest access unit: four times what level 6.2 lets a picture have at the minimum compression ratio
/// would still fit; anything above is no video.
const MAX_ACCESS_UNIT: usize = 32 << 20;
/// Sizes of the blocks that access units are gathered in: each is twice the one before, so that a map full of
/// streams that hardly send anything takes no memory to speak of.
const BLOCK: std::ops::RangeInclusive<usize> = 2 << 10..=512 << 10;
const LENGTH: usize = 4;

/// Where a NAL unit stands in its access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It begins a new access unit.
    Begins,
    /// It belongs to the access unit in work.
    Continues,
    /// It belongs to the same access unit as the next NAL unit.
    Precedes,
}

/// What becomes of a NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// It goes into the sample.
    Sample,
    /// It is left out.
    Drop,
    /// It is left out because it is broken.
    Broken,
}

/// What is known of an access unit when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// It has a coded picture; without one it is no sample.
    pub(crate) coded: bool,
    pub(crate) random_access: bool,
    pub(crate) idr: bool,
    pub(crate) intra: Intra,
    /// It is a single field.
    pub(crate) field: bool,
    /// Picture order count, on an axis that begins anew with each picture that is `first`.
    pub(crate) order: Option<i64>,
    /// It begins a coded video sequence.
    pub(crate) first: bool,
    /// Distance to the next picture that the parameter sets promise.
    pub(crate) nominal: Option<Ticks>,
    /// The configuration, where it differs from the one before.
    pub(crate) params: Option<Arc<VideoParams>>,
}

/// The rules of a codec.
pub(crate) trait Rules: Default + std::fmt::Debug + Send + Sync {
    /// How many bytes of a NAL unit `role` wants to see, if it has so many.
    const HEADER: usize;

    /// Called once for each NAL unit, with its first bytes. `stamped`: if the access unit in work has no slice
    /// yet, those were lost, and this NAL unit begins the next.
    fn role(&mut self, header: &[u8], stamped: bool) -> Role;

    /// Whether nothing but the first NAL unit of an access unit begins so.
    fn is_delimiter(header: &[u8]) -> bool;

    /// Called with each whole NAL unit, after `role`.
    fn take(&mut self, nal: &[u8]) -> Keep;

    /// The access unit is complete; the next call is about the next one.
    fn end(&mut self) -> Picture;
}

/// What becomes of a parameter set: it lives in the configuration record.
pub(crate) fn kept(set: &Result<(), BadSet>) -> Keep {
    if set.is_ok() { Keep::Drop } else { Keep::Broken }
}

/// The distance of two pictures that the parameter sets promise; `fields`: pictures to a frame.
pub(crate) fn frame_ticks(params: &VideoParams, fields: i64) -> Option<Ticks> {
    let (frames, seconds) = params.frame_rate?;
    let ticks = i64::from(seconds) * Ticks::PER_SECOND / (i64::from(frames) * fields).max(1);
    (ticks > 0).then_some(Ticks(ticks))
}

/// Gathers the access units of one stream.
#[derive(Debug)]
pub(crate) struct Assembler<R> {
    pid: u16,
    rules: R,
    stamps: Stamps,
    clock: PictureClock,
    /// Pictures before the first stamp: their order count, and whether they begin a sequence.
    early: Early<(Option<i64>, bool)>,
    finder: Finder<'static>,
    /// The access unit in work, then the NAL unit in work.
    buffer: BytesMut,
    blocks: Blocks,
    /// The NAL unit in work.
    nal: Option<Nal>,
    /// A NAL unit before it that shares its access unit.
    preceding: Option<Start>,
    /// Where the access unit in work begins.
    start: Start,
    /// Bytes of the elementary stream so far.
    position: u64,
    /// Zero bytes just before `position`, at most 3.
    zeros: usize,
    /// The access unit in work has missing or broken bytes.
    damaged: bool,
    /// A broken parameter set of this access unit was told: one is enough.
    told: bool,
    place: Place,
}

/// Where a NAL unit begins.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// In the buffer: its length field.
    at: usize,
    /// In the elementary stream: its start code, with one zero_byte.
    position: u64,
    /// In the elementary stream: the last byte of its start code. The access unit commences in the PES
    /// packet that has this byte, even where a multiplexer left a zero_byte in the one before.
    code: u64,
    offset: u64,
}

#[derive(Clone, Copy, Debug)]
struct Nal {
    start: Start,
    role_known: bool,
}

impl<R: Rules> Assembler<R> {
    pub(crate) fn new(pid: u16) -> Self {
        Self {
            pid,
            rules: R::default(),
            stamps: Stamps::default(),
            clock: PictureClock::default(),
            early: Early::default(),
            finder: Finder::new(&[0, 0, 1]),
            buffer: BytesMut::new(),
            blocks: Blocks::new(*BLOCK.start(), *BLOCK.end()),
            nal: None,
            preceding: None,
            start: Start::default(),
            position: 0,
            zeros: 0,
            damaged: false,
            told: false,
            place: Place::default(),
        }
    }
}

impl<R: Rules> Elementary for Assembler<R> {
    fn begin(&mut self, times: Option<Times>, _: Place, _: &mut Output) {
        if let Some(times) = times {
            self.stamps.push(self.position, times);
        }
    }

    fn data(&mut self, bytes: &[u8], place: Place, out: &mut Output) {
        self.place = place;
        let mut done = 0;
        let mut from = self.border(bytes);
        while let Some(one) = from {
            let zeros = self.zeros_before(bytes, one);
            self.append(&bytes[done..one]);
            done = one + 1;
            self.close(out);
            out.budget.unit();
            let code = self.position + one as u64;
            self.open(code - zeros as u64, code, place);
            from = self.finder.find(&bytes[done..]).map(|at| done + at + 2);
        }
        self.append(&bytes[done..]);
        self.zeros = self.zeros_before(bytes, bytes.len());
        self.position += bytes.len() as u64;
        if let Some(nal) = self.nal {
            if !nal.role_known && self.buffer.len() >= nal.start.at + LENGTH + R::HEADER {
                self.place_nal(out);
            }
            if self.buffer.len() > MAX_ACCESS_UNIT {
                self.drop_unit(out);
            }
        }
    }

    fn lost(&mut self, _: u64) {
        self.damaged = true;
        self.zeros = 0;
    }

    fn damaged(&mut self) {
        self.damaged = true;
    }

    /// Multiplexers begin PES packets with access units; in the one before, the header would be garbage.
    fn interrupted(&mut self, out: &mut Output) {
        self.flush(out);
        self.damaged = true;
    }

    fn end_segment(&mut self, short: bool, _: Place, out: &mut Output) {
        if !short {
            self.flush(out);
        }
    }

    fn finish(&mut self, short: bool, place: Place, out: &mut Output) {
        self.damaged |= short;
        self.flush(out);
        self.early.give_up(place, out);
    }
}

impl<R: Rules> Assembler<R> {
    /// Completes the access unit in work: nothing of it is to come.
    fn flush(&mut self, out: &mut Output) {
        self.close(out);
        self.preceding = None;
        let unit = self.buffer.split();
        self.emit(unit.freeze(), self.position, None, out);
        self.start = Start::default();
        self.zeros = 0;
    }

    /// Index of the last byte of the first start code that ends in `bytes`.
    fn border(&self, bytes: &[u8]) -> Option<usize> {
        match (self.zeros, bytes) {
            (2.., [1, ..]) => Some(0),
            (1.., [0, 1, ..]) => Some(1),
            _ => self.finder.find(bytes).map(|at| at + 2),
        }
    }

    /// Zero bytes before index `at`, at most 3, with those of the bytes before `bytes`.
    fn zeros_before(&self, bytes: &[u8], at: usize) -> usize {
        let here = bytes[..at].iter().rev().take(3).take_while(|&&byte| byte == 0).count();
        if here == at { (here + self.zeros).min(3) } else { here }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.nal.is_none() {
            return;
        }
        self.blocks.append(&mut self.buffer, bytes);
    }

    /// A start code ended at `code`.
    fn open(&mut self, position: u64, code: u64, place: Place) {
        let start = Start { at: self.buffer.len(), position, code, offset: place.offset };
        self.nal = Some(Nal { start, role_known: false });
        self.append(&[0; LENGTH]);
    }

    /// The NAL unit in work is whole, but for the zeros behind it.
    fn close(&mut self, out: &mut Output) {
        let Some(nal) = self.nal else { return };
        // trailing_zero_8bits and the start code; a NAL unit never ends with a zero byte (7.4.1).
        let first = nal.start.at + LENGTH;
        let zeros = self.buffer[first..].iter().rev().take_while(|&&byte| byte == 0).count();
        self.buffer.truncate(self.buffer.len() - zeros);
        if self.buffer.len() == first {
            self.buffer.truncate(nal.start.at);
            self.nal = None;
            return;
        }
        if !nal.role_known {
            self.place_nal(out);
        }
        let Some(Nal { start, .. }) = self.nal.take() else { return };
        let body = start.at + LENGTH;
        let length = (self.buffer.len() - body) as u32;
        self.buffer[start.at..body].copy_from_slice(&length.to_be_bytes());
        match self.rules.take(&self.buffer[body..]) {
            Keep::Sample => {}
            Keep::Drop => self.buffer.truncate(start.at),
            Keep::Broken => {
                let nal_type = self.buffer[body];
                self.buffer.truncate(start.at);
                if !std::mem::replace(&mut self.told, true) {
                    out.damage(DamageKind::ParameterSet { nal_type }, Some(self.pid), self.place);
                }
            }
        }
    }

    /// Asks the rules where the NAL unit in work belongs, and ends the access unit before it if need be.
    fn place_nal(&mut self, out: &mut Output) {
        let Some(nal) = &mut self.nal else { return };
        nal.role_known = true;
        let body = nal.start.at + LENGTH;
        let header = &self.buffer[body..self.buffer.len().min(body + R::HEADER)];
        let start = nal.start;
        let lost = self.damaged || R::is_delimiter(header);
        let stamped = lost && self.stamps.is_between(self.start.code, start.code);
        match self.rules.role(header, stamped) {
            Role::Precedes => {
                self.preceding.get_or_insert(start);
            }
            Role::Continues => self.preceding = None,
            Role::Begins => {
                let mut start = self.preceding.take().unwrap_or(start);
                let unit = self.buffer.split_to(start.at);
                if let Some(nal) = &mut self.nal {
                    nal.start.at -= start.at;
                }
                start.at = 0;
                self.emit(unit.freeze(), start.position, Some(start.code), out);
                self.start = start;
            }
        }
    }

    /// `next`: where the next access unit commences, whose stamp has come by then; `None`: it is not there yet.
    fn emit(&mut self, data: Bytes, end: u64, next: Option<u64>, out: &mut Output) {
        let picture = self.rules.end();
        self.told = false;
        let damaged = std::mem::take(&mut self.damaged);
        // The slices of an access unit with a stamp of its own were lost.
        let told = self.start.code > 0 && self.stamps.peek(self.start.code).is_some();
        let stripped =
            told && (damaged || next.is_some_and(|it| self.stamps.is_between(self.start.code, it)));
        if !picture.coded && !stripped {
            // Parameter sets or delimiters alone: they count for the next access unit. What was broken before
            // the first NAL unit does not.
            self.damaged = damaged && (next.is_none() || self.start.code > 0);
            return;
        }
        let stamp = self.stamps.take(self.start.code);
        let times = self.clock.next(stamp, picture.order, picture.first, picture.nominal, picture.field);
        if damaged {
            self.clock.interrupt();
        }
        if let Some(params) = picture.params {
            out.params(self.pid, Params::Video(params));
        }
        let elementary_len = end.saturating_sub(self.start.position);
        if !picture.coded && (data.is_empty() || times.is_none()) {
            // Nothing is left of the picture.
            out.damage(DamageKind::NoFrame { bytes: elementary_len }, Some(self.pid), self.place);
            return;
        }
        let Times { pts, dts } = times.unwrap_or(Times { pts: Ticks(0), dts: Ticks(0) });
        let after = next.and_then(|code| self.stamps.peek(code)).map(|times| times.dts);
        let sample = Sample {
            pid: self.pid,
            pts,
            dts,
            duration: self.clock.duration(dts, after, picture.nominal),
            stamped: stamp.is_some(),
            random_access: picture.random_access,
            idr: picture.idr,
            intra: picture.intra,
            damaged: damaged || !picture.coded,
            data,
            elementary_len,
            offset: self.start.offset,
        };
        let order = (picture.order, picture.first);
        if times.is_none() {
            self.early.push(sample, order, self.place, out);
            return;
        }
        if !self.early.is_empty() {
            self.date_early(&sample, order, out);
        }
        out.sample(sample);
    }

    /// The first stamp came: the pictures before it are dated from it.
    fn date_early(&mut self, first: &Sample, order: (Option<i64>, bool), out: &mut Output) {
        let early = self.early.take();
        let orders: Vec<_> = early.iter().map(|(_, order)| *order).chain([order]).collect();
        let stamp = Times { pts: first.pts, dts: first.dts };
        let times = PictureClock::before(stamp, &orders, first.duration);
        for ((sample, _), Times { pts, dts }) in early.into_iter().zip(times) {
            out.sample(Sample { pts, dts, duration: first.duration, ..sample });
        }
    }

    fn drop_unit(&mut self, out: &mut Output) {
        out.damage(DamageKind::TooLarge { limit: MAX_ACCESS_UNIT }, Some(self.pid), self.place);
        self.buffer = BytesMut::new();
        self.nal = None;
        self.preceding = None;
        self.rules.end();
    }
}
