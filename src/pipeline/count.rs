//! What samples take in memory, by where they lie. Pure.

use bytes::Bytes;

use crate::media::{Batch, Piece};
use crate::memory::{Meter, SMALL, queued};

/// Gives the samples of `piece` counts of their own where they were gathered out of the packets of `segment`. Slices of
/// the segment are counted with it.
pub(super) fn samples(piece: &mut Piece, segment: &Bytes, meter: &Meter) {
    let within = segment.as_ptr_range();
    let pictures = piece.video.iter_mut().flat_map(|(_, samples)| samples).map(|sample| &mut sample.data);
    let frames = piece.audio.iter_mut().flat_map(|(_, frames)| frames).map(|frame| &mut frame.data);
    for data in pictures.chain(frames) {
        if data.len() >= SMALL && !within.contains(&data.as_ptr()) {
            *data = meter.wrap(std::mem::take(data));
        }
    }
}

/// What the samples of a piece take beside what has a count of its own.
pub(super) fn piece(piece: &Piece) -> u64 {
    let pictures = piece.video.iter().flat_map(|(_, samples)| samples).map(|sample| &sample.data);
    let frames = piece.audio.iter().flat_map(|(_, frames)| frames).map(|frame| &frame.data);
    pictures.chain(frames).map(|data| queued(data.len())).sum()
}

/// The same of a batch.
pub(super) fn batch(batch: &Batch) -> u64 {
    let pictures = batch.video.iter().flat_map(|track| &track.samples).map(|sample| &sample.data);
    let frames = batch.audio.iter().flat_map(|track| &track.frames);
    pictures.chain(frames).map(|data| queued(data.len())).sum()
}
