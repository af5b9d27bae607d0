//! The words that all stages speak: exact time, codec parameters, samples, batches.
//!
//! Pure: no I/O, no clock. Payloads are [`bytes::Bytes`] and are only ever sliced.

pub mod asc;
mod batch;
mod carried;
mod context;
mod cue;
mod frame;
mod frame_len;
pub(crate) mod id3;
pub mod language;
pub mod mp4;
pub mod mpeg_audio;
mod packet;
mod params;
mod piece;
mod rendition;
mod silence;
mod stream_id;
mod time;

pub use batch::Batch;
pub use carried::OutputAudio;
pub use context::AudioContext;
pub use cue::{Cue, CueKind};
pub use frame::{AudioTrack, VideoSample, VideoTrack};
pub use packet::{Packet, PacketKind};
pub use params::{AudioCodec, AudioParams, VideoCodec, VideoParams};
pub use piece::{Origin, Piece, StampedFrame};
pub use rendition::Rendition;
pub use silence::{silent_frame, silent_frame_like};
pub use stream_id::{InvalidStreamId, StreamId};
pub use time::{Flicks, Moment};
