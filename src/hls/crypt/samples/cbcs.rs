//! The scheme `cbcs` of ISO/IEC 23001-7 in fragmented MP4.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::super::{BLOCK, CryptError};
use super::Cipher;
use crate::hls::boxes::{Whole, boxes, find};

/// Samples of a segment, at most: what a box claims is only believed as far as its
/// bytes go, but a run may give all its samples one size.
const MAX_SAMPLES: usize = 1 << 20;

/// Boxes of a track fragment that are looked at: a writer that makes a run of each sample has a few hundred.
const MAX_CHILDREN: usize = 4_096;

/// Bytes of the segment for each of its samples, at the least: of each an object is made here.
const MIN_SAMPLE_COST: usize = 4;

/// Where the boxes within a sample entry begin, from its body on (ISO/IEC 14496-12 12.1.3, 12.2.3).
const VIDEO_ENTRY: usize = 78;
const AUDIO_ENTRY: usize = 28;

const FREE: [u8; 4] = *b"free";

/// How the tracks of an initialization section are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::hls) struct Protection {
    tracks: Vec<Track>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Track {
    id: u32,
    /// One for each sample entry; none for one in the clear.
    entries: Vec<Option<Encryption>>,
    /// Of `trex`: which entry, from 1, and how large a sample.
    description: u32,
    size: u32,
}

/// `tenc` (ISO/IEC 23001-7 8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Encryption {
    /// Blocks that are encrypted, and blocks that are not, in turns.
    crypt: usize,
    skip: usize,
    /// Of the vector that comes with each sample; 0: all have the same.
    iv_size: usize,
    constant_iv: [u8; BLOCK],
}

/// What an initialization section is in the clear, and how its samples were encrypted; none where they are not.
///
/// # Errors
///
/// They are encrypted, but not so that a plain key of `SAMPLE-AES` is enough.
pub(in crate::hls) fn open(init: &Bytes) -> Result<Option<(Bytes, Protection)>, CryptError> {
    let Some(movie) = find(init, 0..init.len(), b"moov") else { return Ok(None) };
    let mut plain = BytesMut::from(init.as_ref());
    let mut protection = Protection::default();
    for trak in boxes(init, movie.body.clone()).filter(|child| child.kind == *b"trak") {
        let Some((id, table)) = track(init, &trak) else { continue };
        let mut entries = Vec::new();
        for entry in boxes(init, table) {
            entries.push(entry_in_the_clear(init, &entry, &mut plain)?);
        }
        if entries.iter().any(Option::is_some) {
            let (description, size) = defaults(init, &movie, id);
            protection.tracks.push(Track { id, entries, description, size });
        }
    }
    for system in boxes(init, movie.body).filter(|child| child.kind == *b"pssh") {
        rename(&mut plain, system.start, FREE);
    }
    Ok((!protection.tracks.is_empty()).then(|| (plain.freeze(), protection)))
}

/// The ID of a track, and where its sample entries lie.
fn track(init: &[u8], trak: &Whole) -> Option<(u32, Range<usize>)> {
    let header = find(init, trak.body.clone(), b"tkhd")?;
    // Version 1 has times of 64 bits.
    let at = header.body.start + if *init.get(header.body.start)? == 0 { 12 } else { 20 };
    let mut range = trak.body.clone();
    for kind in [b"mdia", b"minf", b"stbl", b"stsd"] {
        range = find(init, range, kind)?.body;
    }
    range.start += 8;
    (range.start <= range.end).then_some((u32_at(init, at)?, range))
}

/// `trex` (ISO/IEC 14496-12 8.8.3): the sample entry and the size of a sample that has none of its own.
fn defaults(init: &[u8], movie: &Whole, id: u32) -> (u32, u32) {
    let trex = find(init, movie.body.clone(), b"mvex").and_then(|mvex| {
        boxes(init, mvex.body)
            .find(|child| child.kind == *b"trex" && u32_at(init, child.body.start + 4) == Some(id))
    });
    let field = |at| trex.as_ref().and_then(|trex| u32_at(init, trex.body.start + at));
    (field(8).unwrap_or(1), field(16).unwrap_or(0))
}

