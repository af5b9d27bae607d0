//! Answers in MP4, fragmented or plain. Pure.

use std::sync::Arc;

use bytes::Bytes;
use overdub_fmp4::{self as fmp4, Codec, Problem, TimedSample, Track};

use super::{AnswerError, Contents, MAX_FRAMES, block};
use crate::media::{AudioParams, asc, mp4};

/// Lowest and highest rate that is believed, in Hz: those of AAC.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 7_350..=96_000;

/// Samples of all tracks: other tracks may be beside the one that is taken. Nothing is made of a file with more.
const MAX_SAMPLES: usize = 2 * MAX_FRAMES;

/// Box types that a file begins with.
const FIRST_BOXES: [&[u8; 4]; 11] =
    [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"pdin", b"uuid"];

/// A box that files begin with stands at the start.
pub(super) fn is_mp4(data: &[u8]) -> bool {
    data.get(4..8).is_some_and(|kind| FIRST_BOXES.iter().any(|first| first.as_slice() == kind))
}

/// The first audio track of `data`, which [`is_mp4`].
pub(super) fn read(data: &Bytes) -> Result<Contents, AnswerError> {
    let movie = fmp4::parse_at_most(data, MAX_SAMPLES).map_err(|error| match error.problem {
        Problem::TooMany { .. } => AnswerError::TooLong,
        _ => AnswerError::Mp4(error),
    })?;
    // What costs samples would shift what is behind it: better the original than that.
    if let Some(error) = movie.damage.errors().iter().find(|error| !is_harmless(&error.problem)) {
        return Err(AnswerError::Mp4(error.clone()));
    }
    let is_sound = |track: &&Track| track.info.config.codec.is_audio() || &track.info.handler == b"soun";
    let track = movie.tracks.iter().find(is_sound).ok_or(AnswerError::NoAudioTrack)?;
    let first = track.samples.first().ok_or(AnswerError::NoFrames)?;
    if track.samples.len() > MAX_FRAMES {
        return Err(AnswerError::TooLong);
    }
    let codec = track.info.codec_of(first.entry).ok_or(AnswerError::BadConfig)?;
    let changed = |sample: &TimedSample| {
        sample.entry != first.entry && track.info.codec_of(sample.entry) != Some(codec)
    };
    if let Some(frame) = track.samples.iter().position(changed) {
        return Err(AnswerError::ConfigurationChange { frame });
    }
    if !codec.is_audio() {
        let entry = track.info.sample_entry.escape_ascii();
        return Err(AnswerError::Unsupported(format!("sample entry {entry}").into()));
    }
    let params = if track.info.assumed_config {
        told_by_frames(track, codec, first).ok_or(AnswerError::NoConfig)?
    } else {
        mp4::audio_params(codec, &first.data).ok_or(AnswerError::BadConfig)?
    };
    if !SAMPLE_RATES.contains(&params.sample_rate) || params.channels == 0 || params.frame_len == 0 {
        return Err(AnswerError::BadConfig);
    }
    let timescale = track.info.config.timescale;
    check_continuity(&track.samples, &params, timescale)?;

    let samples = |time: u64| rescale(time, timescale, params.sample_rate);
    // Many muxers write an edit list that hides nothing whatever the encoder did: that declares nothing.
    let priming = Some(samples(track.priming())).filter(|priming| *priming > 0);
    let cut = samples(cut_of_last(track, &params));
    let trailing = match track.info.gapless {
        // Two ways to say the same.
        Some(_) => cut.max(samples(track.trailing())),
        None => cut.saturating_add(samples(track.trailing())),
    };
    let frames = track.samples.iter().map(|sample| sample.data.clone()).collect();
    Ok(Contents { params: Arc::new(params), frames, priming, trailing })
}

/// The parameters where the file has no AudioSpecificConfig: AAC-LC at the rate and with the channels of the sample
/// entry, or at half of it where a frame is stated to last twice as long (HE-AAC, which then signals itself in its
/// frames). The first frame must begin with the element that this many channels begin with.
fn told_by_frames(track: &Track, codec: &Codec, first: &TimedSample) -> Option<AudioParams> {
    let plain = mp4::audio_params(codec, &first.data)?;
    let lasts = |params: &AudioParams| {
        rescale(first.duration.into(), track.info.config.timescale, params.sample_rate)
    };
    let element = block::first_element(&first.data)?;
    let params = if lasts(&plain) == u64::from(plain.frame_len) {
        plain
    } else {
        let Codec::Aac { sample_rate, channels, .. } = codec else { return None };
        // Parametric stereo is two channels out of one.
        let channels = if element == block::Element::Single && *channels == 2 { 1 } else { *channels };
        let half = Codec::Aac {
            asc: asc::low_complexity(sample_rate / 2, channels)?,
            sample_rate: sample_rate / 2,
            channels,
        };
        mp4::audio_params(&half, &first.data).filter(|half| lasts(half) == u64::from(half.frame_len))?
    };
    let expected = if params.channels == 2 { block::Element::Pair } else { block::Element::Single };
    (element == expected).then_some(params)
}

/// Damage beside the samples of the first audio track.
fn is_harmless(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::SeveralEdits
            | Problem::ChangedMovie
            | Problem::UnknownTrack(_)
            | Problem::DuplicateTrack(_)
            | Problem::TooManyTracks(_)
    )
}

/// By how much the last frame is stated to be shorter than a frame, in the track's timescale: FFmpeg
/// declares padding so.
fn cut_of_last(track: &Track, params: &AudioParams) -> u64 {
    let whole = rescale(params.frame_len.into(), params.sample_rate, track.info.config.timescale);
    let stated = track.samples.last().map_or(0, |last| u64::from(last.duration));
    // A tick less is the rounding of a coarse timescale; zero is "not known".
    match whole.saturating_sub(stated) {
        0 | 1 => 0,
        cut if stated > 0 => cut,
        _ => 0,
    }
}

/// Frames are laid end to end, so a hole in the answer would shift what is behind it. Steps back are not
/// looked at: some muxers begin each fragment at zero.
fn check_continuity(
    samples: &[TimedSample],
    params: &AudioParams,
    timescale: u32,
) -> Result<(), AnswerError> {
    let one = rescale(params.frame_len.into(), params.sample_rate, timescale);
    let most = i64::try_from(one.saturating_mul(2)).unwrap_or(i64::MAX);
    let hole = samples.windows(2).position(|pair| pair[1].dts.saturating_sub(pair[0].dts) > most);
    hole.map_or(Ok(()), |index| Err(AnswerError::Hole { frame: index + 1 }))
}

/// `time` of `from` units per second in `to` units per second, to the nearest.
fn rescale(time: u64, from: u32, to: u32) -> u64 {
    let from = u128::from(from.max(1));
    u64::try_from((u128::from(time) * u128::from(to) + from / 2) / from).unwrap_or(u64::MAX)
}
