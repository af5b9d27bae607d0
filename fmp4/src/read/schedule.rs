//! Samples that are known of, and which of them are read next.

use std::collections::VecDeque;

use super::Origin;
use super::error::{Damage, Place, Problem, ReadError};
use super::fragmented::{Run, RunPlace};
use super::movie::{MovieBox, MovieTrack};
use super::plain::{Cursor, SampleMeta, SampleTable};

/// A piece ends after this many bytes of samples: what a caller holds at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// A piece ends after this many samples: some ten seconds of sound, so that tracks come out together.
const PIECE_SAMPLES: usize = 512;
/// A sample beyond this is not read: four times the largest picture that H.264 level 6.2 allows.
pub(super) const MAX_SAMPLE: u32 = 256 << 20;
/// A sample costs the input the four bytes in which a table says its size, or, where one size stands for
/// all, its data: more samples than the bytes that were read can hold are refused. Encoded silence can be
/// a byte or three for each frame; only sound without any compression makes more of it than that, and it
/// is left alone.
const MIN_SAMPLE_COST: u32 = 4;
/// So few tiny samples of an unknown codec are read: a subtitle track's empty cues have two bytes each.
/// They take less memory than a few sample tables.
const FEW_SAMPLES: u32 = 16;

/// Samples of one track that lie behind one another.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) track: usize,
    pub(super) offset: u64,
    pub(super) dts: i64,
    /// The sample entry, from 0.
    pub(super) entry: u16,
    pub(super) sample_cost: u64,
    pub(super) bytes: u64,
    pub(super) metas: Vec<SampleMeta>,
    place: SamplePlace,
}

/// The box that describes samples.
#[derive(Clone, Copy, Debug)]
enum SamplePlace {
    Run(RunPlace),
    /// Number of the `trak`, and where its `stbl` begins.
    Table {
        trak: usize,
        offset: u64,
    },
}

/// Where reading has to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<F> {
    /// Where the input ends, if that is known.
    pub(super) end: Option<u64>,
    /// Where the bytes end that are there already, for an offset within them.
    pub(super) there: F,
}

/// What is still to be read of a track.
#[derive(Clone, Debug, Default)]
struct Pending {
    cursor: Option<Cursor>,
    runs: VecDeque<Run>,
    ignored: bool,
}

/// All samples that are described and not yet read, by track.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    tracks: Vec<Pending>,
}

impl Schedule {
    /// The samples of a movie's tables.
    pub(super) fn new(movie: &MovieBox, damage: &mut Damage) -> Self {
        let mut tracks = vec![Pending::default(); movie.tracks.len()];
        for (track, pending) in movie.tracks.iter().zip(&mut tracks) {
            let few = track.table.count() <= FEW_SAMPLES as usize;
            match sample_cost(track.table.fixed_size(), track.info.is_known() || few) {
                _ if track.table.is_empty() => {}
                Ok(Some(_)) => pending.cursor = Some(Cursor::default()),
                Ok(None) => {}
                Err(problem) => damage.push(SamplePlace::of(track).error(problem)),
            }
        }
        Self { tracks }
    }

    /// The samples of a fragment.
    pub(super) fn add(&mut self, runs: Vec<Run>) {
        for run in runs {
            if let Some(pending) = self.tracks.get_mut(run.track).filter(|pending| !pending.ignored) {
                pending.runs.push_back(run);
            }
        }
    }

    /// Nothing of this track is read any more.
    pub(super) fn ignore(&mut self, track: usize) {
        if let Some(pending) = self.tracks.get_mut(track) {
            *pending = Pending { ignored: true, ..Pending::default() };
        }
    }

