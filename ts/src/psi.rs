//! Program tables: sections put together from packets (ISO/IEC 13818-1 2.4.4), PAT and PMT read.

use mpeg2ts_reader::descriptor::{Descriptor, DescriptorError};
use mpeg2ts_reader::mpegts_crc;
use mpeg2ts_reader::psi::pat::{PatSection, ProgramDescriptor};
use mpeg2ts_reader::psi::pmt::PmtSection;

use crate::event::{AudioType, Codec, Stream};

/// Largest section: private sections (SCTE 35) may have 4096 bytes, PAT and PMT 1024.
const MAX_SECTION: usize = 4096;
/// table_id, section_length.
const HEADER: usize = 3;
/// The extended header: table_id_extension, version, section numbers.
const LONG_HEADER: usize = 8;
const CRC: usize = 4;
const PAT: u8 = 0x00;
const PMT: u8 = 0x02;

/// Puts the sections of one PID together.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    /// The section being gathered; empty between sections.
    partial: Vec<u8>,
    /// Its start was seen.
    open: bool,
}

impl Sections {
    /// Takes a packet's payload and calls `each` with every section that it completes.
    pub(crate) fn push(&mut self, payload: &[u8], start: bool, mut each: impl FnMut(&[u8])) {
        let mut rest = payload;
        if start {
            // pointer_field: where the first new section begins; before it, the end of the last one.
            let Some((&pointer, after)) = rest.split_first() else { return };
            let Some((tail, fresh)) = after.split_at_checked(usize::from(pointer)) else {
                self.reset();
                return;
            };
            self.gather(tail, &mut each);
            self.reset();
            self.open = true;
            rest = fresh;
        }
        while self.open && !rest.is_empty() {
            if self.partial.is_empty() && rest[0] == 0xFF {
                self.open = false; // stuffing up to the end of the packet (2.4.4.1)
                return;
            }
            rest = self.gather(rest, &mut each);
        }
    }

    /// Forgets a half-gathered section: packets are missing.
    pub(crate) fn reset(&mut self) {
        self.partial.clear();
        self.open = false;
    }

    /// The start of a section came, and not yet its end.
    pub(crate) fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Adds to the open section; returns what lies behind it.
    fn gather<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(&[u8])) -> &'a [u8] {
        if !self.open {
            return &[];
        }
        let mut rest = bytes;
        let mut wanted = HEADER;
        loop {
            let take = wanted.saturating_sub(self.partial.len()).min(rest.len());
            self.partial.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            if self.partial.len() < wanted {
                return rest;
            }
            if wanted == HEADER {
                let length = usize::from(u16::from_be_bytes([self.partial[1], self.partial[2]]) & 0x0FFF);
                wanted = (HEADER + length).min(MAX_SECTION);
                if self.partial.len() < wanted {
                    continue;
                }
            }
            each(&self.partial);
            self.partial.clear();
            return rest;
        }
    }
}

/// A table that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Programs in the order of the table: (program_number, PMT PID). `alone`: it has no other section.
    Pat {
        programs: Vec<(u16, u16)>,
        alone: bool,
    },
    Pmt(Map),
    /// Not yet in force, or a table of another kind.
    Other,
}

/// A program map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    pub(crate) program: u16,
    pub(crate) pcr_pid: u16,
    pub(crate) streams: Vec<Stream>,
    /// PIDs of those whose content has to say what it is, or whether it is what the map says.
    pub(crate) unclear: Vec<u16>,
}

/// Reads a PAT or PMT section; `None` where its CRC or its content is wrong.
pub(crate) fn read(section: &[u8]) -> Option<Table> {
    let table_id = *section.first()?;
    if table_id != PAT && table_id != PMT {
        return Some(Table::Other);
    }
    if is_intact(section) { parse(section) } else { None }
}

/// Reads a PMT section; `None` where it is none, or broken.
pub(crate) fn read_map(section: &[u8]) -> Option<Map> {
    match read(section) {
        Some(Table::Pmt(map)) => Some(map),
        _ => None,
    }
}

/// Reads a PMT section whose CRC is wrong, as far as its form allows: some multiplexers compute the CRC wrongly, or
/// not at all, over a table that is right. `None` where anything but the CRC is wrong. Its streams should be on the
/// wire before it is believed.
pub(crate) fn read_doubtful(section: &[u8]) -> Option<Map> {
    if section.first() != Some(&PMT) || is_intact(section) || !is_well_formed(section) {
        return None;
    }
    match parse(section) {
        Some(Table::Pmt(map)) => Some(map),
        _ => None,
    }
}

