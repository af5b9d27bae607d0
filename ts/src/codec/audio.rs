//! Audio streams of frames that begin with a sync word, whatever the codec ([`Format`]).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::blocks::Blocks;
use super::early::Early;
pub(crate) use super::format::{Format, Head, Unit};
use super::timing::after_frame;
use super::{Elementary, Output, Place, Stamps, Times};
use crate::Ticks;
use crate::error::DamageKind;
use crate::event::{AudioParams, Intra, Params, Sample};

/// Sizes of the blocks that frames are gathered in, up to some hundred frames; each is twice the one before, so
/// that a stream that hardly sends anything takes little.
const BLOCK: std::ops::RangeInclusive<usize> = 2 << 10..=64 << 10;
/// Longest gap, in frames, that is bridged by an estimate; the continuity counter cannot tell of more.
const MAX_GAP: u64 = 64;
/// What is kept of a broken frame: no codec here has longer ones, but for E-AC-3 with several substreams. A
/// longer stretch without a frame is told piece by piece.
const MAX_SCRAP: usize = 8 << 10;

/// Finds the frames of one stream.
#[derive(Debug)]
pub(crate) struct Framer<F> {
    pid: u16,
    format: F,
    stamps: Stamps,
    buffer: BytesMut,
    blocks: Blocks,
    /// Position of the buffer's first byte in the elementary stream.
    position: u64,
    /// The buffer begins where a frame is due: its header is trusted. Else the header of the next frame has
    /// to stand where this one says.
    synced: bool,
    /// Bytes passed over since the last frame, and the first of them.
    skipped: u64,
    scrap: BytesMut,
    /// Input offset of the packet in which the first of them stood.
    scrap_offset: u64,
    /// Bytes that did not come since the last frame, as far as the continuity counter tells; of those, the ones
    /// behind the last stamp.
    missing: u64,
    missing_behind_stamp: u64,
    /// Where the first of them is missing.
    hole: u64,
    /// Every stamp so far came where a frame begins: this multiplexer keeps frames within PES packets.
    aligned: bool,
    /// Length of the last whole frames, on average.
    frame_len: u64,
    /// When the next frame is presented if it has no stamp.
    next: Option<Ticks>,
    /// Frames before the first stamp, with times from 0, and the time behind them.
    early: Early<()>,
    early_end: Ticks,
    params: Option<Arc<AudioParams>>,
    /// The packets that the buffer came in: position of the first byte, and input offset.
    packets: VecDeque<(u64, u64)>,
    units: Vec<Unit>,
}

impl<F: Format> Framer<F> {
    pub(crate) fn new(pid: u16) -> Self {
        Self::with(pid, F::default())
    }

    pub(crate) fn with(pid: u16, format: F) -> Self {
        Self {
            pid,
            format,
            stamps: Stamps::default(),
            buffer: BytesMut::new(),
            blocks: Blocks::new(*BLOCK.start(), *BLOCK.end()),
            position: 0,
            synced: false,
            skipped: 0,
            scrap: BytesMut::new(),
            scrap_offset: 0,
            missing: 0,
            missing_behind_stamp: 0,
            hole: 0,
            aligned: true,
            frame_len: 0,
            next: None,
            early: Early::default(),
            early_end: Ticks(0),
            params: None,
            packets: VecDeque::new(),
            units: Vec::new(),
        }
    }
}

impl<F: Format> Elementary for Framer<F> {
    fn begin(&mut self, times: Option<Times>, _: Place, _: &mut Output) {
        if self.buffer.is_empty() {
            self.synced = true;
        }
        if let Some(times) = times {
            self.stamps.push(self.position + self.buffer.len() as u64, times);
            self.missing_behind_stamp = 0;
        }
    }

    fn data(&mut self, bytes: &[u8], place: Place, out: &mut Output) {
        self.packets.push_back((self.position + self.buffer.len() as u64, place.offset));
        self.blocks.append(&mut self.buffer, bytes);
        self.drain(false, place, out);
    }

    /// Bytes may be missing here. What is there of a frame is kept: if the next header stands where the frame
    /// ends, nothing was missing (some multiplexers count wrongly); if not, the search passes over it.
    fn lost(&mut self, bytes: u64) {
        if self.missing == 0 {
            self.hole = self.position + self.buffer.len() as u64;
        }
        self.missing += bytes;
        self.missing_behind_stamp += bytes;
        self.synced = false;
    }

    /// What is left may go on in the next segment; but nothing is gained by waiting for a look ahead.
    fn end_segment(&mut self, _: bool, place: Place, out: &mut Output) {
        self.drain(true, place, out);
    }

