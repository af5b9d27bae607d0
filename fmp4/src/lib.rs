//! Fragmented MP4, read and write, on mp4-atom: payloads chained, never copied.
//!
//! Pure: no I/O, no clock. Bytes go in, bytes and samples come out.
//!
//! - [`Codec`]: what a decoder must know before the first sample, as the raw records that the boxes carry.
//! - [`init_segment`] and [`Fragment`]: writing. A fragment allocates for its headers only; the payloads of
//!   its samples are chained behind them as they came ([`Chunks`]).
//!
//! | what | defined by |
//! |---|---|
//! | boxes, fragments, edit lists | ISO/IEC 14496-12 |
//! | `mp4a`, `esds` | ISO/IEC 14496-14, descriptors ISO/IEC 14496-1 7.2.6 |
//! | `avc1`, `hvc1` | ISO/IEC 14496-15 |
//! | `ac-3`, `ec-3` | ETSI TS 102 366 annex F |
//! | `Opus` | Encapsulation of Opus in ISO Base Media File Format 0.6.8 |

mod codec;
mod write;

pub use codec::Codec;
pub use write::{
    Chunks, Edit, Fragment, ProducerTime, Sample, SegmentBoxes, TrackConfig, TrackRun, WriteError,
    init_segment,
};
