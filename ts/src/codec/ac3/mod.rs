//! AC-3 and E-AC-3 (ETSI TS 102 366): frames, `dac3` and `dec3`.
//!
//! Which of the two a stream is, its frames say (bsid); stream types are not trusted for it.

mod dec3;
mod header;

use std::sync::Arc;

use bytes::Bytes;

use super::audio::{Format, Head, Unit};
use super::bits::BitWriter;
use crate::event::{AudioParams, Codec};
use dec3::Layout;
use header::{HEADER, Header, Kind};

/// Frames of an access unit: eight independent substreams with eight each that depend on them (E.1.3.1.2,
/// substreamid).
const MAX_FRAMES: usize = 8 * (1 + 8);

/// Which of the two the frame at the start of `bytes` is.
pub(super) fn codec_at(bytes: &[u8]) -> Codec {
    match Header::parse(bytes) {
        Some(header) if header.kind != Kind::Plain => Codec::Eac3,
        _ => Codec::Ac3,
    }
}

/// The length of the syncframe at the start of `bytes`.
pub(super) fn frame_length(bytes: &[u8]) -> Option<usize> {
    Header::parse(bytes).map(|header| header.length)
}

/// AC-3 and E-AC-3 in a transport stream.
#[derive(Debug, Default)]
pub(crate) struct Dolby {
    /// The last access unit's headers, and what came of them.
    last: Option<(Header, Layout, Arc<AudioParams>)>,
}

impl Format for Dolby {
    const SYNC: u8 = 0x0B;

    /// An access unit is a frame of substream 0 with those of the other substreams behind it. Where frames have
    /// less than six blocks, each is a unit: that is how they are stamped and how FFmpeg counts them; a writer
    /// of MP4 may put several into a sample (F.5.2).
    fn sync(&self, bytes: &[u8], ended: bool) -> Head {
        if bytes.len() >= 2 && bytes[..2] != [0x0B, 0x77] {
            return Head::None;
        }
        if bytes.len() < HEADER {
            return Head::More;
        }
        let Some(first) = Header::parse(bytes) else { return Head::None };
        let mut length = first.length;
        if first.kind == Kind::Plain {
            return Head::Frame(length);
        }
        for _ in 0..MAX_FRAMES {
            let rest = bytes.get(length..).unwrap_or_default();
            if rest.len() < HEADER {
                return if ended { Head::Frame(length) } else { Head::More };
            }
            match Header::parse(rest) {
                Some(next) if !next.leads() => length += next.length,
                _ => break,
            }
        }
        Head::Frame(length)
    }

    fn is_familiar(&self, bytes: &[u8]) -> bool {
        let like = |header: &Header| Header::parse(bytes).is_some_and(|it| it.is_like(header));
        self.last.as_ref().is_some_and(|(header, ..)| like(header))
    }

    fn open(&mut self, frame: Bytes, units: &mut Vec<Unit>) -> Option<Arc<AudioParams>> {
        let header = Header::parse(&frame)?;
        let length = frame.len();
        let layout = if header.kind == Kind::Plain { Layout::default() } else { Layout::of(&frame) };
        if header.kind != Kind::Plain && layout.substreams.is_empty() {
            return None; // what others depend on is missing
        }
        let samples = header.samples;
        units.push(Unit::new(frame, samples));
        // The lengths of frames vary, and dec3 tells a rate that need not be exact.
        let known =
            self.last.as_ref().filter(|(last, before, _)| last.is_like(&header) && before.is_like(&layout));
        if let Some((_, _, params)) = known {
            return Some(Arc::clone(params));
        }
        let mut config = BitWriter::default();
        let codec = if header.kind == Kind::Plain {
            put_dac3(&header, &mut config);
            Codec::Ac3
        } else {
            let rate = length as u64 * 8 * u64::from(header.sample_rate) / u64::from(samples.max(1)) / 1000;
            layout.put_dec3(rate, &mut config);
            Codec::Eac3
        };
        let params = Arc::new(AudioParams {
            codec,
            config: config.bytes.into(),
            codec_string: if codec == Codec::Ac3 { "ac-3" } else { "ec-3" }.to_owned(),
            sample_rate: header.sample_rate,
            channels: header.channels().max(layout.channels()),
            frame_len: samples,
        });
        self.last = Some((header, layout, Arc::clone(&params)));
        Some(params)
    }
}

