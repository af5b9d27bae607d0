//! The encrypted streams of a transport stream, decrypted within its packets.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use overdub_ts::{Codec, section_crc};

use super::super::{BLOCK, CryptError};
use super::{Cipher, elementary};

const PACKET: usize = 188;
const SYNC: u8 = 0x47;

/// The longest section, and a packet: no section begins in a packet that does not say so (2.4.4.2).
const MAX_SECTION: usize = 4_096 + PACKET;

const PAT_PID: u16 = 0;
const PAT: u8 = 0;
const PMT: u8 = 2;

/// registration_descriptor (ISO/IEC 13818-1 2.6.8): here it names the encryption.
const REGISTRATION: u8 = 5;

/// From here on descriptors mean what their users agree on, so that nobody else reads one.
const USER_PRIVATE: u8 = 0x80;

/// stream_type of an encrypted stream, that of the same in the clear, and what it is.
const STREAM_TYPES: [(u8, u8, Codec); 4] = [
    (0xDB, 0x1B, Codec::H264),
    (0xCF, 0x0F, Codec::AacAdts),
    (0xC1, 0x81, Codec::Ac3),
    (0xC2, 0x87, Codec::Eac3),
];

/// Whether `body` is a transport stream.
pub(super) fn is_one(body: &[u8]) -> bool {
    body.first() == Some(&SYNC) && body.get(PACKET).is_none_or(|byte| *byte == SYNC)
}

/// Decrypts all encrypted streams where they lie, and says in the PMT what they are now.
pub(super) fn decrypt(cipher: &Cipher, iv: &[u8; BLOCK], body: &mut [u8]) -> Result<(), CryptError> {
    let mut maps = BTreeSet::new();
    for section in sections(body, |pid| pid == PAT_PID) {
        programs(&section.gather(body), &mut maps);
    }
    let mut encrypted = BTreeMap::new();
    for section in sections(body, |pid| maps.contains(&pid)) {
        let mut bytes = section.gather(body);
        if clear(&mut bytes, &mut encrypted) {
            section.scatter(body, &bytes);
        }
    }
    for (pid, stream) in payloads(body, &encrypted) {
        let Some(codec) = encrypted.remove(&pid) else { continue };
        let mut bytes = stream.gather(body);
        match codec {
            Codec::H264 => elementary::h264(cipher, iv, &mut bytes),
            codec => elementary::audio(codec, cipher, iv, &mut bytes)?,
        }
        stream.scatter(body, &bytes);
    }
    Ok(())
}

/// Bytes that belong together and lie apart.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Range<usize>>);

impl Pieces {
    fn gather(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        self.0.iter().for_each(|range| bytes.extend_from_slice(&body[range.clone()]));
        bytes
    }

    fn scatter(&self, body: &mut [u8], bytes: &[u8]) {
        let mut rest = bytes;
        for range in &self.0 {
            let Some((piece, after)) = rest.split_at_checked(range.len()) else { return };
            body[range.clone()].copy_from_slice(piece);
            rest = after;
        }
    }

    fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    fn push(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.0.push(range);
        }
    }

    /// Leaves the first `count` bytes out.
    fn skip(&mut self, mut count: usize) {
        for range in &mut self.0 {
            let skipped = count.min(range.len());
            range.start += skipped;
            count -= skipped;
        }
        self.0.retain(|range| !range.is_empty());
    }

    /// The first `count` bytes apart from the rest.
    fn split(&mut self, count: usize) -> Self {
        let mut first = Vec::new();
        let mut wanted = count;
        for range in &self.0 {
            let taken = wanted.min(range.len());
            first.push(range.start..range.start + taken);
            wanted -= taken;
            if wanted == 0 {
                break;
            }
        }
        self.skip(count);
        Self(first)
    }
}

/// ISO/IEC 13818-1 2.4.3.2.
struct Packet {
    pid: u16,
    /// payload_unit_start_indicator
    start: bool,
    payload: Range<usize>,
}

/// The packets with a payload, wherever they stand in step.
fn packets(body: &[u8]) -> impl Iterator<Item = Packet> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let &[sync, high, low, control, first] = body.get(at..)?.first_chunk::<5>()?;
            let end = at + PACKET;
            if sync != SYNC || body.len() < end || body.get(end).is_some_and(|next| *next != SYNC) {
                at += 1;
                continue;
            }
            let header = if control & 0x20 == 0 { 4 } else { 5 + usize::from(first) };
            let (begins, has_payload) = (at + header, control & 0x10 != 0 && header < PACKET);
            at = end;
            if has_payload {
                let pid = u16::from(high & 0x1F) << 8 | u16::from(low);
                return Some(Packet { pid, start: high & 0x40 != 0, payload: begins..end });
            }
        }
    })
}

