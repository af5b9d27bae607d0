//! Encryption with plain keys (RFC 8216 4.3.2.4 and 5.2; `AES-256` of draft-pantos-hls-rfc8216bis 4.4.4.4):
//! which cipher and vector a segment's `EXT-X-KEY` asks for, and the decryption itself. Pure.
//!
//! With `AES-128` and `AES-256` a segment is one CBC run from its own vector to its own padding (PKCS#7), so each
//! is decrypted alone; a byte range of a resource too, since it is the range that is the segment. `padding` tells
//! where the media ends when the padding is missing. What `SAMPLE-AES` encrypts is in `samples`.

mod padding;
pub(super) mod samples;
#[cfg(test)]
mod tests;

use std::fmt;

use aes::{Aes128, Aes256};
use bytes::{Bytes, BytesMut};
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

use super::boxes::begin_file;
use super::playlist;
use crate::outside::Name;
use samples::{Cipher, Protection};

/// AES works on blocks of this many bytes, whatever the length of its key (FIPS 197).
pub(super) const BLOCK: usize = 16;

/// `KEYFORMAT` of a key that is the plain bytes at its URI (RFC 8216 4.3.2.4); the default.
const IDENTITY: &str = "identity";

/// Of a body this much tells whether a key fits: two of the longest ADTS frames (13 bits of length).
const HEAD: usize = 16 << 10;

/// What encryption makes of a segment that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptError {
    /// A method that is not decrypted here, with a plain key.
    #[error("encryption METHOD={method} is not supported")]
    Method { method: Name },
    /// A key that only a licence server gives out.
    #[error("protected by {system} (METHOD={method}, KEYFORMAT={format:?}): not supported")]
    Drm { system: &'static str, method: Name, format: Name },
    /// `EXT-X-KEY` without a URI.
    #[error("EXT-X-KEY has no URI")]
    NoKeyUri,
    /// Neither `0x` nor at most 32 hexadecimal digits (RFC 8216 4.2).
    #[error("the IV of EXT-X-KEY is no 128-bit hexadecimal number")]
    BadIv,
    /// An error page in place of a key, or a key for another method.
    #[error("the key has {actual} bytes, not {expected}")]
    KeyLength { expected: usize, actual: usize },
    /// CBC yields whole blocks: part of the body is missing.
    #[error("{length} encrypted bytes are no whole number of 16-byte blocks")]
    BodyLength { length: usize },
    /// What comes out of the cipher is no media, and its padding is wrong: the key is not the one, or the body is
    /// damaged.
    #[error("decrypts to no media, and the padding is wrong: another key, or a damaged body")]
    Padding,
    /// Samples that are encrypted as `SAMPLE-AES` with a plain key does not encrypt them, or as it cannot be
    /// undone here.
    #[error("samples that are encrypted {what} (METHOD=SAMPLE-AES): not supported")]
    Samples { what: &'static str },
}

impl CryptError {
    /// Whether fetching key and segment again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::KeyLength { .. } | Self::BodyLength { .. } | Self::Padding)
    }
}

/// What is encrypted, and how long its key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Aes128,
    Aes256,
    /// Only the samples, with keys as for `Aes128`.
    SampleAes,
}

impl Method {
    pub(super) fn key_length(self) -> usize {
        match self {
            Self::Aes128 | Self::SampleAes => 16,
            Self::Aes256 => 32,
        }
    }
}

/// What decrypts one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    pub(super) method: Method,
    /// Where the key is, as the playlist resolves it.
    pub(super) key_uri: &'a str,
    pub(super) iv: [u8; BLOCK],
}

/// Key bytes. They are never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Key {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128(_) => "Aes128(…)",
            Self::Aes256(_) => "Aes256(…)",
        })
    }
}

impl<'a> Plan<'a> {
    /// What `key` asks for. `sequence` is the media sequence number of the segment: the vector where the tag
    /// has none, as a big-endian number (RFC 8216 5.2). An initialization section takes that of the segment
    /// that it is listed for; 8216bis 4.4.4.5 demands an explicit vector there.
    pub(super) fn new(key: &'a playlist::Key, sequence: u64) -> Result<Self, CryptError> {
        use playlist::KeyMethod;
        let method_name = match &key.method {
            KeyMethod::Aes128 => "AES-128",
            KeyMethod::SampleAes => "SAMPLE-AES",
            KeyMethod::Other(other) => other.as_str(),
        };
        let format = key.format.as_deref().unwrap_or(IDENTITY);
        if !format.trim().eq_ignore_ascii_case(IDENTITY) {
            let system = drm_system(format);
            return Err(CryptError::Drm { system, method: method_name.into(), format: format.into() });
        }
        let method = match method_name {
            "AES-128" => Method::Aes128,
            "AES-256" => Method::Aes256,
            "SAMPLE-AES" => Method::SampleAes,
            _ => return Err(CryptError::Method { method: method_name.into() }),
        };
        let key_uri = key.uri.as_deref().filter(|uri| !uri.is_empty()).ok_or(CryptError::NoKeyUri)?;
        let iv = match &key.iv {
            Some(text) => parse_iv(text)?,
            None => u128::from(sequence).to_be_bytes(),
        };
        Ok(Self { method, key_uri, iv })
    }
}

impl Key {
    /// The body of a key's URI as a key.
    pub(super) fn new(method: Method, body: &[u8]) -> Result<Self, CryptError> {
        let wrong = || CryptError::KeyLength { expected: method.key_length(), actual: body.len() };
        Ok(match method {
            Method::Aes128 | Method::SampleAes => Self::Aes128(key_bytes(body).ok_or_else(wrong)?),
            Method::Aes256 => Self::Aes256(key_bytes(body).ok_or_else(wrong)?),
        })
    }

