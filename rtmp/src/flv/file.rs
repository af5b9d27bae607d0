//! Tags as an FLV file has them (E.2 to E.4.1), for recordings.

use bytes::BufMut;

use crate::Timestamp;

/// Header of a file with audio and video, and the zero size of the tag before the first (E.2, E.3).
pub const FILE_HEADER: [u8; 13] = *b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00";

/// TagType (E.4.1); equal to the RTMP message type ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    Audio = 8,
    Video = 9,
    Script = 18,
}

/// Appends a tag with its header and the size behind it. Bodies beyond the 24-bit length are cut.
pub fn write_tag(kind: TagKind, at: Timestamp, body: &[u8], out: &mut impl BufMut) {
    let body = &body[..body.len().min(0xFF_FFFF)];
    let [high, low @ ..] = at.get().to_be_bytes();
    out.put_u8(kind as u8);
    out.put_uint(body.len() as u64, 3);
    out.put_slice(&low);
    out.put_u8(high);
    out.put_uint(0, 3);
    out.put_slice(body);
    out.put_u32(11 + body.len() as u32);
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn the_high_byte_of_the_time_stands_behind_the_low_ones() {
        let mut out = Vec::new();
        write_tag(TagKind::Video, Timestamp::new(0x0102_0304), &[0xAA], &mut out);
        assert_eq!(out, hex!("09 000001 020304 01 000000 aa 0000000c"));
    }
}