/// The loops of a PMT section fill it exactly, and its PIDs are none of the reserved ones (tables 2-3 and 2-33).
fn is_well_formed(section: &[u8]) -> bool {
    const FIRST_PID: u16 = 0x0010;
    let length = |high: u8, low: u8| usize::from(u16::from_be_bytes([high, low]) & 0x0FFF);
    let declared = section.get(1..HEADER).map(|it| HEADER + length(it[0], it[1]));
    let Some(body) = section.get(LONG_HEADER..section.len().saturating_sub(CRC)) else { return false };
    let [_, _, high, low, rest @ ..] = body else { return false };
    let Some(mut rest) = rest.get(length(*high, *low)..) else { return false };
    let mut pids = Vec::new();
    while let [_, pid_high, pid_low, high, low, descriptors @ ..] = rest {
        let pid = u16::from_be_bytes([*pid_high, *pid_low]) & 0x1FFF;
        let Some(next) = descriptors.get(length(*high, *low)..) else { return false };
        if !(FIRST_PID..0x1FFF).contains(&pid) || pids.contains(&pid) {
            return false;
        }
        pids.push(pid);
        rest = next;
    }
    declared == Some(section.len()) && rest.is_empty() && !pids.is_empty()
}

/// The same of a section whose CRC is none of the question.
fn parse(section: &[u8]) -> Option<Table> {
    let table_id = *section.first()?;
    if section.len() < LONG_HEADER + CRC || section[1] & 0x80 == 0 {
        return None;
    }
    // current_next_indicator: a table that is to come is sent again when it is in force.
    if section[5] & 1 == 0 {
        return Some(Table::Other);
    }
    let extension = u16::from_be_bytes([section[3], section[4]]);
    let body = &section[LONG_HEADER..section.len() - CRC];
    if table_id == PAT {
        let programs = PatSection::new(body).programs().filter_map(|entry| match entry {
            ProgramDescriptor::Program { program_number, pid } => Some((program_number, pid.into())),
            ProgramDescriptor::Network { .. } => None,
        });
        let alone = section[7] == 0; // last_section_number
        return Some(Table::Pat { programs: programs.collect(), alone });
    }
    let map = PmtSection::from_bytes(body).ok()?;
    let hdmv =
        map.descriptors::<Raw<'_>>().flatten().any(|it| it.tag == REGISTRATION && it.is_format(b"HDMV"));
    let mut unclear = Vec::new();
    let streams = map.streams().map(|stream| {
        let descriptors: Vec<Raw<'_>> = stream.descriptors().flatten().collect();
        let stream_type = stream.stream_type().0;
        let pid = stream.elementary_pid().into();
        if is_unclear(stream_type, hdmv, &descriptors) {
            unclear.push(pid);
        }
        Stream {
            pid,
            stream_type,
            codec: codec(stream_type, hdmv, &descriptors),
            encrypted: is_encrypted(stream_type),
            language: language(&descriptors),
            audio_type: audio_type(&descriptors),
            channel_config: opus_channels(&descriptors),
        }
    });
    let streams = streams.collect();
    Some(Table::Pmt(Map { program: extension, pcr_pid: map.pcr_pid().into(), streams, unclear }))
}

/// The CRC that ends a section (ISO/IEC 13818-1 annex A), over the bytes before it; 0 over those of an intact
/// section with its CRC.
pub fn section_crc(bytes: &[u8]) -> u32 {
    mpegts_crc::sum32(bytes)
}

/// Whether the CRC over a section is right: with the CRC included it is zero.
pub(crate) fn is_intact(section: &[u8]) -> bool {
    section_crc(section) == 0
}

const REGISTRATION: u8 = 0x05;
const LANGUAGE: u8 = 0x0A;
/// Descriptors of ETSI EN 300 468 that say what private data is.
const DVB_AC3: u8 = 0x6A;
const DVB_EAC3: u8 = 0x7A;
const DVB_VBI_DATA: u8 = 0x45;
const DVB_TELETEXT: u8 = 0x56;
const DVB_SUBTITLES: u8 = 0x59;
const DVB_DTS: u8 = 0x7B;
const DVB_EXTENSION: u8 = 0x7F;
/// AC-3_audio_stream_descriptor of ATSC A/52 annex A.
const ATSC_AC3: u8 = 0x81;
/// stream_type from here on is for users to give a meaning (ISO/IEC 13818-1 table 2-34).
const FIRST_USER: u8 = 0x80;

