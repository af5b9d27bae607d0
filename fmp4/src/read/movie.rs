//! `moov`: the tracks and where their samples lie.

use bytes::Bytes;
use mp4_atom::{Elst, Mdhd, Mvhd, Tkhd, Trex};

use super::boxes::{BoxRef, children, kind_at};
use super::edits::parse_edits;
use super::error::{Damage, Place, Problem, ReadError};
use super::plain::SampleTable;
use super::sample_entry::{SampleEntries, parse_stsd};
use super::smpb::{Gapless, find_smpb};
use crate::{Codec, TrackConfig};

/// Far beyond any real movie, and it bounds what is kept for each track.
const MAX_TRACKS: usize = 256;

/// What the `moov` says of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// Id, timescale, codec, language and edit, as they would be written again.
    pub config: TrackConfig,
    /// The type of the sample entry: `avc1` or `avc3`, `hvc1` or `hev1`, ...
    pub sample_entry: [u8; 4],
    /// The handler: `vide`, `soun`, `text`, ...
    pub handler: [u8; 4],
    /// iTunSMPB of the track or the movie.
    pub gapless: Option<Gapless>,
    /// The file has no AudioSpecificConfig: the codec's was made up from the sample entry, as AAC-LC.
    pub assumed_config: bool,
    /// The codecs of the sample entries behind the first, for the samples whose `entry` says so.
    pub more_codecs: Vec<Codec>,
}

impl TrackInfo {
    /// What decodes a sample with this [`entry`](crate::TimedSample::entry).
    pub fn codec_of(&self, entry: u16) -> Option<&Codec> {
        match entry.checked_sub(1) {
            None => Some(&self.config.codec),
            Some(index) => self.more_codecs.get(usize::from(index)),
        }
    }

    /// Presentation time = media time + `shift`: [`TrackConfig::shift`].
    pub fn shift(&self) -> i64 {
        self.config.shift()
    }

    pub(crate) fn is_known(&self) -> bool {
        !matches!(self.config.codec, Codec::Other { .. })
    }

    /// Sound in a codec of which every frame can be decoded from, whatever the flags say.
    pub(crate) fn all_sync(&self) -> bool {
        self.config.codec.is_audio()
    }
}

/// Defaults of a track's fragments (ISO/IEC 14496-12 8.8.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) description: u32,
    pub(crate) duration: u32,
    pub(crate) size: u32,
    pub(crate) flags: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct MovieTrack {
    pub(crate) info: TrackInfo,
    pub(crate) defaults: Defaults,
    pub(crate) table: SampleTable,
    /// Number of the `trak` in the `moov`.
    pub(crate) trak: usize,
    /// Where the `stbl` begins.
    pub(crate) table_offset: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct MovieBox {
    pub(crate) timescale: u32,
    pub(crate) tracks: Vec<MovieTrack>,
}

impl MovieBox {
    /// Reads a `moov`. Damage inside costs the track that it touches; without any track it is an error.
    pub(crate) fn parse(
        body: &Bytes,
        offset: u64,
        body_offset: u64,
        damage: &mut Damage,
    ) -> Result<Self, ReadError> {
        let place = &Place::root(*b"moov", offset);
        let mut movie = Self { timescale: 0, tracks: Vec::new() };
        let (mut traks, mut trexes, mut gapless) = (Vec::new(), Vec::new(), None);
        for child in children(body, body_offset, place) {
            match child {
                Ok(child) => match &child.kind {
                    b"mvhd" => movie.timescale = child.decode::<Mvhd>(place).map_or(0, |mvhd| mvhd.timescale),
                    b"trak" if traks.len() < MAX_TRACKS => traks.push(child),
                    b"trak" => damage.push(child.place(place).error(Problem::TooManyTracks(MAX_TRACKS))),
                    b"mvex" => parse_mvex(&child, place, &mut trexes, damage),
                    b"udta" => gapless = find_smpb(&child.body),
                    _ => {}
                },
                Err(error) => damage.push(error),
            }
        }
        for (i, trak) in traks.iter().enumerate() {
            let trak_place = place.nth(*b"trak", i, trak.offset);
            match parse_trak(trak, &trak_place, movie.timescale, damage) {
                Ok(track) if movie.index_of(track.info.config.id).is_some() => {
                    damage.push(trak_place.error(Problem::DuplicateTrack(track.info.config.id)));
                }
                Ok(mut track) => {
                    track.trak = i;
                    track.info.gapless = track.info.gapless.or(gapless);
                    if let Some(trex) =
                        trexes.iter().find(|trex: &&Trex| trex.track_id == track.info.config.id)
                    {
                        track.defaults = Defaults {
                            description: trex.default_sample_description_index,
                            duration: trex.default_sample_duration,
                            size: trex.default_sample_size,
                            flags: trex.default_sample_flags,
                        };
                    }
                    movie.tracks.push(track);
                }
                Err(error) => damage.push(error),
            }
        }
        if movie.tracks.is_empty() {
            let first = damage.errors().first().cloned();
            return Err(first.unwrap_or_else(|| place.error(Problem::Missing(*b"trak"))));
        }
        Ok(movie)
    }

    pub(crate) fn index_of(&self, id: u32) -> Option<usize> {
        self.tracks.iter().position(|track| track.info.config.id == id)
    }
}

fn parse_mvex(mvex: &BoxRef, parent: &Place<'_>, trexes: &mut Vec<Trex>, damage: &mut Damage) {
    let place = mvex.place(parent);
    for child in children(&mvex.body, mvex.body_offset, &place) {
        match child.and_then(|child| {
            if child.kind == *b"trex" { child.decode::<Trex>(&place).map(Some) } else { Ok(None) }
        }) {
            Ok(Some(trex)) if trexes.len() < MAX_TRACKS => trexes.push(trex),
            Ok(_) => {}
            Err(error) => damage.push(error),
        }
    }
}

fn parse_trak(
    trak: &BoxRef,
    place: &Place<'_>,
    movie_timescale: u32,
    damage: &mut Damage,
) -> Result<MovieTrack, ReadError> {
    let (mut tkhd, mut elst, mut mdia, mut gapless) = (None, None, None, None);
    for child in children(&trak.body, trak.body_offset, place) {
        // What is behind a broken child is lost, what is before it may be enough.
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                damage.push(error);
                break;
            }
        };
        match &child.kind {
            b"tkhd" => tkhd = Some(child.decode::<Tkhd>(place)?),
            b"edts" => {
                let edts = child.place(place);
                let found = children(&child.body, child.body_offset, &edts).map_while(Result::ok);
                for list in found.filter(|list| list.kind == *b"elst") {
                    match list.decode::<Elst>(&edts) {
                        Ok(decoded) => elst = Some((decoded, list.offset)),
                        Err(error) => damage.push(error),
                    }
                }
            }
            b"mdia" => mdia = Some(child),
            b"udta" => gapless = find_smpb(&child.body),
            _ => {}
        }
    }
    let missing = |kind: &[u8; 4]| place.error(Problem::Missing(*kind));
    let id = tkhd.map(|tkhd: Tkhd| tkhd.track_id).ok_or_else(|| missing(b"tkhd"))?;
    let mdia = mdia.ok_or_else(|| missing(b"mdia"))?;
    let media = parse_mdia(&mdia, place, damage)?;
    let timescale = media.timescale;
    let edit = elst.and_then(|(elst, offset)| {
        let (edit, problem) = parse_edits(&elst, movie_timescale, timescale);
        if let Some(problem) = problem {
            damage.push(place.child(*b"elst", offset).error(problem));
        }
        edit
    });
    let Media { entries, table, .. } = media;
    let config = TrackConfig { id, timescale, codec: entries.first, language: media.language, edit };
    let info = TrackInfo {
        config,
        sample_entry: entries.kind,
        handler: media.handler,
        gapless,
        assumed_config: entries.assumed_config,
        more_codecs: entries.more,
    };
    let defaults = Defaults::default();
    Ok(MovieTrack { info, defaults, table, trak: 0, table_offset: media.table_offset })
}

