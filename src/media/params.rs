//! What a decoder must know before the first sample.

use bytes::Bytes;

use super::{Flicks, asc};

/// Video codecs that Overdub carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264, ISO/IEC 14496-10.
    Avc,
    /// H.265, ISO/IEC 23008-2.
    Hevc,
}

/// Audio codecs that Overdub carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC in all its profiles, ISO/IEC 14496-3.
    Aac,
    /// MPEG-1/2 layer II or III, ISO/IEC 11172-3.
    MpegAudio,
    Ac3,
    Eac3,
    Opus,
}

/// The configuration of a video track. Two tracks with equal parameters decode with one decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoParams {
    pub codec: VideoCodec,
    /// The decoder configuration record: `avcC` (ISO/IEC 14496-15 5.3.3.1) or `hvcC` (8.3.3.1), without a
    /// box header. NAL lengths are always 4 bytes.
    pub config: Bytes,
    /// Displayed size in pixels, cropping applied.
    pub width: u32,
    pub height: u32,
    /// RFC 6381, for example `avc1.64001f`.
    pub codec_string: String,
}

/// The configuration of an audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioParams {
    pub codec: AudioCodec,
    /// AAC: the AudioSpecificConfig, whole. AC-3, E-AC-3, Opus: the payload of `dac3`, `dec3`, `dOps`.
    /// MPEG audio: empty.
    pub config: Bytes,
    /// The rate of the frame grid in Hz: for HE-AAC the core rate.
    pub sample_rate: u32,
    pub channels: u16,
    /// Samples per frame at `sample_rate`.
    pub frame_len: u32,
    /// RFC 6381, for example `mp4a.40.2`.
    pub codec_string: String,
}

impl AudioParams {
    /// AAC-LC in frames of 1024 samples; `None`: it has no such rate, or no such number of channels.
    pub fn aac_lc(sample_rate: u32, channels: u16) -> Option<Self> {
        Some(Self {
            codec: AudioCodec::Aac,
            config: asc::low_complexity(sample_rate, channels)?,
            sample_rate,
            channels,
            frame_len: 1024,
            codec_string: "mp4a.40.2".to_owned(),
        })
    }

    /// AAC-LC at 48 kHz in stereo: what every player takes.
    pub fn plain_aac() -> Self {
        Self::aac_lc(48_000, 2).expect("AAC has this rate and these channels")
    }

    /// How long one frame lasts; exact.
    pub fn frame_duration(&self) -> Flicks {
        Flicks::from_samples(i64::from(self.frame_len), self.sample_rate)
    }
}
