//! Sample entries (`stsd`) to [`Codec`].

use bytes::Bytes;

use super::boxes::{BoxRef, children, u16_at, u32_at};
use super::error::{Damage, Place, Problem, ReadError};
use crate::Codec;

/// Bytes of a VisualSampleEntry before its boxes (ISO/IEC 14496-12 12.1.3.2).
const VISUAL_LEN: usize = 78;
/// Bytes of an AudioSampleEntry before its boxes (12.2.3.2).
const AUDIO_LEN: usize = 28;

/// More sample entries than this are not kept: real files that change their parameters have a handful.
const MAX_ENTRIES: usize = 64;

/// What `stsd` says.
#[derive(Clone, Debug)]
pub(crate) struct SampleEntries {
    /// The type of the first entry.
    pub(crate) kind: [u8; 4],
    pub(crate) first: Codec,
    /// The codecs of the other entries.
    pub(crate) more: Vec<Codec>,
    /// The first entry had no AudioSpecificConfig.
    pub(crate) assumed_config: bool,
}

/// The sample entries. One that cannot be read is damage, and stands as [`Codec::Other`].
pub(crate) fn parse_stsd(
    stsd: &BoxRef,
    parent: &Place<'_>,
    damage: &mut Damage,
) -> Result<SampleEntries, ReadError> {
    let place = stsd.place(parent);
    let (_, _, rest) = stsd.full(parent)?;
    if rest.len() < 4 {
        return Err(stsd.truncated(parent, 8));
    }
    let mut entries: Option<SampleEntries> = None;
    for entry in children(&rest.slice(4..), stsd.body_offset + 8, &place).take(MAX_ENTRIES) {
        let entry = match (entry, &entries) {
            (Ok(entry), _) => entry,
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => {
                damage.push(error);
                break;
            }
        };
        let mut assumed = false;
        let codec = parse_entry(&entry, &place, &mut assumed).unwrap_or_else(|error| {
            damage.push(error);
            None
        });
        let codec = codec.unwrap_or_else(|| Codec::Other { fourcc: entry.kind, entry: entry.body.clone() });
        match &mut entries {
            Some(entries) => entries.more.push(codec),
            None => {
                let (kind, assumed_config) = (entry.kind, assumed);
                entries = Some(SampleEntries { kind, first: codec, more: Vec::new(), assumed_config });
            }
        }
    }
    entries.ok_or_else(|| place.error(Problem::Missing(*b"stsd")))
}

/// `Ok(None)`: a type that this crate does not know.
fn parse_entry(entry: &BoxRef, parent: &Place<'_>, assumed: &mut bool) -> Result<Option<Codec>, ReadError> {
    let place = &entry.place(parent);
    Ok(match &entry.kind {
        b"avc1" | b"avc3" => {
            let (width, height) = size(entry, parent)?;
            let avcc = require(entry, VISUAL_LEN, *b"avcC", place)?;
            Some(Codec::Avc { avcc, width, height })
        }
        b"hvc1" | b"hev1" => {
            let (width, height) = size(entry, parent)?;
            let hvcc = require(entry, VISUAL_LEN, *b"hvcC", place)?;
            Some(Codec::Hevc { hvcc, width, height })
        }
        b"mp4a" | b"ac-3" | b"ec-3" | b"Opus" | b".mp3" => {
            let sound = Sound::parse(entry, parent)?;
            let Sound { len, sample_rate, channels } = sound;
            match &entry.kind {
                b"mp4a" => parse_mp4a(entry, &sound, place, assumed)?,
                b"ac-3" => {
                    Some(Codec::Ac3 { dac3: require(entry, len, *b"dac3", place)?, sample_rate, channels })
                }
                b"ec-3" => {
                    Some(Codec::Eac3 { dec3: require(entry, len, *b"dec3", place)?, sample_rate, channels })
                }
                b"Opus" => Some(Codec::Opus { dops: require(entry, len, *b"dOps", place)?, channels }),
                _ => Some(Codec::MpegAudio { sample_rate, channels }),
            }
        }
        _ => None,
    })
}

fn size(entry: &BoxRef, parent: &Place<'_>) -> Result<(u16, u16), ReadError> {
    match (u16_at(&entry.body, 24), u16_at(&entry.body, 26)) {
        (Some(width), Some(height)) if entry.body.len() >= VISUAL_LEN => Ok((width, height)),
        _ => Err(entry.truncated(parent, VISUAL_LEN as u64)),
    }
}

/// The first `kind` among the boxes that begin `at` bytes into the entry.
fn find(entry: &Bytes, entry_offset: u64, at: usize, kind: [u8; 4], place: &Place<'_>) -> Option<BoxRef> {
    let rest = entry.get(at..).map(|rest| entry.slice_ref(rest))?;
    children(&rest, entry_offset + at as u64, place).map_while(Result::ok).find(|b| b.kind == kind)
}

fn require(entry: &BoxRef, at: usize, kind: [u8; 4], place: &Place<'_>) -> Result<Bytes, ReadError> {
    find(&entry.body, entry.body_offset, at, kind, place)
        .map(|found| found.body)
        .filter(|record| !record.is_empty())
        .ok_or_else(|| place.error(Problem::Missing(kind)))
}

struct Sound {
    /// Bytes before the entry's boxes.
    len: usize,
    sample_rate: u32,
    channels: u16,
}

