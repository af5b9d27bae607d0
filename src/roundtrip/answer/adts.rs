//! Answers in ADTS (ISO/IEC 14496-3 1.A.2.2). Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_ts::adts::{self, Header};

use super::{AnswerError, Contents, MAX_FRAMES, id3_len};
use crate::media::{AudioCodec, AudioParams};

/// An ADTS frame stands at the start, behind ID3 tags where there are any.
pub(super) fn is_adts(data: &[u8]) -> bool {
    data.get(id3_len(data)..).is_some_and(|data| Header::parse(data).is_ok())
}

/// The frames of `data`, which [`is_adts`].
pub(super) fn read(data: &Bytes) -> Result<Contents, AnswerError> {
    let begin = id3_len(data);
    let mut expected = 0;
    let mut first: Option<Header> = None;
    let mut params = None;
    let mut frames = Vec::new();
    for frame in adts::frames(data.slice(begin..)) {
        if frame.at != expected {
            return Err(AnswerError::Broken { at: begin.saturating_add(expected) });
        }
        expected = frame.at.saturating_add(frame.header.frame_len);
        if frames.len() == MAX_FRAMES {
            return Err(AnswerError::TooLong);
        }
        if frame.header.blocks != 1 {
            // Where one block ends and the next begins is known after decoding only.
            return Err(AnswerError::Unsupported("adts with several blocks per frame".into()));
        }
        let header = *first.get_or_insert(frame.header);
        if params.is_none() {
            params = Some(params_of(&header, &frame.data)?);
        }
        if configuration(&header) != configuration(&frame.header) {
            return Err(AnswerError::ConfigurationChange { frame: frames.len() });
        }
        frames.push(frame.data);
    }
    let end = begin.saturating_add(expected);
    match data.get(end..) {
        // ID3v1 closes some files.
        None | Some([]) | Some([b'T', b'A', b'G', ..]) => {}
        Some(_) => return Err(AnswerError::Truncated { at: end, len: data.len() }),
    }
    let params = Arc::new(params.ok_or(AnswerError::NoFrames)?);
    Ok(Contents { params, frames, priming: None, trailing: 0 })
}

fn configuration(header: &Header) -> (u8, u8, u8) {
    (header.object_type, header.rate_index, header.channel_configuration)
}

fn params_of(header: &Header, block: &[u8]) -> Result<AudioParams, AnswerError> {
    let params = header.params(block).ok_or(AnswerError::BadConfig)?;
    Ok(AudioParams {
        codec: AudioCodec::Aac,
        config: params.config,
        sample_rate: params.sample_rate,
        channels: params.channels,
        frame_len: params.frame_len,
        codec_string: params.codec_string,
    })
}
