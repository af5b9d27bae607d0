//! What comes out of the demuxer.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Damage, Ticks};

/// One thing that the input contained, in the order of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A program's map came or changed.
    Program(Arc<Program>),
    /// The decoder configuration of the samples of `pid` that follow.
    Params { pid: u16, params: Params },
    /// An access unit.
    Sample(Sample),
    /// Elementary bytes as they stood in one transport packet; only with [`crate::Config::raw`].
    Payload { pid: u16, data: Bytes },
    /// A section of a stream that consists of them: SCTE 35 splice information, from its table id to its CRC,
    /// which is right. `near`: the DTS that came last in its program, on whose axis splice times are to be
    /// unwrapped.
    Section { pid: u16, near: Option<Ticks>, data: Bytes },
    /// Something was broken.
    Damage(Damage),
}

/// A program as its map describes it (ISO/IEC 13818-1 2.4.4.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// program_number of the PAT; 0 where there was none and the streams were guessed.
    pub number: u16,
    /// PID of the map; 0x1FFF where there was none.
    pub pmt_pid: u16,
    /// PID that carries the program clock; 0x1FFF where there is none.
    pub pcr_pid: u16,
    /// Its samples come out. Of several programs only the chosen ones are demuxed.
    pub selected: bool,
    /// In the order of the map.
    pub streams: Vec<Stream>,
}

/// An elementary stream as the map lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub pid: u16,
    /// ISO/IEC 13818-1 table 2-34.
    pub stream_type: u8,
    /// `None`: not one that this crate knows; it is listed and left alone. Where the map does not say it, or
    /// says it wrongly, the content does: the program is told anew then, before the stream's first sample.
    pub codec: Option<Codec>,
    /// By its stream_type, the samples are encrypted (SAMPLE-AES, "MPEG-2 Stream Encryption Format for HTTP Live
    /// Streaming"): it has no `codec`, is listed and left alone.
    pub encrypted: bool,
    /// ISO 639 code of the first language descriptor, for example `eng`.
    pub language: Option<String>,
    /// Whom the audio is for.
    pub audio_type: AudioType,
    /// Opus: channel_config_code of its extension descriptor, the number of channels from 1 to 8.
    pub channel_config: Option<u8>,
}

/// Whom an audio stream is for, as the descriptors of its map say (ISO/IEC 13818-1 2.6.19; ETSI EN 300 468 6.4.11
/// and annex D; ATSC A/52 annex A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioType {
    /// Everybody; also where nothing is said.
    #[default]
    Main,
    /// Without dialogue.
    CleanEffects,
    HearingImpaired,
    /// A description of the picture, with or without the main audio.
    VisualImpaired,
    /// Commentary, dialogue alone, emergency messages.
    Other,
}

impl AudioType {
    /// A name for people and for JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::CleanEffects => "clean-effects",
            Self::HearingImpaired => "hearing-impaired",
            Self::VisualImpaired => "visual-impaired",
            Self::Other => "other",
        }
    }
}

/// What an elementary stream contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// H.264, ISO/IEC 14496-10.
    H264,
    /// H.265, ISO/IEC 23008-2.
    Hevc,
    /// AAC in ADTS, ISO/IEC 13818-7.
    AacAdts,
    /// AAC in LATM/LOAS, ISO/IEC 14496-3 1.7.
    AacLatm,
    /// MPEG-1/2 audio, ISO/IEC 11172-3 and 13818-3.
    MpegAudio,
    /// ETSI TS 102 366.
    Ac3,
    /// ETSI TS 102 366 annex E.
    Eac3,
    /// RFC 6716, carried as "Opus in MPEG-TS" says.
    Opus,
    /// ID3 tags with time stamps, as HLS uses them.
    TimedId3,
    /// SCTE 35 splice information.
    Scte35,
}

impl Codec {
    /// Picture or sound, rather than data beside them.
    pub fn is_media(self) -> bool {
        !matches!(self, Self::TimedId3 | Self::Scte35)
    }

    /// Pictures.
    pub fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc)
    }
}

