//! splice_info_section (SCTE 35 9.6): what it announces, and when. Pure.

use overdub_ts::{Ticks, Unwrapper};

use crate::media::{CueKind, Flicks};

/// What is read of a section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) kind: CueKind,
    pub(super) time: Option<Flicks>,
    pub(super) duration: Option<Flicks>,
}

const SPLICE_INSERT: u8 = 5;
const TIME_SIGNAL: u8 = 6;

/// Reads a whole section whose CRC is right; `near`: the DTS on whose axis its times are. `None`: too short.
/// Of an encrypted section only that it came is known.
pub(super) fn parse(section: &[u8], near: Option<Ticks>) -> Option<Splice> {
    const PREFIX: usize = 14;
    let encrypted = section.get(4)? & 0x80 != 0;
    let adjustment = stamp(section.get(4..9)?)?;
    let command = *section.get(13)?;
    let body = section.get(PREFIX..)?;
    let time = |stamp: u64| match near {
        // pts_adjustment is added modulo 33 bits (9.6.1).
        Some(near) => Flicks::from_ticks(Unwrapper::near(stamp.wrapping_add(adjustment), near).0),
        None => Flicks::from_ticks((stamp.wrapping_add(adjustment) & 0x1_FFFF_FFFF).cast_signed()),
    };
    let mut splice = Splice {
        kind: CueKind::Splice { command, event: None, out_of_network: None },
        time: None,
        duration: None,
    };
    match command {
        _ if encrypted => {}
        TIME_SIGNAL => splice.time = splice_time(body)?.0.map(time),
        SPLICE_INSERT => {
            let event = u32::from_be_bytes(body.get(..4)?.try_into().ok()?);
            let cancelled = body.get(4)? & 0x80 != 0;
            let mut out_of_network = None;
            if !cancelled {
                let flags = *body.get(5)?;
                let (out, whole_program, has_duration, immediate) =
                    (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x20 != 0, flags & 0x10 != 0);
                out_of_network = Some(out);
                let mut at = 6;
                if whole_program && !immediate {
                    let (stamp, length) = splice_time(body.get(at..)?)?;
                    splice.time = stamp.map(time);
                    at += length;
                }
                // Components of a program are spliced one by one in no stream of today: their times stay unread.
                if whole_program && has_duration {
                    splice.duration =
                        stamp(body.get(at..at + 5)?).map(|ticks| Flicks::from_ticks(ticks.cast_signed()));
                }
            }
            splice.kind = CueKind::Splice { command, event: Some(event), out_of_network };
        }
        _ => {}
    }
    Some(splice)
}

/// splice_time (9.7.1): the time, and the length of the structure.
fn splice_time(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    match bytes.first()? & 0x80 {
        0 => Some((None, 1)),
        _ => Some((Some(stamp(bytes.get(..5)?)?), 5)),
    }
}

/// The low 33 bits of five bytes.
fn stamp(bytes: &[u8]) -> Option<u64> {
    let wide =
        bytes.iter().try_fold(0_u64, |value, byte| value.checked_mul(256).map(|v| v | u64::from(*byte)))?;
    Some(wide & 0x1_FFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn an_insert_says_when_and_how_long() {
        // SCTE 35 14.2, "Splice insert": break of 60.293 s.
        let section = hex!(
            "FC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A0008435545490000013562DBA30A"
        );
        let splice = parse(&section, Some(Ticks(0x0_7369_0000))).expect("a section");
        assert_eq!(splice.time, Some(Flicks::from_ticks(0x0_7369_C02E)));
        assert_eq!(splice.duration, Some(Flicks::from_ticks(0x0052_CCF5)));
        let event = Some(0x4800_008F);
        assert_eq!(splice.kind, CueKind::Splice { command: 5, event, out_of_network: Some(true) });
    }

    #[test]
    fn a_time_signal_behind_the_wrap_is_on_the_axis_of_the_stream() {
        // SCTE 35 14.1, "Time signal".
        let section = hex!(
            "FC3034000000000000FFFFF00506FE72BD0050001E021C435545494800008E7FCF0001A599B00808000000002CA0A18A3402009AC9D17E"
        );
        let near = Ticks((1 << 33) + 0x72BC_FFFF);
        let splice = parse(&section, Some(near)).expect("a section");
        assert_eq!(splice.time, Some(Flicks::from_ticks((1 << 33) + 0x72BD_0050)));
        assert_eq!(splice.kind, CueKind::Splice { command: 6, event: None, out_of_network: None });
    }

    #[test]
    fn a_section_cut_anywhere_is_no_panic() {
        let section = hex!("FC302F000000000000FFFFF014054800008F7FEFFE7369C02EFE0052CCF500000000000A");
        for length in 0..section.len() {
            let _ = parse(&section[..length], None);
        }
    }
}
