//! Frames of MPEG audio, layer III: "MP3" (ISO/IEC 11172-3 2.4.1.3, ISO/IEC 13818-3, the 2.5 extension). Pure.

use bytes::Bytes;

/// What the header of a layer III frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3Header {
    /// Bytes of the whole frame.
    pub len: usize,
    pub sample_rate: u32,
    pub channels: u16,
    /// Samples at `sample_rate`.
    pub samples: u32,
    /// Bytes behind the header, and its checksum, that are side information.
    side_info: usize,
    checked: bool,
}

/// kbit/s by bitrate_index - 1: of MPEG-1, and of the lower rates.
const RATES: [[u32; 14]; 2] = [
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// sampling_frequency of MPEG-1; MPEG-2 has half of it, 2.5 a quarter.
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];

/// The version bits by how often the rate is halved: MPEG-1, MPEG-2, 2.5.
const VERSIONS: [u8; 3] = [3, 2, 0];

/// What a decoder of layer III adds in front of what the encoder added (the filter bank's 528 samples and one).
const DECODER_DELAY: u32 = 529;

impl Mp3Header {
    /// The header at the start of `data`; `None`: it is none of layer III, or of the free format, whose length
    /// is not told.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let &[0xFF, b1, b2, b3, ..] = data else { return None };
        if !is_layer_3(data) {
            return None;
        }
        let version = b1 >> 3 & 3;
        let halvings = VERSIONS.iter().position(|known| *known == version)?;
        let mpeg1 = halvings == 0;
        let rate = *RATES[usize::from(!mpeg1)].get(usize::from(b2 >> 4).checked_sub(1)?)?;
        let sample_rate = *SAMPLE_RATES.get(usize::from(b2 >> 2 & 3))? >> halvings;
        let samples = if mpeg1 { 1152 } else { 576 };
        let len = samples / 8 * rate * 1000 / sample_rate + u32::from(b2 >> 1 & 1);
        let channels = if b3 >> 6 == 3 { 1 } else { 2 };
        let side_info = match (mpeg1, channels) {
            (true, 2) => 32,
            (false, 1) => 9,
            _ => 17,
        };
        let checked = b1 & 1 == 0;
        Some(Self { len: len as usize, sample_rate, channels, samples, side_info, checked })
    }

    /// RFC 6381: object types of ISO/IEC 14496-1 table 5.
    pub fn codec_string(&self) -> &'static str {
        if self.samples == 1152 { "mp4a.6b" } else { "mp4a.69" }
    }
}

/// Layer bits `01` (ISO/IEC 11172-3 2.4.2.3).
pub fn is_layer_3(frame: &[u8]) -> bool {
    matches!(frame, [0xFF, second, ..] if second & 0xE6 == 0xE2)
}

/// What a first frame without sound says: encoders leave a note there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3Note {
    /// Samples to drop at the beginning and at the end, the decoder's delay included, where it says so.
    pub gapless: Option<(u32, u32)>,
}

/// The note in `frame`, which `header` heads: "Xing" or "Info", with LAME's extension behind it.
pub fn note(header: &Mp3Header, frame: &[u8]) -> Option<Mp3Note> {
    let at = 4 + if header.checked { 2 } else { 0 } + header.side_info;
    let tag = frame.get(at..)?;
    if !(tag.starts_with(b"Xing") || tag.starts_with(b"Info")) {
        return None;
    }
    // Which of frame count, byte count, seek table and quality are there.
    let flags = *tag.get(7)?;
    let fields = [4, 4, 100, 4];
    let extension: usize =
        8 + (0..4).filter(|bit| flags >> bit & 1 == 1).map(|bit| fields[bit]).sum::<usize>();
    // Encoder 9, revision 1, low pass 1, peak 4, gains 4, flags 1, bitrate 1; then twice 12 bits.
    let gapless = tag.get(extension + 21..extension + 24).and_then(|bytes| {
        let named =
            tag.get(extension..extension + 4).is_some_and(|name| name.iter().all(u8::is_ascii_graphic));
        let &[a, b, c] = bytes else { return None };
        let (delay, padding) =
            (u32::from(a) << 4 | u32::from(b) >> 4, (u32::from(b) & 0xF) << 8 | u32::from(c));
        (named && delay > 0).then(|| (delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY)))
    });
    Some(Mp3Note { gapless })
}

/// A frame without any spectral data: side information and main data are zero (2.4.1.7), and it takes nothing from
/// the frames before it (`main_data_begin` 0). `None`: no such rate or number of channels.
pub(super) fn silent(sample_rate: u32, channels: u16) -> Option<Bytes> {
    /// 56 kbit/s of MPEG-1, 32 kbit/s of the lower rates: room for the side information at every sample rate.
    const RATE_INDEX: u8 = 4;
    let (halvings, rate) = (0..3).find_map(|halvings| {
        let index = SAMPLE_RATES.iter().position(|rate| rate >> halvings == sample_rate)?;
        Some((halvings, index as u8))
    })?;
    let mode = match channels {
        1 => 3 << 6,
        2 => 0,
        _ => return None,
    };
    // Without a checksum.
    let header = [0xFF, 0xE3 | VERSIONS[halvings] << 3, RATE_INDEX << 4 | rate << 2, mode];
    let mut frame = header.to_vec();
    frame.resize(Mp3Header::parse(&header)?.len, 0);
    Some(frame.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_frame_is_whole_at_every_rate_and_number_of_channels() {
        for rate in [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000] {
            for channels in [1, 2] {
                let frame = silent(rate, channels).unwrap();
                let header = Mp3Header::parse(&frame).unwrap();
                assert_eq!((header.sample_rate, header.channels, header.len), (rate, channels, frame.len()));
                assert!(frame.len() >= 4 + header.side_info && is_layer_3(&frame));
            }
        }
        assert_eq!((silent(96_000, 2), silent(48_000, 6)), (None, None));
    }

    #[test]
    fn other_layers_and_the_free_format_are_refused() {
        // Layer II, the free format, a reserved rate, a reserved version.
        for bad in
            [[0xFF, 0xFD, 0x90, 0], [0xFF, 0xFB, 0x00, 0], [0xFF, 0xFB, 0x9C, 0], [0xFF, 0xEB, 0x90, 0]]
        {
            assert_eq!(Mp3Header::parse(&bad), None, "{bad:x?}");
        }
        let plain = Mp3Header::parse(&[0xFF, 0xFB, 0x90, 0x00]).unwrap();
        assert_eq!((plain.len, plain.samples, plain.codec_string()), (417, 1152, "mp4a.6b"));
    }
}
