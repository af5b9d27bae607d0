//! Video tag bodies: E.4.3.1 (AVC) and Enhanced RTMP v1 "Enhanced Video" (HEVC as `hvc1`).

use bytes::{Buf, Bytes};

use super::{Error, Prefix};

/// FrameType (E.4.3.1).
const KEYFRAME: u8 = 1;
const INTER_FRAME: u8 = 2;
/// CodecID of AVC (E.4.3.1).
const AVC: u8 = 7;
/// IsExHeader of Enhanced RTMP: the low nibble is a packet type, and a FourCC follows.
const EXTENDED: u8 = 0x80;
const HVC1: [u8; 4] = *b"hvc1";
/// AVCPacketType; Enhanced RTMP's VideoPacketType has the same first three.
const SEQUENCE_START: u8 = 0;
const FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
/// Enhanced RTMP: coded frames whose composition time is zero and left out.
const FRAMES_X: u8 = 3;

/// Codecs of video tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    Avc,
    Hevc,
}

/// What a video tag carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoKind {
    /// The decoder configuration record (`avcC` or `hvcC` without box header).
    SequenceHeader,
    /// Length-prefixed NAL units; presentation time less decoding time in ms, 24 bits signed.
    Frame {
        keyframe: bool,
        composition: i32,
    },
    EndOfSequence,
}

/// A video tag body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoTag {
    pub codec: VideoCodec,
    pub kind: VideoKind,
    pub data: Bytes,
}

impl VideoTag {
    /// What stands before `data`.
    pub fn prefix(&self) -> Prefix {
        let (frame, packet, composition) = match self.kind {
            VideoKind::SequenceHeader => (KEYFRAME, SEQUENCE_START, 0),
            VideoKind::Frame { keyframe: true, composition } => (KEYFRAME, FRAMES, composition),
            VideoKind::Frame { keyframe: false, composition } => (INTER_FRAME, FRAMES, composition),
            VideoKind::EndOfSequence => (KEYFRAME, SEQUENCE_END, 0),
        };
        let [_, time @ ..] = composition.clamp(-0x80_0000, 0x7F_FFFF).to_be_bytes();
        match self.codec {
            VideoCodec::Avc => Prefix::new(&[&[frame << 4 | AVC, packet], &time]),
            VideoCodec::Hevc => {
                let time = if packet == FRAMES { &time[..] } else { &[] };
                Prefix::new(&[&[EXTENDED | frame << 4 | packet], &HVC1, time])
            }
        }
    }

    /// Reads a tag body.
    pub fn parse(body: &Bytes) -> Result<Self, Error> {
        let short = Error::TooShort(body.len());
        let mut rest = body.clone();
        let first = rest.try_get_u8().map_err(|_| short)?;
        let keyframe = first >> 4 & 7 == KEYFRAME;
        let (codec, packet) = if first & EXTENDED == 0 {
            if first & 0x0F != AVC {
                return Err(Error::VideoCodec(first & 0x0F));
            }
            (VideoCodec::Avc, rest.try_get_u8().map_err(|_| short)?)
        } else {
            let four_cc = rest.try_get_u32().map_err(|_| short)?.to_be_bytes();
            if four_cc != HVC1 {
                return Err(Error::FourCc(four_cc));
            }
            (VideoCodec::Hevc, first & 0x0F)
        };
        let timed = codec == VideoCodec::Avc || packet == FRAMES;
        let composition = if timed { composition(&mut rest).ok_or(short)? } else { 0 };
        let kind = match (codec, packet) {
            (_, SEQUENCE_START) => VideoKind::SequenceHeader,
            (_, FRAMES) | (VideoCodec::Hevc, FRAMES_X) => VideoKind::Frame { keyframe, composition },
            (_, SEQUENCE_END) => VideoKind::EndOfSequence,
            (_, other) => return Err(Error::PacketType(other)),
        };
        Ok(Self { codec, kind, data: rest })
    }
}

/// A signed 24-bit number.
fn composition(rest: &mut Bytes) -> Option<i32> {
    let [a, b, c] = *rest.first_chunk()?;
    rest.advance(3);
    // Placed in the top bytes, so that the shift back spreads the sign.
    Some(i32::from_be_bytes([a, b, c, 0]) >> 8)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn body(tag: &VideoTag) -> Bytes {
        [tag.prefix().as_slice(), &tag.data].concat().into()
    }

    proptest! {
        #[test]
        fn tags_read_back_as_written(
            hevc: bool, keyframe: bool, composition in -0x80_0000..0x80_0000_i32, kind in 0..3_u8,
            data in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let kind = match kind {
                0 => VideoKind::SequenceHeader,
                1 => VideoKind::EndOfSequence,
                _ => VideoKind::Frame { keyframe, composition },
            };
            let codec = if hevc { VideoCodec::Hevc } else { VideoCodec::Avc };
            let tag = VideoTag { codec, kind, data: data.into() };
            prop_assert_eq!(VideoTag::parse(&body(&tag)), Ok(tag));
        }

        #[test]
        fn hostile_bodies_never_panic(data in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = VideoTag::parse(&data.into());
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_specifications() {
        let tag = |codec, kind| VideoTag { codec, kind, data: Bytes::new() };
        let frame = VideoKind::Frame { keyframe: false, composition: -2 };
        assert_eq!(body(&tag(VideoCodec::Avc, VideoKind::SequenceHeader))[..], hex!("17 00 000000"));
        assert_eq!(body(&tag(VideoCodec::Avc, frame))[..], hex!("27 01 fffffe"));
        assert_eq!(body(&tag(VideoCodec::Hevc, VideoKind::SequenceHeader))[..], hex!("90 68766331"));
        assert_eq!(body(&tag(VideoCodec::Hevc, frame))[..], hex!("a1 68766331 fffffe"));
    }

    #[test]
    fn unknown_codecs_are_named() {
        let parse = |bytes: &'static [u8]| VideoTag::parse(&Bytes::from_static(bytes));
        assert_eq!(parse(&hex!("12 00")), Err(Error::VideoCodec(2)));
        assert_eq!(parse(&hex!("90 61763031")), Err(Error::FourCc(*b"av01")));
        assert_eq!(parse(&hex!("17 09 000000")), Err(Error::PacketType(9)));
        assert_eq!(parse(&hex!("17 01 00")), Err(Error::TooShort(3)));
    }
}
