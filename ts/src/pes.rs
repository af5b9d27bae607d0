//! PES packets (ISO/IEC 13818-1 2.4.3.6): headers put together from packets, payload told from the rest.

use mpeg2ts_reader::pes::{PesContents, PesHeader, PesLength, PtsDts};

/// Start code, stream_id and PES_packet_length.
const FIXED: usize = 6;
/// With the flags and PES_header_data_length.
const FLAGGED: usize = 9;

/// Time stamps of a PES header, 33 bits as they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) pts: u64,
    /// Equal to `pts` where the header has none (2.7.5).
    pub(crate) dts: u64,
}

/// What one packet's payload meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    /// The PES packet before ended short of its length by so many bytes.
    pub(crate) short: Option<u32>,
    /// A header was completed here; `data` is behind it.
    pub(crate) begun: Option<Option<Stamp>>,
    /// A header that cannot be parsed. What came with it is `data` all the same: elementary streams have marks
    /// of their own by which their units are found again.
    pub(crate) bad_header: bool,
    /// Its header says that the payload is scrambled (PES_scrambling_control), which some descramblers leave so.
    pub(crate) marked: bool,
    /// What the first packet has behind the length of the PES packet, which went on all the same: elementary bytes
    /// before `data`.
    pub(crate) behind: Option<Vec<u8>>,
    /// The PES packet reached its length with `data`.
    pub(crate) ended: bool,
    /// Elementary bytes.
    pub(crate) data: &'a [u8],
}

#[derive(Debug, Default)]
enum State {
    /// Waiting for a packet that begins a PES packet.
    #[default]
    Idle,
    /// In the header, which is in `header` so far.
    Header,
    /// In the payload. `left`: bytes until PES_packet_length; `None` where it is not known.
    Payload { left: Option<u32> },
}

/// Takes the PES packets of one PID apart.
#[derive(Debug, Default)]
pub(crate) struct Pes {
    state: State,
    header: Vec<u8>,
    /// What the first packet has behind the length: stuffing where that was right, payload where it was not.
    behind: Vec<u8>,
}

impl Pes {
    /// Takes a packet's payload; `start`: payload_unit_start_indicator.
    pub(crate) fn push<'a>(&mut self, payload: &'a [u8], start: bool) -> Step<'a> {
        let mut step = Step::default();
        if start {
            if let State::Payload { left: Some(left @ 1..) } = self.state {
                step.short = Some(left);
            }
            step.bad_header = matches!(self.state, State::Header);
            self.state = State::Header;
            self.header.clear();
            self.behind.clear();
        }
        match &mut self.state {
            State::Idle => {}
            State::Header => self.take_header(payload, &mut step),
            State::Payload { left } => {
                // Some multiplexers write a wrong length (that of a large picture modulo 65,536); what follows in
                // packets of its own still belongs to the stream. Only the first packet is cut to the length
                // (stuffing may follow there), until another shows that it was wrong.
                match left {
                    Some(bytes @ 1..) => {
                        step.ended = *bytes as usize <= payload.len();
                        *bytes = bytes.saturating_sub(payload.len() as u32);
                    }
                    _ => *left = None,
                }
                step.behind = (!self.behind.is_empty()).then(|| std::mem::take(&mut self.behind));
                step.data = payload;
            }
        }
        step
    }

    /// Packets are missing: what is left of this PES packet is not known any more.
    pub(crate) fn lost(&mut self) {
        self.behind.clear();
        match &mut self.state {
            State::Idle => {}
            State::Header => self.state = State::Idle,
            State::Payload { left } => *left = None,
        }
    }

    /// Forgets the packet in work; returns how much it was short of its length.
    pub(crate) fn reset(&mut self) -> Option<u32> {
        self.behind.clear();
        match std::mem::take(&mut self.state) {
            State::Payload { left: Some(left @ 1..) } => Some(left),
            _ => None,
        }
    }

    /// A PES packet with a length has begun and not ended.
    pub(crate) fn is_short(&self) -> bool {
        matches!(self.state, State::Header | State::Payload { left: Some(1..) })
    }

    /// In a PES packet whose end is where the next one begins.
    pub(crate) fn is_unbounded(&self) -> bool {
        matches!(self.state, State::Payload { left: None })
    }

    /// Its first packet has more than the length: the next packet of the PID says whether that is payload.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.behind.is_empty()
    }

    fn take_header<'a>(&mut self, payload: &'a [u8], step: &mut Step<'a>) {
        // Nearly every header lies in one packet; the copy is at most 264 bytes.
        let mut taken = 0;
        loop {
            let wanted = match self.header.len() {
                0..FIXED => FIXED,
                _ if is_plain(self.header[3]) => FIXED,
                FIXED..FLAGGED => FLAGGED,
                _ => FLAGGED + usize::from(self.header[8]),
            };
            if self.header.len() == wanted {
                break;
            }
            let take = (wanted - self.header.len()).min(payload.len() - taken);
            if take == 0 {
                return; // the header goes on in the next packet
            }
            self.header.extend_from_slice(&payload[taken..taken + take]);
            taken += take;
        }
        if self.open(&payload[taken..], step).is_none() {
            step.bad_header = true;
            self.state = State::Payload { left: None };
            step.data = payload;
        }
    }

    /// The header is whole. `None`: it cannot be parsed.
    fn open<'a>(&mut self, rest: &'a [u8], step: &mut Step<'a>) -> Option<()> {
        self.state = State::Idle;
        let header = PesHeader::from_bytes(&self.header)?;
        let stamp = match header.contents() {
            // padding_stream, private_stream_2 and the like carry no elementary stream of ours.
            PesContents::Payload(_) => return Some(()),
            PesContents::Parsed(None) => return None,
            PesContents::Parsed(Some(parsed)) => match parsed.pts_dts() {
                Ok(PtsDts::PtsOnly(Ok(pts))) => Some(Stamp { pts: pts.value(), dts: pts.value() }),
                Ok(PtsDts::Both { pts: Ok(pts), dts: Ok(dts) }) => {
                    Some(Stamp { pts: pts.value(), dts: dts.value() })
                }
                _ => None,
            },
        };
        step.marked = self.header[6] & 0x30 != 0;
        let left = match header.pes_packet_length() {
            PesLength::Unbounded => None,
            PesLength::Bounded(length) => {
                Some(u32::from(length.get()).saturating_sub((self.header.len() - FIXED) as u32))
            }
        };
        // Short PES packets may be padded to the end of their only packet.
        let (data, behind) = rest.split_at(left.map_or(rest.len(), |left| rest.len().min(left as usize)));
        self.behind.extend_from_slice(behind);
        self.state = State::Payload { left: left.map(|left| left - data.len() as u32) };
        step.ended = left.is_some_and(|left| left as usize == data.len());
        step.begun = Some(stamp);
        step.data = data;
        Some(())
    }
}

