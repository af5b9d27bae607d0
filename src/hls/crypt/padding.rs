//! Where the media of a decrypted segment ends: what of its last block is padding (PKCS#7, RFC 5652 6.3). Pure.
//!
//! RFC 8216 4.3.2.4 asks for padding always. SRS omits the padding block when the length is a multiple of 16, and
//! others fill the last block with zeros. Nothing in the padding itself tells these apart, since the last byte of
//! a transport packet may be anything; what the plaintext is does: whole packets, whole boxes, whole frames.

use bytes::Bytes;
use overdub_ts::elementary;

use super::{BLOCK, CryptError};
use crate::hls::boxes::{BoxHeader, begin_file};
use crate::hls::whole::{self, Packets};
use crate::media::id3;

/// How much of `plain`, a whole number of blocks, is media.
///
/// # Errors
///
/// It is no media that is known here, and its padding is wrong: another key, or a damaged body.
pub(super) fn media_length(plain: &[u8]) -> Result<usize, CryptError> {
    let padded = without_padding(plain);
    // A packet or three, which chance may make, are less of a proof than right padding.
    if let Some(packets) = whole::packets(plain, BLOCK).filter(|it| it.are_certain() || padded.is_none()) {
        return Ok(whole_packets(plain, packets, padded));
    }
    if begin_file(plain) {
        return Ok(whole_boxes(plain, padded));
    }
    let Some(padded) = padded else {
        return if is_packed_audio(plain) { Ok(plain.len()) } else { Err(CryptError::Padding) };
    };
    Ok(if goes_on_to_the_end(plain, padded) { plain.len() } else { padded })
}

/// Whether `plain`, or the beginning of it, is media beyond doubt: a wrong key does not yield it by chance.
pub(super) fn is_media(plain: &[u8]) -> bool {
    whole::packets(plain, BLOCK).is_some_and(Packets::are_certain)
        || begin_file(plain)
        || is_packed_audio(plain)
}

/// The length that PKCS#7 says; none where the end cannot be its padding.
pub(super) fn without_padding(plain: &[u8]) -> Option<usize> {
    let count = usize::from(*plain.last()?);
    let media = plain.len().checked_sub(count).filter(|_| (1..=BLOCK).contains(&count))?;
    plain[media..].iter().all(|byte| usize::from(*byte) == count).then_some(media)
}

fn whole_packets(plain: &[u8], packets: Packets, padded: Option<usize>) -> usize {
    let rest = packets.rest(plain.len());
    let end = plain.len() - rest;
    match plain.get(end) {
        None => plain.len(),
        // Whatever it is filled with: no packet begins like this.
        Some(first) if rest <= BLOCK && *first != whole::SYNC => not_before(end, padded),
        Some(_) => padded.unwrap_or(plain.len()),
    }
}

/// Where media whose last whole packet or box ends at `end` is over: padding that begins behind it is right, and one that
/// begins before it only looks like it.
fn not_before(end: usize, padded: Option<usize>) -> usize {
    padded.filter(|padded| *padded > end).unwrap_or(end)
}

fn whole_boxes(plain: &[u8], padded: Option<usize>) -> usize {
    let mut at = 0;
    while let Some(header) = BoxHeader::read(plain, at) {
        // Names are printable (ISO/IEC 14496-12 4.2); padding is not, nor are zeros.
        if !header.kind.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            break;
        }
        if header.is_open() {
            return padded.unwrap_or(plain.len());
        }
        let Some(end) = header.end(plain.len()) else { break };
        at = end;
    }
    if plain.len() - at <= BLOCK { not_before(at, padded) } else { padded.unwrap_or(plain.len()) }
}

fn is_packed_audio(plain: &[u8]) -> bool {
    let frames = plain.get(id3::length(plain)..).unwrap_or_default();
    elementary::codec_at(frames).is_some()
}

