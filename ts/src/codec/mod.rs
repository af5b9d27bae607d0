//! Elementary streams to samples: one module per codec, and what they share.

mod aac;
mod ac3;
pub mod adts;
mod annexb;
mod audio;
mod bits;
mod blocks;
mod budget;
mod early;
pub mod elementary;
mod format;
mod h264;
mod hevc;
mod latm;
mod mpa;
mod opus;
mod order;
pub(crate) mod recognise;
mod sets;
mod timing;
mod vui;
mod whole;

use std::collections::VecDeque;

use crate::Ticks;
use crate::error::{Damage, DamageKind};
use crate::event::{Codec, Event, Params, Sample, Stats, Stream};
use budget::{Budget, LeftOut};

pub use budget::{BYTES_PER_SAMPLE, FREE_SAMPLES, MAX_SEGMENT_MEDIA};

/// Where in the input a packet stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) packet: u64,
    pub(crate) offset: u64,
}

/// Events on their way out, and the counters.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) events: VecDeque<Event>,
    pub(crate) stats: Stats,
    pub(crate) budget: Budget,
}

impl Output {
    pub(crate) fn sample(&mut self, sample: Sample) {
        if !self.budget.takes_sample(sample.pid, sample.duration) {
            return;
        }
        self.stats.samples += 1;
        self.stats.damaged_samples += u64::from(sample.damaged);
        self.events.push_back(Event::Sample(sample));
    }

    pub(crate) fn damage(&mut self, kind: DamageKind, pid: Option<u16>, place: Place) {
        self.stats.damages += 1;
        if !self.budget.takes_damage() {
            return;
        }
        let Place { packet, offset } = place;
        self.events.push_back(Event::Damage(Damage { kind, pid, packet, offset }));
    }

    /// The configuration of the samples of `pid` that follow.
    pub(crate) fn params(&mut self, pid: u16, params: Params) {
        if self.budget.takes_params() {
            self.events.push_back(Event::Params { pid, params });
        }
    }

    /// A segment ended.
    pub(crate) fn end_segment(&mut self, place: Place) {
        if let Some(LeftOut { samples, bytes, sections }) = self.budget.end() {
            self.damage(DamageKind::TooMuch { samples, bytes, sections }, None, place);
        }
    }
}

/// Time stamps of a PES header, unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) pts: Ticks,
    pub(crate) dts: Ticks,
}

/// Time stamps waiting for the access unit that they belong to: the first that commences behind the PES
/// header (ISO/IEC 13818-1 2.4.3.7).
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// With the position in the elementary stream from which each applies.
    waiting: VecDeque<(u64, Times)>,
}

impl Stamps {
    /// An access unit over so many PES packets is not plausible: the oldest stamps are of no use then.
    const MAX: usize = 64;

    pub(crate) fn push(&mut self, position: u64, times: Times) {
        if self.waiting.len() == Self::MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((position, times));
    }

    /// The stamp that [`Self::take`] would return for an access unit that commences at `position`.
    pub(crate) fn peek(&self, position: u64) -> Option<Times> {
        self.waiting.iter().take_while(|(from, _)| *from <= position).last().map(|&(_, times)| times)
    }

    /// The stamp for an access unit that commences at `position`.
    pub(crate) fn take(&mut self, position: u64) -> Option<Times> {
        let mut found = None;
        while let Some(&(from, times)) = self.waiting.front()
            && from <= position
        {
            found = Some(times);
            self.waiting.pop_front();
        }
        found
    }

    /// The last stamp before `position`, with the position from which it applies.
    pub(crate) fn take_before(&mut self, position: u64) -> Option<(u64, Times)> {
        let mut found = None;
        while let Some(&first) = self.waiting.front()
            && first.0 < position
        {
            found = self.waiting.pop_front();
        }
        found
    }

    /// A stamp applies from between two positions, the latter included.
    pub(crate) fn is_between(&self, from: u64, to: u64) -> bool {
        self.waiting.iter().any(|&(at, _)| at > from && at <= to)
    }

    /// Every stamp up to `position` applies from there, not from before.
    pub(crate) fn is_at(&self, position: u64) -> bool {
        self.waiting.front().is_none_or(|&(from, _)| from >= position)
    }
}

/// The parser of one elementary stream.
pub(crate) trait Elementary: std::fmt::Debug + Send + Sync {
    /// A PES packet begins with the next byte.
    fn begin(&mut self, times: Option<Times>, place: Place, out: &mut Output);

    /// The next bytes of the elementary stream, from the packet at `place`.
    fn data(&mut self, bytes: &[u8], place: Place, out: &mut Output);

    /// A PES packet reached its length.
    fn end(&mut self, _: Place, _: &mut Output) {}

    /// About so many bytes are missing here.
    fn lost(&mut self, bytes: u64);

    /// The bytes that come may be wrong, or end early, but their place is right.
    fn damaged(&mut self);

    /// A PES packet with a broken header begins with the next byte.
    fn interrupted(&mut self, out: &mut Output);

    /// A segment ended; `short`: inside a PES packet whose length is known, so that it goes on in the next.
    fn end_segment(&mut self, short: bool, place: Place, out: &mut Output);

    /// Nothing more comes; `short` as above.
    fn finish(&mut self, short: bool, place: Place, out: &mut Output);
}

/// The parser for a stream; `None` for what is listed and left alone.
pub(crate) fn parser(stream: &Stream) -> Option<Box<dyn Elementary>> {
    let pid = stream.pid;
    match stream.codec? {
        Codec::H264 => Some(Box::new(annexb::Assembler::<h264::Avc>::new(pid))),
        Codec::Hevc => Some(Box::new(annexb::Assembler::<hevc::Hevc>::new(pid))),
        Codec::AacAdts => Some(Box::new(audio::Framer::<adts::Adts>::new(pid))),
        Codec::MpegAudio => Some(Box::new(audio::Framer::<mpa::MpegAudio>::new(pid))),
        Codec::Ac3 | Codec::Eac3 => Some(Box::new(audio::Framer::<ac3::Dolby>::new(pid))),
        Codec::AacLatm => Some(Box::new(audio::Framer::<latm::Latm>::new(pid))),
        Codec::Opus => Some(Box::new(audio::Framer::with(pid, opus::Opus::new(stream.channel_config)))),
        Codec::TimedId3 => Some(Box::new(whole::Whole::new(pid))),
        // Sections, no PES packets.
        Codec::Scte35 => None,
    }
}
