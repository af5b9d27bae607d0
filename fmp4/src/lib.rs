//! Fragmented MP4, read and write, on mp4-atom: payloads chained, never copied.
//!
//! Pure: no I/O, no clock. Bytes go in, bytes and samples come out.
//!
//! - [`Codec`]: what a decoder must know before the first sample, as the raw records that the boxes carry.
//! - [`init_segment`] and [`Fragment`]: writing. A fragment allocates for its headers only; the payloads of
//!   its samples are chained behind them as they came ([`Chunks`]).
//! - [`Fragmenter`]: samples in, fragments out, cut at random-access points, by duration and by size.
//! - [`parse`] and [`parse_segment`]: reading whole from memory; [`Reader`]: the same one piece at a time
//!   from any source of bytes. Samples are slices of the input. Fragmented and plain files alike.
//!
//! Input is taken as hostile: nothing is allocated from a length field, every walk ends, and what is wrong
//! is reported with its box and byte ([`ReadError`]) at the cost of what it touches only.
//!
//! # Times
//!
//! Every time of a track is in its own timescale. What is written is media time: the decoding time of a
//! fragment, durations, composition offsets. What is read is presentation time: media time moved by the
//! edit list ([`TrackInfo::shift`]), so that a track with declared priming begins below zero. Decoding
//! times are moved alike and stay as far from the presentation times as the file says, which with negative
//! composition offsets means behind them.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use overdub_fmp4::{Codec, Fragment, Sample, TrackConfig, TrackRun, init_segment, parse_segment};
//!
//! let codec = Codec::Aac { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
//! let config = TrackConfig { id: 1, timescale: 48_000, codec, language: None, edit: None };
//! let init = init_segment(&[config])?;
//!
//! let frame = Bytes::from_static(b"one raw frame");
//! let samples = vec![Sample { duration: 1_024, composition_offset: 0, sync: true, data: frame }];
//! let run = TrackRun { track_id: 1, base_decode_time: 96_000, samples };
//! let segment = Fragment::new(1, vec![run]).encode()?; // pieces for a vectored write
//!
//! let movie = parse_segment(&init, &segment.to_bytes())?;
//! assert!(movie.damage.is_empty());
//! assert_eq!(movie.tracks[0].samples[0].pts(), 96_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what | defined by |
//! |---|---|
//! | boxes, fragments, edit lists | ISO/IEC 14496-12 |
//! | `mp4a`, `esds` | ISO/IEC 14496-14, descriptors ISO/IEC 14496-1 7.2.6 |
//! | `avc1`, `hvc1` | ISO/IEC 14496-15 |
//! | `ac-3`, `ec-3` | ETSI TS 102 366 annex F |
//! | `Opus` | Encapsulation of Opus in ISO Base Media File Format 0.6.8 |

mod codec;
mod read;
mod write;

pub use codec::Codec;
pub use read::{
    Damage, Event, EventTime, Gapless, Movie, Origin, Problem, ReadError, Reader, Step, TimedSample, Track,
    TrackInfo, parse, parse_at_most, parse_segment,
};
pub use write::{
    Chunks, CutRule, Edit, Fragment, Fragmenter, ProducerTime, Sample, SegmentBoxes, TrackConfig, TrackRun,
    WriteError, init_segment,
};
