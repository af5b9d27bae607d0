//! What a processor sent back, to audio frames. Pure.
//!
//! An answer is fragmented or plain MP4, ADTS or MP3, and is checked like any hostile input. Whether it is the
//! sound of what was sent is judged by its length, roughly: fitting it into the slot of its batch is another's
//! work.

mod adts;
mod block;
mod mp3;
mod mp4;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use crate::media::{AudioCodec, AudioParams, Flicks, OutputAudio};
use crate::outside::Text;

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
    /// Far larger than any encoding of what was sent, or than anything that is read at all.
    #[error("{bytes} bytes of data, more than {limit} are not taken")]
    TooLarge { bytes: usize, limit: usize },
    #[error("neither mp4 nor adts nor mp3{}", .looks_like.map(|kind| format!(", looks like {kind}")).unwrap_or_default())]
    Unrecognised { looks_like: Option<&'static str> },
    /// The data ends within a frame or a box.
    #[error("cut off at byte {at} of {len}")]
    Truncated { at: usize, len: usize },
    /// Bytes between the frames that belong to none.
    #[error("no frame at byte {at}")]
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
    Unsupported(Text),
    #[error("codec configuration cannot be read")]
    BadConfig,
    /// An MP4 of AAC without an AudioSpecificConfig, and its frames are not what the sample entry suggests:
    /// FFmpeg's `empty_moov` of ADTS input does that without `-bsf:a aac_adtstoasc`.
    #[error("no AudioSpecificConfig, and it cannot be told from the frames")]
    NoConfig,
    /// None of what the outputs carry ([`OutputAudio`]).
    #[error("{codec:?} is not carried by the outputs: send AAC or MP3")]
    NotCarried { codec: AudioCodec },
    /// Too far from what was sent to be its sound.
    #[error("{answer_ms} ms of sound for a fragment of {fragment_ms} ms")]
    WrongDuration { answer_ms: i64, fragment_ms: i64 },
}

/// What an answer is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Of the audio that was sent.
    pub(crate) duration: Flicks,
    /// Bytes that were sent.
    pub(crate) sent: usize,
    /// Samples of priming of an answer that declares none.
    pub(crate) undeclared_priming: u32,
    /// What it is to be published in.
    pub(crate) outputs: OutputAudio,
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq)]
struct Contents {
    params: Arc<AudioParams>,
    frames: Vec<Bytes>,
    /// As declared.
    priming: Option<u64>,
    trailing: u64,
}

/// An answer may be this much longer or shorter than what was sent, or [`TOLERANCE`] where that is more: what is
/// within is cut, or filled with silence; what is beyond is another's sound, or none, and the batch is better
/// off with its own.
const TOLERANCE_PERCENT: i64 = 10;
const TOLERANCE: Flicks = Flicks::from_millis(1_000);

/// An answer may have this many times the bytes of what was sent, or [`LARGE`] where that is more: 320 kbit/s of MP3 for
/// 48 kbit/s of AAC are seven times. Answers wait for those before them, so that this bounds what is held.
const GROWTH: usize = 16;
const LARGE: usize = 1 << 20;

/// Takes an answer apart, and judges whether it can stand for what was sent.
pub(crate) fn read(data: &Bytes, terms: &Terms) -> Result<Processed, AnswerError> {
    let (bytes, limit) = (data.len(), terms.sent.saturating_mul(GROWTH).max(LARGE));
    if bytes > limit {
        return Err(AnswerError::TooLarge { bytes, limit });
    }
    let Contents { params, frames, priming, trailing } = take_apart(data)?;
    if !terms.outputs.carries(params.codec, frames.first().map_or(&[], |frame| frame)) {
        return Err(AnswerError::NotCarried { codec: params.codec });
    }
    let priming = priming.unwrap_or(terms.undeclared_priming.into());
    let total = frames.len() as u64 * u64::from(params.frame_len);
    let presented = total
        .checked_sub(priming.saturating_add(trailing))
        .filter(|presented| *presented > 0)
        .ok_or(AnswerError::NothingPresented { total })?;
    let presented = i64::try_from(presented).unwrap_or(i64::MAX);
    let presented = Flicks::from_samples(presented, params.sample_rate);
    let tolerance = TOLERANCE.max(Flicks::new(terms.duration.get() / 100 * TOLERANCE_PERCENT));
    if (presented - terms.duration).abs() > tolerance {
        let (answer_ms, fragment_ms) = (presented.to_millis(), terms.duration.to_millis());
        return Err(AnswerError::WrongDuration { answer_ms, fragment_ms });
    }
    Ok(Processed { params, frames, priming, trailing, raw: data.clone() })
}

fn take_apart(data: &Bytes) -> Result<Contents, AnswerError> {
    if data.is_empty() {
        return Err(AnswerError::Empty);
    }
    if mp4::is_mp4(data) {
        return mp4::read(data);
    }
    if adts::is_adts(data) {
        return adts::read(data);
    }
    if mp3::is_mp3(data) {
        return mp3::read(data);
    }
    Err(AnswerError::Unrecognised { looks_like: looks_like(data) })
}

/// Length of the ID3v2 tags at the start (ID3v2.4 section 3.1): packed audio of HLS and MP3 files have them.
fn id3_len(data: &[u8]) -> usize {
    let mut len = 0_usize;
    while let Some([b'I', b'D', b'3', _, _, flags, a, b, c, d]) =
        data.get(len..).and_then(|rest| rest.first_chunk())
    {
        // Seven bits to a byte.
        let size = [a, b, c, d].iter().fold(0_usize, |size, byte| size << 7 | usize::from(*byte & 0x7F));
        let footer = if flags & 0x10 != 0 { 10 } else { 0 };
        len = len.saturating_add(10 + size + footer);
    }
    len.min(data.len())
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
        [0xFF, second, ..] if second & 0xE0 == 0xE0 && second & 0x06 != 0 => Some("mpeg audio"),
        _ => None,
    }
}
