//! What an E-AC-3 syncframe says of itself behind its header (ETSI TS 102 366 E.1.2.2), and `dec3` (F.6).

use super::header::{Header, Kind};
use crate::codec::bits::{BitWriter, Bits};

/// An independent substream, as `dec3` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Substream {
    pub(super) header: Header,
    bsmod: u8,
    /// How many substreams depend on it, and the channel locations that they add (F.6.2.13).
    dependents: u8,
    locations: u16,
}

/// All substreams of an access unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) substreams: Vec<Substream>,
    /// complexity_index_type_a of object audio (ETSI TS 103 420 8.3.2), where there is some.
    objects: Option<u8>,
}

/// num_ind_sub has three bits.
const MAX_SUBSTREAMS: usize = 8;

impl Layout {
    /// The substreams at the start of `unit`, up to the next stretch of time.
    pub(super) fn of(unit: &[u8]) -> Self {
        let mut layout = Self::default();
        let mut rest = unit;
        while let Some(header) = Header::parse(rest) {
            if header.leads() && !layout.substreams.is_empty() {
                break;
            }
            let info = Information::read(rest, &header).unwrap_or_default();
            layout.objects = layout.objects.or(info.objects);
            let full = layout.substreams.len() == MAX_SUBSTREAMS;
            match (header.kind, layout.substreams.last_mut()) {
                (Kind::Dependent, Some(substream)) => {
                    substream.dependents = substream.dependents.saturating_add(1);
                    substream.locations |= locations_of(info.channel_map);
                }
                (Kind::Dependent, None) => {}
                _ if full => break,
                _ => layout.substreams.push(Substream {
                    header,
                    bsmod: info.bsmod,
                    dependents: 0,
                    locations: 0,
                }),
            }
            rest = rest.get(header.length..).unwrap_or_default();
        }
        layout
    }

    /// The same, whatever the lengths of its frames.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let like = |(a, b): (&Substream, &Substream)| {
            a.header.is_like(&b.header) && Substream { header: b.header, ..*a } == *b
        };
        self.objects == other.objects
            && self.substreams.len() == other.substreams.len()
            && self.substreams.iter().zip(&other.substreams).all(like)
    }

    /// Of the first substream with those that depend on it.
    pub(super) fn channels(&self) -> u16 {
        self.substreams.first().map_or(0, |it| it.header.channels() + channels_at(it.locations))
    }

    /// EC3SpecificBox. `rate`: of all substreams together, in kbit/s.
    pub(super) fn put_dec3(&self, rate: u64, out: &mut BitWriter) {
        const MAX_RATE: u64 = 0x1FFF;
        out.put(rate.min(MAX_RATE) as u32, 13);
        out.put(self.substreams.len().saturating_sub(1) as u32, 3);
        for Substream { header, bsmod, dependents, locations } in &self.substreams {
            out.put(u32::from(header.rate_code), 2);
            out.put(u32::from(header.bsid), 5);
            out.put(0, 2); // reserved, asvc
            out.put(u32::from(*bsmod), 3);
            out.put(u32::from(header.mode), 3);
            out.put(u32::from(header.lfe), 1);
            out.put(0, 3);
            out.put(u32::from(*dependents).min(15), 4);
            if *dependents > 0 {
                out.put(u32::from(*locations), 9);
            } else {
                out.put(0, 1);
            }
        }
        if let Some(complexity) = self.objects {
            out.put(1, 8); // reserved, flag_ec3_extension_type_a
            out.put(u32::from(complexity), 8);
        }
    }
}

/// Of bsi(), what `dec3` asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Information {
    channel_map: u16,
    bsmod: u8,
    objects: Option<u8>,
}