/// Whether what looks like padding is the end of a frame of packed audio, so that less of the frames would be
/// whole without it.
fn goes_on_to_the_end(plain: &[u8], padded: usize) -> bool {
    let frames = plain.get(id3::length(plain)..padded).unwrap_or_default();
    let Some(codec) = elementary::codec_at(frames) else { return false };
    let outside = |frames: &[u8]| {
        let mut frames = elementary::frames(codec, Bytes::copy_from_slice(frames))?;
        frames.by_ref().for_each(drop);
        Some(frames.skipped())
    };
    outside(plain.get(id3::length(plain)..).unwrap_or_default()) < outside(frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(stride: usize, count: usize, fill: u8) -> Vec<u8> {
        let mut packet = vec![fill; stride];
        packet[if stride == 192 { 4 } else { 0 }] = whole::SYNC;
        packet.repeat(count)
    }

    fn boxes(payload: usize, fill: u8) -> Vec<u8> {
        let mut all = b"\0\0\0\x18styphlsf\0\0\0\0hlsfmsdh".to_vec();
        for (kind, length) in [(b"moof", 40), (b"mdat", payload)] {
            all.extend((8 + length as u32).to_be_bytes());
            all.extend(kind);
            all.resize(all.len() + length, fill);
        }
        all
    }

    /// ADTS frames of so many bytes (ISO/IEC 13818-7 6.2).
    fn adts(lengths: &[usize], fill: u8) -> Vec<u8> {
        let mut all = Vec::new();
        for length in lengths {
            let (begin, length) = (all.len(), (*length).max(8));
            all.extend([0xff, 0xf1, 0x4c, 0x80 | (length >> 11) as u8, (length >> 3) as u8]);
            all.extend([(length << 5) as u8 | 0x1f, 0xfc]);
            all.resize(begin + length, fill);
        }
        all
    }

    /// The media of which this is, as it comes out of the cipher in each way of filling the last block.
    fn assert_found(media: &[u8]) {
        let count = BLOCK - media.len() % BLOCK;
        let mut filled = vec![[media, &vec![count as u8; count]].concat()];
        if media.len().is_multiple_of(BLOCK) {
            filled.push(media.to_vec());
        } else {
            filled.push([media, &vec![0; count]].concat());
            // ANSI X9.23.
            let mut zeros = vec![0; count];
            zeros[count - 1] = count as u8;
            filled.push([media, &zeros].concat());
        }
        for plain in filled {
            let length = media_length(&plain).unwrap();
            // Of packed audio zeros are no harm: no frame begins there.
            let kept = media[0] == 0xff && without_padding(&plain).is_none();
            assert_eq!(length, if kept { plain.len() } else { media.len() }, "{} bytes", media.len());
        }
    }

    proptest! {
        #[test]
        fn whole_packets_survive_whatever_their_last_byte_is(count in 4_usize..100, fill in 0_u8..=0x11) {
            for stride in [188, 192, 204] {
                assert_found(&packets(stride, count, fill));
            }
        }

        #[test]
        fn whole_boxes_survive_whatever_their_last_byte_is(payload in 1_usize..400, fill in 0_u8..=0x11) {
            assert_found(&boxes(payload, fill));
        }

        #[test]
        fn whole_frames_survive_whatever_their_last_byte_is(
            lengths in prop::collection::vec(20_usize..60, 2..20),
            fill in 0_u8..=0x11,
        ) {
            assert_found(&adts(&lengths, fill));
        }

        #[test]
        fn any_plaintext_is_judged(blocks in prop::collection::vec(any::<[u8; BLOCK]>(), 1..40), kind in 0..4) {
            let mut plain = blocks.concat();
            match kind {
                0 => plain[4..8].copy_from_slice(b"moof"),
                1 => plain[..4].copy_from_slice(&[0xff, 0xf1, 0x4c, 0x80]),
                2 => plain.iter_mut().step_by(188).for_each(|byte| *byte = whole::SYNC),
                _ => {}
            }
            if let Ok(length) = media_length(&plain) {
                prop_assert!(length <= plain.len() && plain.len() - length <= BLOCK);
            }
        }
    }

    #[test]
    fn packets_behind_a_picture_are_packets_too() {
        let disguised = [&b"\x89PNG\r\n\x1a\n"[..], &[0; 61], &packets(188, 9, 2)].concat();
        assert_found(&disguised);
    }

    #[test]
    fn bytes_behind_the_last_packet_or_box_are_kept_where_the_padding_says_so() {
        for media in [packets(188, 4, 3), packets(188, 7, 0), packets(204, 5, 1), boxes(33, 2)] {
            for behind in 1..BLOCK {
                let media = [&media[..], &vec![0x38; behind]].concat();
                let count = BLOCK - media.len() % BLOCK;
                // Beyond a block the padding is all there is to go by, as for everything else.
                let plain = [&media[..], &vec![count as u8; count]].concat();
                assert_eq!(media_length(&plain), Ok(media.len()), "{behind} bytes behind");
            }
        }
    }

    #[test]
    fn what_is_no_media_needs_its_padding() {
        assert_eq!(media_length(&[0x99; 48]), Err(CryptError::Padding));
        assert_eq!(media_length(b"WEBVTT\n\n\x08\x08\x08\x08\x08\x08\x08\x08"), Ok(8));
        assert_eq!(media_length(&[16; 16]), Ok(0));
    }

    #[test]
    fn a_packet_that_is_cut_is_left_to_who_checks_the_segment() {
        let cut = &packets(188, 5, 0xff)[..752 + 16];
        assert_eq!(media_length(cut), Ok(cut.len()), "it begins like a packet");
        let cut = &packets(188, 5, 0xff)[..752 + 64];
        assert_eq!(media_length(cut), Ok(cut.len()));
    }
}