    /// A frame that the end of the input cut comes out as far as it goes.
    fn finish(&mut self, _: bool, place: Place, out: &mut Output) {
        self.drain(true, place, out);
        let rest = self.buffer.split().freeze();
        let cut = matches!(self.format.sync(&rest, true), Head::Frame(length) if length > rest.len());
        if cut && F::CUT_IS_OF_USE && self.synced && rest.len() > self.format.header_len(&rest) {
            self.tell_skipped(place, out);
            if !self.open(&rest, true, place, out) {
                self.pass_over(&rest);
            }
        } else if cut && !F::CUT_IS_OF_USE {
            self.tell_skipped(place, out);
            out.damage(DamageKind::NoFrame { bytes: rest.len() as u64 }, Some(self.pid), place);
            self.position += rest.len() as u64;
        } else {
            self.pass_over(&rest);
        }
        self.tell_skipped(place, out);
        self.early.give_up(place, out);
        self.synced = false;
    }

    fn damaged(&mut self) {
        self.synced = false;
    }

    fn interrupted(&mut self, _: &mut Output) {
        self.synced = false;
    }
}

impl<F: Format> Framer<F> {
    fn after(pts: Ticks, samples: u32, rate: u32) -> Ticks {
        if F::WHOLE_TICKS {
            pts + Ticks(i64::from(samples) * Ticks::PER_SECOND / i64::from(rate.max(1)))
        } else {
            after_frame(pts, samples, rate)
        }
    }

    /// Input offset of the packet that has the byte at `position`.
    fn offset(&mut self) -> u64 {
        while self.packets.get(1).is_some_and(|&(from, _)| from <= self.position) {
            self.packets.pop_front();
        }
        self.packets.front().map_or(0, |&(_, offset)| offset)
    }

    fn drain(&mut self, ended: bool, place: Place, out: &mut Output) {
        while !self.buffer.is_empty() {
            let length = match self.format.sync(&self.buffer, ended) {
                Head::Frame(length) if length > 0 => length,
                Head::More => return,
                _ => {
                    self.seek(ended);
                    continue;
                }
            };
            let end = self.position + length as u64;
            let gapped = self.missing > 0 && (self.position + 1..end).contains(&self.hole);
            // Nor is a length believed that reaches beyond a PES packet that should begin with a frame.
            let reaches =
                self.aligned && self.params.is_some() && self.stamps.is_between(self.position, end - 1);
            let familiar = self.synced || !gapped && self.format.is_familiar(&self.buffer);
            if !ended && (reaches || !familiar) {
                // A sync word within a frame's own data is common: look where the next one would be.
                match self.buffer.get(length..).map(|next| self.format.sync(next, true)) {
                    Some(Head::Frame(_)) => {}
                    Some(Head::None) if length < self.buffer.len() => {
                        self.seek(ended);
                        continue;
                    }
                    _ => return,
                }
            }
            if self.buffer.len() < length {
                if ended && !familiar {
                    // Hardly a frame that the end cut; what is behind it may be whole.
                    self.seek(ended);
                    continue;
                }
                return;
            }
            self.synced = true;
            // Those too that turn out to be none.
            out.budget.unit();
            self.format.look_ahead(&self.buffer);
            let frame = self.buffer.split_to(length).freeze();
            if !self.open(&frame, false, place, out) {
                self.pass_over(&frame);
            }
            if self.skipped > MAX_SCRAP as u64 {
                self.tell_skipped(place, out);
            }
        }
    }

    /// No frame here: on to the next place where one may begin.
    fn seek(&mut self, ended: bool) {
        self.synced = false;
        // In one go: a stretch of sync bytes is many places where none does.
        let places = memchr::memchr_iter(F::SYNC, &self.buffer[1..]).map(|at| at + 1);
        let begins = |at: &usize| !matches!(self.format.sync(&self.buffer[*at..], ended), Head::None);
        let next = places.into_iter().find(begins).unwrap_or(self.buffer.len());
        let passed = self.buffer.split_to(next);
        self.pass_over(&passed);
    }

    fn pass_over(&mut self, bytes: &[u8]) {
        if self.skipped == 0 {
            self.scrap_offset = self.offset();
        }
        let room = MAX_SCRAP - self.scrap.len();
        self.scrap.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.position += bytes.len() as u64;
        self.skipped += bytes.len() as u64;
    }