    /// Forgets what is pending; what is ignored stays so.
    pub(super) fn clear(&mut self) {
        for pending in &mut self.tracks {
            *pending = Pending { ignored: pending.ignored, ..Pending::default() };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tracks.iter().all(|pending| pending.cursor.is_none() && pending.runs.is_empty())
    }

    /// The next piece: of fragments first, and of the track that is furthest behind, so that the tracks
    /// come out together however long a fragment is.
    pub(super) fn next(
        &mut self,
        movie: &MovieBox,
        bounds: &Bounds<impl Fn(u64) -> Option<u64>>,
        damage: &mut Damage,
    ) -> Option<Plan> {
        self.next_of_runs(movie, bounds, damage).or_else(|| self.next_of_tables(movie, bounds))
    }

    fn next_of_runs(
        &mut self,
        movie: &MovieBox,
        bounds: &Bounds<impl Fn(u64) -> Option<u64>>,
        damage: &mut Damage,
    ) -> Option<Plan> {
        loop {
            let track = self.furthest_behind(movie, |pending| Some(pending.runs.front()?.dts))?;
            let runs = &mut self.tracks.get_mut(track)?.runs;
            let run = runs.front_mut()?;
            let known = movie.tracks.get(track).is_some_and(|track| track.info.is_known());
            let few = run.count() <= FEW_SAMPLES;
            let problem = match sample_cost(run.fixed_size(), known || few) {
                _ if run.is_done() => None,
                Ok(None) => None,
                Err(problem) => Some(problem),
                Ok(_) if bounds.end.is_some_and(|end| run.offset > end) => {
                    Some(Problem::OutsideOfInput { offset: i64::try_from(run.offset).unwrap_or(i64::MAX) })
                }
                Ok(Some(sample_cost)) => {
                    let place = SamplePlace::Run(run.place);
                    let mut plan = Plan::new(
                        track,
                        place,
                        run.offset,
                        run.dts,
                        sample_cost,
                        entry(movie, track, run.description),
                    );
                    plan.gather(bounds, &mut Source::Run(run));
                    return Some(plan);
                }
            };
            if let Some(problem) = problem {
                damage.push(SamplePlace::Run(run.place).error(problem));
            }
            runs.pop_front();
        }
    }

    fn next_of_tables(
        &mut self,
        movie: &MovieBox,
        bounds: &Bounds<impl Fn(u64) -> Option<u64>>,
    ) -> Option<Plan> {
        loop {
            let index = self.furthest_behind(movie, |pending| Some(pending.cursor?.dts))?;
            let slot = &mut self.tracks.get_mut(index)?.cursor;
            let cursor = slot.as_mut()?;
            let track = movie.tracks.get(index)?;
            if track.table.enter_chunk(cursor) {
                let place = SamplePlace::of(track);
                // What costs too little got no cursor.
                let cost = sample_cost(track.table.fixed_size(), true).ok().flatten();
                let cost = cost.unwrap_or(MIN_SAMPLE_COST.into());
                let entry = entry(movie, index, cursor.description);
                let mut plan = Plan::new(index, place, cursor.offset, cursor.dts, cost, entry);
                plan.gather(bounds, &mut Source::Table(&track.table, cursor));
                if !plan.metas.is_empty() {
                    return Some(plan);
                }
            }
            *slot = None;
        }
    }

    /// The track whose next sample is decoded first, of those for which `dts` knows one.
    fn furthest_behind(&self, movie: &MovieBox, dts: impl Fn(&Pending) -> Option<i64>) -> Option<usize> {
        let times = self.tracks.iter().zip(&movie.tracks).enumerate().filter_map(|(i, (pending, track))| {
            let time = i128::from(dts(pending)?.saturating_add(track.info.shift()));
            // Exact enough, and both factors are below 2^64.
            Some((time * 1_000_000 / i128::from(track.info.config.timescale.max(1)), i))
        });
        times.min().map(|(_, track)| track)
    }

    /// The source ended within these samples: what is behind them in their run or their chunk is not there
    /// either. Of a table with one size for all, nothing more is looked for.
    pub(super) fn cut_short(&mut self, plan: &Plan, movie: &MovieBox) {
        let Some(pending) = self.tracks.get_mut(plan.track) else { return };
        if plan.origin() == Origin::Fragment {
            pending.runs.pop_front();
            return;
        }
        let Some(table) = movie.tracks.get(plan.track).map(|track| &track.table) else { return };
        match &mut pending.cursor {
            Some(cursor) if table.fixed_size().is_none() => while table.next(cursor).is_some() {},
            slot => *slot = None,
        }
    }
}

/// What each sample costs the input at the least, where all have the size `fixed`, or each its own. `None`:
/// uncompressed sound, as it seems, which is left alone.
fn sample_cost(fixed: Option<u32>, tiny_is_allowed: bool) -> Result<Option<u64>, Problem> {
    match fixed {
        Some(0) => Err(Problem::EmptySamples),
        Some(size) if size < MIN_SAMPLE_COST && !tiny_is_allowed => Ok(None),
        Some(size) => Ok(Some(size.min(MIN_SAMPLE_COST).into())),
        None => Ok(Some(MIN_SAMPLE_COST.into())),
    }
}

/// The sample entry, from 0, of samples with this sample_description_index, which counts from 1 (ISO/IEC 14496-12
/// 8.7.4); careless writers leave 0. Where there is one entry it is meant: Shaka Packager's AES-128 output has
/// index 2, the encrypted entry that it does not write.
fn entry(movie: &MovieBox, track: usize, description: u32) -> u16 {
    let single = movie.tracks.get(track).is_some_and(|track| track.info.more_codecs.is_empty());
    let index = if single { 0 } else { description.saturating_sub(1) };
    u16::try_from(index).unwrap_or(u16::MAX)
}

impl SamplePlace {
    fn of(track: &MovieTrack) -> Self {
        Self::Table { trak: track.info.trak, offset: track.table_offset }
    }

