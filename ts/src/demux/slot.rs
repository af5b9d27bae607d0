//! What a PID is used for, and the state of its packets.

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
    /// The last bytes of that packet: tells a legal duplicate from the loss of a multiple of 16 packets.
    pub(super) tail: [u8; TAIL],
    /// In a stretch of scrambled packets.
    pub(super) scrambled: bool,
}

/// Behind every place that may differ between duplicates (the PCR, 2.4.3.3).
pub(super) const TAIL: usize = 16;
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
    /// Nothing any more.
    Free,
}

impl Slot {
    pub(super) fn new(pid: u16, carries: Carries) -> Self {
        Self { pid, carries, counter: None, tail: [0; TAIL], scrambled: false }
    }

    /// So many packets, or 16 more, are missing.
    pub(super) fn lost(&mut self, packets: u8) {
        match &mut self.carries {
            Carries::Tables(sections) | Carries::Sections { sections, .. } => sections.reset(),
            Carries::Stream { pes, parser, .. } => {
                pes.lost();
                if let Some(parser) = parser {
                    parser.lost(u64::from(packets) * PAYLOAD);
                }
            }
            Carries::Free => {}
        }
    }

    pub(super) fn finish(&mut self, place: Place, out: &mut Output) {
        if let Carries::Stream { pes, parser, .. } = &mut self.carries {
            let missing = pes.reset();
            if let Some(missing) = missing {
                out.damage(DamageKind::PesShort { missing }, Some(self.pid), place);
            }
            if let Some(parser) = parser {
                parser.finish(missing.is_some(), place, out);
            }
        }
    }
}