/// The sections of the wanted PIDs (2.4.4), each in its place.
pub(super) fn sections(body: &[u8], wanted: impl Fn(u16) -> bool) -> Vec<Pieces> {
    let mut open: BTreeMap<u16, Pieces> = BTreeMap::new();
    let mut found = Vec::new();
    for Packet { pid, start, payload } in packets(body).filter(|packet| wanted(packet.pid)) {
        if start {
            // pointer_field: before what it points at, the end of the section before.
            let pointer = payload.start + 1 + usize::from(body[payload.start]);
            let pointer = pointer.min(payload.end);
            if let Some(mut last) = open.remove(&pid) {
                last.push(payload.start + 1..pointer);
                take_sections(body, &mut last, &mut found);
            }
            open.entry(pid).or_default().push(pointer..payload.end);
        } else if let Some(pieces) = open.get_mut(&pid).filter(|pieces| pieces.len() < MAX_SECTION) {
            pieces.push(payload);
        }
    }
    open.values_mut().for_each(|pieces| take_sections(body, pieces, &mut found));
    found
}

/// Sections stand behind one another, up to stuffing.
fn take_sections(body: &[u8], pieces: &mut Pieces, found: &mut Vec<Pieces>) {
    const HEADER: usize = 3;
    loop {
        let header: Vec<u8> =
            pieces.0.iter().flat_map(|range| &body[range.clone()]).take(HEADER).copied().collect();
        let &[table, high, low] = header.as_slice() else { return };
        let length = HEADER + (usize::from(high & 0x0F) << 8 | usize::from(low));
        if table == 0xFF || length > pieces.len() {
            return;
        }
        found.push(pieces.split(length));
    }
}

/// The PIDs of the program maps in a program association section (2.4.4.3).
fn programs(section: &[u8], maps: &mut BTreeSet<u16>) {
    let Some(entries) = section.len().checked_sub(4).and_then(|end| section.get(8..end)) else { return };
    if section[0] != PAT || section_crc(section) != 0 {
        return;
    }
    for &[number_high, number_low, high, low] in entries.as_chunks::<4>().0 {
        let pid = u16::from(high & 0x1F) << 8 | u16::from(low);
        // Program 0 is the network information.
        if (number_high, number_low) != (0, 0) {
            maps.insert(pid);
        }
    }
}

/// Notes the encrypted streams of a program map section (2.4.4.8), and makes them clear ones there. False where
/// there are none.
fn clear(section: &mut [u8], encrypted: &mut BTreeMap<u16, Codec>) -> bool {
    const HEADER: usize = 12;
    if section.len() < HEADER + 4 || section[0] != PMT || section_crc(section) != 0 {
        return false;
    }
    let end = section.len() - 4;
    let length = |bytes: &[u8], at: usize| usize::from(bytes[at] & 0x0F) << 8 | usize::from(bytes[at + 1]);
    let mut at = HEADER + length(section, 10);
    let mut any = false;
    while at + 5 <= end {
        let pid = u16::from(section[at + 1] & 0x1F) << 8 | u16::from(section[at + 2]);
        let descriptors = at + 5..(at + 5 + length(section, at + 3)).min(end);
        if let Some((_, plain, codec)) = STREAM_TYPES.iter().find(|(kind, ..)| *kind == section[at]) {
            any = true;
            section[at] = *plain;
            encrypted.insert(pid, *codec);
            let mut next = descriptors.start;
            while next + 2 <= descriptors.end {
                if section[next] == REGISTRATION {
                    section[next] = USER_PRIVATE;
                }
                next += 2 + usize::from(section[next + 1]);
            }
        }
        at = descriptors.end.max(at + 5);
    }
    if any {
        let crc = section_crc(&section[..end]);
        section[end..].copy_from_slice(&crc.to_be_bytes());
    }
    any
}

/// The elementary streams of the `wanted` PIDs: what their PES packets carry (2.4.3.6). In one walk, however many a
/// map lists.
fn payloads<T>(body: &[u8], wanted: &BTreeMap<u16, T>) -> BTreeMap<u16, Pieces> {
    const HEADER: usize = 9;
    /// An elementary stream, and the PES packet in work.
    type Stream = (Pieces, Pieces);
    let end = |(stream, pes): &mut Stream| {
        let mut pes = std::mem::take(pes);
        let bytes = pes.0.iter().flat_map(|range| &body[range.clone()]).take(HEADER);
        if let &[0, 0, 1, _, _, _, _, _, length] = bytes.copied().collect::<Vec<u8>>().as_slice() {
            pes.skip(HEADER + usize::from(length));
            stream.0.append(&mut pes.0);
        }
    };
    let mut streams: BTreeMap<u16, Stream> = BTreeMap::new();
    for packet in packets(body).filter(|packet| wanted.contains_key(&packet.pid)) {
        let stream = streams.entry(packet.pid).or_default();
        if packet.start {
            end(stream);
        }
        stream.1.push(packet.payload);
    }
    let ended = |(pid, mut stream): (u16, Stream)| {
        end(&mut stream);
        (pid, stream.0)
    };
    streams.into_iter().map(ended).collect()
}