    /// Whether this is probably the key of `body`: what it begins with is media beyond doubt, or it looks like
    /// media and its padding is right. Looks at its beginning and at its last block only, and leaves it as it is.
    pub(super) fn fits(&self, iv: &[u8; BLOCK], body: &[u8]) -> bool {
        let Some(head) = body.get(..body.len().min(HEAD) / BLOCK * BLOCK).filter(|head| !head.is_empty())
        else {
            return false;
        };
        let mut plain = head.to_vec();
        if self.blocks(iv, &mut plain).is_err() {
            return false;
        }
        padding::is_media(&plain) || begins_like_media(&plain) && self.is_padded(iv, body)
    }

    /// Whether the last block ends as PKCS#7 has it.
    fn is_padded(&self, iv: &[u8; BLOCK], body: &[u8]) -> bool {
        // The last block's vector is the block before it, or the segment's own where there is only one.
        let (last_iv, last) = match body.len().checked_sub(2 * BLOCK).and_then(|at| body.get(at..)) {
            Some(tail) => tail.split_at(BLOCK),
            None => (iv.as_slice(), body),
        };
        let Ok(last_iv) = <&[u8; BLOCK]>::try_from(last_iv) else { return false };
        let mut last = last.to_vec();
        self.blocks(last_iv, &mut last).is_ok() && padding::without_padding(&last).is_some()
    }

    /// The plain body. It is decrypted where it lies when nobody else holds it, which a body that was just
    /// received is; otherwise in a copy.
    ///
    /// # Errors
    ///
    /// A length that CBC cannot have, and a plaintext that is no media and not padded.
    pub(super) fn decrypt(&self, iv: &[u8; BLOCK], body: Bytes) -> Result<Bytes, CryptError> {
        let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        self.blocks(iv, &mut body)?;
        body.truncate(padding::media_length(&body)?);
        Ok(body.freeze())
    }

    /// The body with its samples in the clear, decrypted where they lie. `protection` is that of the
    /// segment's initialization section, where it has one.
    ///
    /// # Errors
    ///
    /// They are not encrypted as `SAMPLE-AES` with a plain key does it.
    pub(super) fn decrypt_samples(
        &self,
        iv: &[u8; BLOCK],
        protection: Option<&Protection>,
        body: Bytes,
    ) -> Result<Bytes, CryptError> {
        match self {
            Self::Aes128(key) => samples::decrypt(&Cipher::new(key), iv, protection, body),
            Self::Aes256(_) => Err(CryptError::KeyLength { expected: 16, actual: 32 }),
        }
    }

    /// Decrypts in place, padding included.
    fn blocks(&self, iv: &[u8; BLOCK], body: &mut [u8]) -> Result<(), CryptError> {
        let length = body.len();
        if length == 0 {
            return Err(CryptError::BodyLength { length });
        }
        let plain = match self {
            Self::Aes128(key) => {
                Decryptor::<Aes128>::new(key.into(), iv.into()).decrypt_padded::<NoPadding>(body).map(drop)
            }
            Self::Aes256(key) => {
                Decryptor::<Aes256>::new(key.into(), iv.into()).decrypt_padded::<NoPadding>(body).map(drop)
            }
        };
        plain.map_err(|_| CryptError::BodyLength { length })
    }
}

/// The bytes of a key: raw as RFC 8216 5 has it, also before the white space that editors and templates leave
/// behind it; or as text, hexadecimal or base64, which servers send that store their keys so. No key of another
/// form has these lengths.
fn key_bytes<const N: usize>(body: &[u8]) -> Option<[u8; N]> {
    let raw = body.split_first_chunk::<N>().filter(|(_, behind)| behind.iter().all(u8::is_ascii_whitespace));
    raw.map(|(key, _)| *key).or_else(|| {
        let text = body.trim_ascii();
        let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
        hexadecimal(digits).or_else(|| super::fetch::base64(text)?.try_into().ok())
    })
}

fn hexadecimal<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut key = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

/// `0x` and up to 32 hexadecimal digits, big-endian (RFC 8216 4.2 and 5.2). Fewer digits are a smaller number.
fn parse_iv(text: &str) -> Result<[u8; BLOCK], CryptError> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or(CryptError::BadIv)?;
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(CryptError::BadIv);
    }
    u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| CryptError::BadIv)
}

/// Whose `KEYFORMAT` this is.
fn drm_system(format: &str) -> &'static str {
    match format.trim().to_ascii_lowercase().as_str() {
        "com.apple.streamingkeydelivery" => "FairPlay",
        "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed" | "com.widevine" => "Widevine",
        "com.microsoft.playready" | "urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95" => "PlayReady",
        _ => "a DRM system",
    }
}

/// The first bytes of what HLS segments are: TS, ISO BMFF, and packed audio with or without ID3 (RFC 8216 3).
fn begins_like_media(first: &[u8]) -> bool {
    match first {
        [0x47, ..] | [0x0b, 0x77, ..] | [b'I', b'D', b'3', ..] => true,
        // ADTS (ISO/IEC 13818-7 6.2) and MPEG audio (ISO/IEC 11172-3 2.4.1.3) have eleven bits in common.
        [0xff, second, ..] if second & 0xe0 == 0xe0 => true,
        first => begin_file(first),
    }
}
