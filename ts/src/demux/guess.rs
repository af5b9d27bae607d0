//! Programs and streams by their form and content, where no tables say what they are.

use std::collections::BTreeMap;

use mpeg2ts_reader::packet::Packet;

use crate::codec::adts;
use crate::event::{AudioType, Codec, Stream};
use crate::psi::{Map, Sections};
use crate::sync::PACKET;

/// The program maps among `packets`, as `read` has them of a section, with their PIDs; of each program the first.
pub(super) fn maps<'a>(
    packets: impl Iterator<Item = &'a [u8; PACKET]>,
    read: impl Fn(&[u8]) -> Option<Map>,
) -> Vec<(u16, Map)> {
    let mut sections: BTreeMap<u16, Sections> = BTreeMap::new();
    let mut maps: Vec<(u16, Map)> = Vec::new();
    for data in packets {
        let packet = Packet::new(data);
        let (pid, start) = (u16::from(packet.pid()), packet.payload_unit_start_indicator());
        let Some(payload) = packet.payload() else { continue };
        sections.entry(pid).or_default().push(payload, start, |section| {
            // Anything may look like a section here.
            if let Some(map) = read(section)
                && maps.iter().all(|(_, other)| other.program != map.program)
            {
                maps.push((pid, map));
            }
        });
    }
    maps
}

/// The streams among `packets`, in the order of their PIDs. Those whose content is not recognised are listed as
/// private data. Scrambled payload does not begin as PES packets do.
pub(super) fn streams<'a>(packets: impl Iterator<Item = &'a [u8; PACKET]>) -> Vec<Stream> {
    let mut found: BTreeMap<u16, Option<Codec>> = BTreeMap::new();
    for data in packets {
        let packet = Packet::new(data);
        let payload = packet.payload().filter(|_| packet.payload_unit_start_indicator());
        if let Some([0, 0, 1, 0xBD..=0xFF, ..]) = payload {
            let codec = found.entry(u16::from(packet.pid())).or_default();
            *codec = codec.or_else(|| payload.and_then(recognise));
        }
    }
    let stream = |(pid, codec): (u16, Option<Codec>)| {
        let stream_type = codec.map_or(PRIVATE, stream_type);
        Stream {
            pid,
            stream_type,
            codec,
            encrypted: false,
            language: None,
            audio_type: AudioType::Main,
            channel_config: None,
        }
    };
    found.into_iter().map(stream).collect()
}

/// Whether a map whose right is not proved describes `streams`: it lists all of them that are recognised, none as
/// another kind, and there is one that says so.
pub(super) fn is_of(map: &Map, streams: &[Stream]) -> bool {
    let recognised = || streams.iter().filter_map(|stream| Some((stream.pid, stream.codec?)));
    let lists = |(pid, codec): (u16, Codec)| {
        let listed = map.streams.iter().find(|it| it.pid == pid);
        // What is said of audio is often wrong; its content decides later.
        listed.is_some_and(|it| {
            it.codec.is_none_or(|said| said == codec || !said.is_video() && !codec.is_video())
        })
    };
    let any = recognised().next().is_some()
        || streams
            .iter()
            .any(|stream| map.streams.iter().any(|it| it.pid == stream.pid && it.codec.is_some()));
    any && recognised().all(lists)
}

/// stream_type of private data in PES packets.
const PRIVATE: u8 = 0x06;

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
