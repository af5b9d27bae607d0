//! `moof`: track fragments to runs of samples (ISO/IEC 14496-12 8.8).

use bytes::Bytes;
use mp4_atom::Tfhd;

use super::boxes::{BoxRef, Table, children, u32_at};
use super::decode_time::{Clocks, DecodeTime};
use super::error::{Damage, Place, Problem, ReadError};
use super::movie::{Defaults, MovieBox};
use super::plain::SampleMeta;

/// Track fragments of a `moof`, and runs in all of them: a writer that makes a run of each sample has a few hundred in
/// ten seconds. A run takes ten times the memory of the smallest `trun`.
const MAX_RUNS: usize = 4_096;

/// A `trun` whose samples lie behind one another from `offset` on.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Index of the track in the movie.
    pub(crate) track: usize,
    /// Byte offset of the next sample.
    pub(crate) offset: u64,
    /// Decoding time of the next sample.
    pub(crate) dts: i64,
    /// The sample entry that the run uses, from 1.
    pub(crate) description: u32,
    /// The `trun`.
    pub(crate) place: RunPlace,
    fields: Fields,
    all_sync: bool,
    at: u32,
}

/// Which `trun`, for what turns out to be wrong once its samples are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunPlace {
    moof: u64,
    traf: (usize, u64),
    trun: (usize, u64),
}

impl RunPlace {
    pub(crate) fn error(&self, problem: Problem) -> ReadError {
        let (moof, (traf, traf_at), (trun, trun_at)) =
            (Place::root(*b"moof", self.moof), self.traf, self.trun);
        moof.nth(*b"traf", traf, traf_at).nth(*b"trun", trun, trun_at).error(problem)
    }
}

/// The fields of a `trun` (8.8.8).
#[derive(Clone, Debug)]
struct Fields {
    flags: u32,
    count: u32,
    data_offset: Option<i32>,
    first_flags: Option<u32>,
    table: Table,
    defaults: Defaults,
}

impl Fields {
    const DATA_OFFSET: u32 = 0x1;
    const FIRST_FLAGS: u32 = 0x4;
    const DURATION: u32 = 0x100;
    const SIZE: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const COMPOSITION: u32 = 0x800;

    fn parse(
        trun: &BoxRef,
        place: &Place<'_>,
        defaults: Defaults,
        damage: &mut Damage,
    ) -> Result<Self, ReadError> {
        let short = |needed| place.error(Problem::Truncated { needed, available: trun.body.len() as u64 });
        let (Some(flags), Some(count)) = (u32_at(&trun.body, 0), u32_at(&trun.body, 4)) else {
            return Err(short(8));
        };
        let mut at = 8;
        let mut optional = |flag: u32| {
            if flags & flag == 0 {
                return Ok(None);
            }
            let value = u32_at(&trun.body, at).ok_or_else(|| short(at as u64 + 4))?;
            at += 4;
            Ok(Some(value))
        };
        let data_offset = optional(Self::DATA_OFFSET)?.map(u32::cast_signed);
        let first_flags = optional(Self::FIRST_FLAGS)?;
        let per_sample = [Self::DURATION, Self::SIZE, Self::FLAGS, Self::COMPOSITION];
        let width = 4 * per_sample.iter().filter(|flag| flags & **flag != 0).count();
        let mut run = Self { flags, count, data_offset, first_flags, table: Table::default(), defaults };
        if width > 0 {
            let (table, available) = Table::new(&trun.body.slice(at..), width, count);
            if available < count as usize {
                let problem = Problem::ShortTable { declared: count.into(), available: available as u64 };
                damage.push(place.error(problem));
                run.count = available as u32; // at most `count`
            }
            run.table = table;
        }
        Ok(run)
    }

    fn field(&self, index: u32, field: u32) -> Option<u32> {
        if self.flags & field == 0 {
            return None;
        }
        // The fields stand in the order of their bits.
        let before = (self.flags & 0xF00 & (field - 1)).count_ones();
        self.table.u32(index as usize, before as usize)
    }

