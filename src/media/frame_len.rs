//! How many samples a frame holds, where the frame says so itself. Pure.

use super::AudioCodec;

/// Samples in `frame` at the codec's rate; `None` where it cannot be told. For AAC the configuration says
/// it, so there is no answer here.
pub(super) fn of(codec: AudioCodec, frame: &[u8]) -> Option<u32> {
    match codec {
        AudioCodec::Aac => None,
        AudioCodec::MpegAudio => mpeg_audio(frame),
        // ETSI TS 102 366 4.1: six blocks of 256.
        AudioCodec::Ac3 => Some(1536),
        AudioCodec::Eac3 => eac3(frame),
        AudioCodec::Opus => opus(frame),
    }
}

/// ISO/IEC 11172-3 2.4.2.3 and 13818-3 2.4.2.3: version and layer.
fn mpeg_audio(frame: &[u8]) -> Option<u32> {
    let &[0xFF, second, ..] = frame else { return None };
    let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
    match (version, layer) {
        _ if second & 0xE0 != 0xE0 => None,
        (1, _) | (_, 0) => None,
        (_, 3) => Some(384),
        (3, 1) | (_, 2) => Some(1152),
        // Layer III of the lower rates has one granule.
        _ => Some(576),
    }
}

/// ETSI TS 102 366 E.1.3.1.6 and E.1.3.1.7: fscod, then numblkscod.
fn eac3(frame: &[u8]) -> Option<u32> {
    let &[0x0B, 0x77, _, _, byte, ..] = frame else { return None };
    let blocks = match (byte >> 6, byte >> 4 & 3) {
        // The reduced rates have no numblkscod.
        (3, _) | (_, 3) => 6,
        (_, 0) => 1,
        (_, 1) => 2,
        _ => 3,
    };
    Some(blocks * 256)
}

/// RFC 6716 3.1: the table of contents, at 48 kHz.
fn opus(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = usize::from(toc >> 3);
    let frame: u32 = match config {
        0..=11 => [480, 960, 1_920, 2_880][config % 4],
        12..=15 => [480, 960][config % 2],
        _ => [120, 240, 480, 960][config % 4],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    // 120 ms at most.
    Some(frame * count).filter(|samples| (1..=5_760).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_how_long_they_are() {
        let len = |codec, frame: &[u8]| of(codec, frame);
        assert_eq!(len(AudioCodec::MpegAudio, &[0xFF, 0xFB, 0x90, 0x64]), Some(1152)); // MPEG-1 layer III
        assert_eq!(len(AudioCodec::MpegAudio, &[0xFF, 0xF3, 0x90, 0x64]), Some(576)); // MPEG-2 layer III
        assert_eq!(len(AudioCodec::MpegAudio, &[0xFF, 0xFD, 0x90, 0x64]), Some(1152)); // MPEG-1 layer II
        assert_eq!(len(AudioCodec::MpegAudio, b"ID3"), None);
        assert_eq!(len(AudioCodec::Eac3, &[0x0B, 0x77, 0, 0, 0x3F]), Some(1536));
        assert_eq!(len(AudioCodec::Eac3, &[0x0B, 0x77, 0, 0, 0x00]), Some(256));
        assert_eq!(len(AudioCodec::Opus, &[0xFC]), Some(960)); // CELT, 20 ms
        assert_eq!(len(AudioCodec::Opus, &[0x4B, 0x03]), Some(2_880)); // SILK, three of 20 ms
        assert_eq!(len(AudioCodec::Opus, &[0xFB, 0x3F]), None); // 63 of 20 ms
        assert_eq!(len(AudioCodec::Opus, &[]), None);
    }
}
