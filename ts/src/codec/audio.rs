//! Audio streams of frames that begin with a sync word, whatever the codec.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::blocks::Blocks;
use super::timing::after_frame;
use super::{Elementary, Output, Place, Stamps, Times};
use crate::Ticks;
use crate::error::DamageKind;
use crate::event::{AudioParams, Event, Params, Sample};

/// Sizes of the blocks that frames are gathered in, up to some hundred frames; each is twice the one before, so
/// that a stream that hardly sends anything takes little.
const BLOCK: std::ops::RangeInclusive<usize> = 2 << 10..=64 << 10;
/// Longest gap, in frames, that is bridged by an estimate; the continuity counter cannot tell of more.
const MAX_GAP: u64 = 64;

/// What the start of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A frame of so many bytes, header included.
    Frame(usize),
    /// It takes more bytes to tell.
    More,
    /// No frame.
    None,
}

/// One or more access units out of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) data: Bytes,
    /// Audio samples in it.
    pub(crate) samples: u32,
}

/// The rules of a codec.
pub(crate) trait Format: Default + std::fmt::Debug + Send + Sync {
    /// First byte of the sync word.
    const SYNC: u8;
    /// Frames without stamps follow each other by whole ticks, rounded down, instead of on the exact grid of
    /// [`after_frame`]. Either is right to the frame, and each stamp begins anew; FFmpeg does the one for AAC
    /// and the other for the rest, and equal stamps are worth more than a tick.
    const WHOLE_TICKS: bool = true;

    /// Looks for a frame at the start of `bytes`. `ended`: no more bytes will come soon.
    fn sync(&self, bytes: &[u8], ended: bool) -> Head;

    /// Takes a whole frame apart. `None`: its content is broken.
    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>>;
}

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
    /// Bytes passed over since the last frame.
    skipped: u64,
    /// Bytes that did not come since the last frame, as far as the continuity counter tells.
    missing: u64,
    /// Length of the last whole frame.
    frame_len: u64,
    /// When the next frame is presented if it has no stamp.
    next: Option<Ticks>,
    params: Option<Arc<AudioParams>>,
    /// Input offset of the packet in which the buffer's first byte stood, and of the last one.
    offset: u64,
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
            missing: 0,
            frame_len: 0,
            next: None,
            params: None,
            offset: 0,
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
        }
    }

    fn data(&mut self, bytes: &[u8], place: Place, out: &mut Output) {
        if self.buffer.is_empty() {
            self.offset = place.offset;
        }
        self.blocks.append(&mut self.buffer, bytes);
        self.drain(false, place, out);
    }

    /// Bytes may be missing here. What is there of a frame is kept: if the next header stands where the frame
    /// ends, nothing was missing (some multiplexers count wrongly); if not, the search passes over it.
    fn lost(&mut self, bytes: u64) {
        self.missing += bytes;
        self.synced = false;
    }

    /// What is left may go on in the next segment; but nothing is gained by waiting for a look ahead.
    fn end_segment(&mut self, _: bool, place: Place, out: &mut Output) {
        self.drain(true, place, out);
    }

    fn finish(&mut self, place: Place, out: &mut Output) {
        self.drain(true, place, out);
        self.skip(self.buffer.len());
        self.tell_skipped(place, out);
    }

    fn damaged(&mut self) {
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

    fn drain(&mut self, ended: bool, place: Place, out: &mut Output) {
        while !self.buffer.is_empty() {
            let length = match self.format.sync(&self.buffer, ended) {
                Head::Frame(length) if length > 0 => length,
                Head::More => return,
                _ => {
                    self.seek();
                    continue;
                }
            };
            if !self.synced && !ended {
                // A sync word within a frame's own data is common: look where the next one would be.
                match self.buffer.get(length..).map(|next| self.format.sync(next, true)) {
                    Some(Head::Frame(_)) => {}
                    Some(Head::None) if length < self.buffer.len() => {
                        self.seek();
                        continue;
                    }
                    _ => return,
                }
            }
            if self.buffer.len() < length {
                return;
            }
            self.tell_skipped(place, out);
            self.synced = true;
            let frame = self.buffer.split_to(length).freeze();
            let start = self.position;
            self.position += length as u64;
            self.open(frame, start, place, out);
            self.offset = place.offset;
        }
    }

    /// No frame here: on to the next place where one may begin.
    fn seek(&mut self) {
        self.synced = false;
        let next = memchr::memchr(F::SYNC, &self.buffer[1..]).map_or(self.buffer.len(), |at| at + 1);
        self.skip(next);
    }

    fn skip(&mut self, bytes: usize) {
        let _ = self.buffer.split_to(bytes);
        self.position += bytes as u64;
        self.skipped += bytes as u64;
    }

    fn tell_skipped(&mut self, place: Place, out: &mut Output) {
        let bytes = std::mem::take(&mut self.skipped);
        let missing = std::mem::take(&mut self.missing);
        if bytes == 0 {
            return; // nothing was missing after all
        }
        out.damage(DamageKind::NoFrame { bytes }, Some(self.pid), place);
        // Until the next stamp, what was lost counts by its length: audio frames hardly differ in theirs.
        let (Some(next), Some(params)) = (self.next, &self.params) else { return };
        let half = self.frame_len / 2;
        let frames = ((bytes + missing + half) / self.frame_len.max(1)).min(MAX_GAP);
        self.next =
            Some((0..frames).fold(next, |at, _| Self::after(at, params.frame_len, params.sample_rate)));
    }

    fn open(&mut self, frame: Bytes, start: u64, place: Place, out: &mut Output) {
        let elementary_len = frame.len() as u64;
        self.frame_len = elementary_len;
        let stamp = self.stamps.take(start);
        let mut units = std::mem::take(&mut self.units);
        let params = self.format.open(frame, &mut units);
        let Some(params) = params else {
            out.damage(DamageKind::NoFrame { bytes: elementary_len }, Some(self.pid), place);
            units.clear();
            self.units = units;
            return;
        };
        let rate = params.sample_rate;
        if self.params.as_ref() != Some(&params) {
            self.params = Some(Arc::clone(&params));
            out.events.push_back(Event::Params { pid: self.pid, params: Params::Audio(params) });
        }
        let mut stamped = stamp.is_some();
        self.next = stamp.map(|times| times.pts).or(self.next);
        let mut length = elementary_len;
        for Unit { data, samples } in units.drain(..) {
            let Some(pts) = self.next else {
                // Frames before the first stamp of the stream cannot be placed.
                out.damage(DamageKind::NoFrame { bytes: elementary_len }, Some(self.pid), place);
                break;
            };
            self.next = Some(Self::after(pts, samples, rate));
            out.sample(Sample {
                pid: self.pid,
                pts,
                dts: pts,
                stamped,
                random_access: true,
                idr: true,
                // What was lost lies before the frame; the frame itself is whole.
                damaged: false,
                data,
                elementary_len: length,
                offset: self.offset,
            });
            stamped = false;
            length = 0;
        }
        self.units = units;
    }
}
