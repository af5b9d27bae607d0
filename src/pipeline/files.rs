//! What is written of a batch when it is captured, and what of it the processor gets. Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_fmp4::WriteError;

use crate::media::{AudioParams, Batch, Flicks, mp4};

/// What is written of a batch when it is captured.
pub(super) struct Files {
    pub(super) video: Option<Result<Vec<Bytes>, WriteError>>,
    pub(super) audio: Option<Result<Sent, WriteError>>,
}

/// The audio of a batch as the processor gets it.
pub(super) struct Sent {
    pub(super) data: Bytes,
    pub(super) duration: Flicks,
    pub(super) pts: Flicks,
    pub(super) params: Arc<AudioParams>,
}

impl Files {
    /// `requests`: the processor gets the audio.
    pub(super) fn of(batch: &Batch, requests: bool) -> Self {
        let origin = batch.start - batch.shift;
        let video = batch.video.as_ref().map(|video| mp4::file(Some(video), None, origin));
        let audio = batch.audio.as_ref().filter(|audio| requests && !audio.frames.is_empty());
        let sent = |audio| {
            let sent = batch.context.around(audio);
            let file = mp4::file(None, Some(&sent), sent.start)?;
            Ok(Sent {
                // The one copy beside the gathering: a Socket.IO attachment is one piece.
                data: file.to_bytes(),
                duration: sent.duration(),
                pts: sent.start,
                params: Arc::clone(&sent.params),
            })
        };
        Self { video: video.map(|file| Ok(file?.into_iter().collect())), audio: audio.map(sent) }
    }
}
