//! What an audio codec tells of its frames.

use std::sync::Arc;

use bytes::Bytes;

use crate::event::AudioParams;

/// What the start of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// A frame of so many bytes, header included.
    Frame(usize),
    /// It takes more bytes to tell.
    More,
    /// No frame.
    None,
}

/// One or more access units out of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) data: Bytes,
    /// Audio samples in it.
    pub(crate) samples: u32,
    /// It is not whole.
    pub(crate) broken: bool,
}

impl Unit {
    pub(crate) fn new(data: Bytes, samples: u32) -> Self {
        Self { data, samples, broken: false }
    }
}

/// The rules of a codec.
pub(crate) trait Format: Default + std::fmt::Debug + Send + Sync {
    /// First byte of the sync word.
    const SYNC: u8;
    /// Frames without stamps follow each other by whole ticks, rounded down, instead of on the exact grid of
    /// [`super::timing::after_frame`]. Either is right to the frame, and each stamp begins anew; FFmpeg does the one for AAC
    /// and the other for the rest, and equal stamps are worth more than a tick.
    const WHOLE_TICKS: bool = true;

    /// The beginning of a frame is of use to a decoder.
    const CUT_IS_OF_USE: bool = true;

    /// Looks for a frame at the start of `bytes`. `ended`: no more bytes will come soon.
    fn sync(&self, bytes: &[u8], ended: bool) -> Head;

    /// Whether a frame header says what that of the last frame said, in so many bits that no chance does it.
    fn is_familiar(&self, _: &[u8]) -> bool {
        false
    }

    /// Called with a frame and all that there is behind it, before [`Self::open`].
    fn look_ahead(&mut self, _: &[u8]) {}

    /// How many bytes of a broken frame are the header that samples come without.
    fn header_len(&self, _: &[u8]) -> usize {
        0
    }

    /// Takes a whole frame apart. `None`: its content is broken.
    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>>;
}
