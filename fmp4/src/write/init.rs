//! The init segment: `ftyp` and a `moov` without samples.

use bytes::Bytes;
use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig};
use mp4_atom::{
    Audio, BufMut, Dinf, Dref, DrefEntry, Elst, ElstEntry, Encode, Esds, Ftyp, Hdlr, Mdhd, Mvhd, Smhd, Stco,
    Stsc, Stsz, Stts, Tkhd, Trex, Url, Visual, Vmhd,
};

use super::WriteError;
use crate::Codec;

/// One track of an init segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackConfig {
    /// 1 or more, unique in the movie.
    pub id: u32,
    /// Units per second of every time in this track.
    pub timescale: u32,
    pub codec: Codec,
    /// ISO 639-2/T, for example `*b"eng"`; `None` is written as `und`.
    pub language: Option<[u8; 3]>,
    /// How the track's media lies on the movie's timeline; `None` when they are the same.
    pub edit: Option<Edit>,
}

/// An edit list of at most two entries: an empty edit, then the media (ISO/IEC 14496-12 8.6.6).
/// All times are in the track's timescale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// How much later than the movie this track begins.
    pub delay: u64,
    /// The composition time of the media at which presentation begins: what is before it is decoded but
    /// not presented. Encoder priming, or the composition offset of the first picture.
    pub media_time: u64,
    /// How much of the media is presented; 0: all that follows, which is what fragments need.
    pub duration: u64,
}

/// Encodes `ftyp` and `moov` for tracks whose samples follow in fragments.
pub fn init_segment(tracks: &[TrackConfig]) -> Result<Bytes, WriteError> {
    check(tracks)?;
    let timescale = movie_timescale(tracks);
    let mut out = Vec::with_capacity(1024);
    // iso6: `tfdt`, default-base-is-moof and signed composition offsets are all allowed.
    let compatible_brands = vec![b"iso6".into(), b"iso5".into(), b"mp41".into()];
    Ftyp { major_brand: b"iso6".into(), minor_version: 512, compatible_brands }.encode(&mut out)?;
    out.encode_atom(b"moov", |out| {
        let next_track_id = tracks.iter().map(|t| t.id).max().unwrap_or(0).wrapping_add(1);
        let volume = 1.into();
        Mvhd { timescale, rate: 1.into(), volume, next_track_id, ..Mvhd::default() }.encode(out)?;
        for track in tracks {
            out.encode_atom(b"trak", |out| track.encode_trak(timescale, out))?;
        }
        out.encode_atom(b"mvex", |out| {
            for track in tracks {
                Trex { track_id: track.id, default_sample_description_index: 1, ..Trex::default() }
                    .encode(out)?;
            }
            Ok(())
        })
    })?;
    Ok(out.into())
}

pub(super) fn check(tracks: &[TrackConfig]) -> Result<(), WriteError> {
    if tracks.is_empty() {
        return Err(WriteError::NoTrack);
    }
    for (i, config) in tracks.iter().enumerate() {
        let track = config.id;
        if track == 0 {
            return Err(WriteError::ZeroTrackId);
        }
        if tracks.iter().take(i).any(|other| other.id == track) {
            return Err(WriteError::DuplicateTrackId(track));
        }
        if config.timescale == 0 {
            return Err(WriteError::ZeroTimescale { track });
        }
        if config.language.is_some_and(|code| !code.iter().all(u8::is_ascii_lowercase)) {
            return Err(WriteError::InvalidLanguage { track });
        }
        match &config.codec {
            Codec::Avc { avcc: record, .. }
            | Codec::Hevc { hvcc: record, .. }
            | Codec::Aac { asc: record, .. }
            | Codec::Ac3 { dac3: record, .. }
            | Codec::Eac3 { dec3: record, .. }
            | Codec::Opus { dops: record, .. } => {
                if record.is_empty() {
                    return Err(WriteError::EmptyConfig { track });
                }
            }
            Codec::MpegAudio { .. } => {}
            Codec::Other { .. } => return Err(WriteError::UnwritableCodec { track }),
        }
        let fits = |time: u64| i64::try_from(time).is_ok();
        if config.edit.is_some_and(|edit| !fits(edit.media_time) || !fits(edit.delay) || !fits(edit.duration))
        {
            return Err(WriteError::EditTooLarge { track });
        }
    }
    Ok(())
}

/// The least common multiple of the tracks' timescales, so that every edit is exact; the largest timescale
/// where that does not fit 32 bits.
fn movie_timescale(tracks: &[TrackConfig]) -> u32 {
    let gcd = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let mut multiple = 1_u64;
    for track in tracks {
        let scale = u64::from(track.timescale);
        multiple = multiple / gcd(multiple, scale) * scale;
        if u32::try_from(multiple).is_err() {
            return tracks.iter().map(|t| t.timescale).max().unwrap_or(1);
        }
    }
    u32::try_from(multiple).unwrap_or(u32::MAX)
}

impl TrackConfig {
    /// Presentation time = media time + `shift`, in the track's timescale: the delay of the edit list less
    /// the media time at which it begins.
    pub fn shift(&self) -> i64 {
        let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        self.edit.map_or(0, |edit| signed(edit.delay).saturating_sub(signed(edit.media_time)))
    }

