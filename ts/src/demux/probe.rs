//! Streams whose content the tables leave open: their packets wait until it shows.

use super::slot::{Carries, Slot};
use super::{Core, Place};
use crate::codec::recognise::{is_frame_of, recognise};
use crate::event::{Codec, Stream};
use crate::pes::Pes;

/// Packets that are looked at before the tables are believed: some seconds of sound, and of pictures enough
/// to have come to a parameter set in most streams.
const MAX_PACKETS: usize = 1024;
/// First size at which the content is looked at; then at twice as much each time, so that all looks together
/// cost no more than two at everything.
const FIRST_LOOK: usize = 512;

/// A stream in question.
#[derive(Debug)]
pub(super) struct Probe {
    clock: usize,
    /// As the tables have it.
    stream: Stream,
    pes: Pes,
    bytes: Vec<u8>,
    next_look: usize,
    held: Vec<(Place, Piece)>,
}

/// What came of its PID.
#[derive(Debug)]
enum Piece {
    Payload {
        start: bool,
        bytes: Box<[u8]>,
    },
    /// See [`Slot::lost`].
    Lost(u8),
    /// See [`Slot::damaged`].
    Damaged,
}

impl Probe {
    pub(super) fn new(stream: &Stream, clock: usize) -> Self {
        Self {
            clock,
            stream: stream.clone(),
            pes: Pes::default(),
            bytes: Vec::new(),
            next_look: FIRST_LOOK,
            held: Vec::new(),
        }
    }

    pub(super) fn lost(&mut self, place: Place, packets: u8) {
        self.pes.lost();
        self.held.push((place, Piece::Lost(packets)));
    }

    pub(super) fn damaged(&mut self, place: Place) {
        self.held.push((place, Piece::Damaged));
    }

    /// Takes a packet's payload. Returns the codec (or that there is none) once it is decided.
    fn push(&mut self, place: Place, payload: &[u8], start: bool) -> Option<Option<Codec>> {
        let step = self.pes.push(payload, start);
        self.held.push((place, Piece::Payload { start, bytes: payload.into() }));
        let declared = self.stream.codec;
        if step.bad_header || step.marked || self.held.len() >= MAX_PACKETS {
            return Some(declared);
        }
        let begins = step.begun.is_some() && self.bytes.is_empty();
        self.bytes.extend(step.behind.iter().flatten());
        self.bytes.extend_from_slice(step.data);
        if begins && declared.is_some_and(|codec| is_frame_of(codec, step.data)) {
            return Some(declared); // as it nearly always is
        }
        if self.bytes.len() < self.next_look {
            return None;
        }
        self.next_look = 2 * self.bytes.len();
        recognise(&self.bytes, false).map(Some)
    }

    /// The same at the end of a segment; `None`: nothing has come yet.
    fn end(&self) -> Option<Option<Codec>> {
        let come = !self.held.is_empty();
        come.then(|| recognise(&self.bytes, true).or(self.stream.codec))
    }
}

impl Core {
    pub(super) fn probe(&mut self, index: usize, payload: &[u8], start: bool) {
        let place = self.place;
        let Some(Slot { carries: Carries::Probe(probe), .. }) = self.slots.get_mut(index) else { return };
        if let Some(codec) = probe.push(place, payload, start) {
            self.settle(index, codec);
        }
    }

    /// A segment ended: what is in question is decided.
    pub(super) fn settle_all(&mut self) {
        for index in 0..self.slots.len() {
            if let Carries::Probe(probe) = &self.slots[index].carries
                && let Some(codec) = probe.end()
            {
                self.settle(index, codec);
            }
        }
    }

    /// The stream is of `codec`: it is listed so, and what was held goes its way.
    fn settle(&mut self, index: usize, codec: Option<Codec>) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Carries::Probe(probe) = std::mem::replace(&mut slot.carries, Carries::Free) else { return };
        let stream = Stream { codec, ..probe.stream };
        if codec != probe.stream.codec {
            self.relist(&stream);
        }
        let carries = self.use_of(&stream, probe.clock);
        self.slots[index].carries = carries;
        let now = self.place;
        for (place, piece) in probe.held {
            self.place = place;
            match piece {
                Piece::Payload { start, bytes } => self.stream(index, &bytes, start, None),
                Piece::Lost(packets) => self.slots[index].lost(place, packets),
                Piece::Damaged => self.slots[index].damaged(place),
            }
        }
        self.place = now;
    }
}
