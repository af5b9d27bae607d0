//! Soft borders (`contextFrames`): which frames a batch is sent with beside its own. Pure.
//!
//! A slot ends that many frames before the last frame that was captured: the frames behind it are at hand when it
//! is sent, and nothing waits for the next segment. They begin the next slot.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::{AudioContext, AudioTrack, Flicks, Moment};

/// The frames between the batch that was closed last and the one that is open.
#[derive(Debug, Default)]
pub(super) struct Borders {
    frames: usize,
    /// The frames that the last slot ended with, its period, and where it ended.
    before: Option<(AudioTrack, u64, Flicks)>,
    held: Option<Held>,
}

/// Audio of a batch, or of the next one, and where it came from.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) period: u64,
    /// The last segment with frames of it, and when that was captured.
    pub(super) segment: u64,
    pub(super) captured_at: Moment,
    pub(super) track: AudioTrack,
}

impl Borders {
    pub(super) fn new(frames: usize) -> Self {
        Self { frames, ..Self::default() }
    }

    /// Frames that were sent behind one batch and belong to the next.
    pub(super) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The held frames, to begin a batch of `period` whose own audio, if it has any yet, is `audio`. `None`: there
    /// are none, or they do not join.
    pub(super) fn begin(&mut self, period: u64, audio: Option<&AudioTrack>) -> Option<AudioTrack> {
        let joins = |held: &mut Held| {
            held.period == period
                && audio
                    .is_none_or(|audio| held.track.params == audio.params && held.track.end() == audio.start)
        };
        self.held.take_if(joins).map(|held| held.track)
    }

    /// Held frames that no batch continues, to be a batch of their own.
    pub(super) fn release(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// Splits the audio of a batch that closes: what is its own, and what it is sent with. What belongs to the next
    /// batch is held for it, unless this one ends its stretch of source (`last`).
    pub(super) fn close(&mut self, audio: Held, last: bool) -> (AudioTrack, AudioContext) {
        let Held { period, mut track, .. } = audio;
        if self.frames == 0 {
            return (track, AudioContext::default());
        }
        let before = self.before.take();
        let before = before.filter(|(before, of, end)| {
            (*of, *end) == (period, track.start) && before.params == track.params
        });
        // A batch keeps a frame at least.
        let count = if last { 0 } else { self.frames.min(track.frames.len().saturating_sub(1)) };
        let behind = split_off_last(&mut track, count);
        let context = AudioContext {
            before: before.map(|(before, ..)| before.frames).unwrap_or_default(),
            after: behind.frames.clone(),
        };
        self.held = (count > 0).then_some(Held { track: behind, ..audio });
        let mut slot = track.clone();
        let ends = split_off_last(&mut slot, self.frames.min(track.frames.len()));
        self.before = Some((ends, period, track.end()));
        (track, context)
    }
}

/// The last `count` frames of `track`, which loses them.
fn split_off_last(track: &mut AudioTrack, count: usize) -> AudioTrack {
    let at = track.frames.len().saturating_sub(count);
    let start = track.pts(at);
    let frames: Vec<Bytes> = track.frames.split_off(at);
    AudioTrack { params: Arc::clone(&track.params), start, frames }
}
