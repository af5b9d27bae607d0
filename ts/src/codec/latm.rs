//! AAC in LATM with LOAS framing (ISO/IEC 14496-3 1.7): one program, one layer, as broadcasters send it.

use std::sync::Arc;

use bytes::Bytes;

use super::aac::Config;
use super::audio::{Format, Head, Unit};
use super::bits::{BitWriter, Bits};
use crate::event::{AudioParams, Codec};

/// AudioSyncStream: 11 bits of sync word, 13 of length (1.7.2).
const HEADER: usize = 3;
/// Largest AudioSpecificConfig that is believed, in bits: a program_config_element with the longest comment.
const MAX_CONFIG: u32 = 8 * 512;

/// How far ahead a configuration is looked for where a stream is joined between two: half a second at 1 Mbit/s,
/// several at the usual rates.
const MAX_AHEAD: usize = 64 << 10;
/// The same in frames, so that one look at a run of tiny frames costs little: over five seconds.
const MAX_FRAMES_AHEAD: usize = 256;
/// One frame in so many looks ahead: those behind it have looked nearly as far with it.
const FRAMES_PER_LOOK: usize = 32;

/// The last StreamMuxConfig (1.7.3).
#[derive(Clone, Debug)]
struct Mux {
    sub_frames: u32,
    params: Arc<AudioParams>,
}

/// LATM in a transport stream.
#[derive(Debug, Default)]
pub(crate) struct Latm {
    mux: Option<Mux>,
    /// Frames until one looks ahead again.
    until_look: usize,
}

impl Format for Latm {
    const SYNC: u8 = 0x56;
    const WHOLE_TICKS: bool = false;

    fn sync(&self, bytes: &[u8], ended: bool) -> Head {
        let head = frame_at(bytes);
        match head {
            Head::Frame(_) if self.mux.is_none() && !ended && bytes.len() < MAX_AHEAD => match ahead(bytes) {
                Ahead::NotYet => Head::More,
                Ahead::Found(_) | Ahead::Broken { .. } => head,
            },
            _ => head,
        }
    }

    /// Frames before the first configuration are of the one that comes with a later frame.
    fn look_ahead(&mut self, bytes: &[u8]) {
        if self.mux.is_some() {
            return;
        }
        match self.until_look.checked_sub(1) {
            Some(left) => self.until_look = left,
            None => match ahead(bytes) {
                Ahead::Found(frame) => {
                    let bits = &mut Bits::new(frame);
                    self.mux = bits.bit().and_then(|_| read_mux(bits, None));
                }
                Ahead::NotYet => self.until_look = FRAMES_PER_LOOK - 1,
                // The frames up to there would see the same.
                Ahead::Broken { frames } => self.until_look = frames.saturating_sub(1),
            },
        }
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        let bits = &mut Bits::new(&frame[HEADER..]);
        if !bits.bit()? {
            self.mux = read_mux(bits, self.mux.as_ref());
        }
        let mux = self.mux.as_ref()?;
        for _ in 0..mux.sub_frames {
            let mut length = 0;
            loop {
                let byte = bits.bits(8)?;
                length += byte as usize;
                if byte != 0xFF {
                    break;
                }
            }
            let whole = length <= bits.left() / 8;
            let data = take_bytes(bits, length.min(bits.left() / 8))?;
            units.push(Unit { broken: !whole, ..Unit::new(data, mux.params.frame_len) });
            if !whole {
                break;
            }
        }
        Some(Arc::clone(&mux.params))
    }
}

/// AudioSyncStream at the start of `bytes`.
fn frame_at(bytes: &[u8]) -> Head {
    match *bytes {
        [first, ..] if first != Latm::SYNC => Head::None,
        [_, second, ..] if second & 0xE0 != 0xE0 => Head::None,
        [_, second, third, ..] => {
            Head::Frame(HEADER + (usize::from(second & 0x1F) << 8 | usize::from(third)))
        }
        _ => Head::More,
    }
}

/// Where the next configuration is.
enum Ahead<'a> {
    /// In this AudioMuxElement.
    Found(&'a [u8]),
    NotYet,
    /// Frames do not follow each other behind so many.
    Broken {
        frames: usize,
    },
}

fn ahead(bytes: &[u8]) -> Ahead<'_> {
    let mut rest = bytes;
    for frames in 0..MAX_FRAMES_AHEAD {
        match frame_at(rest) {
            Head::Frame(length) => match rest.get(HEADER) {
                // useSameStreamMux is the first bit (1.7.3, table 1.41).
                Some(first) if first & 0x80 == 0 && length > HEADER => match rest.get(HEADER..length) {
                    Some(element) => return Ahead::Found(element),
                    None => return Ahead::NotYet,
                },
                _ => rest = rest.get(length..).unwrap_or_default(),
            },
            Head::More => return Ahead::NotYet,
            Head::None => return Ahead::Broken { frames },
        }
        if rest.is_empty() {
            break;
        }
    }
    Ahead::NotYet
}

