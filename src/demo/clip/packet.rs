//! One transport stream packet, rewritten in place (ISO/IEC 13818-1 2.4.3).

use std::collections::BTreeMap;

pub(super) const PACKET: usize = 188;

/// PTS, DTS and the base of the PCR have 33 bits.
const STAMP_MASK: u64 = (1 << 33) - 1;

/// How many packets with a payload each PID has sent.
#[derive(Debug, Default)]
pub(super) struct Counters(BTreeMap<u16, u64>);

impl Counters {
    /// Counts the packets of `stream`.
    pub(super) fn count(&mut self, stream: &[u8]) {
        for packet in stream.chunks_exact(PACKET).filter(|packet| has_payload(packet)) {
            *self.0.entry(pid(packet)).or_default() += 1;
        }
    }

    /// As if everything counted so far had been sent `times` times.
    pub(super) fn repeat(&mut self, times: u64) {
        for count in self.0.values_mut() {
            *count = count.wrapping_mul(times);
        }
    }

    /// The value for the next packet of `pid`: four bits, the same as before where there is no payload.
    fn next(&mut self, pid: u16, payload: bool) -> u8 {
        let count = self.0.entry(pid).or_default();
        let value = if payload { *count } else { count.wrapping_sub(1) };
        *count = count.wrapping_add(u64::from(payload));
        (value & 0x0f) as u8
    }
}

/// Moves the time stamps of `packet` by `ticks` of 90 kHz and sets its continuity counter.
pub(super) fn rewrite(packet: &mut [u8], ticks: u64, counters: &mut Counters) {
    let payload = has_payload(packet);
    packet[3] = packet[3] & 0xf0 | counters.next(pid(packet), payload);
    let mut start = 4;
    if packet[3] & 0x20 != 0 {
        let length = usize::from(packet[4]);
        // 2.4.3.5: the PCR follows the flags where PCR_flag is set.
        if length >= 7 && packet[5] & 0x10 != 0 {
            move_pcr(&mut packet[6..12], ticks);
        }
        start += 1 + length;
    }
    let unit_start = packet[1] & 0x40 != 0;
    if payload && unit_start && packet.get(start..start + 3) == Some(&[0, 0, 1]) {
        move_pes(&mut packet[start..], ticks);
    }
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

fn has_payload(packet: &[u8]) -> bool {
    packet[3] & 0x10 != 0
}

/// The base (33 bits of 90 kHz) before six reserved bits and the extension, which stays (2.4.3.5).
fn move_pcr(field: &mut [u8], ticks: u64) {
    let base = field[..5].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)) >> 7;
    let moved = ((base + ticks) & STAMP_MASK) << 7 | u64::from(field[4] & 0x7f);
    field[..5].copy_from_slice(&moved.to_be_bytes()[3..]);
}

/// The stamps of a PES header (2.4.3.7), in the packet where it starts.
fn move_pes(pes: &mut [u8], ticks: u64) {
    let Some(flags) = pes.get(7).copied() else { return };
    for (present, at) in [(flags & 0x80 != 0, 9), (flags & 0xc0 == 0xc0, 14)] {
        if let (true, Some(field)) = (present, pes.get_mut(at..at + 5)) {
            let stamp = (stamp(field) + ticks) & STAMP_MASK;
            field[0] = field[0] & 0xf1 | ((stamp >> 30) as u8 & 7) << 1;
            field[1] = (stamp >> 22) as u8;
            field[2] = (stamp >> 14) as u8 | 1;
            field[3] = (stamp >> 7) as u8;
            field[4] = (stamp << 1) as u8 | 1;
        }
    }
}

/// 33 bits in three parts with marker bits between.
pub(super) fn stamp(field: &[u8]) -> u64 {
    u64::from(field[0] >> 1 & 7) << 30
        | u64::from(field[1]) << 22
        | u64::from(field[2] >> 1) << 15
        | u64::from(field[3]) << 7
        | u64::from(field[4] >> 1)
}
