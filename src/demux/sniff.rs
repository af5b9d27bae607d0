//! What a segment is, by its content: extensions and content types of HLS sources are often wrong. Pure.

use overdub_ts::{Codec, elementary};

use super::SegmentError;
use crate::media::id3;

/// A format of RFC 8216 section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ts,
    Mp4,
    /// Frames of this codec, behind `tags` bytes of ID3.
    Packed {
        codec: Codec,
        tags: usize,
    },
}

/// Box types that a segment or a file begins with (ISO/IEC 14496-12, 23009-1, 23000-19).
const FIRST_BOXES: [&[u8; 4]; 14] = [
    b"ftyp", b"styp", b"moof", b"moov", b"sidx", b"ssix", b"emsg", b"prft", b"mdat", b"free", b"skip",
    b"wide", b"pdin", b"uuid",
];

const SYNC_BYTE: u8 = 0x47;
const PACKET: usize = 188;
/// Packets as they are, with a time code before (M2TS), with a check sum behind.
const STRIDES: [usize; 3] = [PACKET, 192, 204];
/// So many sync bytes in a row are no chance...
const SYNCS: usize = 4;
/// ... and are looked for in what a broken start of a segment may span, or the image that it is disguised as, which
/// is a whole picture at some hosts.
const SEARCH: usize = 1024 * 1024;
/// Frames may stand behind this much of padding or of a cut frame.
const FRAME_SEARCH: usize = 8 * 1024;

pub(super) fn format(data: &[u8]) -> Result<Format, SegmentError> {
    if data.is_empty() {
        return Err(SegmentError::Empty);
    }
    if data.get(4..8).is_some_and(|kind| FIRST_BOXES.iter().any(|first| first.as_slice() == kind)) {
        return Ok(Format::Mp4);
    }
    let text = data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data);
    if text.starts_with(b"WEBVTT") {
        return Err(SegmentError::WebVtt);
    }
    // A GIF begins with a sync byte, and chance may find another.
    if !data.starts_with(b"GIF8") && has_syncs(data, 0) {
        return Ok(Format::Ts);
    }
    let tags = id3::length(data);
    let frames = data.get(tags..).unwrap_or_default();
    if tags > 0 && frames.is_empty() {
        return Err(SegmentError::NoFrames);
    }
    if let Some(codec) = elementary::codec_at(frames) {
        return Ok(Format::Packed { codec, tags });
    }
    // Behind anything else, one sync byte near the end is chance.
    let packets = |at: usize| data.len() - at > PACKET && has_syncs(data, at);
    if memchr::memchr_iter(SYNC_BYTE, &data[..data.len().min(SEARCH)]).any(packets) {
        return Ok(Format::Ts);
    }
    let window = frames.len().min(FRAME_SEARCH);
    // Behind a tag there is nothing but packed audio, so one frame says enough; elsewhere chance would.
    let found = (1..window).filter(|_| tags > 0).find_map(|at| elementary::codec_at(frames.get(at..)?));
    if let Some(codec) = found {
        return Ok(Format::Packed { codec, tags });
    }
    let mut start = [0; 8];
    start.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    Err(SegmentError::Unrecognised { start })
}

/// Sync bytes stand at `first` and at the strides behind it, as far as there is data.
fn has_syncs(data: &[u8], first: usize) -> bool {
    STRIDES.iter().any(|stride| {
        // M2TS: the time code before the first packet.
        let first = first + if *stride == 192 && data.get(first) != Some(&SYNC_BYTE) { 4 } else { 0 };
        let mut expected = (0..SYNCS).map(|k| data.get(first + k * stride));
        let whole = data.len() >= first + stride;
        whole && expected.all(|byte| byte.is_none_or(|byte| *byte == SYNC_BYTE))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(stride: usize, lead: usize, count: usize) -> Vec<u8> {
        let mut data = vec![0; lead];
        for _ in 0..count {
            data.push(SYNC_BYTE);
            data.resize(data.len() + stride - 1, 0xFF);
        }
        data
    }

    #[test]
    fn transport_streams_of_all_packet_sizes_are_told_also_behind_garbage() {
        for (stride, lead) in [(188, 0), (192, 4), (204, 0), (188, 100), (188, 5_000), (204, 77)] {
            assert_eq!(format(&packets(stride, lead, 8)), Ok(Format::Ts), "{stride} {lead}");
        }
        assert_eq!(format(&packets(188, 0, 1)), Ok(Format::Ts));
    }

    #[test]
    fn a_transport_stream_is_told_behind_an_image_of_any_size() {
        let mut noise = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        };
        let magics: [&[u8]; 5] = [b"\x89PNG\r\n\x1a\n", b"\xFF\xD8\xFF\xE0", b"GIF89a", b"GIF87a", b"BM"];
        for magic in magics {
            for size in [69, 5_000, 100_000, 300_000] {
                let mut data = magic.to_vec();
                data.resize_with(size, &mut random);
                // Sync bytes a packet apart by chance: at the start, and within.
                for (at, count) in [(0, 2), (size / 3, 3), (size / 2, 2)] {
                    for at in (at..).step_by(188).take(count).filter(|at| *at > magic.len() && *at < size) {
                        data[at] = SYNC_BYTE;
                    }
                }
                assert!(format(&data).is_err(), "an image alone: {magic:?} {size}");
                data.extend(packets(188, 0, 8));
                assert_eq!(format(&data), Ok(Format::Ts), "{magic:?} {size}");
            }
        }
        let page = [b"<!DOCTYPE html>".as_slice(), &[b' '; 400], b"G", &[b' '; 187]].concat();
        assert!(format(&page).is_err());
    }

    #[test]
    fn boxes_are_told_whatever_comes_first() {
        for kind in FIRST_BOXES {
            let data = [&[0, 0, 0, 8][..], kind].concat();
            assert_eq!(format(&data), Ok(Format::Mp4));
        }
    }

    #[test]
    fn what_is_no_media_is_refused_with_what_it_is() {
        assert_eq!(format(b""), Err(SegmentError::Empty));
        assert_eq!(format(b"WEBVTT\n"), Err(SegmentError::WebVtt));
        assert_eq!(format(b"\xEF\xBB\xBFWEBVTT X-TIMESTAMP-MAP"), Err(SegmentError::WebVtt));
        assert_eq!(format(b"ID3\x04\0\0\0\0\0\0"), Err(SegmentError::NoFrames));
        for page in [&b"<!DOCTYPE html><html>G G G G"[..], b"#EXTM3U\n", b"G", &[0xFF; 400], &[0; 3_000]] {
            assert!(matches!(format(page), Err(SegmentError::Unrecognised { .. })), "{page:?}");
        }
    }
}
