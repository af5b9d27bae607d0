//! What cannot be written.

/// Why an init segment or a fragment cannot be written. The input is the caller's own, so each of these
/// names a mistake of the caller or a limit of the format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An init segment or a fragment needs a track.
    #[error("no track")]
    NoTrack,
    /// Track ids are 1 or more (ISO/IEC 14496-12 8.3.2.3).
    #[error("track id is zero")]
    ZeroTrackId,
    /// Two tracks have one id.
    #[error("track id {0} is used twice")]
    DuplicateTrackId(u32),
    /// A timescale of zero.
    #[error("track {track}: timescale is zero")]
    ZeroTimescale { track: u32 },
    /// A codec without the record that a decoder needs.
    #[error("track {track}: codec configuration is empty")]
    EmptyConfig { track: u32 },
    /// [`crate::Codec::Other`] can be read but not written.
    #[error("track {track}: sample entry of this type cannot be written")]
    UnwritableCodec { track: u32 },
    /// An ISO 639-2/T code is three letters from a to z.
    #[error("track {track}: language is not three lower-case letters")]
    InvalidLanguage { track: u32 },
    /// An edit whose times do not fit 63 bits in the movie's timescale.
    #[error("track {track}: edit does not fit the edit list")]
    EditTooLarge { track: u32 },
    /// A sample of 4 GiB or more.
    #[error("track {track}: sample {sample} has {size} bytes, more than 32 bits can say")]
    SampleTooLarge { track: u32, sample: usize, size: usize },
    /// A track that the [`crate::Fragmenter`] was not made for.
    #[error("there is no track number {0}")]
    UnknownTrack(usize),
    /// Decoding times in a file begin at zero (ISO/IEC 14496-12 8.8.12).
    #[error("track {track}: decoding time {dts} is below zero")]
    NegativeTime { track: u32, dts: i64 },
    /// Samples of this track would begin further than 2 GiB behind the `moof`: `trun` cannot say that.
    #[error("track {track}: data offset {offset} does not fit the track run")]
    OffsetTooLarge { track: u32, offset: u64 },
    /// More samples than a `trun` can count.
    #[error("track {track}: {count} samples do not fit one track run")]
    TooManySamples { track: u32, count: usize },
    /// `sidx` was asked for and the fragment is larger or longer than its fields.
    #[error("fragment does not fit a segment index")]
    IndexTooLarge,
    /// A box exceeds its own fields.
    #[error("box cannot be encoded")]
    Encode(#[from] mp4_atom::Error),
}
