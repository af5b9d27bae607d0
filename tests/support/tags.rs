//! The tags of an FLV file, bodies and all.

use bytes::{Buf, Bytes};
use overdub_rtmp::flv::FILE_HEADER;

/// Of each whole tag its type (8 is audio, 9 video), its time in milliseconds and its body (FLV E.4.1).
pub(crate) fn tags(file: &[u8]) -> Vec<(u8, i64, Bytes)> {
    let mut rest = Bytes::copy_from_slice(&file[FILE_HEADER.len()..]);
    let mut tags = Vec::new();
    while rest.remaining() >= 11 {
        let kind = rest.get_u8();
        let len = rest.get_uint(3) as usize;
        let ms = rest.get_uint(3) as i64 | i64::from(rest.get_u8()) << 24;
        rest.advance(3);
        if rest.remaining() < len + 4 {
            break;
        }
        tags.push((kind, ms, rest.split_to(len)));
        rest.advance(4);
    }
    tags
}