    /// Reports what was passed over before the frame at `position`, and puts the clock to that frame. What is
    /// left of broken frames comes out as damaged samples.
    fn tell_skipped(&mut self, place: Place, out: &mut Output) {
        let bytes = std::mem::take(&mut self.skipped);
        let missing = std::mem::take(&mut self.missing);
        if bytes == 0 {
            return; // nothing was missing after all
        }
        out.damage(DamageKind::NoFrame { bytes }, Some(self.pid), place);
        let data = self.scrap.split().freeze();
        let Some(params) = self.params.clone() else { return };
        let frame_len = self.frame_len.max(1);
        let frames =
            |bytes: u64, least: u64| (bytes + frame_len / 2).div_euclid(frame_len).max(least).min(MAX_GAP);
        let later = |from: Ticks, frames: u64| {
            (0..frames).fold(from, |at, _| Self::after(at, params.frame_len, params.sample_rate))
        };
        let start = self.position - bytes;
        let stamp = self.stamps.take(start);
        if let Some(times) = stamp {
            self.date_early(times.pts, out);
        }
        // Until the next stamp, what was lost counts by its length: audio frames hardly differ in theirs.
        let lost = frames(bytes + missing, 1);
        let Some(pts) = stamp.map(|times| times.pts).or(self.next) else {
            self.early_end = later(self.early_end, lost);
            return;
        };
        let mut next = later(pts, lost);
        // A stamp among what was lost is the first lost frame's behind it, if frames begin where stamps are.
        if self.aligned
            && let Some((from, times)) = self.stamps.take_before(self.position)
        {
            next = later(times.pts, frames(self.position - from + self.missing_behind_stamp, 1));
        }
        self.next = Some(next);
        let header = self.format.header_len(&data).min(data.len());
        let mut sample = Sample {
            pid: self.pid,
            pts,
            dts: pts,
            duration: (next - pts).max(Ticks(0)),
            stamped: stamp.is_some(),
            random_access: true,
            idr: true,
            intra: Intra::WithSets,
            damaged: true,
            data: data.slice(header..),
            elementary_len: bytes,
            offset: self.scrap_offset,
        };
        // The head of one frame and the tail of a later one.
        let first = self.hole.saturating_sub(start);
        let middle = later(pts, 1);
        if missing > 0 && (header as u64..bytes).contains(&first) && first > 0 && middle < next {
            let mut tail = Sample { pts: next - (middle - pts), stamped: false, ..sample.clone() };
            (tail.dts, tail.duration) = (tail.pts, next - tail.pts);
            tail.data = data.slice((first as usize).min(data.len())..);
            tail.elementary_len = bytes - first;
            sample.data.truncate(first as usize - header);
            sample.elementary_len = first;
            sample.duration = tail.pts - pts;
            out.sample(sample);
            sample = tail;
        }
        out.sample(sample);
    }

    /// The first stamp came: frames follow each other, so it dates those before it too.
    fn date_early(&mut self, first: Ticks, out: &mut Output) {
        let shift = first - std::mem::take(&mut self.early_end);
        for (mut sample, ()) in self.early.take() {
            sample.pts = sample.pts + shift;
            sample.dts = sample.pts;
            out.sample(sample);
        }
    }

    /// Yields the units of `frame`, which the input may have cut. Returns `false` where its content is broken.
    fn open(&mut self, frame: &Bytes, cut: bool, place: Place, out: &mut Output) -> bool {
        let mut units = std::mem::take(&mut self.units);
        let params = self.format.open(frame.clone(), &mut units);
        let Some(params) = params else {
            units.clear();
            self.units = units;
            return false;
        };
        self.tell_skipped(place, out);
        let (start, offset) = (self.position, self.offset());
        let elementary_len = frame.len() as u64;
        self.position += elementary_len;
        self.frame_len =
            if self.frame_len == 0 { elementary_len } else { (3 * self.frame_len + elementary_len) / 4 };
        self.aligned &= self.stamps.is_at(start);
        let stamp = self.stamps.take(start);
        let rate = params.sample_rate;
        if self.params.as_ref() != Some(&params) {
            self.params = Some(Arc::clone(&params));
            out.params(self.pid, Params::Audio(params));
        }
        let mut stamped = stamp.is_some();
        if let Some(times) = stamp {
            self.date_early(times.pts, out);
            self.next = Some(times.pts);
        }
        let mut length = elementary_len;
        for Unit { data, samples, broken } in units.drain(..) {
            let pts = self.next.unwrap_or(self.early_end);
            let end = Self::after(pts, samples, rate);
            let sample = Sample {
                pid: self.pid,
                pts,
                dts: pts,
                duration: end - pts,
                stamped,
                random_access: true,
                idr: true,
                intra: Intra::WithSets,
                // What was lost lies before the frame; the frame itself is whole.
                damaged: cut || broken,
                data,
                elementary_len: length,
                offset,
            };
            if self.next.is_some() {
                self.next = Some(end);
                out.sample(sample);
            } else {
                self.early_end = end;
                self.early.push(sample, (), place, out);
            }
            stamped = false;
            length = 0;
        }
        self.units = units;
        true
    }
}
