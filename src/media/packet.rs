//! One sample on the output timeline, on its way to the outputs.

use std::sync::Arc;

use bytes::Bytes;

use super::{AudioParams, Flicks, VideoParams};

/// What a packet's payload is, with the parameters that decode it. An output sends a sequence header
/// whenever the parameters differ from those it sent last, so a change of configuration travels with the
/// samples and cannot overtake them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketKind {
    Video { params: Arc<VideoParams>, random_access: bool },
    Audio { params: Arc<AudioParams> },
}

/// A sample on the output axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub kind: PacketKind,
    /// Output decoding time; for audio equal to `pts`.
    pub dts: Flicks,
    pub pts: Flicks,
    pub duration: Flicks,
    /// The batch it came from.
    pub batch: u64,
    /// Video: length-prefixed NAL units. Audio: one raw frame.
    pub data: Bytes,
}

impl Packet {
    pub fn is_video(&self) -> bool {
        matches!(self.kind, PacketKind::Video { .. })
    }

    /// Decoding of the video can begin at this packet.
    pub fn is_random_access(&self) -> bool {
        matches!(self.kind, PacketKind::Video { random_access: true, .. })
    }
}
