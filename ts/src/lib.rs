//! MPEG-TS to elementary samples: zero-copy where it can be, no I/O, no clock.
//!
//! [`Demuxer`] takes a transport stream (ISO/IEC 13818-1) in pieces of any size and yields [`Event`]s:
//! programs, decoder configurations, samples with times on one unwrapped 90 kHz axis, and damage with its
//! place. H.264 comes out length-prefixed with its `avcC`, AAC as raw frames with their
//! AudioSpecificConfig. [`adts`] serves ADTS files by itself.
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
//! | `avcC` | ISO/IEC 14496-15 5.3.3.1 |
//! | ADTS, AudioSpecificConfig | ISO/IEC 14496-3 1.A.2.2, 1.6.2.1 |

mod clock;
mod codec;
mod demux;
mod error;
mod event;
mod pes;
mod psi;
mod sync;

pub use clock::{Ticks, Unwrapper};
pub use codec::adts;
pub use demux::{Choice, Config, Demuxer};
pub use error::{Damage, DamageKind};
pub use event::{AudioParams, Codec, Colour, Event, Params, Program, Sample, Stats, Stream, VideoParams};
