//! The fields of onMetaData (Adobe FLV 10.1, annex E.5).

use crate::amf0::Value;
use crate::flv::VideoCodec;

/// What a stream says about itself; only what is really known is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    pub video: Option<VideoFields>,
    pub audio: Option<AudioFields>,
    /// Name and version of the program that sends.
    pub encoder: String,
}

/// The video part.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFields {
    pub codec: VideoCodec,
    /// Pixels.
    pub width: u32,
    pub height: u32,
    /// Frames per second, where known.
    pub frame_rate: Option<f64>,
    /// Bits per second, where known.
    pub bitrate: Option<f64>,
}

/// The audio part.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFields {
    /// SoundFormat (E.4.2.1): 10 for AAC, 2 for MP3; of Enhanced RTMP's codecs the FourCC as a number.
    pub codec_id: u32,
    /// Hz.
    pub sample_rate: u32,
    pub channels: u16,
    /// Bits per second, where known.
    pub bitrate: Option<f64>,
}

impl Metadata {
    /// The associative array that goes on the wire.
    pub fn to_value(&self) -> Value {
        let mut fields = Vec::new();
        let mut number = |name: &str, value: f64| fields.push((name.to_owned(), Value::Number(value)));
        // A live stream has no length; players expect the field.
        number("duration", 0.0);
        if let Some(video) = &self.video {
            number("width", f64::from(video.width));
            number("height", f64::from(video.height));
            number(
                "videocodecid",
                match video.codec {
                    VideoCodec::Avc => 7.0,
                    // Enhanced RTMP: the FourCC as a number.
                    VideoCodec::Hevc => f64::from(u32::from_be_bytes(*b"hvc1")),
                },
            );
            if let Some(rate) = video.frame_rate {
                number("framerate", rate);
            }
            if let Some(bitrate) = video.bitrate {
                number("videodatarate", kilobits(bitrate));
            }
        }
        if let Some(audio) = &self.audio {
            number("audiocodecid", f64::from(audio.codec_id));
            number("audiosamplerate", f64::from(audio.sample_rate));
            number("audiosamplesize", 16.0);
            number("audiochannels", f64::from(audio.channels));
            if let Some(bitrate) = audio.bitrate {
                number("audiodatarate", kilobits(bitrate));
            }
        }
        if let Some(audio) = &self.audio {
            fields.push(("stereo".to_owned(), Value::Boolean(audio.channels > 1)));
        }
        fields.push(("encoder".to_owned(), Value::string(&*self.encoder)));
        Value::EcmaArray(fields)
    }
}

/// E.5 has data rates in kilobits per second; a tenth is exact enough.
fn kilobits(bitrate: f64) -> f64 {
    (bitrate / 100.0).round() / 10.0
}
