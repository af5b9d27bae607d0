//! The text of a playlist out of a body that no header says is compressed, or is in another encoding. Pure.
//!
//! CDNs store what an origin sent compressed and forget the `Content-Encoding`; recorders on Windows write UTF-16.
//! Brotli has no mark by which it could be known; its bodies are refused with a hint.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use flate2::read::ZlibDecoder;

use super::playlist::Error as PlaylistError;

/// Compressed twice: by the packager, and by a cache.
const MAX_LAYERS: usize = 2;

/// Members of a gzip file: a server that packs a playlist line by line as it grows has one for each. An empty one is
/// twenty bytes, and costs as much as the beginning of any.
const MAX_MEMBERS: usize = 4_096;

/// Why a body is no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It unpacks to more than is allowed.
    TooLarge,
    Playlist(PlaylistError),
}

/// Whether more may come out of `body` than is in it.
pub(super) fn is_packed(body: &[u8]) -> bool {
    matches!(body, [0x1f, 0x8b, ..] | [0x78, ..])
}

/// The text in `body`, at most `limit` bytes of it.
pub(super) fn text(body: &Bytes, limit: usize) -> Result<Bytes, Fault> {
    let mut body = body.clone();
    for _ in 0..MAX_LAYERS {
        let unpacked = match *body.as_ref() {
            // RFC 1952 2.3.1.
            [0x1f, 0x8b, 8, ..] => members(&body, limit)?,
            // RFC 1950 2.2; text does not begin like this.
            [cmf @ 0x78, flags, ..] if (u16::from(cmf) << 8 | u16::from(flags)).is_multiple_of(31) => {
                read(ZlibDecoder::new(body.as_ref()), limit, "deflate")?
            }
            // RFC 8878 3.1.1.
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(compressed("zstd")),
            _ => break,
        };
        body = unpacked.into();
    }
    Ok(from_utf16(&body).map_or(body, Bytes::from))
}

/// What all members of a gzip file hold (RFC 1952 2.2). Bytes behind the last member are no error: servers fill up.
fn members(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let (mut out, mut rest) = (Vec::new(), body);
    for _ in 0..MAX_MEMBERS {
        let mut decoder = GzDecoder::new(rest);
        let more = read(&mut decoder, limit.saturating_sub(out.len()), "gzip")?;
        // Most bodies have one member.
        if out.is_empty() {
            out = more;
        } else {
            out.extend(more);
        }
        rest = decoder.into_inner();
        if !rest.starts_with(&[0x1f, 0x8b]) {
            return Ok(out);
        }
    }
    Err(compressed("gzip"))
}

/// What comes out, as far as memory goes as much as there is of it: no length is believed.
fn read(decoder: impl Read, limit: usize, format: &'static str) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut out).map_err(|_| compressed(format))?;
    if out.len() > limit { Err(Fault::TooLarge) } else { Ok(out) }
}

fn compressed(format: &'static str) -> Fault {
    Fault::Playlist(PlaylistError::Compressed { format })
}

/// Text in UTF-16 as UTF-8: by its mark, or by how a playlist begins.
fn from_utf16(body: &[u8]) -> Option<String> {
    let unit: fn([u8; 2]) -> u16 = match body {
        [0xff, 0xfe, ..] | [b'#', 0, b'E', 0, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] | [0, b'#', 0, b'E', ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units = body.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use flate2::Compression;
    use flate2::read::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const LIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,caf\u{e9}\na.ts\n";

    fn packed(mut encoder: impl Read) -> Bytes {
        let mut out = Vec::new();
        encoder.read_to_end(&mut out).unwrap();
        out.into()
    }

    fn gzip(text: &[u8]) -> Bytes {
        packed(GzEncoder::new(Cursor::new(text.to_vec()), Compression::default()))
    }

    #[test]
    fn text_is_found_in_every_wrapping() {
        let utf16 = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Bytes {
            format!("{mark}{LIST}").encode_utf16().flat_map(bytes).collect()
        };
        for body in [
            Bytes::from_static(LIST.as_bytes()),
            gzip(LIST.as_bytes()),
            gzip(&gzip(LIST.as_bytes())),
            packed(ZlibEncoder::new(LIST.as_bytes(), Compression::default())),
            packed(ZlibEncoder::new(LIST.as_bytes(), Compression::best())),
            utf16("", u16::to_le_bytes),
            utf16("", u16::to_be_bytes),
            gzip(&utf16("", u16::to_le_bytes)),
        ] {
            assert_eq!(text(&body, 2 * LIST.len()).unwrap(), LIST, "{body:?}");
        }
        for body in [utf16("\u{feff}", u16::to_le_bytes), utf16("\u{feff}", u16::to_be_bytes)] {
            assert_eq!(
                text(&body, 1_000).unwrap(),
                format!("\u{feff}{LIST}"),
                "the mark is left to the parser"
            );
        }
    }

    #[test]
    fn what_cannot_be_unpacked_is_named_and_what_is_too_large_is_refused() {
        let whole = gzip(LIST.as_bytes());
        let compressed = |format| Err(Fault::Playlist(PlaylistError::Compressed { format }));
        assert_eq!(text(&whole.slice(..whole.len() - 9), 1_000), compressed("gzip"));
        assert_eq!(text(&Bytes::from_static(b"\x78\x9c????"), 1_000), compressed("deflate"));
        assert_eq!(text(&Bytes::from_static(b"\x28\xb5\x2f\xfd..."), 1_000), compressed("zstd"));
        let bomb = gzip(&vec![b'#'; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(text(&bomb, 1 << 20), Err(Fault::TooLarge));
    }

    #[test]
    fn all_members_are_read_and_only_so_many() {
        let lines = LIST.split_inclusive('\n').map(|line| gzip(line.as_bytes()));
        let mut body = lines.collect::<Vec<_>>().concat();
        assert_eq!(text(&body.clone().into(), 1_000).unwrap(), LIST);
        body.extend([0; 40]);
        assert_eq!(text(&body.clone().into(), 1_000).unwrap(), LIST, "what fills up is no member");
        assert_eq!(text(&body.into(), LIST.len() - 1), Err(Fault::TooLarge));
        let many = gzip(b"").repeat(MAX_MEMBERS + 1);
        assert_eq!(text(&many.into(), 1_000), Err(compressed("gzip")));
    }

    proptest! {
        #[test]
        fn any_body_is_judged(body in prop::collection::vec(any::<u8>(), 0..200), kind in 0..4) {
            let head: &[u8] = [&b"\x1f\x8b\x08"[..], b"\x78\x9c", b"\xff\xfe", b""][kind as usize];
            let body = Bytes::from([head, &body].concat());
            if let Ok(out) = text(&body, 1_000) {
                prop_assert!(out.len() <= 3 * 1_000);
            }
        }
    }
}
