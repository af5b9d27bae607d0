//! Packets to RTMP tags, and the headers that a connection still needs. Pure.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use overdub_rtmp::flv::{self, AudioFourCc, AudioTag, Mp3Format, VideoKind, VideoTag};
use overdub_rtmp::{AudioFields, Metadata, Tag, VideoFields};

use super::pacer::Stamp;
use crate::media::{
    AudioCodec, AudioParams, Flicks, Packet, PacketKind, VideoCodec, VideoParams, mpeg_audio,
};

/// SoundFormat of FLV (Adobe FLV 10.1, E.4.2.1).
const SOUND_MP3: u32 = 2;
const SOUND_AAC: u32 = 10;

/// What is known about the stream: from the packets sent and the ones that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The parameters, and how long a picture lasts.
    pub(crate) video: Option<(Arc<VideoParams>, Flicks)>,
    pub(crate) audio: Option<Arc<AudioParams>>,
    /// Bits per second, as measured.
    pub(crate) video_bitrate: Option<f64>,
    pub(crate) audio_bitrate: Option<f64>,
}

impl Known {
    /// Takes over what `packet` says.
    pub(crate) fn learn(&mut self, packet: &Packet) {
        match &packet.kind {
            PacketKind::Video { params, .. } => self.video = Some((Arc::clone(params), packet.duration)),
            PacketKind::Audio { params } => self.audio = Some(Arc::clone(params)),
        }
    }

    /// Takes over what `packet` says where nothing was known.
    pub(crate) fn complete(&mut self, packet: &Packet) {
        let missing = if packet.is_video() { self.video.is_none() } else { self.audio.is_none() };
        if missing {
            self.learn(packet);
        }
    }

    /// What `onMetaData` says; the sound is left out where the server is not sent it.
    fn metadata(&self, carries: impl Fn(AudioCodec) -> bool) -> Metadata {
        let video = self.video.as_ref().map(|(params, duration)| VideoFields {
            codec: video_codec(params.codec),
            width: params.width,
            height: params.height,
            frame_rate: frame_rate(*duration),
            bitrate: self.video_bitrate,
        });
        let audio = self.audio.as_ref().filter(|params| carries(params.codec)).map(|params| {
            let codec_id = match (params.codec, enhanced(params.codec)) {
                (_, Some(four_cc)) => u32::from_be_bytes(four_cc.code()),
                (AudioCodec::MpegAudio, None) => SOUND_MP3,
                (_, None) => SOUND_AAC,
            };
            AudioFields {
                codec_id,
                sample_rate: params.sample_rate,
                channels: params.channels,
                bitrate: self.audio_bitrate,
            }
        });
        Metadata { video, audio, encoder: concat!("overdub/", env!("CARGO_PKG_VERSION")).to_owned() }
    }
}

/// What one connection takes, and the headers that it has had.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    /// Enhanced RTMP's audio codecs that the server says it takes. Only then are they sent: SRS ignores them, and
    /// a stream without sound is better known here than found out by viewers.
    takes: Vec<AudioFourCc>,
    video: Option<Arc<VideoParams>>,
    audio: Option<Arc<AudioParams>>,
}

impl Announced {
    /// A connection to a server that `takes` these FourCCs.
    pub(crate) fn new(takes: impl Fn([u8; 4]) -> bool) -> Self {
        let all = [AudioFourCc::Opus, AudioFourCc::Ac3, AudioFourCc::Eac3];
        Self { takes: all.into_iter().filter(|codec| takes(codec.code())).collect(), ..Self::default() }
    }

    /// Whether the headers that `packet` needs have been sent.
    pub(crate) fn covers(&self, packet: &Packet) -> bool {
        match &packet.kind {
            PacketKind::Video { params, .. } => self.video.as_ref() == Some(params),
            PacketKind::Audio { params } => self.audio.as_ref() == Some(params),
        }
    }

    /// Whether sound of this codec is sent at all.
    fn carries(&self, codec: AudioCodec) -> bool {
        enhanced(codec).is_none_or(|codec| self.takes.contains(&codec))
    }