/// The next `length` bytes, which need not stand on byte borders.
fn take_bytes(bits: &mut Bits<'_>, length: usize) -> Option<Bytes> {
    (0..length).map(|_| bits.byte(8)).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// `None`: a configuration that this crate cannot follow.
fn read_mux(bits: &mut Bits<'_>, before: Option<&Mux>) -> Option<Mux> {
    let version = bits.bit()?;
    if version && bits.bit()? {
        return None; // audioMuxVersionA 1 is reserved
    }
    if version {
        read_value(bits)?; // taraBufferFullness
    }
    let same_timing = bits.bit()?;
    let sub_frames = bits.bits(6)? + 1;
    let programs = bits.bits(4)?;
    let layers = bits.bits(3)?;
    if !same_timing || programs > 0 || layers > 0 {
        return None;
    }
    let (start, length) = if version {
        let length = read_value(bits).filter(|&length| length <= MAX_CONFIG)?;
        (bits.position(), Some(length as usize))
    } else {
        (bits.position(), None)
    };
    let mut copy = bits.clone();
    let config = Config::read(bits)?;
    let used = bits.position() - start;
    let length = length.unwrap_or(used);
    bits.skip(length.checked_sub(used)?)?;
    let mut writer = BitWriter::default();
    for _ in 0..length {
        writer.put(u32::from(copy.bit()?), 1);
    }
    if bits.bits(3)? != 0 {
        return None; // frameLengthType: only frames of variable length carry AAC
    }
    bits.bits(8)?; // latmBufferFullness
    if bits.bit()? {
        if version {
            read_value(bits)?;
        } else {
            while bits.bit()? {
                bits.bits(8)?; // otherDataLenBits goes on
            }
            bits.bits(8)?;
        }
    }
    if bits.bit()? {
        bits.bits(8)?; // crcCheckSum
    }
    let params = AudioParams {
        codec: Codec::AacLatm,
        config: writer.bytes.into(),
        codec_string: format!("mp4a.40.{}", config.object_type),
        sample_rate: config.sample_rate,
        channels: config.channels,
        frame_len: config.frame_len,
    };
    let params = match before {
        Some(before) if *before.params == params => Arc::clone(&before.params),
        _ => Arc::new(params),
    };
    Some(Mux { sub_frames, params })
}

/// LatmGetValue.
fn read_value(bits: &mut Bits<'_>) -> Option<u32> {
    let bytes = bits.bits(2)? + 1;
    bits.bits(8 * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An AudioMuxElement with or without a StreamMuxConfig (version 0, AAC LC, 48 kHz, stereo), two frames.
    fn element(config: bool, sub_frames: u32, payloads: &[&[u8]]) -> Bytes {
        let mut bits = BitWriter::default();
        bits.put(u32::from(!config), 1);
        if config {
            let mux = [(0, 1), (1, 1), (sub_frames - 1, 6), (0, 4), (0, 3)];
            let audio = [(2, 5), (3, 4), (2, 4), (0, 3)];
            let rest = [(0, 3), (0xFF, 8), (0, 1), (0, 1)];
            let fields = mux.into_iter().chain(audio).chain(rest);
            fields.for_each(|(value, count)| bits.put(value, count));
        }
        for payload in payloads {
            (0..payload.len() / 255).for_each(|_| bits.put(255, 8));
            bits.put((payload.len() % 255) as u32, 8);
            payload.iter().for_each(|&byte| bits.put(u32::from(byte), 8));
        }
        let length = bits.bytes.len() as u32;
        let mut frame = vec![0x56, 0xE0 | (length >> 8) as u8, length as u8];
        frame.extend(bits.bytes);
        frame.into()
    }

    #[test]
    fn frames_come_out_of_every_bit_position_and_the_configuration_stays_in_force() {
        let long = [7; 300];
        let mut latm = Latm::default();
        for config in [true, false] {
            let frame = element(config, 2, &[&[1, 2, 3], &long]);
            assert_eq!(latm.sync(&frame, false), Head::Frame(frame.len()));
            let mut units = Vec::new();
            let params = latm.open(frame, &mut units).expect("parameters");
            assert_eq!(
                (&params.config[..], params.channels, params.sample_rate),
                (&[0x11, 0x90][..], 2, 48_000)
            );
            let data: Vec<_> = units.iter().map(|unit| &unit.data[..]).collect();
            assert_eq!(data, [&[1, 2, 3][..], &long]);
        }
    }

    #[test]
    fn frames_before_the_first_configuration_wait_for_it() {
        let mut latm = Latm::default();
        let stream =
            [element(false, 1, &[&[1; 9]]), element(false, 1, &[&[2; 5]]), element(true, 1, &[&[3]])];
        let first = stream[0].len();
        let all = stream.concat();
        assert_eq!(latm.sync(&all[..first], false), Head::More);
        assert_eq!(latm.sync(&all[..all.len() - 1], false), Head::More);
        assert_eq!(latm.sync(&all[..first], true), Head::Frame(first));
        assert_eq!(latm.sync(&all, false), Head::Frame(first));
        latm.look_ahead(&all);
        let mut units = Vec::new();
        assert!(latm.open(stream[0].clone(), &mut units).is_some());
        assert_eq!(units[0].data, [1; 9][..]);
    }

    #[test]
    fn without_a_configuration_or_with_a_length_beyond_the_frame_nothing_comes_out() {
        let mut latm = Latm::default();
        assert_eq!(latm.open(element(false, 1, &[&[1]]), &mut Vec::new()), None);
        assert_eq!(latm.open(element(true, 2, &[&[1]]), &mut Vec::new()), None);
    }
}