/// AC3SpecificBox, F.4.
fn put_dac3(header: &Header, out: &mut BitWriter) {
    out.put(u32::from(header.rate_code), 2);
    out.put(u32::from(header.bsid), 5);
    out.put(u32::from(header.bsmod), 3);
    out.put(u32::from(header.mode), 3);
    out.put(u32::from(header.lfe), 1);
    out.put(u32::from(header.size_code), 5);
    out.put(0, 5);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with these bits behind its sync word, filled up to `length`.
    fn frame(fields: &[(u32, u32)], length: usize) -> Vec<u8> {
        let mut bits = BitWriter::default();
        bits.put(0x0B77, 16);
        fields.iter().for_each(|&(value, count)| bits.put(value, count));
        bits.bytes.resize(length, 0);
        bits.bytes
    }

    #[test]
    fn ac3_lengths_are_those_of_the_table() {
        // crc1, fscod, frmsizecod, bsid, bsmod, acmod 3/2, cmixlev, surmixlev, lfeon
        for (rate, size, length) in [(0, 30, 1792), (1, 0, 138), (1, 1, 140), (2, 37, 3840), (0, 8, 256)] {
            let fields = [(0, 16), (rate, 2), (size, 6), (8, 5), (0, 3), (7, 3), (0, 2), (0, 2), (1, 1)];
            let header = Header::parse(&frame(&fields, length)).expect("header");
            assert_eq!(
                (header.length, header.channels(), header.samples),
                (length, 6, 1536),
                "{rate} {size}"
            );
        }
        assert_eq!(Header::parse(&frame(&[(0, 16), (3, 2), (0, 6), (8, 5)], 20)), None);
        assert_eq!(Header::parse(&frame(&[(0, 16), (0, 2), (38, 6), (8, 5)], 20)), None);
    }

    #[test]
    fn further_independent_substreams_belong_to_the_unit_and_stand_in_dec3() {
        // strmtyp, substreamid, frmsiz, fscod, numblkscod (2 blocks), acmod, lfeon, bsid
        let part = |id, size: u32| {
            let fields = [(0, 2), (id, 3), (size / 2 - 1, 11), (0, 2), (1, 2), (2, 3), (0, 1), (16, 5)];
            frame(&fields, size as usize)
        };
        let unit = [part(0, 40), part(1, 20)].concat();
        let stream = [&unit[..], &unit].concat();
        let mut dolby = Dolby::default();
        assert_eq!(dolby.sync(&stream, false), Head::Frame(60));
        assert_eq!(dolby.sync(&unit, false), Head::More);
        let params = dolby.open(unit.into(), &mut Vec::new()).expect("parameters");
        assert_eq!((params.channels, params.frame_len), (2, 512));
        // 45 kbit/s; two independent substreams without any that depends on them.
        let mut expected = BitWriter::default();
        expected.put(45, 13);
        expected.put(1, 3);
        for _ in 0..2 {
            let fields = [(0, 2), (16, 5), (0, 2), (0, 3), (2, 3), (0, 1), (0, 3), (0, 4), (0, 1)];
            fields.into_iter().for_each(|(value, count)| expected.put(value, count));
        }
        assert_eq!(params.config, expected.bytes);
    }

    #[test]
    fn object_audio_is_told_in_dec3_with_its_complexity() {
        let head = [(0, 2), (0, 3), (19, 11), (0, 2), (3, 2), (7, 3), (1, 1), (16, 5)];
        // dialnorm, compre; mixmdate with dmixmod, centre and surround levels, no lfemixlevcod, pgmscle, extpgmscle,
        // mixdef and frmmixcfginfoe; infomdate with bsmod 1, dsurexmod, audprodie, sourcefscod.
        let mixing = [(1, 1), (0, 2), (0, 6), (0, 6), (0, 1), (0, 1), (0, 1), (0, 2), (0, 1)];
        let information = [(1, 1), (1, 3), (0, 2), (0, 2), (0, 1), (0, 1)];
        // addbsie, addbsil, flag, complexity 16
        let objects = [(1, 1), (1, 6), (1, 8), (16, 8)];
        let fields = [&head[..], &[(31, 5), (0, 1)], &mixing, &information, &objects].concat();
        let unit = frame(&fields, 40);
        let params = Dolby::default().open(unit.into(), &mut Vec::new()).expect("parameters");
        let mut expected = BitWriter::default();
        let fields =
            [(10, 13), (0, 3), (0, 2), (16, 5), (0, 2), (1, 3), (7, 3), (1, 1), (0, 3), (0, 4), (0, 1)];
        fields.into_iter().chain([(1, 8), (16, 8)]).for_each(|(value, count)| expected.put(value, count));
        assert_eq!(params.config, expected.bytes);
    }

    #[test]
    fn dependent_substreams_stay_with_their_independent_one_and_add_channels() {
        // strmtyp, substreamid, frmsiz, fscod, numblkscod, acmod, lfeon, bsid, dialnorm, compre
        let independent = [(0, 2), (0, 3), (19, 11), (0, 2), (3, 2), (7, 3), (1, 1), (16, 5), (0, 6)];
        let dependent = [(1, 2), (0, 3), (9, 11), (0, 2), (3, 2), (2, 3), (0, 1), (16, 5), (0, 6)];
        // chanmape, chanmap: left and right rear surround
        let dependent = [&dependent[..], &[(1, 1), (0x0200, 16)]].concat();
        let unit = [frame(&independent, 40), frame(&dependent, 20)].concat();
        let stream = [&unit[..], &unit].concat();
        let mut dolby = Dolby::default();
        assert_eq!(dolby.sync(&stream, false), Head::Frame(60));
        assert_eq!(dolby.sync(&unit, false), Head::More);
        assert_eq!(dolby.sync(&unit, true), Head::Frame(60));
        let params = dolby.open(unit.into(), &mut Vec::new()).expect("parameters");
        assert_eq!((params.codec, params.channels, params.frame_len), (Codec::Eac3, 8, 1536));
        // 15 kbit/s; one substream at 48 kHz, bsid 16, 3/2 with LFE; one dependent at location 1.
        let mut expected = BitWriter::default();
        let fields =
            [(15, 13), (0, 3), (0, 2), (16, 5), (0, 2), (0, 3), (7, 3), (1, 1), (0, 3), (1, 4), (2, 9)];
        fields.into_iter().for_each(|(value, count)| expected.put(value, count));
        assert_eq!(params.config, expected.bytes);
    }
}
