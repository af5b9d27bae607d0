//! Which samples are read next.

use super::Origin;
use super::error::Problem;
use super::movie::TrackInfo;
use super::plain::SampleMeta;
use super::reader::Reader;

/// A piece ends after this many bytes of samples: what a caller holds at a time.
const PIECE_BYTES: u64 = 4 << 20;
/// A piece ends after this many samples.
const PIECE_SAMPLES: usize = 4_096;
/// A sample beyond this is not read: four times the largest picture that H.264 level 6.2 allows.
pub(super) const MAX_SAMPLE: u32 = 256 << 20;
/// A sample costs the input the four bytes in which a table says its size, or, where one size stands for
/// all, its data: more samples than the bytes that were read can hold are refused. Encoded silence can be
/// a byte or three for each frame; only sound without any compression makes more of it than that, and it
/// is left alone.
const MIN_SAMPLE_COST: u32 = 4;

/// Samples of one track that lie behind one another.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) track: usize,
    pub(super) origin: Origin,
    pub(super) offset: u64,
    pub(super) dts: i64,
    pub(super) sample_cost: u64,
    pub(super) bytes: u64,
    pub(super) metas: Vec<SampleMeta>,
}

impl Reader {
    pub(super) fn plan_run(&mut self) -> Option<Plan> {
        while let Some(mut run) = self.runs.pop_front() {
            if run.is_done() {
                continue;
            }
            let known = self.infos.get(run.track).is_some_and(TrackInfo::is_known);
            let sample_cost = match sample_cost(run.fixed_size(), known) {
                Ok(cost) => cost,
                Err(problem) => {
                    self.damage.push(self.file_error(problem));
                    continue;
                }
            };
            let (track, offset, dts) = (run.track, run.offset, run.dts);
            if self.end.is_some_and(|end| offset > end) {
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                self.damage.push(self.file_error(Problem::OutsideOfInput { offset }));
                continue;
            }
            if run.description > 1 {
                self.damage.push(self.file_error(Problem::SampleEntryChange(run.description)));
            }
            let mut plan = Plan::new(track, Origin::Fragment, offset, dts, sample_cost);
            plan.gather(self.end, || run.next());
            self.runs.push_front(run);
            return Some(plan);
        }
        None
    }

    pub(super) fn plan_table(&mut self) -> Option<Plan> {
        let movie = self.movie.as_ref()?;
        loop {
            // The track that is furthest behind, so that the tracks come out together.
            let behind =
                self.cursors.iter().zip(&movie.tracks).enumerate().filter_map(|(i, (cursor, track))| {
                    let cursor = cursor.as_ref()?;
                    // Exact: both factors are below 2^64.
                    Some((
                        i128::from(cursor.dts) * 1_000_000 / i128::from(track.info.config.timescale.max(1)),
                        i,
                    ))
                });
            let (_, index) = behind.min()?;
            let slot = self.cursors.get_mut(index)?;
            let cursor = slot.as_mut()?;
            let table = &movie.tracks.get(index)?.table;
            if !table.enter_chunk(cursor) {
                *slot = None;
                continue;
            }
            let (offset, dts) = (cursor.offset, cursor.dts);
            // What costs too little got no cursor.
            let sample_cost = sample_cost(table.fixed_size(), true).unwrap_or(MIN_SAMPLE_COST.into());
            let mut plan = Plan::new(index, Origin::Table, offset, dts, sample_cost);
            plan.gather(self.end, || table.next(cursor));
            if plan.metas.is_empty() {
                *slot = None;
                continue;
            }
            return Some(plan);
        }
    }
}

/// What each sample costs the input at the least, where all have the size `fixed`, or each its own.
pub(super) fn sample_cost(fixed: Option<u32>, known_codec: bool) -> Result<u64, Problem> {
    match fixed {
        Some(0) => Err(Problem::TinySamples(0)),
        Some(size) if size < MIN_SAMPLE_COST && !known_codec => Err(Problem::TinySamples(size)),
        Some(size) => Ok(size.min(MIN_SAMPLE_COST).into()),
        None => Ok(MIN_SAMPLE_COST.into()),
    }
}

impl Plan {
    fn new(track: usize, origin: Origin, offset: u64, dts: i64, sample_cost: u64) -> Self {
        Self { track, origin, offset, dts, sample_cost, bytes: 0, metas: Vec::new() }
    }

    /// Takes samples until the piece is large enough or reaches behind the end of the input, at least one.
    fn gather(&mut self, end: Option<u64>, mut next: impl FnMut() -> Option<SampleMeta>) {
        let there = end.map_or(u64::MAX, |end| end.saturating_sub(self.offset));
        while self.bytes < PIECE_BYTES && self.bytes <= there && self.metas.len() < PIECE_SAMPLES {
            let Some(meta) = next() else { break };
            // A sample beyond the limit is not asked for, and ends the piece.
            self.metas.push(meta);
            if meta.size > MAX_SAMPLE {
                break;
            }
            self.bytes += u64::from(meta.size);
        }
    }
}
