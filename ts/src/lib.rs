//! MPEG-TS to elementary samples: zero-copy where it can be, no I/O, no clock.
//!
//! [`Demuxer`] takes a transport stream (ISO/IEC 13818-1) in pieces of any size and yields [`Event`]s:
//! programs, decoder configurations, samples with times on one unwrapped 90 kHz axis, and damage with its
//! place. H.264 and HEVC come out length-prefixed with their `avcC` and `hvcC`; AAC (from ADTS and LATM), MPEG
//! audio, AC-3, E-AC-3 and Opus as frames with what their boxes in MP4 hold; ID3 tags as samples; SCTE 35 as
//! sections. Where the tables leave open what a stream is (private data without a descriptor, stream types for
//! users to define) or are often wrong (MPEG audio and AAC mixed up), its content decides, and the program is
//! told anew. Anything else is listed and left alone. [`adts`] serves ADTS files by itself, [`elementary`] other
//! containers.
//!
//! What there is of a stream comes out: samples before the first [`Event::Params`] of their stream (a join in
//! the middle) cannot be decoded, and those that are marked as damaged hardly can; what to do about that is
//! the caller's decision. Leading pictures of a random-access point, which cannot be decoded when decoding
//! begins there, are those whose PTS is below its PTS.
//!
//! ```
//! use overdub_ts::{Demuxer, Event};
//!
//! # let segment = bytes::Bytes::from_static(&[0; 188]);
//! let mut demuxer = Demuxer::new();
//! demuxer.push(segment);
//! demuxer.finish();
//! while let Some(event) = demuxer.next_event() {
//!     match event {
//!         Event::Params { pid, params } => println!("{pid}: {params:?}"),
//!         Event::Sample(sample) => println!("{}: {:?} {}", sample.pid, sample.pts, sample.data.len()),
//!         Event::Damage(damage) => println!("{damage}"),
//!         _ => {}
//!     }
//! }
//! ```
//!
//! | part | defined by |
//! |---|---|
//! | packets, PES, PAT, PMT | ISO/IEC 13818-1 2.4.3, 2.4.4 |
//! | H.264 access units, parameter sets | ISO/IEC 14496-10 7.3, 7.4.1.2, annexes B, E |
//! | HEVC access units, parameter sets | ISO/IEC 23008-2 7.3, 7.4.2.4.4, annexes B, E |
//! | `avcC`, `hvcC` | ISO/IEC 14496-15 5.3.3.1, 8.3.3.1 |
//! | ADTS, LATM, AudioSpecificConfig | ISO/IEC 14496-3 1.A.2.2, 1.7, 1.6.2.1 |
//! | MPEG audio | ISO/IEC 11172-3 2.4, ISO/IEC 13818-3 |
//! | AC-3, E-AC-3, `dac3`, `dec3` | ETSI TS 102 366 4.3, annexes E, F |
//! | Opus, `dOps` | RFC 6716, "Opus in MPEG-TS", "Encapsulation of Opus in ISOBMFF" |
//! | splice information | SCTE 35 9 |

mod clock;
mod codec;
mod demux;
mod error;
mod event;
mod pes;
mod psi;
mod sync;

pub use clock::{Ticks, Unwrapper};
pub use codec::{BYTES_PER_SAMPLE, FREE_SAMPLES, MAX_SEGMENT_MEDIA, adts, elementary};
pub use demux::{Choice, Config, Demuxer};
pub use error::{Damage, DamageKind};
pub use event::{
    AudioParams, AudioType, Codec, Colour, Event, Intra, Params, Program, Sample, Stats, Stream, VideoParams,
};
pub use psi::section_crc;
