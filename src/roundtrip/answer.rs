//! What a processor sent back, to audio frames. Pure.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::AudioParams;

/// Processed audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    pub params: Arc<AudioParams>,
    /// Raw frames, slices of `raw`.
    pub frames: Vec<Bytes>,
    /// Samples at the start that belong to the encoder and not to the sound.
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
}

pub(super) fn read(data: &Bytes, undeclared_priming: u32) -> Result<Processed, AnswerError> {
    let _ = undeclared_priming;
    if data.is_empty() { Err(AnswerError::Empty) } else { Err(AnswerError::NoData) }
}
