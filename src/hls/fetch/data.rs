//! `data:` addresses (RFC 2397): the resource is in the address itself, so nothing is asked for. Pure.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::Url;

/// What players accept: padding or none, and whatever bits the last character has to spare.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes that a `data:` address holds; none where it is not one, or cannot be read.
pub(super) fn bytes(url: &Url) -> Option<Vec<u8>> {
    let address = url.as_str().split('#').next()?;
    let (media_type, data) = address.strip_prefix("data:")?.split_once(',')?;
    let data = percent_decoded(data);
    let encoding = media_type.rsplit(';').next().unwrap_or_default().trim();
    if !media_type.contains(';') || !encoding.eq_ignore_ascii_case("base64") {
        return Some(data);
    }
    base64(&data)
}

/// Base64 in either alphabet (RFC 4648 4 and 5), white space in it ignored.
pub(in crate::hls) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let standard = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    let text = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).map(standard);
    TOLERANT.decode(text.collect::<Vec<u8>>()).ok()
}

/// RFC 3986 2.1; what is no escape stays as it is.
fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match after {
            [high, low, behind @ ..] if *first == b'%' => {
                digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low, behind))
            }
            _ => None,
        };
        match escaped {
            Some((byte, behind)) => {
                out.push(byte);
                rest = behind;
            }
            None => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_its_bytes_in_either_encoding() {
        let key: Vec<u8> = (0..16).map(|n| n * 17).collect();
        for address in [
            "data:;base64,ABEiM0RVZneImaq7zN3u/w==",
            "data:text/plain;base64,ABEiM0RVZneImaq7zN3u/w==",
            "data:text/plain;charset=utf-8;base64,ABEiM0RVZneImaq7zN3u/w==",
            "DATA:application/octet-stream;BASE64,ABEiM0RVZneImaq7zN3u/w",
            "data:;base64,ABEiM0RVZneImaq7zN3u%2Fw%3D%3D",
            "data:;base64,ABEiM0RVZneImaq7zN3u_w#fragment",
            " data:;base64,ABEiM0RV ZneImaq7 zN3u/w== ",
            "data:,%00%11%223DUfw%88%99%aa%BB%cc%dd%ee%ff",
            "data:application/octet-stream,%00%11%22%33%44%55%66%77%88%99%AA%BB%CC%DD%EE%FF",
        ] {
            assert_eq!(bytes(&Url::parse(address).unwrap()), Some(key.clone()), "{address}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for address in ["data:;base64", "data:;base64,A", "data:;base64,????", "http://h/,a"] {
            assert_eq!(bytes(&Url::parse(address).unwrap()), None, "{address}");
        }
        let literal = |address: &str| bytes(&Url::parse(address).unwrap()).unwrap();
        assert_eq!(literal("data:,100%"), b"100%");
        assert_eq!(literal("data:,a?b=%zz"), b"a?b=%zz");
        assert_eq!(literal("data:base64,AA=="), b"AA==", "no parameter but a media type");
        assert_eq!(literal("data:,"), b"");
    }
}
