//! Whether a segment ends within a PES packet that has no length, and so within a picture.
//!
//! Such a packet ends where the next one of its PID begins (ISO/IEC 13818-1 2.4.3.7), which at the end of a segment
//! has not come. But a multiplexer has to fill the last transport packet of a PES packet up, by stuffing in its
//! adaptation field, unless the payload happens to be a multiple of 184 bytes: a PES packet that ends with a full
//! transport packet probably goes on. Its picture waits for the next segment, whose first packet of the PID tells.
//! In a segment that is cut between pictures that is one in 184.

use super::PACKET;

/// PES packets from which it is judged how a multiplexer fills its packets: a third of a second of video.
const JUDGED: u32 = 8;

/// What the packets of one PID tell of it.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// The last packet is payload up to its end.
    full: bool,
    /// PES packets that the next one ended, and how many of those ended with a full packet.
    ended: u32,
    ended_full: u32,
    /// A segment has begun within a PES packet. With one that ended in stuffing, nothing tells them apart.
    seen: bool,
    seen_stuffed: bool,
    /// The last segment ended within a PES packet, or seemed to.
    held: bool,
    /// No packet with payload has come since the last segment ended.
    at_border: bool,
}

impl Cuts {
    /// The next packet with payload; `start`: it begins a PES packet, or section.
    pub(super) fn packet(&mut self, data: &[u8], start: bool) {
        if start {
            self.ended = self.ended.saturating_add(1);
            self.ended_full = self.ended_full.saturating_add(u32::from(self.full));
        }
        self.full = is_full(data);
    }

    /// A segment ended. Returns whether a PES packet without length goes on in the next one, as far as it shows;
    /// `cut`: the segment ended within a transport packet.
    pub(super) fn end_segment(&mut self, cut: bool) -> bool {
        // Multiplexers that fill up with zero bytes or filler data have full packets everywhere.
        let fills = self.ended >= JUDGED && self.ended_full.saturating_mul(4) >= self.ended;
        self.held = cut || self.seen_stuffed || self.full && (self.seen || !fills);
        self.at_border = true;
        self.held
    }

    /// Nothing of what came goes on.
    pub(super) fn reset(&mut self) {
        (self.held, self.at_border, self.full) = (false, false, false);
    }

    /// Whether this is the first packet with payload of a segment.
    pub(super) fn take_border(&mut self) -> bool {
        std::mem::take(&mut self.at_border)
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// The first packet of a segment goes on with a PES packet of the one before. Returns whether that was told
    /// as whole.
    pub(super) fn goes_on(&mut self) -> bool {
        self.seen = true;
        let told = !std::mem::take(&mut self.held);
        self.seen_stuffed |= told;
        told
    }

    /// What waits at the end of a source that is cut anywhere is hardly whole.
    pub(super) fn is_cut_off(&self) -> bool {
        self.held && self.seen && self.full
    }
}

/// Whether a packet has no stuffing: no adaptation field, or one that has content up to its end (2.4.3.4).
fn is_full(packet: &[u8]) -> bool {
    debug_assert_eq!(packet.len(), PACKET);
    if packet[3] & 0x20 == 0 {
        return true;
    }
    let length = usize::from(packet[4]);
    let Some(field @ [flags, ..]) = packet.get(5..5 + length) else { return false };
    let (pcr, opcr, splice) = (flags & 0x10 != 0, flags & 0x08 != 0, flags & 0x04 != 0);
    let mut content = 1 + 6 * usize::from(pcr) + 6 * usize::from(opcr) + usize::from(splice);
    // transport_private_data and the extension are of the length that they begin with.
    for present in [flags & 0x02 != 0, flags & 0x01 != 0] {
        if present {
            content += 1 + field.get(content).map_or(0, |length| usize::from(*length));
        }
    }
    *flags != 0 && content >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(field: Option<&[u8]>) -> Vec<u8> {
        let mut packet = vec![0x47, 0x01, 0x00, if field.is_some() { 0x30 } else { 0x10 }];
        packet.extend(field.iter().flat_map(|field| [&[field.len() as u8], *field].concat()));
        packet.resize(PACKET, 0xAA);
        packet
    }

    #[test]
    fn stuffing_is_told_from_the_content_of_an_adaptation_field() {
        let pcr = [0x10, 1, 2, 3, 4, 5, 6];
        let private = [0x02, 3, 1, 2, 3];
        let full: [Option<&[u8]>; 4] = [None, Some(&[0x40]), Some(&pcr), Some(&private)];
        for field in full {
            assert!(is_full(&packet(field)), "{field:?}");
        }
        let longer = [&pcr[..], &[0xFF]].concat();
        let stuffed: [&[u8]; 5] = [&[], &[0], &[0, 0xFF], &[0x40, 0xFF], &longer];
        for field in stuffed {
            assert!(!is_full(&packet(Some(field))), "{field:?}");
        }
    }

    #[test]
    fn a_multiplexer_that_never_stuffs_is_believed_to_end_its_pictures_until_one_goes_on() {
        let mut cuts = Cuts::default();
        for _ in 0..20 {
            cuts.packet(&packet(None), true);
        }
        assert!(!cuts.end_segment(false));
        assert!(cuts.take_border() && cuts.goes_on());
        assert!(cuts.end_segment(false));
    }
}
