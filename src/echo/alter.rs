//! What a fault makes of a fragment: broken bytes, or other sound, well-formed all the same. Pure but for chance.

use std::sync::Arc;

use bytes::Bytes;
use overdub_fmp4::{Chunks, Edit, Fragment, TrackConfig, WriteError, init_segment};

use super::Fault;
use crate::media::{AudioTrack, Flicks, mp4, silent_frame_like};

/// The fragment cannot be altered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlterError {
    #[error("fragment is not the mp4 that the protocol says")]
    NotMp4,
    #[error("no silence can be made in the fragment's configuration")]
    NoSilence,
    #[error("not writable: {0}")]
    Write(#[from] WriteError),
}

/// The answer that `fault` makes of `data`.
pub fn answer(fault: &Fault, data: Bytes) -> Result<Bytes, AlterError> {
    Ok(match fault {
        Fault::Garbage => data.iter().map(|byte| !byte).collect(),
        Fault::Corrupt => {
            let mut data = data.to_vec();
            for _ in 0..data.len().div_ceil(64) {
                let at = rand::random_range(0..data.len());
                data[at] = rand::random();
            }
            data.into()
        }
        Fault::Truncate => data.slice(..data.len() / 2),
        Fault::Empty => Bytes::new(),
        Fault::Oversize(bytes) => {
            let mut data = data.to_vec();
            data.resize(data.len().max(*bytes), 0);
            data.into()
        }
        Fault::Length(percent) => length(&data, *percent)?,
        Fault::Silence => silence(&data)?,
        Fault::Priming { samples, declared } => priming(&data, *samples, *declared)?,
        Fault::Late(_) | Fault::Duplicate | Fault::Drop | Fault::Disconnect | Fault::Fail { .. } => data,
    })
}

/// The fragment's sound, `percent` longer or shorter: frames are repeated from its beginning, or missing at its end.
pub fn length(fragment: &Bytes, percent: f64) -> Result<Bytes, AlterError> {
    let mut track = read(fragment)?;
    let wanted = (track.frames.len() as f64 * (1.0 + percent / 100.0)).round().max(0.0) as usize;
    track.frames = track.frames.iter().cycle().take(wanted).cloned().collect();
    write(&track, None)
}

/// Silence of the same length and configuration.
pub fn silence(fragment: &Bytes) -> Result<Bytes, AlterError> {
    let mut track = read(fragment)?;
    let silent = silent(&track)?;
    track.frames.fill(silent);
    write(&track, None)
}

/// The same sound behind `samples` of silence, to the nearest frame, which the edit list says or not.
pub fn priming(fragment: &Bytes, samples: u32, declared: bool) -> Result<Bytes, AlterError> {
    let mut track = read(fragment)?;
    let frame = track.params.frame_len.max(1);
    let frames = (samples + frame / 2) / frame;
    let silent = silent(&track)?;
    track.frames.splice(0..0, std::iter::repeat_n(silent, frames as usize));
    let edit = Edit { media_time: samples.into(), ..Edit::default() };
    write(&track, declared.then_some(edit))
}

fn silent(track: &AudioTrack) -> Result<Bytes, AlterError> {
    let like = track.frames.first().map_or(&[][..], |frame| frame);
    silent_frame_like(&track.params, like).ok_or(AlterError::NoSilence)
}

fn read(fragment: &Bytes) -> Result<AudioTrack, AlterError> {
    let movie = overdub_fmp4::parse(fragment).map_err(|_| AlterError::NotMp4)?;
    let track = movie.tracks.into_iter().find(|track| track.info.config.codec.is_audio());
    let track = track.ok_or(AlterError::NotMp4)?;
    let first = track.samples.first().ok_or(AlterError::NotMp4)?;
    let params = mp4::audio_params(&track.info.config.codec, &first.data).ok_or(AlterError::NotMp4)?;
    let frames = track.samples.into_iter().map(|sample| sample.data).collect();
    Ok(AudioTrack { params: Arc::new(params), start: Flicks::ZERO, frames })
}

fn write(track: &AudioTrack, edit: Option<Edit>) -> Result<Bytes, AlterError> {
    let mut out = Chunks::default();
    out.push(init_segment(&[TrackConfig { edit, ..mp4::audio_config(&track.params) }])?);
    if !track.frames.is_empty() {
        let run = mp4::audio_run(track, 0..track.frames.len(), track.start);
        out.append(Fragment::new(1, vec![run]).encode()?);
    }
    Ok(out.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::AudioParams;

    fn fragment(frames: usize) -> Bytes {
        let frames = (0..frames).map(|k| Bytes::from(format!("frame {k}"))).collect();
        write(&AudioTrack { params: Arc::new(AudioParams::plain_aac()), start: Flicks::ZERO, frames }, None)
            .unwrap()
    }

    #[test]
    fn the_sound_is_longer_shorter_or_silent() {
        let count = |percent| read(&length(&fragment(100), percent).unwrap()).unwrap().frames.len();
        assert_eq!([-3.0, 0.0, 3.0, 100.0].map(count), [97, 100, 103, 200]);
        assert!(matches!(read(&length(&fragment(100), -100.0).unwrap()), Err(AlterError::NotMp4)));
        let silent = read(&silence(&fragment(3)).unwrap()).unwrap();
        assert!(silent.frames.iter().all(|frame| frame.len() == 6));
        assert!(matches!(silence(&Bytes::from_static(b"nothing")), Err(AlterError::NotMp4)));
    }

    #[test]
    fn priming_is_whole_frames_of_silence_declared_to_the_sample_or_not() {
        for (samples, frames) in [(1_024, 1), (1_600, 2), (2_112, 2)] {
            for declared in [true, false] {
                let data = priming(&fragment(10), samples, declared).unwrap();
                let movie = overdub_fmp4::parse(&data).unwrap();
                assert_eq!(movie.tracks[0].samples.len(), 10 + frames);
                assert_eq!(movie.tracks[0].priming(), if declared { samples.into() } else { 0 });
                assert_eq!(movie.tracks[0].samples[frames].data, "frame 0");
            }
        }
    }
}
