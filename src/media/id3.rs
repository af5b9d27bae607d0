//! ID3v2 tags in front of packed audio (RFC 8216 3.4; id3.org, ID3v2.3.0 and ID3v2.4.0). Pure.

/// Header of a tag, and of a frame of versions 3 and 4.
const HEADER: usize = 10;
/// Tags at a segment's start: one, or two where a packager adds its own.
const MAX_TAGS: usize = 8;
const TIMESTAMP_OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// Bytes of all tags at the start of `data`, up to its end where one is cut.
pub(crate) fn length(data: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..MAX_TAGS {
        match data.get(at..).and_then(tag_length) {
            Some(length) => at = at.saturating_add(length).min(data.len()),
            None => break,
        }
    }
    at
}

/// The 33-bit time stamp of the first frame behind these `tags`.
pub(crate) fn timestamp(tags: &[u8]) -> Option<u64> {
    let mut rest = tags;
    while let Some(length) = tag_length(rest) {
        let end = length.min(rest.len());
        let (tag, after) = rest.split_at(end);
        if let Some(stamp) = timestamp_of_tag(tag) {
            return Some(stamp);
        }
        rest = after;
    }
    None
}

/// ID3v2.4.0 3.1: the size leaves out header and footer.
fn tag_length(data: &[u8]) -> Option<usize> {
    const FOOTER: u8 = 0x10;
    let header = data.get(..HEADER).filter(|header| header.starts_with(b"ID3"))?;
    let size = synchsafe(header.get(6..10)?)?;
    let footer = if header[5] & FOOTER != 0 { HEADER } else { 0 };
    Some(HEADER + size + footer)
}

fn timestamp_of_tag(tag: &[u8]) -> Option<u64> {
    const EXTENDED: u8 = 0x40;
    let (version, flags) = (*tag.get(3)?, *tag.get(5)?);
    let mut at = HEADER;
    if flags & EXTENDED != 0 {
        let size = tag.get(at..at + 4)?;
        // Version 4 counts the size itself, version 3 does not (3.2 of each).
        at += if version >= 4 { synchsafe(size)? } else { 4 + plain(size)? };
    }
    loop {
        let header = tag.get(at..at.checked_add(HEADER)?)?;
        if header[0] == 0 {
            return None; // padding
        }
        let size = header.get(4..8)?;
        // Some writers of version 4 do not write synchsafe sizes; where both readings are right they are one.
        let size = if version >= 4 { synchsafe(size).or_else(|| plain(size))? } else { plain(size)? };
        let start = at + HEADER;
        let end = start.checked_add(size)?;
        if header.starts_with(b"PRIV")
            && let Some(stamp) = tag.get(start..end)?.strip_prefix(TIMESTAMP_OWNER)
        {
            // "a big-endian eight-octet number", of which 33 bits count.
            let stamp: [u8; 8] = stamp.get(..8)?.try_into().ok()?;
            return Some(u64::from_be_bytes(stamp) & 0x1_FFFF_FFFF);
        }
        at = end;
    }
}

/// Four times seven bits; `None` where a top bit is set.
fn synchsafe(bytes: &[u8]) -> Option<usize> {
    bytes.iter().try_fold(0, |size, byte| (byte & 0x80 == 0).then(|| size << 7 | usize::from(*byte)))
}

fn plain(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tag with the time stamp alone, as packagers write it.
    pub(crate) fn tag(stamp: u64) -> Vec<u8> {
        let body = [TIMESTAMP_OWNER, &stamp.to_be_bytes()].concat();
        let size = |n: usize| [0, 0, (n >> 7) as u8, (n & 0x7F) as u8];
        let frame = [b"PRIV", &size(body.len())[..], &[0, 0], &body].concat();
        [b"ID3\x04\0\0", &size(frame.len())[..], &frame].concat()
    }

    #[test]
    fn the_stamp_is_found_behind_other_frames_and_other_tags() {
        let stamp = 0x1_2345_6789;
        let one = tag(stamp);
        assert_eq!((timestamp(&one), length(&one)), (Some(stamp), one.len()));
        let other = b"ID3\x03\0\0\0\0\0\x0dTIT2\0\0\0\x03\0\0abc".to_vec();
        let both = [&other[..], &one, &[0xFF, 0xF1]].concat();
        assert_eq!((timestamp(&both), length(&both)), (Some(stamp), other.len() + one.len()));
        assert_eq!(timestamp(&tag(u64::MAX)), Some((1 << 33) - 1), "33 bits count");
        assert_eq!((timestamp(&other), length(b"\xFF\xF1")), (None, 0));
    }

    #[test]
    fn extended_headers_and_footers_are_stepped_over() {
        let plain = tag(90_000);
        let frame = &plain[HEADER..];
        let size = (frame.len() + 6) as u8;
        let mut tag = [b"ID3\x04\0\x50\0\0\0", &[size][..], &[0, 0, 0, 6, 1, 0], frame].concat();
        tag.extend([0; HEADER]);
        assert_eq!((timestamp(&tag), length(&tag)), (Some(90_000), tag.len()));
    }

    proptest! {
        #[test]
        fn a_cut_or_changed_tag_is_no_panic(at in 0_usize..80, byte in any::<u8>(), cut in 0_usize..80) {
            let mut data = tag(1);
            if let Some(place) = data.get_mut(at) {
                *place = byte;
            }
            data.truncate(cut);
            let _ = timestamp(&data);
            prop_assert!(length(&data) <= data.len());
        }
    }
}