/// `encv` and `enca` (ISO/IEC 14496-12 8.12): renamed in `plain` to what they were.
fn entry_in_the_clear(
    init: &[u8],
    entry: &Whole,
    plain: &mut [u8],
) -> Result<Option<Encryption>, CryptError> {
    let fields = match &entry.kind {
        b"encv" => VIDEO_ENTRY,
        b"enca" => AUDIO_ENTRY,
        _ => return Ok(None),
    };
    let broken = CryptError::Samples { what: "with a protection that cannot be read" };
    let children = entry.body.start + fields..entry.body.end.max(entry.body.start + fields);
    let info = find(init, children, b"sinf").ok_or(broken.clone())?;
    let child = |range: Range<usize>, kind| find(init, range, kind).map(|found| found.body);
    let format = child(info.body.clone(), b"frma").and_then(|body| four(init, body.start));
    let scheme = child(info.body.clone(), b"schm").and_then(|body| four(init, body.start + 4));
    let tenc = child(info.body.clone(), b"schi").and_then(|body| child(body, b"tenc"));
    let (Some(format), Some(tenc)) = (format, tenc) else { return Err(broken) };
    if scheme != Some(*b"cbcs") {
        return Err(CryptError::Samples { what: "in another scheme than cbcs" });
    }
    let encryption = encryption(init, tenc).ok_or(broken)?;
    rename(plain, entry.start, format);
    rename(plain, info.start, FREE);
    Ok(encryption)
}

/// None within: the samples are in the clear unless a group says otherwise.
fn encryption(init: &[u8], tenc: Range<usize>) -> Option<Option<Encryption>> {
    let body = init.get(tenc)?;
    let &[version, _, _, _, _, pattern, protected, iv_size] = body.first_chunk::<8>()?;
    if protected == 0 {
        return Some(None);
    }
    let (crypt, skip) = if version == 0 { (0, 0) } else { (pattern >> 4, pattern & 0x0F) };
    let mut constant_iv = [0; BLOCK];
    if iv_size == 0 {
        // Behind the key's ID of 16 bytes.
        let length = usize::from(*body.get(24)?);
        let iv = body.get(25..25 + length)?;
        constant_iv.get_mut(..length)?.copy_from_slice(iv);
    }
    let iv_size = usize::from(iv_size);
    (iv_size <= BLOCK).then_some(Some(Encryption {
        crypt: crypt.into(),
        skip: skip.into(),
        iv_size,
        constant_iv,
    }))
}

impl Protection {
    /// Decrypts the samples of a media segment where they lie.
    pub(super) fn decrypt(&self, cipher: &Cipher, body: &mut [u8]) -> Result<(), CryptError> {
        let mut samples = MAX_SAMPLES.min(body.len() / MIN_SAMPLE_COST);
        // One after the other: a list of tiny boxes is many times as long as they are.
        let mut rest = 0..body.len();
        while let Some(fragment) = find(body, rest.clone(), b"moof") {
            rest.start = fragment.body.end;
            let mut inside = fragment.body.clone();
            let mut data = fragment.start;
            while let Some(part) = find(body, inside.clone(), b"traf") {
                inside.start = part.body.end;
                data = self.track_fragment(cipher, body, fragment.start, data, &part, &mut samples)?;
            }
        }
        Ok(())
    }

