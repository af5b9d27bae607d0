//! What the outputs of a stream carry (DESIGN section 4).

use super::{AudioCodec, mpeg_audio};

/// Whether the outputs carry sound whose first frame is `frame`: AAC in all its profiles, and MP3. The other
/// codecs have no tag that every RTMP server takes, and FLV knows no layer of MPEG audio but the third.
pub fn is_carried(codec: AudioCodec, frame: &[u8]) -> bool {
    match codec {
        AudioCodec::Aac => true,
        AudioCodec::MpegAudio => mpeg_audio::is_layer_3(frame),
        AudioCodec::Ac3 | AudioCodec::Eac3 | AudioCodec::Opus => false,
    }
}
