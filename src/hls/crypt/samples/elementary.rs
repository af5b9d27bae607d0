//! Encrypted H.264, AAC and (E-)AC-3, as in Apple's "MPEG-2 Stream Encryption Format for HTTP Live Streaming".

use memchr::memmem;
use overdub_ts::{Codec, adts, elementary};

use super::super::{BLOCK, CryptError};
use super::Cipher;

/// Of a NAL unit, this much at the beginning is in the clear: its type, and 31 bytes.
const NAL_LEADER: usize = 32;

/// A shorter NAL unit, or one of this length, is all in the clear.
const SHORT_NAL: usize = 48;

/// Behind the leader, one block in so many is encrypted, as long as something follows it.
const NAL_PATTERN: usize = 10;

/// Of an audio frame, this much behind its header is in the clear.
const FRAME_LEADER: usize = 16;

/// Decrypts the slices in an Annex B stream where they lie.
///
/// Encrypted bytes may look like a start code, so that emulation prevention was done once more after the
/// encryption. Without it the unit is shorter: zeros fill it up, as may stand behind every NAL unit
/// (trailing_zero_8bits, ISO/IEC 14496-10 annex B.1).
pub(super) fn h264(cipher: &Cipher, iv: &[u8; BLOCK], stream: &mut [u8]) {
    let starts: Vec<usize> = memmem::find_iter(stream, b"\0\0\x01").map(|at| at + 3).collect();
    for (index, &start) in starts.iter().enumerate() {
        let mut end = starts.get(index + 1).map_or(stream.len(), |next| next - 3);
        while end > start && stream[end - 1] == 0 {
            end -= 1;
        }
        let Some(unit) = stream.get_mut(start..end) else { continue };
        // Slices of other and of IDR pictures (ISO/IEC 14496-10 table 7-1).
        if unit.len() > SHORT_NAL && matches!(unit[0] & 0x1F, 1 | 5) {
            let length = without_emulation_prevention(unit);
            let (plain, rest) = unit.split_at_mut(length);
            rest.fill(0);
            let mut run = cipher.run(iv);
            for stretch in plain[NAL_LEADER.min(length)..].chunks_mut(NAL_PATTERN * BLOCK) {
                // The last block of a unit is not encrypted, if nothing follows it.
                if stretch.len() > BLOCK {
                    run.decrypt(&mut stretch[..BLOCK]);
                }
            }
        }
    }
}

/// Takes the emulation prevention bytes out (ISO/IEC 14496-10 7.4.1); the length of what is left.
fn without_emulation_prevention(unit: &mut [u8]) -> usize {
    let (mut length, mut zeros) = (0, 0);
    for at in 0..unit.len() {
        let byte = unit[at];
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit[length] = byte;
        length += 1;
    }
    length
}

/// The length of the header of the frame that begins here, and of the frame.
type FrameAt = fn(&[u8]) -> Option<(usize, usize)>;

/// Decrypts frames that follow one another where they lie. What is no frame is passed over.
pub(super) fn audio(
    codec: Codec,
    cipher: &Cipher,
    iv: &[u8; BLOCK],
    stream: &mut [u8],
) -> Result<(), CryptError> {
    let (sync, frame): (u8, FrameAt) = match codec {
        Codec::AacAdts => {
            (0xFF, |at| adts::Header::parse(at).ok().map(|header| (header.header_len, header.frame_len)))
        }
        Codec::Ac3 | Codec::Eac3 => (0x0B, |at| elementary::syncframe_length(at).map(|length| (0, length))),
        _ => return Err(CryptError::Samples { what: "of this audio codec" }),
    };
    let mut at = 0;
    while at < stream.len() {
        let Some((header, length)) = frame(&stream[at..]) else {
            at += 1 + memchr::memchr(sync, &stream[at + 1..]).unwrap_or(stream.len());
            continue;
        };
        // A frame that is cut off at the end is of no use to anybody.
        let Some(whole) = stream.get_mut(at..at + length) else { break };
        if let Some(encrypted) = whole.get_mut(header + FRAME_LEADER..) {
            cipher.run(iv).decrypt(encrypted);
        }
        at += length.max(1);
    }
    Ok(())
}