struct Media {
    timescale: u32,
    language: Option<[u8; 3]>,
    handler: [u8; 4],
    entries: SampleEntries,
    table: SampleTable,
    table_offset: u64,
}

fn parse_mdia(mdia: &BoxRef, parent: &Place<'_>, damage: &mut Damage) -> Result<Media, ReadError> {
    let place = mdia.place(parent);
    let (mut mdhd, mut handler, mut stbl) = (None, *b"\0\0\0\0", None);
    for child in children(&mdia.body, mdia.body_offset, &place) {
        let child = child?;
        match &child.kind {
            b"mdhd" => mdhd = Some(child.decode::<Mdhd>(&place)?),
            b"hdlr" => handler = kind_at(&child.body, 8).unwrap_or(handler),
            b"minf" => {
                let minf = child.place(&place);
                for inner in children(&child.body, child.body_offset, &minf) {
                    let inner = inner?;
                    if inner.kind == *b"stbl" {
                        stbl = Some((parse_stbl(&inner, &minf, damage)?, inner.offset));
                    }
                }
            }
            _ => {}
        }
    }
    let mdhd = mdhd.ok_or_else(|| place.error(Problem::Missing(*b"mdhd")))?;
    if mdhd.timescale == 0 {
        return Err(place.error(Problem::InvalidValue { field: "timescale", value: 0 }));
    }
    let ((entries, table), table_offset) = stbl.ok_or_else(|| place.error(Problem::Missing(*b"stbl")))?;
    let code: Option<[u8; 3]> = mdhd.language.as_bytes().try_into().ok();
    let language = code.filter(|code| code != b"und" && code.iter().all(u8::is_ascii_lowercase));
    Ok(Media { timescale: mdhd.timescale, language, handler, entries, table, table_offset })
}

fn parse_stbl(
    stbl: &BoxRef,
    parent: &Place<'_>,
    damage: &mut Damage,
) -> Result<(SampleEntries, SampleTable), ReadError> {
    let place = stbl.place(parent);
    let mut entries = None;
    let mut table = SampleTable::default();
    for child in children(&stbl.body, stbl.body_offset, &place) {
        match child {
            Ok(child) if child.kind == *b"stsd" => entries = Some(parse_stsd(&child, &place, damage)?),
            Ok(child) => {
                if let Err(error) = table.add(&child, &place, damage) {
                    damage.push(error);
                }
            }
            Err(error) => damage.push(error),
        }
    }
    let entries = entries.ok_or_else(|| place.error(Problem::Missing(*b"stsd")))?;
    Ok((entries, table))
}
