//! Whether a body is a segment, and all of it. Pure.
//!
//! Where the server says no length (chunked by an intermediary that lost its origin, or HTTP/1.0), a body
//! that was cut off looks complete; the format itself tells.

use std::collections::VecDeque;

use super::boxes::{BoxHeader, begin_file};
use super::playlist::ByteRange;

/// A TS packet (ISO/IEC 13818-1 2.4.3.2), with a timestamp before it (BDAV), with Reed-Solomon bytes after it
/// (DVB).
const STRIDES: [usize; 3] = [188, 192, 204];

pub(super) const SYNC: u8 = 0x47;

/// So many sync bytes in a row are no chance, wherever they begin.
const SYNCS: usize = 4;

/// How far packets are looked for behind something else: a picture that a segment is disguised as.
const SEARCH: usize = 64 << 10;

/// Boxes that are looked at: some hundreds in a segment of many chunks. Behind so many nobody looks for a cut.
const MAX_BOXES: usize = 16 << 10;

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Servers answer 200 with a page, or with nothing, for a segment that is not there.
    NoSegment(&'static str),
    /// It may have been cut off; or the source cut it so.
    Cut(&'static str),
}

/// Bodies remembered that seemed to be cut off: more than both renditions of a source have on their way.
const MAX_SEEMED_CUT: usize = 16;

/// A source that was seen to cut this many segments within a packet or box does so by habit, and is no longer asked for
/// each of them twice: a live window would not wait for that.
const HABIT: u32 = 2;

/// Tells bodies that a transfer cut off from those that the source cut so.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    seemed: VecDeque<SeemedCut>,
    /// Bodies that came again as they were.
    own: u32,
}

/// A resource, and the length that it had.
#[derive(Debug, PartialEq, Eq)]
struct SeemedCut {
    uri: String,
    range: Option<ByteRange>,
    length: usize,
}

impl Cuts {
    /// Whether a body that seems to be cut off is the source's own: twice the same length is no accident of the transfer.
    pub(super) fn are_the_sources_own(&mut self, uri: &str, range: Option<ByteRange>, length: usize) -> bool {
        if self.own >= HABIT {
            return true;
        }
        if let Some(at) = self.seemed.iter().position(|seen| seen.uri == uri && seen.range == range) {
            let same = self.seemed.remove(at).is_some_and(|seen| seen.length == length);
            self.own = if same { self.own + 1 } else { 0 };
            if same {
                return true;
            }
        }
        self.seemed.push_front(SeemedCut { uri: uri.to_owned(), range, length });
        self.seemed.truncate(MAX_SEEMED_CUT);
        false
    }
}

/// Where the packets of a transport stream lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packets {
    /// The first byte of the first packet.
    first: usize,
    stride: usize,
    /// Sync bytes that were looked at.
    syncs: usize,
}

impl Packets {
    /// There are so many that chance does not make them; of fewer only the length of the body tells.
    pub(super) fn are_certain(self) -> bool {
        self.syncs == SYNCS
    }

    /// How much of `length` bytes is behind the last whole packet.
    pub(super) fn rest(self, length: usize) -> usize {
        length.saturating_sub(self.first) % self.stride
    }
}

/// The packets of `body`, where it is a transport stream, whatever stands before them. The last
/// `padding` bytes may not belong to it.
pub(super) fn packets(body: &[u8], padding: usize) -> Option<Packets> {
    let head = body.get(..SEARCH).unwrap_or(body);
    let end = body.len().saturating_sub(padding);
    let at = |at: usize, stride: usize| {
        let first = at.checked_sub(before_sync(stride)).filter(|first| first + stride <= body.len())?;
        let syncs = || (0..SYNCS).map(|packet| at + packet * stride).take_while(|at| *at < end);
        if !syncs().all(|at| body.get(at) == Some(&SYNC)) {
            return None;
        }
        let needed = match first {
            // A single packet is proved by its length.
            0 if end <= stride => 1,
            0 => 2,
            _ => SYNCS,
        };
        let syncs = syncs().count();
        (syncs >= needed).then_some(Packets { first, stride, syncs })
    };
    memchr::memchr_iter(SYNC, head).find_map(|sync| STRIDES.into_iter().find_map(|stride| at(sync, stride)))
}

/// BDAV has its four bytes before the sync byte.
fn before_sync(stride: usize) -> usize {
    if stride == 192 { 4 } else { 0 }
}