    fn encode_trak(&self, movie_timescale: u32, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        let (width, height) = match self.codec {
            Codec::Avc { width, height, .. } | Codec::Hevc { width, height, .. } => (width, height),
            _ => (0, 0),
        };
        Tkhd {
            track_id: self.id,
            enabled: true,
            in_movie: true,
            volume: u8::from(self.codec.is_audio()).into(),
            width: width.into(),
            height: height.into(),
            ..Tkhd::default()
        }
        .encode(out)?;
        if let Some(edit) = self.edit {
            out.encode_atom(b"edts", |out| self.elst(edit, movie_timescale).encode(out))?;
        }
        out.encode_atom(b"mdia", |out| {
            let language = self.language.unwrap_or(*b"und").map(char::from).iter().collect();
            Mdhd { timescale: self.timescale, language, ..Mdhd::default() }.encode(out)?;
            let (handler, name) =
                if self.codec.is_video() { (b"vide", "VideoHandler") } else { (b"soun", "SoundHandler") };
            Hdlr { handler: handler.into(), name: name.to_owned() }.encode(out)?;
            out.encode_atom(b"minf", |out| {
                if self.codec.is_video() {
                    Vmhd::default().encode(out)?;
                } else {
                    Smhd::default().encode(out)?;
                }
                Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } }.encode(out)?;
                out.encode_atom(b"stbl", |out| {
                    self.codec.encode_stsd(out)?;
                    Stts::default().encode(out)?;
                    Stsc::default().encode(out)?;
                    Stsz::default().encode(out)?;
                    Stco::default().encode(out)
                })
            })
        })
    }

    fn elst(&self, edit: Edit, movie_timescale: u32) -> Elst {
        // Rounds to the nearest; exact unless the timescales had no common multiple in 32 bits.
        let scale = |time: u64| {
            let track = u128::from(self.timescale);
            let scaled = (u128::from(time) * u128::from(movie_timescale) + track / 2) / track;
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let mut entries = Vec::with_capacity(2);
        if edit.delay > 0 {
            entries.push(ElstEntry {
                segment_duration: scale(edit.delay),
                media_time: None,
                media_rate: 1.into(),
            });
        }
        entries.push(ElstEntry {
            segment_duration: scale(edit.duration),
            media_time: Some(edit.media_time),
            media_rate: 1.into(),
        });
        Elst { entries }
    }
}

impl Codec {
    fn encode_stsd(&self, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
        out.encode_atom(b"stsd", |out| {
            0_u32.encode(out)?; // version and flags
            1_u32.encode(out)?; // entry_count
            match self {
                Self::Avc { avcc, width, height } => visual(b"avc1", *width, *height, b"avcC", avcc, out),
                Self::Hevc { hvcc, width, height } => visual(b"hvc1", *width, *height, b"hvcC", hvcc, out),
                Self::Aac { asc, sample_rate, channels } => {
                    audio(b"mp4a", *sample_rate, *channels, out, |out| {
                        // Object type 0x40: ISO/IEC 14496-3 audio.
                        esds(0x40, Some(asc)).encode(out)
                    })
                }
                Self::MpegAudio { sample_rate, channels } => {
                    // 0x6B: ISO/IEC 11172-3; 0x69: the low sampling rates of ISO/IEC 13818-3.
                    let object_type = if *sample_rate > 24_000 { 0x6B } else { 0x69 };
                    audio(b"mp4a", *sample_rate, *channels, out, |out| esds(object_type, None).encode(out))
                }
                Self::Ac3 { dac3, sample_rate, channels } => {
                    audio(b"ac-3", *sample_rate, *channels, out, |out| record(b"dac3", dac3, out))
                }
                Self::Eac3 { dec3, sample_rate, channels } => {
                    audio(b"ec-3", *sample_rate, *channels, out, |out| record(b"dec3", dec3, out))
                }
                Self::Opus { dops, channels } => {
                    audio(b"Opus", 48_000, *channels, out, |out| record(b"dOps", dops, out))
                }
                Self::Other { .. } => Err(mp4_atom::Error::UnknownCodec),
            }
        })
    }
}

/// A VisualSampleEntry (ISO/IEC 14496-12 12.1.3) with its configuration record.
fn visual(
    kind: &[u8; 4],
    width: u16,
    height: u16,
    config_kind: &[u8; 4],
    config: &Bytes,
    out: &mut Vec<u8>,
) -> mp4_atom::Result<()> {
    out.encode_atom(kind, |out| {
        Visual { data_reference_index: 1, width, height, ..Visual::default() }.encode(out)?;
        record(config_kind, config, out)
    })
}

/// An AudioSampleEntry (12.2.3) with what `config` writes behind it.
fn audio(
    kind: &[u8; 4],
    sample_rate: u32,
    channel_count: u16,
    out: &mut Vec<u8>,
    config: impl FnOnce(&mut Vec<u8>) -> mp4_atom::Result<()>,
) -> mp4_atom::Result<()> {
    // 16.16 bits end at 65,535 Hz; above, 0 sends the reader to the codec's own configuration.
    let sample_rate = u16::try_from(sample_rate).unwrap_or(0).into();
    out.encode_atom(kind, |out| {
        Audio { data_reference_index: 1, channel_count, sample_size: 16, sample_rate }.encode(out)?;
        config(out)
    })
}

/// A box whose body is `config`, byte for byte.
fn record(kind: &[u8; 4], config: &Bytes, out: &mut Vec<u8>) -> mp4_atom::Result<()> {
    out.encode_atom(kind, |out| {
        out.extend_from_slice(config);
        Ok(())
    })
}

fn esds(object_type: u8, decoder_specific: Option<&Bytes>) -> Esds {
    Esds {
        es_desc: EsDescriptor {
            dec_config: DecoderConfig {
                object_type_indication: object_type,
                stream_type: 5, // audio, ISO/IEC 14496-1 table 6
                dec_specific: decoder_specific
                    .map(|config| DecoderSpecific { raw: config.to_vec(), ..DecoderSpecific::default() }),
                ..DecoderConfig::default()
            },
            sl_config: SLConfig::default(),
            ..EsDescriptor::default()
        },
    }
}
