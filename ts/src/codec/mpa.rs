//! MPEG audio, layers I to III (ISO/IEC 11172-3 2.4.1.3, ISO/IEC 13818-3, and the 2.5 extension).

use std::sync::Arc;

use bytes::Bytes;

use super::audio::{Format, Head, Unit};
use crate::event::{AudioParams, Codec};

/// kbit/s by bitrate_index - 1: layers I, II, III of MPEG-1, then layer I and layers II and III of MPEG-2.
const RATES: [[u16; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
/// sampling_frequency of MPEG-1; MPEG-2 has half of it, 2.5 a quarter.
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];
const HEADER: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    length: usize,
    sample_rate: u32,
    channels: u16,
    samples: u32,
    mpeg1: bool,
}

impl Header {
    /// `None`: no frame, or one of the free format, whose length is not told.
    fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let [b0, b1, b2, b3] = *bytes;
        if b0 != 0xFF || b1 & 0xE0 != 0xE0 {
            return None;
        }
        let halvings = match b1 >> 3 & 3 {
            3 => 0,
            2 => 1,
            0 => 2,
            _ => return None,
        };
        let layer = 4 - usize::from(b1 >> 1 & 3); // 4: reserved
        let mpeg1 = halvings == 0;
        let table = match (mpeg1, layer) {
            (_, 4) => return None,
            (true, layer) => layer - 1,
            (false, 1) => 3,
            (false, _) => 4,
        };
        let rate = *RATES[table].get(usize::from(b2 >> 4).checked_sub(1)?)?;
        let sample_rate = *SAMPLE_RATES.get(usize::from(b2 >> 2 & 3))? >> halvings;
        let samples = match (layer, mpeg1) {
            (1, _) => 384,
            (3, false) => 576,
            _ => 1152,
        };
        // Layer I counts in slots of 4 bytes (2.4.3.1).
        let slot = if layer == 1 { 4 } else { 1 };
        let slots = samples / 8 / slot * u32::from(rate) * 1000 / sample_rate + u32::from(b2 >> 1 & 1);
        let channels = if b3 >> 6 == 3 { 1 } else { 2 };
        Some(Self { length: (slots * slot) as usize, sample_rate, channels, samples, mpeg1 })
    }
}

/// MPEG audio in a transport stream.
#[derive(Debug, Default)]
pub(crate) struct MpegAudio {
    last: Option<Arc<AudioParams>>,
}

impl Format for MpegAudio {
    const SYNC: u8 = 0xFF;

    fn sync(&self, bytes: &[u8], _: bool) -> Head {
        match bytes.first_chunk() {
            None => Head::More,
            Some(header) => Header::parse(header).map_or(Head::None, |header| Head::Frame(header.length)),
        }
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        let Header { sample_rate, channels, samples, mpeg1, .. } = Header::parse(frame.first_chunk()?)?;
        units.push(Unit::new(frame, samples));
        let known = self.last.take().filter(|last| {
            (last.sample_rate, last.channels, last.frame_len) == (sample_rate, channels, samples)
        });
        let params = known.unwrap_or_else(|| {
            // Object types of ISO/IEC 14496-1 table 5: ISO/IEC 11172-3, and 13818-3 for the lower rates.
            let codec_string = if mpeg1 { "mp4a.6b" } else { "mp4a.69" }.to_owned();
            let config = Bytes::new();
            let codec = Codec::MpegAudio;
            Arc::new(AudioParams { codec, config, codec_string, sample_rate, channels, frame_len: samples })
        });
        self.last = Some(Arc::clone(&params));
        Some(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_layers_and_versions_are_those_of_the_standard() {
        let cases = [
            ([0xFF, 0xFB, 0x90, 0x00], 417, 44_100, 1152), // layer III, 128 kbit/s
            ([0xFF, 0xFB, 0x92, 0xC0], 418, 44_100, 1152), // padded
            ([0xFF, 0xFD, 0xA4, 0x00], 576, 48_000, 1152), // layer II, 192 kbit/s
            ([0xFF, 0xFF, 0x14, 0x00], 32, 48_000, 384),   // layer I, 32 kbit/s
            ([0xFF, 0xF3, 0x84, 0x00], 192, 24_000, 576),  // MPEG-2 layer III, 64 kbit/s
            ([0xFF, 0xE3, 0x18, 0x00], 72, 8_000, 576),    // 2.5, 8 kbit/s
        ];
        for (bytes, length, rate, samples) in cases {
            let header = Header::parse(&bytes).expect("header");
            assert_eq!(
                (header.length, header.sample_rate, header.samples),
                (length, rate, samples),
                "{bytes:x?}"
            );
        }
        for bad in
            [[0xFF, 0xEB, 0x90, 0], [0xFF, 0xF9, 0x90, 0], [0xFF, 0xFB, 0x00, 0], [0xFF, 0xFB, 0xFC, 0]]
        {
            assert_eq!(Header::parse(&bad), None, "{bad:x?}");
        }
    }
}