/// The first fault of `body`.
pub(super) fn check(body: &[u8]) -> Result<(), Fault> {
    match body {
        [] => Err(Fault::NoSegment("it is empty")),
        [b'<', ..] => Err(Fault::NoSegment("it is a web page")),
        _ if begin_file(body) => boxes_end_with(body),
        // A segment disguised as an image begins with a sync byte here, and chance may find another in its pixels.
        [b'G', b'I', b'F', b'8', ..] => Ok(()),
        _ => match STRIDES.into_iter().find_map(|stride| packets_at(body, stride)) {
            Some(true) | None => Ok(()),
            Some(false) => Err(Fault::Cut("it ends within a packet")),
        },
    }
}

/// Whether packets of `stride` bytes fill the body; none where these are no such packets.
fn packets_at(body: &[u8], stride: usize) -> Option<bool> {
    let first = before_sync(stride);
    let synced = |packet: usize| body.get(first + packet * stride) == Some(&SYNC);
    let whole = body.len().is_multiple_of(stride);
    // Two packets prove a stride; a single one is proved by its length.
    (synced(0) && (synced(1) || body.len() < 2 * stride && stride == STRIDES[0])).then_some(whole)
}

fn boxes_end_with(body: &[u8]) -> Result<(), Fault> {
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        if at >= body.len() {
            return Ok(());
        }
        let Some(header) = BoxHeader::read(body, at) else {
            return Err(Fault::Cut("it ends within a box header"));
        };
        // Smaller than its own header: not cut but damaged, which is the demuxer's to judge.
        if header.size < header.length as u64 {
            return Ok(());
        }
        at = header.end(body.len()).ok_or(Fault::Cut("it ends within a box"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(stride: usize, count: usize) -> Vec<u8> {
        let mut packet = vec![0; stride];
        packet[if stride == 192 { 4 } else { 0 }] = SYNC;
        packet.repeat(count)
    }

    fn boxed(kind: &[u8; 4], payload: usize) -> Vec<u8> {
        let mut whole = (8 + payload as u32).to_be_bytes().to_vec();
        whole.extend(kind);
        whole.resize(8 + payload, 0);
        whole
    }

    #[test]
    fn a_transport_stream_that_is_cut_anywhere_is_noticed_in_every_stride() {
        for stride in STRIDES {
            let body = packets(stride, 10);
            assert_eq!(check(&body), Ok(()), "{stride}");
            for end in 3 * stride..body.len() {
                assert_eq!(check(&body[..end]).is_ok(), end % stride == 0, "{stride}, {end}");
            }
        }
        assert_eq!(check(&packets(188, 1)), Ok(()));
        assert_eq!(check(&packets(188, 1)[..100]), Err(Fault::Cut("it ends within a packet")));
    }

    #[test]
    fn a_fragment_that_is_cut_anywhere_but_between_boxes_is_noticed() {
        let mut body = boxed(b"styp", 16);
        body.extend(boxed(b"moof", 100));
        body.extend(boxed(b"mdat", 300));
        assert_eq!(check(&body), Ok(()));
        for end in 24..body.len() {
            assert_eq!(check(&body[..end]).is_ok(), [24, 132].contains(&end), "{end}");
        }
        let mut large = 1_u32.to_be_bytes().to_vec();
        large.extend(b"mdat");
        large.extend(20_u64.to_be_bytes());
        large.extend([0; 4]);
        assert_eq!(check(&large), Ok(()));
        assert!(check(&large[..19]).is_err());
        large[..4].fill(0);
        assert_eq!(check(&large), Ok(()), "size 0 is to the end");
    }

    #[test]
    fn pages_and_nothing_are_no_segments() {
        assert_eq!(check(b""), Err(Fault::NoSegment("it is empty")));
        assert_eq!(check(b"<!DOCTYPE html>"), Err(Fault::NoSegment("it is a web page")));
        assert_eq!(check(b"\xff\xf1\x50\x80"), Ok(()), "packed audio");
        assert_eq!(check(b"WEBVTT"), Ok(()));
        let mut image = b"GIF89a".to_vec();
        image.resize(1_000, 0);
        image[188] = SYNC;
        assert_eq!(check(&image), Ok(()), "a disguise");
    }

    proptest! {
        #[test]
        fn any_body_is_judged(body in prop::collection::vec(any::<u8>(), 0..600), boxed: bool, size: u32) {
            let mut body = body;
            if boxed && body.len() >= 8 {
                body[..4].copy_from_slice(&size.to_be_bytes());
                body[4..8].copy_from_slice(b"moof");
            }
            let _ = check(&body);
        }
    }

    #[test]
    fn the_walk_over_boxes_is_bounded() {
        let many = |count: usize| [boxed(b"styp", 0), boxed(b"free", 0).repeat(count), vec![0; 3]].concat();
        assert_eq!(check(&many(1_000)), Err(Fault::Cut("it ends within a box header")));
        assert_eq!(check(&many(MAX_BOXES)), Ok(()));
    }
}
