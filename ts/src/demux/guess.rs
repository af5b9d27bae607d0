//! Streams by their content, where no tables say what they are.

use std::collections::BTreeMap;

use mpeg2ts_reader::packet::Packet;

use crate::codec::{Place, adts};
use crate::event::{Codec, Stream};
use crate::sync::PACKET;

/// The streams that can be recognised among `packets`, in the order of their PIDs.
pub(super) fn streams<'a>(packets: impl Iterator<Item = &'a (Place, [u8; PACKET])>) -> Vec<Stream> {
    let mut found = BTreeMap::new();
    for (_, data) in packets {
        let packet = Packet::new(data);
        let pid = u16::from(packet.pid());
        let clear = !packet.transport_scrambling_control().is_scrambled();
        if !packet.payload_unit_start_indicator() || !clear || found.contains_key(&pid) {
            continue;
        }
        if let Some(codec) = packet.payload().and_then(recognise) {
            found.insert(pid, codec);
        }
    }
    let stream = |(pid, codec)| Stream {
        pid,
        stream_type: stream_type(codec),
        codec: Some(codec),
        language: None,
        channel_config: None,
    };
    found.into_iter().map(stream).collect()
}

fn stream_type(codec: Codec) -> u8 {
    match codec {
        Codec::H264 => 0x1B,
        Codec::Hevc => 0x24,
        Codec::AacAdts => 0x0F,
        Codec::MpegAudio => 0x03,
        _ => 0x81,
    }
}

/// What the PES packet is that begins with `payload`.
fn recognise(payload: &[u8]) -> Option<Codec> {
    let [0, 0, 1, stream_id, _, _, _, _, header_len, ..] = *payload else { return None };
    let data = payload.get(9 + usize::from(header_len)..)?;
    match stream_id {
        0xE0..=0xEF => {
            let code = data.windows(3).position(|three| three == [0, 0, 1])?;
            match *data.get(code + 3..code + 5)? {
                // HEVC: delimiter, parameter sets, SEI and IRAP slices, layer 0, temporal id 0.
                [0x46 | 0x40 | 0x42 | 0x44 | 0x4E | 0x26 | 0x28 | 0x2A, 0x01] => Some(Codec::Hevc),
                // H.264: delimiter, parameter sets, SEI, IDR slice.
                [0x09 | 0x06 | 0x67 | 0x47 | 0x27 | 0x68 | 0x65 | 0x45 | 0x25, _] => Some(Codec::H264),
                _ => None,
            }
        }
        0xC0..=0xDF if adts::Header::parse(data).is_ok() => Some(Codec::AacAdts),
        0xC0..=0xDF => match *data {
            [0xFF, second, ..] if second & 0xE0 == 0xE0 && second & 0x06 != 0 => Some(Codec::MpegAudio),
            _ => None,
        },
        0xBD if data.starts_with(&[0x0B, 0x77]) => Some(Codec::Ac3),
        _ => None,
    }
}