    fn error(self, problem: Problem) -> ReadError {
        match self {
            Self::Run(place) => place.error(problem),
            Self::Table { trak, offset } => {
                let moov = Place::root(*b"moov", offset);
                let trak = moov.nth(*b"trak", trak, offset);
                let mdia = trak.child(*b"mdia", offset);
                mdia.child(*b"minf", offset).child(*b"stbl", offset).error(problem)
            }
        }
    }
}

/// Where samples are described.
enum Source<'a> {
    Run(&'a mut Run),
    Table(&'a SampleTable, &'a mut Cursor),
}

impl Source<'_> {
    /// How large the next sample is; `None` where the run or the chunk ends.
    fn next_size(&self) -> Option<u32> {
        match self {
            Self::Run(run) => run.next_size(),
            Self::Table(table, cursor) => table.next_size(cursor),
        }
    }

    fn next(&mut self) -> Option<SampleMeta> {
        match self {
            Self::Run(run) => run.next(),
            Self::Table(table, cursor) => table.next(cursor),
        }
    }
}

impl Plan {
    fn new(track: usize, place: SamplePlace, offset: u64, dts: i64, sample_cost: u64, entry: u16) -> Self {
        Self { track, offset, dts, entry, sample_cost, bytes: 0, metas: Vec::new(), place }
    }

    pub(super) fn origin(&self) -> Origin {
        match self.place {
            SamplePlace::Run(_) => Origin::Fragment,
            SamplePlace::Table { .. } => Origin::Table,
        }
    }

    pub(super) fn error(&self, problem: Problem) -> ReadError {
        self.place.error(problem)
    }

    /// Takes samples until the piece is large enough or reaches behind the end of the input, or of what is
    /// there already; at least one.
    fn gather(&mut self, bounds: &Bounds<impl Fn(u64) -> Option<u64>>, source: &mut Source<'_>) {
        let until = |end: Option<u64>| end.map_or(u64::MAX, |end| end.saturating_sub(self.offset));
        let (all, there) = (until(bounds.end), until((bounds.there)(self.offset)));
        while self.bytes < PIECE_BYTES && self.bytes <= all && self.metas.len() < PIECE_SAMPLES {
            let beyond = |size: u32| self.bytes.saturating_add(size.into()) > there;
            if !self.metas.is_empty() && source.next_size().is_some_and(beyond) {
                break;
            }
            let Some(meta) = source.next() else { break };
            // A sample beyond the limit is not asked for, and ends the piece.
            self.metas.push(meta);
            if meta.size > MAX_SAMPLE {
                break;
            }
            self.bytes += u64::from(meta.size);
        }
    }
}