    fn size(&self, index: u32) -> u32 {
        self.field(index, Self::SIZE).unwrap_or(self.defaults.size)
    }

    /// Bytes and time of the whole run.
    fn total(&self) -> (u64, u64) {
        let count = u64::from(self.count);
        let sum = |field: u32, default: u32| match self.flags & field {
            0 => count * u64::from(default),
            _ => (0..self.count).filter_map(|i| self.field(i, field)).map(u64::from).sum(),
        };
        (sum(Self::SIZE, self.defaults.size), sum(Self::DURATION, self.defaults.duration))
    }
}

impl Run {
    /// Every sample has this size, because the run says nothing of each: `None` where it does.
    pub(crate) fn fixed_size(&self) -> Option<u32> {
        (self.fields.flags & Fields::SIZE == 0).then_some(self.fields.defaults.size)
    }

    /// How many samples the run says that it has.
    pub(crate) fn count(&self) -> u32 {
        self.fields.count
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.fields.count
    }

    pub(crate) fn next_size(&self) -> Option<u32> {
        (!self.is_done()).then(|| self.fields.size(self.at))
    }

    pub(crate) fn next(&mut self) -> Option<SampleMeta> {
        /// sample_is_non_sync_sample, and sample_depends_on = 1: not an intra picture (8.8.3.1).
        const NON_SYNC: u32 = 0x0101_0000;
        if self.is_done() {
            return None;
        }
        let fields = &self.fields;
        let size = fields.size(self.at);
        let duration = fields.field(self.at, Fields::DURATION).unwrap_or(fields.defaults.duration);
        let own = fields.first_flags.filter(|_| self.at == 0);
        let flags = own.or_else(|| fields.field(self.at, Fields::FLAGS)).unwrap_or(fields.defaults.flags);
        // Unsigned in version 0, but values beyond 31 bits are negative ones of careless writers.
        let composition_offset = fields.field(self.at, Fields::COMPOSITION).unwrap_or(0).cast_signed();
        self.at += 1;
        self.dts = self.dts.saturating_add(duration.into());
        self.offset = self.offset.saturating_add(size.into());
        Some(SampleMeta { size, duration, composition_offset, sync: self.all_sync || flags & NON_SYNC == 0 })
    }
}

/// Position of a `moof`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MoofPlace {
    /// In the input.
    pub(crate) offset: u64,
    pub(crate) body_offset: u64,
    /// Where the input begins in its file, and where it ends, if that is known.
    pub(crate) origin: u64,
    pub(crate) end: Option<u64>,
}

impl MoofPlace {
    /// An absolute base_data_offset (8.8.7) as an offset in the input. It counts from the start of the file, of which
    /// the input may be a byte range; some packagers count from the start of the segment. Where it is in neither, the
    /// file was cut into segments afterwards: nearly every writer means its own `moof`.
    fn within(&self, base: u64) -> u64 {
        let inside = |offset: &u64| self.end.is_none_or(|end| *offset < end);
        let of_file = base.checked_sub(self.origin).filter(inside);
        of_file.or(Some(base).filter(inside)).unwrap_or(self.offset)
    }
}

/// Reads the `moof` at `at`. `clocks` says where each track stands and is moved on. Damage costs the track fragment
/// that it touches.
pub(crate) fn parse_moof(
    body: &Bytes,
    at: MoofPlace,
    movie: &MovieBox,
    clocks: &mut Clocks,
    damage: &mut Damage,
) -> Vec<Run> {
    let MoofPlace { offset, body_offset, .. } = at;
    let place = Place::root(*b"moof", offset);
    let mut runs = Vec::new();
    // Without an explicit base, the data of a track fragment follows the data of the one before (8.8.7).
    let mut follows = offset;
    let mut count = 0;
    for child in children(body, body_offset, &place) {
        match child {
            Ok(traf) if traf.kind == *b"traf" => {
                let traf_place = place.nth(*b"traf", count, traf.offset);
                if count == MAX_RUNS {
                    damage.push(traf_place.error(Problem::TooMany { limit: MAX_RUNS }));
                    break;
                }
                let mut fragment =
                    TrackFragment { moof: at, number: count, follows: &mut follows, movie, clocks };
                count += 1;
                if let Err(error) = fragment.parse(&traf, &traf_place, &mut runs, damage) {
                    damage.push(error);
                }
            }
            Ok(_) => {}
            Err(error) => damage.push(error),
        }
    }
    runs
}