/// A descriptor of any kind.
struct Raw<'a> {
    tag: u8,
    payload: &'a [u8],
}

impl<'a> Descriptor<'a> for Raw<'a> {
    fn from_bytes(buf: &'a [u8]) -> Result<Self, DescriptorError> {
        match buf {
            [tag, _, payload @ ..] => Ok(Self { tag: *tag, payload }),
            _ => Err(DescriptorError::BufferTooShort { buflen: buf.len() }),
        }
    }
}

impl Raw<'_> {
    fn is_format(&self, identifier: &[u8; 4]) -> bool {
        self.payload.starts_with(identifier)
    }
}

/// What a stream contains: by its stream_type (ISO/IEC 13818-1 table 2-34), for private types by the
/// registration and DVB descriptors.
fn codec(stream_type: u8, hdmv: bool, descriptors: &[Raw<'_>]) -> Option<Codec> {
    let registered =
        |identifier| descriptors.iter().any(|it| it.tag == REGISTRATION && it.is_format(identifier));
    let described = |tag| descriptors.iter().any(|it| it.tag == tag);
    match stream_type {
        0x1B => Some(Codec::H264),
        0x24 => Some(Codec::Hevc),
        0x0F => Some(Codec::AacAdts),
        0x11 => Some(Codec::AacLatm),
        0x03 | 0x04 => Some(Codec::MpegAudio),
        0x81 => Some(Codec::Ac3),
        0x87 => Some(Codec::Eac3),
        // In a Blu-ray stream, 0xA1 is secondary audio.
        0x84 | 0xA1 if hdmv => Some(Codec::Eac3),
        // In a Blu-ray stream 0x86 is DTS-HD.
        0x86 if !hdmv => Some(Codec::Scte35),
        0x15 if registered(b"ID3 ") || described_id3(descriptors) => Some(Codec::TimedId3),
        0x06 | FIRST_USER.. if !is_encrypted(stream_type) => {
            let private = stream_type == 0x06;
            match () {
                () if registered(b"Opus") => Some(Codec::Opus),
                () if registered(b"HEVC") => Some(Codec::Hevc),
                () if registered(b"EAC3") || private && described(DVB_EAC3) => Some(Codec::Eac3),
                () if registered(b"AC-3") || private && described(DVB_AC3) => Some(Codec::Ac3),
                () if registered(b"ID3 ") => Some(Codec::TimedId3),
                () => None,
            }
        }
        _ => None,
    }
}

/// SAMPLE-AES: H.264, AAC, AC-3 and E-AC-3.
fn is_encrypted(stream_type: u8) -> bool {
    matches!(stream_type, 0xDB | 0xCF | 0xC1 | 0xC2)
}

/// Whether the map leaves open what a stream is, or says what is often not so.
fn is_unclear(stream_type: u8, hdmv: bool, descriptors: &[Raw<'_>]) -> bool {
    if codec(stream_type, hdmv, descriptors).is_some() {
        // The types of MPEG audio and AAC are mixed up by some multiplexers.
        return matches!(stream_type, 0x03 | 0x04 | 0x0F | 0x11);
    }
    // Registered formats and DVB's subtitles, teletext, data and DTS say that they are none of ours.
    let told = descriptors.iter().any(|it| {
        matches!(it.tag, REGISTRATION | DVB_VBI_DATA..=DVB_TELETEXT | DVB_SUBTITLES | DVB_DTS | DVB_EXTENSION)
    });
    match stream_type {
        0x06 => !told,
        FIRST_USER.. => !told && !hdmv && !is_encrypted(stream_type),
        _ => false,
    }
}

/// Whether a metadata_descriptor (2.6.60) announces ID3: metadata_format_identifier or
/// metadata_application_format_identifier is "ID3 ".
fn described_id3(descriptors: &[Raw<'_>]) -> bool {
    const METADATA: u8 = 0x26;
    descriptors.iter().any(|it| it.tag == METADATA && it.payload.windows(4).any(|four| four == b"ID3 "))
}

/// channel_config_code of an Opus stream, in a DVB extension descriptor with its own tag.
fn opus_channels(descriptors: &[Raw<'_>]) -> Option<u8> {
    const OPUS: u8 = 0x80;
    descriptors.iter().find_map(|it| match (it.tag, it.payload) {
        (DVB_EXTENSION, &[OPUS, code, ..]) => Some(code),
        _ => None,
    })
}

/// The first ISO 639 code, where it is one.
fn language(descriptors: &[Raw<'_>]) -> Option<String> {
    let listed = descriptors.iter().find(|it| it.tag == LANGUAGE).and_then(|it| it.payload.get(..3));
    // ETSI EN 300 468 6.4.11: language_code_present is the last bit of the first byte.
    let supplementary = || match supplementary_audio(descriptors)? {
        [flags, code @ ..] if flags & 1 != 0 => code.get(..3),
        _ => None,
    };
    let code = listed.or_else(supplementary)?;
    code.iter().all(u8::is_ascii_alphabetic).then(|| String::from_utf8_lossy(code).to_ascii_lowercase())
}

/// The fields of DVB's supplementary_audio_descriptor (ETSI EN 300 468 6.4.11).
fn supplementary_audio<'a>(descriptors: &[Raw<'a>]) -> Option<&'a [u8]> {
    const SUPPLEMENTARY_AUDIO: u8 = 0x06;
    descriptors.iter().find_map(|it| match (it.tag, it.payload) {
        (DVB_EXTENSION, [SUPPLEMENTARY_AUDIO, fields @ ..]) => Some(fields),
        _ => None,
    })
}

/// Whom a stream is for. The first descriptor that says anything but "main" holds: multiplexers that mark a
/// commentary in one place leave the others at zero.
fn audio_type(descriptors: &[Raw<'_>]) -> AudioType {
    // editorial_classification (table J.3 of EN 300 468).
    let supplementary = supplementary_audio(descriptors).and_then(|fields| fields.first()).map(|flags| {
        match flags >> 2 & 0x1F {
            0x01 | 0x03 => AudioType::VisualImpaired,
            0x02 => AudioType::HearingImpaired,
            _ => AudioType::Main,
        }
    });
    let described = descriptors.iter().filter_map(|it| match (it.tag, it.payload) {
        // audio_type (2.6.19), behind the language of the first entry.
        (LANGUAGE, [_, _, _, kind, ..]) => Some(match kind {
            0x01 => AudioType::CleanEffects,
            0x02 => AudioType::HearingImpaired,
            0x03 => AudioType::VisualImpaired,
            // Emergency, primary and alternate commentary of the 2015 edition.
            0x82..=0x84 => AudioType::Other,
            _ => AudioType::Main,
        }),
        // component_type_flag, and component_type with the service type (EN 300 468 annex D).
        (DVB_AC3 | DVB_EAC3, [flags, kind, ..]) if flags & 0x80 != 0 => Some(service(kind >> 3 & 0x07)),
        // ATSC A/52 annex A: bsmod is at the top of the third byte.
        (ATSC_AC3, [_, _, third, ..]) => Some(service(third >> 5)),
        _ => None,
    });
    let mut all = supplementary.into_iter().chain(described);
    all.find(|kind| *kind != AudioType::Main).unwrap_or_default()
}

/// The kind of service of AC-3 (bsmod, ETSI TS 102 366 table 4.2).
fn service(bsmod: u8) -> AudioType {
    match bsmod {
        0 => AudioType::Main,
        1 => AudioType::CleanEffects,
        2 => AudioType::VisualImpaired,
        3 => AudioType::HearingImpaired,
        // Dialogue without effects, commentary, emergency. 7 is voice over, or karaoke, which is a main service.
        4..=6 => AudioType::Other,
        _ => AudioType::Main,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_put_together_across_packets_and_told_apart_within_one() {
        let section = |fill: u8, length: u8| {
            let mut section = vec![0x40, 0, length];
            section.resize(3 + usize::from(length), fill);
            section
        };
        let (one, two, three) = (section(1, 200), section(2, 5), section(3, 9));
        let mut found = Vec::new();
        let mut sections = Sections::default();
        let mut push = |payload: &[u8], start| sections.push(payload, start, |it| found.push(it.to_vec()));
        push(&[&[0], &one[..150]].concat(), true);
        push(&[&[53], &one[150..], &two, &three[..2]].concat(), true);
        push(&[&three[2..], &[0xFF; 20]].concat(), false);
        push(&[0xFF; 30], false);
        assert_eq!(found, [one, two, three]);
    }

    #[test]
    fn streams_are_recognised_by_type_and_descriptors() {
        let registered = |id: &'static [u8]| Raw { tag: REGISTRATION, payload: id };
        let cases = [
            (0x1B, false, vec![], Some(Codec::H264)),
            (0x86, false, vec![], Some(Codec::Scte35)),
            (0x86, true, vec![], None),
            (0x84, true, vec![], Some(Codec::Eac3)),
            (0x06, false, vec![], None),
            (0x06, false, vec![Raw { tag: DVB_AC3, payload: &[] }], Some(Codec::Ac3)),
            (0x06, false, vec![registered(b"Opus"), Raw { tag: DVB_EAC3, payload: &[] }], Some(Codec::Opus)),
            (0x15, false, vec![registered(b"ID3 ")], Some(Codec::TimedId3)),
            (0x15, false, vec![registered(b"KLVA")], None),
        ];
        for (stream_type, hdmv, descriptors, expected) in cases {
            assert_eq!(codec(stream_type, hdmv, &descriptors), expected, "{stream_type:#x}");
        }
        let languages = [Raw { tag: LANGUAGE, payload: b"ENG\0" }];
        assert_eq!(language(&languages).as_deref(), Some("eng"));
        assert_eq!(language(&[Raw { tag: LANGUAGE, payload: &[0xFF, 0, 1, 2] }]), None);
    }

    #[test]
    fn whom_audio_is_for_is_told_by_any_of_the_descriptors() {
        let raw = |tag, payload: &'static [u8]| Raw { tag, payload };
        let cases: [(Vec<Raw<'_>>, AudioType); 14] = [
            (vec![], AudioType::Main),
            (vec![raw(LANGUAGE, b"eng\0")], AudioType::Main),
            (vec![raw(LANGUAGE, b"eng\x01")], AudioType::CleanEffects),
            (vec![raw(LANGUAGE, b"eng\x02")], AudioType::HearingImpaired),
            (vec![raw(LANGUAGE, b"eng\x03")], AudioType::VisualImpaired),
            (vec![raw(LANGUAGE, b"eng\x80")], AudioType::Main),
            (vec![raw(LANGUAGE, b"eng\x84")], AudioType::Other),
            (vec![raw(DVB_AC3, &[0x80, 0x42])], AudioType::Main),
            (vec![raw(DVB_AC3, &[0x80, 0x12])], AudioType::VisualImpaired),
            (vec![raw(DVB_AC3, &[0x00])], AudioType::Main),
            (vec![raw(DVB_EAC3, &[0x80, 0x9A])], AudioType::HearingImpaired),
            (vec![raw(ATSC_AC3, &[0x08, 0x00, 0x45])], AudioType::VisualImpaired),
            // Supplementary audio: a description, with the language in the descriptor itself.
            (
                vec![raw(LANGUAGE, b"eng\0"), raw(DVB_EXTENSION, &[0x06, 0x07, b'd', b'e', b'u'])],
                AudioType::VisualImpaired,
            ),
            (vec![raw(DVB_EXTENSION, &[0x06, 0x80])], AudioType::Main),
        ];
        for (number, (descriptors, expected)) in cases.into_iter().enumerate() {
            assert_eq!(audio_type(&descriptors), expected, "case {number}");
        }
        let alone = [raw(DVB_EXTENSION, &[0x06, 0x07, b'd', b'e', b'u'])];
        assert_eq!(language(&alone).as_deref(), Some("deu"));
    }

    #[test]
    fn a_map_with_a_wrong_crc_is_read_only_where_its_form_is_right() {
        let mut section = vec![PMT, 0xB0, 0, 0, 1, 0xC1, 0, 0, 0xE1, 0, 0xF0, 0];
        section.extend([0x1B, 0xE1, 0x00, 0xF0, 0, 0x0F, 0xE1, 0x01, 0xF0, 0]);
        section.extend([1, 2, 3, 4]);
        section[2] = section.len() as u8 - 3;
        let map = read_doubtful(&section).expect("only its CRC is wrong");
        assert_eq!(map.streams.iter().map(|it| it.pid).collect::<Vec<_>>(), [0x100, 0x101]);
        // A length, a PID twice, a reserved PID, another table; and one cut anywhere.
        for (at, byte) in [(2, 20), (21, 1), (18, 0x00), (13, 0xE1), (0, 0)] {
            let mut broken = section.clone();
            broken[at] = byte;
            if at == 13 {
                broken[14] = 0x01;
            }
            if at == 18 {
                broken[19] = 0x05;
            }
            assert_eq!(read_doubtful(&broken), None, "{at}");
        }
        for end in 0..section.len() {
            assert_eq!(read_doubtful(&section[..end]), None);
        }
    }
}
