//! Packets to RTMP tags, and the headers that a connection still needs. Pure.

use std::sync::Arc;

use overdub_rtmp::flv::{self, AudioTag, Mp3Format, VideoKind, VideoTag};
use overdub_rtmp::{AudioFields, Metadata, Tag, VideoFields};

use super::pacer::Stamp;
use crate::media::{
    AudioCodec, AudioParams, Flicks, Packet, PacketKind, VideoCodec, VideoParams, mpeg_audio,
};

/// SoundFormat of FLV (Adobe FLV 10.1, E.4.2.1).
const SOUND_MP3: u8 = 2;
const SOUND_AAC: u8 = 10;

/// What is known about the stream: from the packets sent and the ones that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The parameters, and how long a picture lasts.
    pub(crate) video: Option<(Arc<VideoParams>, Flicks)>,
    pub(crate) audio: Option<Arc<AudioParams>>,
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

    fn metadata(&self) -> Metadata {
        let video = self.video.as_ref().map(|(params, duration)| VideoFields {
            codec: video_codec(params.codec),
            width: params.width,
            height: params.height,
            frame_rate: frame_rate(*duration),
        });
        let audio = self.audio.as_ref().and_then(|params| {
            let codec_id = match params.codec {
                AudioCodec::Aac => SOUND_AAC,
                AudioCodec::MpegAudio => SOUND_MP3,
                AudioCodec::Ac3 | AudioCodec::Eac3 | AudioCodec::Opus => return None,
            };
            Some(AudioFields { codec_id, sample_rate: params.sample_rate, channels: params.channels })
        });
        Metadata { video, audio, encoder: concat!("overdub/", env!("CARGO_PKG_VERSION")).to_owned() }
    }
}

/// The headers that one connection has had.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    video: Option<Arc<VideoParams>>,
    audio: Option<Arc<AudioParams>>,
}

impl Announced {
    /// What has to go before the next packet, of which `known` has already learnt: metadata and sequence
    /// headers, where they differ from those sent last.
    pub(crate) fn update(&mut self, known: &Known) -> Vec<Tag> {
        let mut headers = Vec::new();
        if let Some((params, _)) = &known.video
            && self.video.as_ref() != Some(params)
        {
            headers.push(Tag::Video(VideoTag {
                codec: video_codec(params.codec),
                kind: VideoKind::SequenceHeader,
                data: params.config.clone(),
            }));
            self.video = Some(Arc::clone(params));
        }
        if let Some(params) = &known.audio
            && self.audio.as_ref() != Some(params)
        {
            if params.codec == AudioCodec::Aac {
                headers.push(Tag::Audio(AudioTag::AacSequenceHeader(params.config.clone())));
            }
            self.audio = Some(Arc::clone(params));
        }
        if !headers.is_empty() {
            headers.insert(0, Tag::Metadata(known.metadata()));
        }
        headers
    }
}

/// The tag of a packet; `None` when RTMP as spoken here cannot carry its codec.
pub(crate) fn tag(packet: &Packet, stamp: Stamp) -> Option<Tag> {
    let data = packet.data.clone();
    Some(match &packet.kind {
        PacketKind::Video { params, random_access } => {
            let kind = VideoKind::Frame { keyframe: *random_access, composition: stamp.composition };
            Tag::Video(VideoTag { codec: video_codec(params.codec), kind, data })
        }
        PacketKind::Audio { params } => match params.codec {
            AudioCodec::Aac => Tag::Audio(AudioTag::AacFrame(data)),
            // FLV has layer III only.
            AudioCodec::MpegAudio if mpeg_audio::is_layer_3(&data) => {
                let format = Mp3Format { sample_rate: params.sample_rate, stereo: params.channels > 1 };
                Tag::Audio(AudioTag::Mp3Frame(format, data))
            }
            _ => return None,
        },
    })
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
        let metadata = known.metadata();
        assert_eq!(metadata.video.map(|v| (v.width, v.height, v.frame_rate)), Some((640, 360, Some(25.0))));
        assert_eq!(metadata.audio.map(|a| (a.codec_id, a.sample_rate, a.channels)), Some((10, 48_000, 2)));
    }

    #[test]
    fn codecs_that_flv_lacks_are_not_sent() {
        let stamp = Stamp { dts: 0, composition: 0, planned: crate::media::Moment::ZERO };
        for (codec, data, carried) in [
            (AudioCodec::MpegAudio, [0xFF, 0xFB], true),
            (AudioCodec::MpegAudio, [0xFF, 0xFD], false), // layer II
            (AudioCodec::Ac3, [0x0B, 0x77], false),
            (AudioCodec::Opus, [0, 0], false),
        ] {
            let mut packet = audio(0);
            packet.data = data.to_vec().into();
            let PacketKind::Audio { params } = &mut packet.kind else { unreachable!() };
            Arc::make_mut(params).codec = codec;
            assert_eq!(tag(&packet, stamp).is_some(), carried, "{codec:?}");
        }
    }
}
