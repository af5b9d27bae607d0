//! Payload that is marked as scrambled, and is not.
//!
//! Some receivers descramble a stream and leave transport_scrambling_control or PES_scrambling_control as they were.
//! Scrambled payload looks like noise, so whether it is shows at the start of each PES packet: by a PES header where
//! transport packets are scrambled, and by the start of a unit of the elementary stream in either case.

use crate::codec::recognise::begins_unit;
use crate::pes;

/// PES packets in a row in which no unit begins visibly, though they are clear: a picture in several PES packets,
/// or audio whose frames lie across them.
const MAX_DOUBTS: u8 = 8;

/// What is known of the marks of one PID.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Payload was clear in spite of its mark.
    clear: bool,
    doubts: u8,
    /// The PES packet in work is taken.
    taken: bool,
}

impl Marked {
    /// Whether the payload of a packet that is marked as scrambled is taken.
    pub(super) fn takes_packet(&mut self, payload: &[u8], start: bool) -> bool {
        if start {
            self.taken = pes::is_header(payload) && self.takes_data(pes::first_data(payload));
            self.clear &= self.taken;
        }
        self.taken
    }

    /// A PES packet begins in a transport packet without a mark.
    pub(super) fn begins_unmarked(&mut self) {
        self.taken = self.clear;
    }

    /// Whether the PES packet that begins with `data` is taken.
    pub(super) fn takes_data(&mut self, data: &[u8]) -> bool {
        if begins_unit(data) {
            (self.clear, self.doubts) = (true, 0);
        } else {
            self.doubts = self.doubts.saturating_add(1);
            self.clear &= self.doubts <= MAX_DOUBTS;
        }
        self.clear
    }
}
