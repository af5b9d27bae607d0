//! FLV tag bodies, which RTMP's audio and video messages carry (Adobe FLV 10.1, annex E.4.2 and E.4.3), and those
//! of Enhanced RTMP v1 for HEVC and v2 for Opus, AC-3 and E-AC-3.
//!
//! Encoding returns a [`Prefix`] of a few bytes that stands before the caller's payload.

mod audio;
mod file;
mod video;

pub use audio::{AudioFourCc, AudioTag, Mp3Format};
pub use file::{FILE_HEADER, TagKind, write_tag};
pub use video::{VideoCodec, VideoKind, VideoTag};

/// All FourCCs of Enhanced RTMP that are spoken here.
pub const FOUR_CCS: [&str; 4] = ["hvc1", "Opus", "ac-3", "ec-3"];

/// The bytes of a tag body before the media payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; 8],
    len: u8,
}

impl Prefix {
    fn new(parts: &[&[u8]]) -> Self {
        let mut prefix = Self { bytes: [0; 8], len: 0 };
        for (to, from) in prefix.bytes.iter_mut().zip(parts.iter().copied().flatten()) {
            *to = *from;
            prefix.len += 1;
        }
        prefix
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The tag body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("tag body of {0} bytes is too short")]
    TooShort(usize),
    #[error("video codec id {0} is not supported")]
    VideoCodec(u8),
    #[error("audio four-character code {0:02x?} is not supported")]
    AudioFourCc([u8; 4]),
    #[error("video four-character code {0:02x?} is not supported")]
    FourCc([u8; 4]),
    #[error("packet type {0} is not known")]
    PacketType(u8),
    #[error("sound format {0} is not supported")]
    SoundFormat(u8),
}