struct TrackFragment<'a> {
    moof: MoofPlace,
    number: usize,
    follows: &'a mut u64,
    movie: &'a MovieBox,
    clocks: &'a mut Clocks,
}

impl TrackFragment<'_> {
    fn parse(
        &mut self,
        traf: &BoxRef,
        place: &Place<'_>,
        runs: &mut Vec<Run>,
        damage: &mut Damage,
    ) -> Result<(), ReadError> {
        let mut header: Option<Tfhd> = None;
        let mut decode_time = None;
        let mut truns = Vec::new();
        for child in children(&traf.body, traf.body_offset, place) {
            match child {
                Ok(child) => match &child.kind {
                    b"tfhd" => header = Some(child.decode(place)?),
                    b"tfdt" => decode_time = Some(DecodeTime::parse(&child, place)?),
                    b"trun" if runs.len() + truns.len() == MAX_RUNS => {
                        let trun = place.nth(*b"trun", truns.len(), child.offset);
                        damage.push(trun.error(Problem::TooMany { limit: MAX_RUNS }));
                        break;
                    }
                    b"trun" => truns.push(child),
                    _ => {}
                },
                Err(error) => damage.push(error),
            }
        }
        let tfhd = header.ok_or_else(|| place.error(Problem::Missing(*b"tfhd")))?;
        let unknown = || place.error(Problem::UnknownTrack(tfhd.track_id));
        let track = self.movie.index_of(tfhd.track_id).ok_or_else(unknown)?;
        let known = self.movie.tracks.get(track).ok_or_else(unknown)?;
        let defaults = Defaults {
            description: tfhd.sample_description_index.unwrap_or(known.defaults.description),
            duration: tfhd.default_sample_duration.unwrap_or(known.defaults.duration),
            size: tfhd.default_sample_size.unwrap_or(known.defaults.size),
            flags: tfhd.default_sample_flags.unwrap_or(known.defaults.flags),
        };
        if let Some(tfdt) = decode_time {
            let timescale = known.info.config.timescale;
            self.clocks.set(track, tfdt, timescale).ok_or_else(|| place.error(Problem::TimeTooLarge))?;
        }
        let base = match tfhd.base_data_offset {
            Some(base) => self.moof.within(base),
            None if tfhd.default_base_is_moof => self.moof.offset,
            None => *self.follows,
        };
        let next_dts = self.clocks.next(track).ok_or_else(unknown)?;
        let mut offset = base;
        for (i, trun) in truns.iter().enumerate() {
            let trun_place = place.nth(*b"trun", i, trun.offset);
            let fields = Fields::parse(trun, &trun_place, defaults, damage)?;
            if let Some(by) = fields.data_offset {
                let outside = i64::try_from(base).unwrap_or(i64::MAX).saturating_add(by.into());
                let moved = base.checked_add_signed(by.into());
                offset =
                    moved.ok_or_else(|| trun_place.error(Problem::OutsideOfInput { offset: outside }))?;
            }
            let (bytes, time) = fields.total();
            let all_sync = known.info.all_sync();
            let (dts, description) = (*next_dts, defaults.description);
            let place =
                RunPlace { moof: self.moof.offset, traf: (self.number, traf.offset), trun: (i, trun.offset) };
            runs.push(Run { track, offset, dts, description, place, fields, all_sync, at: 0 });
            offset = offset.saturating_add(bytes);
            *next_dts = next_dts.saturating_add(i64::try_from(time).unwrap_or(i64::MAX));
        }
        *self.follows = offset;
        Ok(())
    }
}
