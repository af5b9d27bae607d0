//! `METHOD=SAMPLE-AES` with a plain key: the samples are encrypted, and not the containers around them. Pure.
//!
//! - Transport streams and packed audio: Apple, "MPEG-2 Stream Encryption Format for HTTP Live Streaming":
//!   slices of H.264 in a pattern of one block in ten, frames of AAC and (E-)AC-3 behind a clear beginning,
//!   with the vector of `EXT-X-KEY`.
//! - Fragmented MP4: the scheme `cbcs` of ISO/IEC 23001-7, with the vectors of the file.
//!
//! Every sample keeps its size, so each is decrypted where it lies, and what told of the encryption is renamed:
//! what comes out is a segment in the clear, for everything that follows.

mod cbcs;
mod elementary;
mod mpegts;
#[cfg(test)]
mod tests;

use aes::Aes128;
use bytes::{Bytes, BytesMut};
use cbc::Decryptor;
use cbc::cipher::{BlockModeDecrypt, InnerIvInit, KeyInit};
use overdub_ts::elementary::codec_at;

use super::{BLOCK, CryptError};
use crate::media::id3;

pub(in crate::hls) use cbcs::{Protection, open};

/// An AES key that is ready, for many runs of blocks.
pub(in crate::hls::crypt) struct Cipher(Aes128);

impl Cipher {
    pub(in crate::hls::crypt) fn new(key: &[u8; BLOCK]) -> Self {
        Self(Aes128::new(key.into()))
    }

    /// A run of blocks that begins with this vector.
    fn run(&self, iv: &[u8; BLOCK]) -> Run {
        Run(Decryptor::inner_iv_init(self.0.clone(), iv.into()))
    }
}

/// Blocks that are chained to one another.
struct Run(Decryptor<Aes128>);

impl Run {
    /// Decrypts the whole blocks of `bytes`; what is left over is in the clear.
    fn decrypt(&mut self, bytes: &mut [u8]) {
        for block in bytes.as_chunks_mut::<BLOCK>().0 {
            self.0.decrypt_block(block.into());
        }
    }

    /// Decrypts `crypt` blocks, leaves `skip` alone, and so on; without `skip` everything.
    fn decrypt_pattern(&mut self, bytes: &mut [u8], crypt: usize, skip: usize) {
        if skip == 0 {
            return self.decrypt(bytes);
        }
        for stretch in bytes.chunks_mut((crypt + skip) * BLOCK) {
            let encrypted = stretch.len().min(crypt * BLOCK);
            self.decrypt(&mut stretch[..encrypted]);
        }
    }
}

/// Decrypts the samples of a segment. `protection` is that of its initialization section, where it has one.
///
/// # Errors
///
/// The segment is of a format, or encrypted in a way, that `SAMPLE-AES` with a plain key does not have.
pub(in crate::hls::crypt) fn decrypt(
    cipher: &Cipher,
    iv: &[u8; BLOCK],
    protection: Option<&Protection>,
    body: Bytes,
) -> Result<Bytes, CryptError> {
    let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    if let Some(protection) = protection {
        protection.decrypt(cipher, &mut body)?;
        return Ok(body.freeze());
    }
    let tags = id3::length(&body);
    if mpegts::is_one(&body) {
        mpegts::decrypt(cipher, iv, &mut body)?;
    } else if let Some(codec) = codec_at(body.get(tags..).unwrap_or_default()) {
        elementary::audio(codec, cipher, iv, &mut body[tags..])?;
    } else {
        return Err(CryptError::Samples {
            what: "in a segment that is no MPEG-TS, packed audio, nor MP4 with an EXT-X-MAP",
        });
    }
    Ok(body.freeze())
}
