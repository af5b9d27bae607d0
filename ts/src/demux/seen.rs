//! Tables that were read already, and how many others may be.
//!
//! A table comes ten times a second and says the same nearly always. One that says something else each time makes
//! streams come and go, for which packets that were kept are looked through.

use std::collections::{BTreeMap, VecDeque};

/// Sections remembered of one PID: that of a multiplex with a few programs may have several maps.
const MAX_PER_PID: usize = 8;

/// Longest PAT or PMT section (ISO/IEC 13818-1 2.4.4.3, 2.4.4.8): 1021 bytes behind its length field.
const MAX_TABLE: usize = 1_024;

/// Tables that are read of a segment, however they differ: two rounds of the largest multiplex...
const BURST: u64 = 1_024;
/// ... and one more for so many packets: ten a second at 1 Mbit/s.
const PACKETS_PER_TABLE: u64 = 64;

/// Of which table, and which of its sections, these bytes are: table_id, table_id_extension,
/// current_next_indicator and section_number.
fn place_of(section: &[u8]) -> Option<(u8, [u8; 2], u8, u8)> {
    match *section {
        [table, _, _, high, low, version, number, ..] => Some((table, [high, low], version & 1, number)),
        _ => None,
    }
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    sections: BTreeMap<u16, VecDeque<Box<[u8]>>>,
    /// Tables read of this segment.
    read: u64,
    /// Number of its first packet.
    begins: u64,
}

impl Seen {
    /// Whether `section` says what it said before.
    pub(super) fn knows(&self, pid: u16, section: &[u8]) -> bool {
        self.sections.get(&pid).is_some_and(|known| known.iter().any(|it| **it == *section))
    }

    /// Whether one more table may be read, at packet number `packet`.
    pub(super) fn takes(&mut self, packet: u64) -> bool {
        let within = self.read < BURST + packet.saturating_sub(self.begins) / PACKETS_PER_TABLE;
        self.read += u64::from(within);
        within
    }

    /// The next segment begins with packet number `packet`.
    pub(super) fn begin_segment(&mut self, packet: u64) {
        (self.read, self.begins) = (0, packet);
    }

    /// `section` was read, and holds.
    pub(super) fn remember(&mut self, pid: u16, section: Vec<u8>) {
        if section.len() > MAX_TABLE {
            return;
        }
        let known = self.sections.entry(pid).or_default();
        // It takes the place of the one that it differs from.
        known.retain(|it| place_of(it) != place_of(&section));
        if known.len() == MAX_PER_PID {
            known.pop_front();
        }
        known.push_back(section.into());
    }

    /// What was read may mean something else now.
    pub(super) fn forget(&mut self) {
        self.sections.clear();
    }
}
