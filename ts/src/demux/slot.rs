//! What a PID is used for, and the state of its packets.

use super::PACKET;
use super::cuts::Cuts;
use super::marked::Marked;
use super::probe::Probe;
use crate::codec::{Elementary, Output, Place};
use crate::error::DamageKind;
use crate::pes::Pes;
use crate::psi::Sections;

/// A PID in use.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) pid: u16,
    pub(super) carries: Carries,
    /// continuity_counter of its last packet with a payload.
    pub(super) counter: Option<u8>,
    /// What [`Slot::mark_of`] says of that packet: tells a legal duplicate from the loss of a multiple of 16 packets.
    pub(super) mark: [u8; TAIL],
    /// In a stretch of scrambled packets.
    pub(super) scrambled: bool,
    pub(super) marked: Marked,
    pub(super) cuts: Cuts,
    /// A payload came since the last segment ended.
    pub(super) active: bool,
}

/// Behind every place that may differ between duplicates (the PCR, 2.4.3.3).
const TAIL: usize = 16;
/// Bytes of payload in an ordinary packet.
const PAYLOAD: u64 = 184;

#[derive(Debug)]
pub(super) enum Carries {
    Tables(Sections),
    /// Sections that are handed on: SCTE 35. With the index of the program's clock.
    Sections {
        clock: usize,
        sections: Sections,
    },
    Stream {
        clock: usize,
        pes: Pes,
        parser: Option<Box<dyn Elementary>>,
    },
    /// A stream whose content is to show what it is.
    Probe(Probe),
    /// Nothing any more.
    Free,
}

impl Slot {
    pub(super) fn new(pid: u16, carries: Carries) -> Self {
        Self {
            pid,
            carries,
            counter: None,
            mark: [0; TAIL],
            scrambled: false,
            marked: Marked::default(),
            cuts: Cuts::default(),
            active: false,
        }
    }

    /// What tells a packet from another with the same counter. Sections are short and end in the same stuffing, and
    /// some multiplexers send each table with the counter at 0, so that for them the whole packet counts.
    pub(super) fn mark_of(&self, data: &[u8]) -> [u8; TAIL] {
        let mut mark = [0; TAIL];
        match self.carries {
            Carries::Tables(_) | Carries::Sections { .. } => {
                // FNV-1a: a CRC would be the same for all sections that end in their own.
                let hash = data.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
                });
                mark[..8].copy_from_slice(&hash.to_be_bytes());
            }
            _ => mark.copy_from_slice(&data[PACKET - TAIL..]),
        }
        mark
    }

    /// A packet that begins nothing goes on with what a segment before this one left open, if its counter follows.
    pub(super) fn is_open(&self) -> bool {
        match &self.carries {
            Carries::Tables(sections) | Carries::Sections { sections, .. } => sections.is_partial(),
            Carries::Stream { pes, .. } => pes.is_unbounded() && self.cuts.is_held(),
            _ => false,
        }
    }

    /// It has packets of a stream that comes out as samples.
    pub(super) fn is_media(&self) -> bool {
        matches!(&self.carries, Carries::Stream { parser: Some(_), .. } | Carries::Probe(_))
    }

    /// A segment ended, within a transport packet or between two.
    pub(super) fn end_segment(&mut self, cut: bool, place: Place, out: &mut Output) {
        (self.scrambled, self.active) = (false, false);
        let held = self.cuts.end_segment(cut);
        if let Carries::Stream { pes, parser: Some(parser), .. } = &mut self.carries {
            let open = pes.is_short() || pes.is_in_doubt() || pes.is_unbounded() && held;
            parser.end_segment(open, place, out);
        }
    }

    /// So many packets, or 16 more, are missing.
    pub(super) fn lost(&mut self, place: Place, packets: u8) {
        match &mut self.carries {
            Carries::Tables(sections) | Carries::Sections { sections, .. } => sections.reset(),
            Carries::Stream { pes, parser, .. } => {
                pes.lost();
                if let Some(parser) = parser {
                    parser.lost(u64::from(packets) * PAYLOAD);
                }
            }
            Carries::Probe(probe) => probe.lost(place, packets),
            Carries::Free => {}
        }
    }

    /// The next payload may have wrong bits.
    pub(super) fn damaged(&mut self, place: Place) {
        match &mut self.carries {
            Carries::Stream { parser: Some(parser), .. } => parser.damaged(),
            Carries::Probe(probe) => probe.damaged(place),
            _ => {}
        }
    }

    /// Nothing goes on with what came: all of it comes out. `lost`: what should have gone on with it is missing.
    pub(super) fn finish(&mut self, lost: bool, place: Place, out: &mut Output) {
        let cut_off = lost && self.cuts.is_cut_off();
        (self.counter, self.scrambled, self.active) = (None, false, false);
        self.cuts.reset();
        if let Carries::Tables(sections) | Carries::Sections { sections, .. } = &mut self.carries {
            sections.reset();
        }
        if let Carries::Stream { pes, parser, .. } = &mut self.carries {
            let cut_off = cut_off && pes.is_unbounded();
            let missing = pes.reset();
            if let Some(missing) = missing {
                out.damage(DamageKind::PesShort { missing }, Some(self.pid), place);
            }
            if let Some(parser) = parser {
                parser.finish(missing.is_some() || cut_off, place, out);
            }
        }
    }
}
