//! What the outputs of a stream carry (DESIGN section 4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AudioCodec, mpeg_audio};

/// Which sound the outputs of a stream carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputAudio {
    /// AAC in all its profiles, and MP3: what every RTMP server takes.
    #[default]
    Basic,
    /// Opus, AC-3 and E-AC-3 too, by Enhanced RTMP: an output whose server does not name them gets no sound
    /// while it is one of these.
    Enhanced,
}

impl OutputAudio {
    /// Whether sound whose first frame is `frame` is carried. FLV knows no layer of MPEG audio but the third.
    pub fn carries(self, codec: AudioCodec, frame: &[u8]) -> bool {
        match codec {
            AudioCodec::Aac => true,
            AudioCodec::MpegAudio => mpeg_audio::is_layer_3(frame),
            AudioCodec::Ac3 | AudioCodec::Eac3 | AudioCodec::Opus => self == Self::Enhanced,
        }
    }
}