    /// What has to go before the next packet, of which `known` has already learnt: metadata and sequence
    /// headers, where they differ from those sent last.
    pub(crate) fn update(&mut self, known: &Known) -> Vec<Tag> {
        let mut headers = Vec::new();
        let mut changed = false;
        if let Some((params, _)) = &known.video
            && self.video.as_ref() != Some(params)
        {
            headers.push(Tag::Video(VideoTag {
                codec: video_codec(params.codec),
                kind: VideoKind::SequenceHeader,
                data: params.config.clone(),
            }));
            self.video = Some(Arc::clone(params));
            changed = true;
        }
        if let Some(params) = &known.audio
            && self.audio.as_ref() != Some(params)
        {
            let config = &params.config;
            let carried = self.carries(params.codec);
            headers.extend(match enhanced(params.codec) {
                Some(AudioFourCc::Opus) if carried => {
                    Some(Tag::Audio(AudioTag::EnhancedSequenceHeader(AudioFourCc::Opus, opus_head(config))))
                }
                None if params.codec == AudioCodec::Aac => {
                    Some(Tag::Audio(AudioTag::AacSequenceHeader(config.clone())))
                }
                // The frames of the others say everything.
                _ => None,
            });
            self.audio = Some(Arc::clone(params));
            changed |= carried;
        }
        if changed {
            headers.insert(0, Tag::Metadata(known.metadata(|codec| self.carries(codec))));
        }
        headers
    }

    /// The tag of a packet; `None` when RTMP, or this server, cannot carry its codec.
    pub(crate) fn tag(&self, packet: &Packet, stamp: Stamp) -> Option<Tag> {
        let data = packet.data.clone();
        Some(match &packet.kind {
            PacketKind::Video { params, random_access } => {
                let kind = VideoKind::Frame { keyframe: *random_access, composition: stamp.composition };
                Tag::Video(VideoTag { codec: video_codec(params.codec), kind, data })
            }
            PacketKind::Audio { params } => Tag::Audio(match (params.codec, enhanced(params.codec)) {
                (_, Some(codec)) if self.carries(params.codec) => AudioTag::EnhancedFrame(codec, data),
                (AudioCodec::Aac, _) => AudioTag::AacFrame(data),
                // FLV has layer III only.
                (AudioCodec::MpegAudio, _) if mpeg_audio::is_layer_3(&data) => {
                    let format = Mp3Format { sample_rate: params.sample_rate, stereo: params.channels > 1 };
                    AudioTag::Mp3Frame(format, data)
                }
                _ => return None,
            }),
        })
    }
}

fn enhanced(codec: AudioCodec) -> Option<AudioFourCc> {
    match codec {
        AudioCodec::Opus => Some(AudioFourCc::Opus),
        AudioCodec::Ac3 => Some(AudioFourCc::Ac3),
        AudioCodec::Eac3 => Some(AudioFourCc::Eac3),
        AudioCodec::Aac | AudioCodec::MpegAudio => None,
    }
}

/// The identification header (RFC 7845 5.1) with what `dOps` says (Opus in ISOBMFF 4.3.2): the same fields, but
/// little-endian, and another version.
fn opus_head(dops: &[u8]) -> Bytes {
    let mut head = BytesMut::from(&b"OpusHead\x01"[..]);
    if let [_, channels, s0, s1, r0, r1, r2, r3, g0, g1, mapping @ ..] = dops {
        head.put_slice(&[*channels, *s1, *s0, *r3, *r2, *r1, *r0, *g1, *g0]);
        head.put_slice(mapping);
    }
    head.freeze()
}

fn video_codec(codec: VideoCodec) -> flv::VideoCodec {
    match codec {
        VideoCodec::Avc => flv::VideoCodec::Avc,
        VideoCodec::Hevc => flv::VideoCodec::Hevc,
    }
}

