//! Codec configurations, kept as the bytes that the file carries.

use bytes::Bytes;

/// A track's codec with its configuration record, byte for byte as the sample entry carries it: nothing
/// that this crate does not understand is lost on the way through.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// H.264 (`avc1`, `avc3`); samples are NAL units behind a length of the size that the record states.
    Avc {
        /// The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 5.3.3.1), without a box header.
        avcc: Bytes,
        /// Size in pixels.
        width: u16,
        height: u16,
    },
    /// H.265 (`hvc1`, `hev1`).
    Hevc {
        /// The HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 8.3.3.1), without a box header.
        hvcc: Bytes,
        width: u16,
        height: u16,
    },
    /// AAC in all its profiles (`mp4a`, object type 0x40, or 0x66 to 0x68 for MPEG-2 AAC).
    Aac {
        /// The AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1), whole: with the explicit signalling of SBR
        /// and PS and whatever follows.
        asc: Bytes,
        /// As the sample entry states it, in Hz; the AudioSpecificConfig decides.
        sample_rate: u32,
        channels: u16,
    },
    /// MPEG-1/2 audio, layers I to III (`mp4a` with object type 0x69 or 0x6B, or `.mp3`).
    MpegAudio { sample_rate: u32, channels: u16 },
    /// AC-3 (`ac-3`).
    Ac3 {
        /// The payload of `dac3`.
        dac3: Bytes,
        sample_rate: u32,
        channels: u16,
    },
    /// E-AC-3 (`ec-3`).
    Eac3 {
        /// The payload of `dec3`.
        dec3: Bytes,
        sample_rate: u32,
        channels: u16,
    },
    /// Opus (`Opus`); the clock is always 48 kHz.
    Opus {
        /// The payload of `dOps`: version, channels, pre-skip, input rate, gain, mapping.
        dops: Bytes,
        channels: u16,
    },
    /// Anything else, encrypted tracks (`encv`, `enca`) included: listed, readable as samples, not writable.
    Other {
        /// The sample entry's type.
        fourcc: [u8; 4],
        /// The whole body of the sample entry, from its six reserved bytes on.
        entry: Bytes,
    },
}

impl Codec {
    /// Whether the track holds pictures; of [`Codec::Other`] this is not known here.
    pub fn is_video(&self) -> bool {
        matches!(self, Self::Avc { .. } | Self::Hevc { .. })
    }

    /// Whether the track holds sound; of [`Codec::Other`] this is not known here.
    pub fn is_audio(&self) -> bool {
        !self.is_video() && !matches!(self, Self::Other { .. })
    }
}