/// One access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub pid: u16,
    /// When it is presented.
    pub pts: Ticks,
    /// When it is decoded; for audio equal to `pts`.
    pub dts: Ticks,
    /// How long it lasts. Audio: its frames at its rate, so that a frame without a stamp begins where the one
    /// before it ends. Video: the distance to the next access unit's DTS, which has come by then in nearly
    /// every stream; at the end of a segment, and where the clock jumps, the distance of the pictures before, or
    /// what the parameter sets promise; 0 where nothing tells. ID3: 0.
    pub duration: Ticks,
    /// The time comes from a PES header of its own. Where not, audio counts on from the frame before, and
    /// video is estimated from the pictures around it.
    pub stamped: bool,
    /// Decoding can begin here. Audio: always. Video: an IDR (IRAP) picture, or one with a recovery point
    /// SEI message, from which the picture becomes right after some frames (H.264 D.2.8, HEVC D.3.8).
    pub random_access: bool,
    /// Nothing after this picture refers to anything before it: an IDR picture. Audio: always.
    pub idr: bool,
    /// What the slices say, whatever else the stream says about random access. Audio: with headers.
    pub intra: Intra,
    /// Packets were missing or broken inside.
    pub damaged: bool,
    /// Video: NAL units, each after its length in 4 bytes, without access unit delimiters, filler data and
    /// the parameter sets that the configuration record holds. Audio: one raw frame without its header.
    pub data: Bytes,
    /// How many bytes of the elementary stream it took up, start codes and headers included.
    pub elementary_len: u64,
    /// Byte offset in the input of the transport packet in which it begins.
    pub offset: u64,
}

/// Whether a picture refers to others. Streams of broadcast encoders may have neither IDR pictures nor recovery
/// points: their I pictures are where decoding can begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Intra {
    /// It does, or it cannot be told.
    #[default]
    No,
    /// All slices are I slices.
    Slices,
    /// So they are, and parameter sets stand in front: the encoder means decoding to begin here.
    WithSets,
}

impl Intra {
    pub(crate) fn of(slices: bool, with_sets: bool) -> Self {
        match (slices, with_sets) {
            (false, _) => Self::No,
            (true, false) => Self::Slices,
            (true, true) => Self::WithSets,
        }
    }
}

/// What a decoder must know before the first sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Params {
    Video(Arc<VideoParams>),
    Audio(Arc<AudioParams>),
}

/// The configuration of a video stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoParams {
    pub codec: Codec,
    /// The decoder configuration record, without a box header: `avcC` (ISO/IEC 14496-15 5.3.3.1) or `hvcC`
    /// (8.3.3.1). NAL unit lengths are 4 bytes.
    pub config: Bytes,
    /// RFC 6381, for example `avc1.64001f`.
    pub codec_string: String,
    /// Size in pixels, cropping applied; not scaled by the aspect ratio.
    pub width: u32,
    pub height: u32,
    /// profile_idc.
    pub profile: u8,
    /// level_idc.
    pub level: u8,
    /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    pub bit_depth_luma: u8,
    pub bit_depth_chroma: u8,
    /// The coded pictures may be fields.
    pub interlaced: bool,
    /// Shape of a pixel, width to height, where the stream says it.
    pub pixel_aspect: Option<(u32, u32)>,
    /// Frames per second as a fraction, where the stream says it.
    pub frame_rate: Option<(u32, u32)>,
    /// Where the stream says it.
    pub colour: Option<Colour>,
}

/// Code points of ISO/IEC 23091-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
    pub full_range: bool,
}

/// The configuration of an audio stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioParams {
    pub codec: Codec,
    /// AAC: the AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1). AC-3, E-AC-3, Opus: the payload of `dac3`,
    /// `dec3`, `dOps`. MPEG audio: empty.
    ///
    /// HE-AAC in ADTS is signalled implicitly (1.6.5.2): an ADTS header can only tell of the core, so that this is
    /// AAC LC at the core's rate, and decoders find spectral band replication and parametric stereo in the frames.
    /// In LATM, the configuration of the stream is taken over as it is: hierarchical signalling stays explicit.
    pub config: Bytes,
    /// RFC 6381, for example `mp4a.40.2`.
    pub codec_string: String,
    /// In Hz; for HE-AAC the core's, which is half of what a decoder puts out.
    pub sample_rate: u32,
    /// Channels that the header announces; 0 where it does not say.
    pub channels: u16,
    /// Audio samples in one frame, at `sample_rate`: of HE-AAC 1024 (960) at the core's.
    pub frame_len: u32,
}

/// Counters of everything since the demuxer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes pushed.
    pub bytes: u64,
    /// Packets found in sync.
    pub packets: u64,
    /// How often sync was lost.
    pub sync_losses: u64,
    /// Bytes outside of packets.
    pub skipped_bytes: u64,
    /// Packets that legally repeat the one before.
    pub duplicates: u64,
    /// Gaps in continuity counters of the PIDs in use.
    pub continuity_errors: u64,
    /// Packets of the PIDs in use with transport_error_indicator.
    pub transport_errors: u64,
    /// Packets of the PIDs in use that were scrambled.
    pub scrambled: u64,
    /// Sections of program tables that were read; one that comes again unchanged is not.
    pub tables: u64,
    /// Sections with a wrong CRC or content.
    pub bad_sections: u64,
    /// PES packets begun.
    pub pes_packets: u64,
    /// Samples that came out.
    pub samples: u64,
    /// Of those, how many are marked as damaged.
    pub damaged_samples: u64,
    /// All [`Event::Damage`] events.
    pub damages: u64,
}
