//! What a processor sent back, to audio frames. Pure.
//!
//! An answer is fragmented or plain MP4, or ADTS, and is checked like any hostile input. Its length is not
//! judged here, unless it is absurd: fitting it into the slot of its batch is another's work.

mod adts;
mod mp4;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::media::AudioParams;

/// Most frames of an answer: half an hour of AAC, far beyond every batch. It bounds what the list of
/// frames takes, since a frame may be a few bytes long.
const MAX_FRAMES: usize = 100_000;

/// Processed audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    pub params: Arc<AudioParams>,
    /// Raw frames, slices of `raw`.
    pub frames: Vec<Bytes>,
    /// Samples (at `params.sample_rate`) at the start that belong to the encoder and not to the sound.
    pub priming: u64,
    /// Samples at the end that belong to the encoder and not to the sound.
    pub trailing: u64,
    /// The answer as it was received.
    pub raw: Bytes,
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The event carried no binary where its data should be.
    #[error("no binary data")]
    NoData,
    #[error("zero bytes of data")]
    Empty,
    #[error("neither mp4 nor adts{}", .looks_like.map(|kind| format!(", looks like {kind}")).unwrap_or_default())]
    Unrecognised { looks_like: Option<&'static str> },
    /// The data ends within a frame or a box.
    #[error("cut off at byte {at} of {len}")]
    Truncated { at: usize, len: usize },
    /// Bytes between the frames that belong to none.
    #[error("no adts frame at byte {at}")]
    Broken { at: usize },
    /// The boxes are broken, with the place.
    #[error("mp4: {0}")]
    Mp4(overdub_fmp4::ReadError),
    #[error("no audio track")]
    NoAudioTrack,
    /// Times of an MP4 jump forwards at this frame.
    #[error("hole before frame {frame}")]
    Hole { frame: usize },
    /// Priming and padding together are all there is.
    #[error("priming and padding hide all of its {total} samples")]
    NothingPresented { total: u64 },
    #[error("no audio frames")]
    NoFrames,
    #[error("more than {MAX_FRAMES} frames")]
    TooLong,
    /// One answer is one configuration.
    #[error("configuration changes at frame {frame}")]
    ConfigurationChange { frame: usize },
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("codec configuration cannot be read")]
    BadConfig,
}

/// Takes an answer apart. Where it does not declare its priming, `undeclared_priming` is taken.
pub(crate) fn read(data: &Bytes, undeclared_priming: u32) -> Result<Processed, AnswerError> {
    if data.is_empty() {
        return Err(AnswerError::Empty);
    }
    if mp4::is_mp4(data) {
        return mp4::read(data, undeclared_priming);
    }
    if adts::is_adts(data) {
        return adts::read(data, undeclared_priming);
    }
    Err(AnswerError::Unrecognised { looks_like: looks_like(data) })
}

/// A guess at the format, for the person who wrote the processor.
fn looks_like(data: &[u8]) -> Option<&'static str> {
    match data {
        [b'R', b'I', b'F', b'F', ..] => Some("wav"),
        [b'O', b'g', b'g', b'S', ..] => Some("ogg"),
        [b'f', b'L', b'a', b'C', ..] => Some("flac"),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Some("webm or matroska"),
        [b'{' | b'[', ..] => Some("json"),
        [b'<', ..] => Some("html or xml"),
        [0x47, ..] if data.get(188) == Some(&0x47) => Some("mpeg-ts"),
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && second & 0x06 != 0 => Some("mp3 without a container"),
        [b'I', b'D', b'3', ..] => Some("mp3 without a container"),
        _ => None,
    }
}