    /// `data`: where the samples begin that say nothing of it, behind those of the track before. Returns where
    /// they end. `left`: so many samples the segment may still have.
    fn track_fragment(
        &self,
        cipher: &Cipher,
        body: &mut [u8],
        fragment: usize,
        data: usize,
        part: &Whole,
        left: &mut usize,
    ) -> Result<usize, CryptError> {
        let broken = CryptError::Samples { what: "in a fragment that cannot be read" };
        let used =
            |child: &Whole| matches!(&child.kind, b"tfhd" | b"trun" | b"senc" | b"saiz" | b"saio" | b"sbgp");
        let children: Vec<Whole> =
            boxes(body, part.body.clone()).filter(used).take(MAX_CHILDREN + 1).collect();
        if children.len() > MAX_CHILDREN {
            return Err(broken);
        }
        let of = |kind: &[u8; 4]| children.iter().find(|child| child.kind == *kind);
        let header = of(b"tfhd").ok_or(broken.clone())?;
        let header = Header::read(body, header, fragment, data).ok_or(broken.clone())?;
        let track = self.tracks.iter().find(|track| track.id == header.track);
        let size = header.size.or(track.map(|track| track.size)).unwrap_or(0);
        let mut samples = Vec::new();
        let mut end = header.base;
        for run in children.iter().filter(|child| child.kind == *b"trun") {
            end = run_samples(body, run, [header.base, end], size, (&mut samples, left))
                .ok_or(broken.clone())?;
        }
        let encryption = track.and_then(|track| {
            let index = header.description.unwrap_or(track.description).checked_sub(1)?;
            *track.entries.get(usize::try_from(index).ok()?)?
        });
        let Some(encryption) = encryption else { return Ok(end) };
        if children.iter().any(|child| is_key_group(body, child)) {
            return Err(CryptError::Samples { what: "with more than one key in a segment" });
        }
        let auxiliary = match of(b"senc") {
            Some(senc) => auxiliary(body, senc, encryption.iv_size, samples.len()).ok_or(broken)?,
            None if encryption.iv_size == 0 && of(b"saiz").is_none() => Vec::new(),
            None => return Err(CryptError::Samples { what: "without the box (senc) that says where" }),
        };
        for (index, sample) in samples.iter().enumerate() {
            let Some(bytes) = body.get_mut(sample.clone()) else { continue };
            let given = auxiliary.get(index);
            encryption.decrypt(cipher, given, bytes);
        }
        for child in children.iter().filter(|child| matches!(&child.kind, b"senc" | b"saiz" | b"saio")) {
            rename(body, child.start, FREE);
        }
        Ok(end)
    }
}

impl Encryption {
    fn decrypt(&self, cipher: &Cipher, given: Option<&Auxiliary>, sample: &mut [u8]) {
        let iv = given.map_or(self.constant_iv, |given| given.iv.unwrap_or(self.constant_iv));
        let parts = given.map(|given| given.parts.as_slice()).unwrap_or_default();
        if parts.is_empty() {
            return cipher.run(&iv).decrypt_pattern(sample, self.crypt, self.skip);
        }
        let mut rest = sample;
        for &(clear, encrypted) in parts {
            let Some((_, after)) = std::mem::take(&mut rest).split_at_mut_checked(clear) else { return };
            let Some((bytes, after)) = after.split_at_mut_checked(encrypted) else { return };
            // Each is a run of its own, and the pattern begins anew (9.6, 10.4.2).
            cipher.run(&iv).decrypt_pattern(bytes, self.crypt, self.skip);
            rest = after;
        }
    }
}

/// `tfhd` (ISO/IEC 14496-12 8.8.7).
struct Header {
    track: u32,
    base: usize,
    description: Option<u32>,
    size: Option<u32>,
}

impl Header {
    fn read(body: &[u8], found: &Whole, fragment: usize, data: usize) -> Option<Self> {
        let mut fields = Fields { bytes: body.get(found.body.clone())? };
        let flags = fields.u32()? & 0x00FF_FFFF;
        let track = fields.u32()?;
        let base = match flags & 1 != 0 {
            true => usize::try_from(fields.u64()?).ok()?,
            false if flags & 0x02_0000 != 0 => fragment,
            false => data,
        };
        let description = fields.optional(flags & 2)?;
        let _duration = fields.optional(flags & 8)?;
        let size = fields.optional(flags & 0x10)?;
        Some(Self { track, base, description, size })
    }
}

