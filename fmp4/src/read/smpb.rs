//! iTunSMPB: Apple's note of priming and padding in `ilst`.

use bytes::Bytes;

use super::boxes::{children, kind_at};
use super::error::Place;

/// What iTunSMPB says, in samples of the decoded sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gapless {
    /// Samples to drop at the beginning.
    pub priming: u32,
    /// Samples to drop at the end.
    pub trailing: u32,
    /// Samples in between.
    pub length: u64,
}

/// Looks through a `udta`: meta/ilst/---- with the name iTunSMPB.
pub(crate) fn find_smpb(udta: &Bytes) -> Option<Gapless> {
    let place = Place::root(*b"udta", 0);
    let inside = |body: &Bytes, kind: [u8; 4]| {
        children(body, 0, &place).map_while(Result::ok).find(|b| b.kind == kind).map(|b| b.body)
    };
    let meta = inside(udta, *b"meta")?;
    // ISO's `meta` is a full box, QuickTime's is not.
    let skip = if kind_at(&meta, 4) == Some(*b"hdlr") { 0 } else { 4.min(meta.len()) };
    let ilst = inside(&meta.slice(skip..), *b"ilst")?;
    children(&ilst, 0, &place).map_while(Result::ok).filter(|item| item.kind == *b"----").find_map(|item| {
        let name = inside(&item.body, *b"name")?;
        let data = inside(&item.body, *b"data")?;
        // `name` is a full box; `data` has a type and a locale before its text.
        (name.get(4..) == Some(b"iTunSMPB")).then(|| parse_smpb(data.get(8..)?)).flatten()
    })
}

/// Hexadecimal words: zero, priming, padding, length, then zeros.
fn parse_smpb(text: &[u8]) -> Option<Gapless> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace().skip(1);
    let priming = u32::from_str_radix(words.next()?, 16).ok()?;
    let trailing = u32::from_str_radix(words.next()?, 16).ok()?;
    let length = u64::from_str_radix(words.next()?, 16).ok()?;
    Some(Gapless { priming, trailing, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_real_itunsmpb_are_read() {
        let text = b" 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000 00000000 00000000";
        let expected = Gapless { priming: 2_112, trailing: 458, length: 0x3F_31F6 };
        assert_eq!(parse_smpb(text), Some(expected));
        assert_eq!(parse_smpb(b" 00000000 00000840"), None);
        assert_eq!(parse_smpb(b" 0 zz 0 0"), None);
        assert_eq!(parse_smpb(b"\xFF 0 0 0"), None);
    }
}
