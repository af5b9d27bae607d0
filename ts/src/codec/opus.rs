//! Opus in a transport stream: control headers ("Opus in MPEG-TS" 3.2), packet lengths (RFC 6716 3.1), `dOps`
//! ("Encapsulation of Opus in ISO Base Media File Format" 4.3.2).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::audio::{Format, Head, Unit};
use crate::event::{AudioParams, Codec};

/// Opus decodes at this rate, whatever went in.
const RATE: u32 = 48_000;
/// Longest packet (RFC 6716 3.2.5), in samples.
const MAX_SAMPLES: u32 = 120 * 48;

/// Opus in a transport stream.
#[derive(Debug, Default)]
pub(crate) struct Opus {
    /// channel_config_code of the extension descriptor; 0 where it is missing.
    channels: u8,
    last: Option<Arc<AudioParams>>,
}

impl Opus {
    pub(crate) fn new(channel_config: Option<u8>) -> Self {
        Self { channels: channel_config.unwrap_or_default(), last: None }
    }
}

/// Lengths of the control header and of the access unit behind it.
fn control_header(bytes: &[u8]) -> Result<(usize, usize), Head> {
    let (&[first, second], mut rest) = bytes.split_first_chunk().ok_or(match bytes {
        [first] if *first != Opus::SYNC => Head::None,
        _ => Head::More,
    })?;
    if first != Opus::SYNC || second & 0xE0 != 0xE0 {
        return Err(Head::None);
    }
    let mut next = |count: usize| {
        let (taken, after) = rest.split_at_checked(count).ok_or(Head::More)?;
        rest = after;
        Ok(taken)
    };
    let (mut header, mut length) = (2, 0);
    loop {
        let byte = next(1)?[0];
        header += 1;
        length += usize::from(byte);
        if byte != 0xFF {
            break;
        }
    }
    for trim in [0x10, 0x08] {
        if second & trim != 0 {
            next(2)?; // start_trim, end_trim: left to the decoder's container
            header += 2;
        }
    }
    if second & 0x04 != 0 {
        let extension = usize::from(next(1)?[0]);
        header += 1 + extension;
    }
    Ok((header, length))
}

/// Samples in a packet, by its first bytes.
fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    // Table 2: SILK, hybrid, CELT.
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    Some(frame * count).filter(|&samples| samples > 0 && samples <= MAX_SAMPLES)
}

impl Format for Opus {
    const SYNC: u8 = 0x7F;

    fn sync(&self, bytes: &[u8], _: bool) -> Head {
        match control_header(bytes) {
            Ok((header, length)) => Head::Frame(header + length),
            Err(head) => head,
        }
    }

    fn header_len(&self, bytes: &[u8]) -> usize {
        control_header(bytes).map_or(0, |(header, _)| header)
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        let (header, _) = control_header(&frame).ok()?;
        let data = frame.slice(header.min(frame.len())..);
        let samples = samples(&data)?;
        units.push(Unit::new(data, samples));
        let known = self.last.take().filter(|last| last.frame_len == samples);
        let params = known.unwrap_or_else(|| {
            let (channels, config) = dops(self.channels);
            Arc::new(AudioParams {
                codec: Codec::Opus,
                config,
                codec_string: "opus".to_owned(),
                sample_rate: RATE,
                channels,
                frame_len: samples,
            })
        });
        self.last = Some(Arc::clone(&params));
        Some(params)
    }
}

/// OpusSpecificBox for a channel_config_code: the number of channels in the order of Vorbis (RFC 7845 5.1.1.2).
fn dops(code: u8) -> (u16, Bytes) {
    /// Streams, coupled streams, mapping, for 3 channels and more.
    const MAPPINGS: [(u8, u8, &[u8]); 6] = [
        (2, 1, &[0, 2, 1]),
        (2, 2, &[0, 1, 2, 3]),
        (3, 2, &[0, 4, 1, 2, 3]),
        (4, 2, &[0, 4, 1, 2, 3, 5]),
        (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
    ];
    // 0 is two channels of their own; codes above 8 are of no use without their own mapping.
    let channels = if matches!(code, 1..=8) { code } else { 2 };
    let mut config = BytesMut::new();
    config.put_slice(&[0, channels]);
    config.put_u16(0); // PreSkip: a stream that is joined has none
    config.put_u32(RATE);
    config.put_u16(0); // OutputGain
    match usize::from(channels).checked_sub(3).and_then(|n| MAPPINGS.get(n)) {
        Some(&(streams, coupled, mapping)) => {
            config.put_slice(&[1, streams, coupled]);
            config.put_slice(mapping);
        }
        None => config.put_u8(0),
    }
    (u16::from(channels), config.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn control_headers_with_trims_and_extensions_are_taken_off() {
        let mut opus = Opus::new(Some(6));
        // Both trims, an extension of two bytes; 20 ms of CELT in one frame.
        let frame = Bytes::from_static(&hex!("7FFC 03 0078 0010 02AABB F8 0102"));
        assert_eq!(opus.sync(&frame, false), Head::Frame(13));
        assert!((0..8).all(|end| opus.sync(&frame[..end], false) == Head::More));
        let mut units = Vec::new();
        let params = opus.open(frame, &mut units).expect("parameters");
        assert_eq!(units, [Unit::new(Bytes::from_static(&[0xF8, 1, 2]), 960)]);
        assert_eq!(params.config, hex!("00 06 0000 0000BB80 0000 01 04 02 000401020305")[..]);
        assert_eq!(opus.sync(&[0x7F, 0x00], false), Head::None);
    }

    #[test]
    fn packet_lengths_follow_the_toc() {
        let cases = [(&[0x00][..], 480), (&[0x19], 5760), (&[0x60], 480), (&[0x83, 8], 960), (&[0xFA], 1920)];
        for (packet, length) in cases {
            assert_eq!(samples(packet), Some(length), "{packet:x?}");
        }
        assert_eq!(samples(&[0xFB, 0x3F]), None);
        assert_eq!(samples(&[0xFB]), None);
    }
}