/// `trun` (8.8.8): where its samples lie, and where the last one ends.
fn run_samples(
    body: &[u8],
    run: &Whole,
    [base, follows]: [usize; 2],
    size: u32,
    (samples, left): (&mut Vec<Range<usize>>, &mut usize),
) -> Option<usize> {
    let mut fields = Fields { bytes: body.get(run.body.clone())? };
    let flags = fields.u32()? & 0x00FF_FFFF;
    let count = usize::try_from(fields.u32()?).ok()?;
    let mut at = match fields.optional(flags & 1)? {
        Some(offset) => base.checked_add_signed(isize::try_from(offset.cast_signed()).ok()?)?,
        None => follows,
    };
    let _first_flags = fields.optional(flags & 4)?;
    for _ in 0..count {
        // A sample costs its own bytes, or those of its entry: without either they are none.
        *left = left.checked_sub(1)?;
        let _duration = fields.optional(flags & 0x100)?;
        let own = fields.optional(flags & 0x200)?.unwrap_or(size);
        let _flags = fields.optional(flags & 0x400)?;
        let _composition = fields.optional(flags & 0x800)?;
        let end = at.checked_add(usize::try_from(own).ok()?).filter(|end| *end <= body.len())?;
        samples.push(at..end);
        at = end;
    }
    Some(at)
}

/// What `senc` says of one sample.
struct Auxiliary {
    iv: Option<[u8; BLOCK]>,
    /// Bytes in the clear, and encrypted ones behind them; none: all are encrypted.
    parts: Vec<(usize, usize)>,
}

/// `senc` (ISO/IEC 23001-7 7.2), for at most `count` samples.
fn auxiliary(body: &[u8], senc: &Whole, iv_size: usize, count: usize) -> Option<Vec<Auxiliary>> {
    let mut fields = Fields { bytes: body.get(senc.body.clone())? };
    let has_parts = fields.u32()? & 2 != 0;
    let listed = usize::try_from(fields.u32()?).ok()?;
    let mut all = Vec::new();
    for _ in 0..listed.min(count) {
        let mut iv = None;
        if iv_size > 0 {
            let mut padded = [0; BLOCK];
            padded.get_mut(..iv_size)?.copy_from_slice(fields.take(iv_size)?);
            iv = Some(padded);
        }
        let mut parts = Vec::new();
        if has_parts {
            let listed = u16::from_be_bytes(*fields.take(2)?.first_chunk()?);
            for _ in 0..listed {
                let clear = u16::from_be_bytes(*fields.take(2)?.first_chunk()?);
                parts.push((clear.into(), usize::try_from(fields.u32()?).ok()?));
            }
        }
        all.push(Auxiliary { iv, parts });
    }
    Some(all)
}

/// `sbgp` of the grouping `seig`: some samples have another key (ISO/IEC 23001-7 6).
fn is_key_group(body: &[u8], child: &Whole) -> bool {
    child.kind == *b"sbgp" && four(body, child.body.start + 4) == Some(*b"seig")
}

/// Fields of a box, one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().copied().map(u64::from_be_bytes)
    }

    /// A field that is there where `flag` is not 0. The outer `None`: the box ends within it.
    #[expect(clippy::option_option, reason = "absent by its flag, or cut off")]
    fn optional(&mut self, flag: u32) -> Option<Option<u32>> {
        if flag == 0 { Some(None) } else { self.u32().map(Some) }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    four(bytes, at).map(u32::from_be_bytes)
}

fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Gives the box that begins at `start` another name.
fn rename(bytes: &mut [u8], start: usize, kind: [u8; 4]) {
    if let Some(name) = bytes.get_mut(start + 4..start + 8) {
        name.copy_from_slice(&kind);
    }
}
