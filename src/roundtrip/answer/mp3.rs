//! Answers in MP3 without a container. Pure.

use std::sync::Arc;

use bytes::Bytes;

use super::{AnswerError, Contents, MAX_FRAMES, id3_len};
use crate::media::mpeg_audio::{self, Mp3Header};
use crate::media::{AudioCodec, AudioParams};

/// A frame of layer III stands at the start, behind ID3 tags where there are any, and another one follows it
/// or the data ends: two bytes alone would be found in anything.
pub(super) fn is_mp3(data: &[u8]) -> bool {
    let Some(data) = data.get(id3_len(data)..) else { return false };
    let Some(header) = Mp3Header::parse(data) else { return false };
    match data.get(header.len..) {
        None | Some([]) => true,
        Some(next) => Mp3Header::parse(next).is_some() || next.starts_with(b"TAG"),
    }
}

/// The frames of `data`, which [`is_mp3`].
pub(super) fn read(data: &Bytes) -> Result<Contents, AnswerError> {
    let mut at = id3_len(data);
    let mut params: Option<Arc<AudioParams>> = None;
    let mut frames = Vec::new();
    let mut gapless = None;
    while at < data.len() {
        let rest = &data[at..];
        // ID3v1 or APEv2 closes some files.
        if rest.starts_with(b"TAG") || rest.starts_with(b"APETAGEX") {
            break;
        }
        let Some(header) = Mp3Header::parse(rest) else {
            return Err(if rest.len() < 4 {
                AnswerError::Truncated { at, len: data.len() }
            } else {
                AnswerError::Broken { at }
            });
        };
        let end = at + header.len;
        if end > data.len() {
            return Err(AnswerError::Truncated { at, len: data.len() });
        }
        let frame = data.slice(at..end);
        at = end;
        if params.is_none()
            && let Some(note) = mpeg_audio::note(&header, &frame)
        {
            gapless = note.gapless;
            params = Some(params_of(&header));
            continue;
        }
        let params = params.get_or_insert_with(|| params_of(&header));
        if (params.sample_rate, params.channels, params.frame_len)
            != (header.sample_rate, header.channels, header.samples)
        {
            return Err(AnswerError::ConfigurationChange { frame: frames.len() });
        }
        if frames.len() == MAX_FRAMES {
            return Err(AnswerError::TooLong);
        }
        frames.push(frame);
    }
    let params = params.filter(|_| !frames.is_empty()).ok_or(AnswerError::NoFrames)?;
    let (priming, trailing) =
        gapless.map_or((None, 0), |(priming, trailing)| (Some(priming.into()), trailing.into()));
    Ok(Contents { params, frames, priming, trailing })
}

fn params_of(header: &Mp3Header) -> Arc<AudioParams> {
    Arc::new(AudioParams {
        codec: AudioCodec::MpegAudio,
        config: Bytes::new(),
        sample_rate: header.sample_rate,
        channels: header.channels,
        frame_len: header.samples,
        codec_string: header.codec_string().to_owned(),
    })
}