/// Frames per second of pictures that last `duration`, to a thousandth.
fn frame_rate(duration: Flicks) -> Option<f64> {
    let rate = 1.0 / duration.to_secs_f64();
    (duration > Flicks::ZERO).then(|| (rate * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::{audio, video};

    fn kinds(tags: &[Tag]) -> Vec<&'static str> {
        let kind = |tag: &Tag| match tag {
            Tag::Metadata(_) => "metadata",
            Tag::Audio(AudioTag::AacSequenceHeader(_)) => "audio header",
            Tag::Video(VideoTag { kind: VideoKind::SequenceHeader, .. }) => "video header",
            _ => "media",
        };
        tags.iter().map(kind).collect()
    }

    #[test]
    fn headers_are_sent_once_and_again_when_the_parameters_differ() {
        let mut known = Known::default();
        let mut announced = Announced::default();
        known.learn(&video(0, true));
        known.complete(&audio(0));
        assert_eq!(kinds(&announced.update(&known)), ["metadata", "video header", "audio header"]);
        assert!(announced.update(&known).is_empty());

        let mut changed = audio(20);
        let PacketKind::Audio { params } = &mut changed.kind else { unreachable!() };
        Arc::make_mut(params).config = vec![0x12, 0x10].into();
        known.complete(&changed);
        assert!(announced.update(&known).is_empty(), "what waits does not overtake what is sent");
        known.learn(&changed);
        assert_eq!(kinds(&announced.update(&known)), ["metadata", "audio header"]);
        assert_eq!(kinds(&Announced::default().update(&known)).len(), 3, "a new connection gets all of it");
    }

    #[test]
    fn metadata_says_what_is_known() {
        let mut known = Known::default();
        known.learn(&video(0, true));
        known.learn(&audio(0));
        let metadata = known.metadata(|_| true);
        assert_eq!(metadata.video.map(|v| (v.width, v.height, v.frame_rate)), Some((640, 360, Some(25.0))));
        assert_eq!(metadata.audio.map(|a| (a.codec_id, a.sample_rate, a.channels)), Some((10, 48_000, 2)));
    }

    fn sound(codec: AudioCodec, data: &[u8]) -> Packet {
        let mut packet = audio(0);
        packet.data = data.to_vec().into();
        let PacketKind::Audio { params } = &mut packet.kind else { unreachable!() };
        Arc::make_mut(params).codec = codec;
        packet
    }

    const STAMP: Stamp = Stamp { dts: 0, composition: 0, planned: crate::media::Moment::ZERO };

    #[test]
    fn codecs_that_flv_lacks_are_sent_to_servers_that_say_they_take_them() {
        let plain = Announced::new(|_| false);
        let enhanced = Announced::new(|four_cc| four_cc != *b"ec-3");
        for (codec, data, carried) in [
            (AudioCodec::MpegAudio, [0xFF, 0xFB], (true, true)),
            (AudioCodec::MpegAudio, [0xFF, 0xFD], (false, false)), // layer II
            (AudioCodec::Ac3, [0x0B, 0x77], (false, true)),
            (AudioCodec::Eac3, [0x0B, 0x77], (false, false)),
            (AudioCodec::Opus, [0, 0], (false, true)),
        ] {
            let packet = sound(codec, &data);
            let tags = (plain.tag(&packet, STAMP).is_some(), enhanced.tag(&packet, STAMP).is_some());
            assert_eq!(tags, carried, "{codec:?}");
        }
    }

    #[test]
    fn opus_is_announced_with_the_identification_header_of_its_container() {
        let mut packet = sound(AudioCodec::Opus, &[0]);
        let PacketKind::Audio { params } = &mut packet.kind else { unreachable!() };
        // Version, channels, pre-skip 312, 48 kHz, gain -1, mapping family 0.
        Arc::make_mut(params).config = Bytes::from_static(&[0, 2, 1, 0x38, 0, 0, 0xBB, 0x80, 0xFF, 0xFE, 0]);
        let mut known = Known::default();
        known.learn(&packet);
        assert_eq!(Announced::new(|_| false).update(&known), [], "nothing of it is sent");
        let mut announced = Announced::new(|_| true);
        let [Tag::Metadata(_), Tag::Audio(AudioTag::EnhancedSequenceHeader(AudioFourCc::Opus, head))] =
            &announced.update(&known)[..]
        else {
            panic!("an Opus sequence header")
        };
        assert_eq!(head[..], *b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\xFE\xFF\0");
        assert!(announced.covers(&packet));
        let audio = |metadata: Metadata| metadata.audio.map(|audio| audio.codec_id);
        assert_eq!(audio(known.metadata(|_| true)), Some(u32::from_be_bytes(*b"Opus")));
        assert_eq!(audio(known.metadata(|_| false)), None);
    }
}