impl Sound {
    fn parse(entry: &BoxRef, parent: &Place<'_>) -> Result<Self, ReadError> {
        let body = &entry.body;
        let (Some(version), Some(channels), Some(rate)) =
            (u16_at(body, 8), u16_at(body, 16), u32_at(body, 24))
        else {
            return Err(entry.truncated(parent, AUDIO_LEN as u64));
        };
        // QuickTime's versions 1 and 2 of the sound description are longer; ISO's version 1 (with `stsd`
        // version 1) is not. Whichever length is followed by a box is the right one.
        let longer = match version {
            1 => 16,
            2 => 36,
            _ => 0,
        };
        let begins_box = |at: usize| {
            let size = u32_at(body, at).map_or(0, |size| size as usize);
            size >= 8 && size <= body.len() - at.min(body.len())
        };
        let len = if begins_box(AUDIO_LEN + longer) { AUDIO_LEN + longer } else { AUDIO_LEN };
        let float_rate = (version == 2 && len > AUDIO_LEN).then(|| super::boxes::u64_at(body, 32)).flatten();
        // The cast saturates: there is no value that it could not take.
        let sample_rate = float_rate.map_or(rate >> 16, |bits| f64::from_bits(bits) as u32);
        let channels = match (version == 2 && len > AUDIO_LEN, u32_at(body, 40)) {
            (true, Some(channels)) => u16::try_from(channels).unwrap_or(channels as u16),
            _ => channels,
        };
        Ok(Self { len, sample_rate, channels })
    }
}

fn parse_mp4a(
    entry: &BoxRef,
    sound: &Sound,
    place: &Place<'_>,
    assumed: &mut bool,
) -> Result<Option<Codec>, ReadError> {
    let (body, offset) = (&entry.body, entry.body_offset);
    // QuickTime hides `esds` in `wave`.
    let esds = find(body, offset, sound.len, *b"esds", place).or_else(|| {
        let wave = find(body, offset, sound.len, *b"wave", place)?;
        find(&wave.body, wave.body_offset, 0, *b"esds", place)
    });
    let esds = esds.ok_or_else(|| place.error(Problem::Missing(*b"esds")))?;
    let esds_place = esds.place(place);
    let (object_type, config) = parse_esds(&esds.body).map_err(|problem| esds_place.error(problem))?;
    let (sample_rate, channels) = (sound.sample_rate, sound.channels);
    Ok(match object_type {
        // ISO/IEC 14496-1 table 5: MPEG-4 audio, and MPEG-2 AAC Main, LC, SSR.
        0x40 | 0x66..=0x68 => match config.filter(|asc| !asc.is_empty()) {
            Some(asc) => Some(Codec::Aac { asc, sample_rate, channels }),
            // FFmpeg writes the `moov` before it has seen an ADTS header (`empty_moov` without `delay_moov`).
            None => {
                let asc = assume_asc(sample_rate, channels).ok_or_else(|| {
                    esds_place.error(Problem::Malformed("no AudioSpecificConfig".to_owned()))
                })?;
                *assumed = true;
                Some(Codec::Aac { asc, sample_rate, channels })
            }
        },
        0x69 | 0x6B => Some(Codec::MpegAudio { sample_rate, channels }),
        _ => None,
    })
}

/// An AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) of AAC-LC, which is what such files hold.
fn assume_asc(sample_rate: u32, channels: u16) -> Option<Bytes> {
    /// 1.6.3.4, table 1.18.
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    const AAC_LC: u16 = 2;
    let rate = u16::try_from(RATES.iter().position(|rate| *rate == sample_rate)?).ok()?;
    // Table 1.19: configuration 7 is eight channels, and seven have none.
    let configuration = match channels {
        1..=6 => channels,
        8 => 7,
        _ => return None,
    };
    let bits = AAC_LC << 11 | rate << 7 | configuration << 3;
    Some(Bytes::copy_from_slice(&bits.to_be_bytes()))
}

/// The object type and the DecoderSpecificInfo. Tolerates a missing SLConfigDescriptor and lengths of any
/// number of bytes, both of which real writers produce.
fn parse_esds(esds: &Bytes) -> Result<(u8, Option<Bytes>), Problem> {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    let missing = |what: &str| Problem::Malformed(format!("no {what}"));
    let es = descriptor(&tail(esds, 4), ES).ok_or_else(|| missing("ES_Descriptor"))?;
    // ISO/IEC 14496-1 7.2.6.5: the flags announce fields before the inner descriptors.
    let flags = es.get(2).copied().ok_or_else(|| missing("flags in the ES_Descriptor"))?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(es.get(at).copied().unwrap_or(0));
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let config =
        descriptor(&tail(&es, at), DECODER_CONFIG).ok_or_else(|| missing("DecoderConfigDescriptor"))?;
    let object_type = config.first().copied().ok_or_else(|| missing("objectTypeIndication"))?;
    Ok((object_type, descriptor(&tail(&config, 13), DECODER_SPECIFIC)))
}

fn tail(bytes: &Bytes, at: usize) -> Bytes {
    bytes.slice(at.min(bytes.len())..)
}

/// The first descriptor with `tag` in a list of them (ISO/IEC 14496-1 8.3.3), cut off where the list ends.
fn descriptor(list: &Bytes, tag: u8) -> Option<Bytes> {
    let mut rest = list.clone();
    loop {
        let found = *rest.first()?;
        let mut len = 0_usize;
        let mut at = 1;
        loop {
            let byte = *rest.get(at)?;
            at += 1;
            len = (len << 7 | usize::from(byte & 0x7F)) & 0x0FFF_FFFF;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = at.saturating_add(len).min(rest.len());
        if found == tag {
            return Some(rest.slice(at..end));
        }
        rest = rest.slice(end..);
    }
}