impl Information {
    /// `None`: the frame ends before its information does.
    fn read(frame: &[u8], header: &Header) -> Option<Self> {
        let mut info = Self::default();
        let bits = &mut Bits::new(frame.get(..frame.len().min(header.length))?);
        let mode = header.mode;
        bits.skip(16)?; // syncword
        let stream_type = bits.byte(2)?;
        bits.skip(3 + 11)?; // substreamid, frmsiz
        let rate = bits.byte(2)?;
        let block_code = bits.byte(2)?;
        let block_code = if rate == 3 { 3 } else { block_code }; // else fscod2
        bits.skip(3 + 1 + 5)?; // acmod, lfeon, bsid
        let dual = mode == 0;
        for _ in 0..=u8::from(dual) {
            bits.skip(5)?; // dialnorm
            optional(bits, 8)?; // compr
        }
        if stream_type == 1 && bits.bit()? {
            info.channel_map = bits.bits(16)? as u16;
        }
        if bits.bit()? {
            skip_mixing(bits, header, stream_type, block_code)?;
        }
        if bits.bit()? {
            info.bsmod = bits.byte(3)?;
            bits.skip(2)?; // copyrightb, origbs
            match mode {
                2 => bits.skip(4)?,   // dsurmod, dheadphonmod
                6.. => bits.skip(2)?, // dsurexmod
                _ => {}
            }
            for _ in 0..=u8::from(dual) {
                optional(bits, 5 + 2 + 1)?; // mixlevel, roomtyp, adconvtyp
            }
            if rate < 3 {
                bits.skip(1)?; // sourcefscod
            }
        }
        if stream_type == 0 && block_code != 3 {
            bits.skip(1)?; // convsync
        }
        if stream_type == 2 && (block_code == 3 || bits.bit()?) {
            bits.skip(6)?; // frmsizecod
        }
        if bits.bit()? {
            // addbsil less one; in it, ETSI TS 103 420 8.3.1: seven reserved bits and a flag, then the index.
            let length = bits.byte(6)?;
            let flags = bits.byte(8)?;
            info.objects = if length >= 1 && flags & 1 == 1 { Some(bits.byte(8)?) } else { None };
        }
        Some(info)
    }
}

/// An element behind the bit that says whether it is there.
fn optional(bits: &mut Bits<'_>, count: usize) -> Option<()> {
    if bits.bit()? { bits.skip(count) } else { Some(()) }
}

/// The elements behind mixmdate.
fn skip_mixing(bits: &mut Bits<'_>, header: &Header, stream_type: u8, block_code: u8) -> Option<()> {
    let mode = header.mode;
    let dual = mode == 0;
    if mode > 2 {
        bits.skip(2)?; // dmixmod
        if mode & 1 == 1 {
            bits.skip(3 + 3)?; // ltrtcmixlev, lorocmixlev
        }
    }
    if mode & 4 == 4 {
        bits.skip(3 + 3)?; // ltrtsurmixlev, lorosurmixlev
    }
    if header.lfe {
        optional(bits, 5)?; // lfemixlevcod
    }
    if stream_type != 0 {
        return Some(());
    }
    for _ in 0..=u8::from(dual) {
        optional(bits, 6)?; // pgmscl
    }
    optional(bits, 6)?; // extpgmscl
    match bits.bits(2)? {
        1 => bits.skip(1 + 1 + 3)?, // premixcmpsel, drcsrc, premixcmpscl
        2 => bits.skip(12)?,
        3 => {
            let length = bits.bits(5)? as usize + 2;
            bits.skip(8 * length)?;
        }
        _ => {}
    }
    if mode < 2 {
        for _ in 0..=u8::from(dual) {
            optional(bits, 8 + 6)?; // panmean, paninfo
        }
    }
    if bits.bit()? {
        match block_code {
            0 => bits.skip(5)?, // blkmixcfginfo
            code => {
                for _ in 0..[1, 2, 3, 6][usize::from(code & 3)] {
                    optional(bits, 5)?;
                }
            }
        }
    }
    Some(())
}

/// Bits 5 to 12 of chanmap, counted from the most significant, are bits 0 to 7 of chan_loc; bit 14, the
/// second LFE channel, is its bit 8.
fn locations_of(map: u16) -> u16 {
    let pairs = (0..8).filter(|n| map >> (15 - 5 - n) & 1 == 1).fold(0, |locations, n| locations | 1 << n);
    pairs | (map >> 1 & 1) << 8
}

/// Channels at each location: pairs, and single ones.
fn channels_at(locations: u16) -> u16 {
    const CHANNELS: [u16; 9] = [2, 2, 1, 1, 2, 2, 2, 1, 1];
    CHANNELS.iter().enumerate().filter(|(n, _)| locations >> n & 1 == 1).map(|(_, channels)| channels).sum()
}