/// Whether `payload` begins with a PES header, as far as it goes: by more bits than chance gives scrambled payload.
pub(crate) fn is_header(payload: &[u8]) -> bool {
    match *payload {
        [0, 0, 1, id, ..] if is_plain(id) => true,
        // '10', and PTS_DTS_flags other than the forbidden '01' (2.4.3.7).
        [0, 0, 1, 0xBC..=0xFF, _, _, first, flags, ..] => first >> 6 == 0b10 && flags >> 6 != 0b01,
        _ => false,
    }
}

/// The elementary bytes that stand in the first packet of a PES packet; empty where its header goes on.
pub(crate) fn first_data(payload: &[u8]) -> &[u8] {
    let header_len = payload.get(FLAGGED - 1).map_or(0, |len| usize::from(*len));
    payload.get(FLAGGED + header_len..).unwrap_or_default()
}

/// Stream ids whose packets have no flags and stamps (2.4.3.7, table 2-22).
fn is_plain(stream_id: u8) -> bool {
    matches!(stream_id, 0xBC | 0xBE | 0xBF | 0xF0 | 0xF1 | 0xF2 | 0xF8 | 0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// A video PES with PTS 126000 and DTS 122997, unbounded, and three bytes of payload.
    const VIDEO: [u8; 22] = hex!("000001E0 0000 80C00A 310007D861 110007C0EB AABBCC");
    const STAMP: Stamp = Stamp { pts: 126_000, dts: 122_997 };

    #[test]
    fn a_header_cut_anywhere_gives_the_same_stamp_and_payload() {
        for cut in 1..VIDEO.len() {
            let mut pes = Pes::default();
            let first = pes.push(&VIDEO[..cut], true);
            let mut data = first.data.to_vec();
            let second = pes.push(&VIDEO[cut..], false);
            data.extend(second.data);
            assert_eq!(first.begun.or(second.begun), Some(Some(STAMP)), "{cut}");
            assert_eq!(data, [0xAA, 0xBB, 0xCC], "{cut}");
        }
    }

    #[test]
    fn stuffing_behind_a_bounded_packet_is_left_out() {
        let mut pes = Pes::default();
        let step = pes.push(&hex!("000001C0 0005 800000 1122 FFFFFF"), true);
        assert_eq!(step.data, [0x11, 0x22]);
        assert!(!pes.is_short());
    }

    #[test]
    fn a_new_start_tells_how_much_was_missing() {
        let mut pes = Pes::default();
        pes.push(&hex!("000001C0 000A 800000 1122"), true);
        assert!(pes.is_short());
        assert_eq!(pes.push(&VIDEO, true).short, Some(5));
    }

    #[test]
    fn a_length_that_a_large_packet_wrapped_is_not_believed_once_the_packet_goes_on() {
        // Lengths below the header, within the first packet, and at its end.
        for (length, first) in [(2, &[][..]), (5, &[0x11, 0x22]), (8, &[0x11, 0x22, 0x33, 0x44, 0x55])] {
            let mut pes = Pes::default();
            let mut packet = hex!("000001E0 0000 800000 1122334455").to_vec();
            packet[5] = length;
            assert_eq!(pes.push(&packet, true).data, first, "{length}");
            let step = pes.push(&[0x66], false);
            let all = [first, &step.behind.unwrap_or_default(), step.data].concat();
            assert_eq!(all, [0x11, 0x22, 0x33, 0x44, 0x55, 0x66], "{length}");
            assert!(pes.is_unbounded() && !pes.is_in_doubt());
            assert_eq!(pes.push(&VIDEO, true).short, None);
        }
    }

    #[test]
    fn behind_a_wrong_start_code_payload_goes_on() {
        let mut pes = Pes::default();
        let step = pes.push(&hex!("000002E0 0000 800000 11"), true);
        assert!(step.bad_header && step.begun.is_none());
        assert_eq!(step.data, hex!("000002E0 0000 800000 11"));
        assert_eq!(pes.push(&[1, 2, 3], false).data, [1, 2, 3]);
    }
}
