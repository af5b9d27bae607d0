//! The walk through a file, one piece at a time, from any source of bytes.

use std::ops::Range;

use bytes::Bytes;

use super::boxes::BoxHeader;
use super::error::{Damage, Place, Problem, ReadError};
use super::event::Event;
use super::fragmented::{Run, parse_moof};
use super::movie::{MovieBox, TrackInfo};
use super::plain::{Cursor, SampleMeta};
use super::{Origin, TimedSample};

/// A `moov` beyond this is not read: the sample tables of a day of video with sound take some 100 MB.
const MAX_MOOV: u64 = 256 << 20;
/// A `moof` beyond this is not read: it would describe a million samples.
const MAX_MOOF: u64 = 16 << 20;
/// An `emsg` beyond this is skipped.
const MAX_EMSG: u64 = 1 << 20;
/// A piece ends after this many bytes of samples: what a caller holds at a time.
const PIECE_BYTES: u64 = 4 << 20;
/// A piece ends after this many samples.
const PIECE_SAMPLES: usize = 4_096;
/// A sample beyond this is not read: four times the largest picture that H.264 level 6.2 allows.
const MAX_SAMPLE: u32 = 256 << 20;
/// A sample costs the input the four bytes in which a table says its size, or, where one size stands for
/// all, its data: more samples than the bytes that were read can hold are refused. Encoded silence can be
/// a byte or three for each frame; only sound without any compression makes more of it than that, and it
/// is left alone.
const MIN_SAMPLE_COST: u32 = 4;
/// Lets a tiny input with an unusual layout pass.
const SLACK: u64 = 4 << 10;

/// What the reader wants or has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Give these bytes to [`Reader::supply`]; fewer only where the source ends.
    Need(Range<u64>),
    /// The `moov` has been read: [`Reader::tracks`] is filled.
    Tracks,
    /// Samples of one track, in decoding order and behind those of the piece before.
    Samples {
        /// Index in [`Reader::tracks`].
        track: usize,
        samples: Vec<TimedSample>,
    },
    /// An event message.
    Event(Event),
    /// There is nothing more.
    End,
}

/// Reads a fragmented or a plain MP4 piece by piece, without I/O.
///
/// Call [`poll`](Self::poll); on [`Step::Need`] fetch these bytes and [`supply`](Self::supply) them; take
/// everything else as it comes, until [`Step::End`]. Wanted offsets go forward from fragment to fragment,
/// but back to the beginning of the `mdat` header after a fragment's samples, and in a plain file to
/// wherever its tables point. At most a few MiB are wanted at a time, unless one box (`moov`: 256 MiB,
/// `moof`: 16 MiB) or sample (256 MiB) is larger.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    movie: Option<MovieBox>,
    infos: Vec<TrackInfo>,
    /// Where the next box at the top level begins.
    at: u64,
    end: Option<u64>,
    wanted: Option<Wanted>,
    ready: Option<Step>,
    /// Tables of the plain part that are not read to their end, by track.
    cursors: Vec<Option<Cursor>>,
    runs: std::collections::VecDeque<Run>,
    next_dts: Vec<i64>,
    damage: Damage,
    /// The end of what was supplied of this input.
    supplied: u64,
    /// Bytes of the samples that were read.
    claimed: u64,
    /// What these samples must have cost the input at the least.
    cost: u64,
    finished: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    Header,
    Body { header: BoxHeader },
    Samples(Plan),
}

/// Samples of one track that lie behind one another.
#[derive(Clone, Debug)]
struct Plan {
    track: usize,
    origin: Origin,
    offset: u64,
    dts: i64,
    sample_cost: u64,
    bytes: u64,
    metas: Vec<SampleMeta>,
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    /// The source has this many bytes. Not needed, but a box that promises more is reported then.
    #[must_use]
    pub fn with_len(mut self, len: u64) -> Self {
        self.end = Some(len);
        self
    }

    /// Goes on with another input, whose offsets begin at 0 again: a media segment behind its init segment,
    /// or the next segment. Samples without `tfdt` go on where the last ones ended.
    pub fn next_input(&mut self, len: Option<u64>) {
        self.at = 0;
        self.end = len;
        self.wanted = None;
        self.ready = None;
        self.runs.clear();
        self.cursors.clear();
        (self.supplied, self.claimed, self.cost) = (0, 0, 0);
        self.finished = false;
    }

    /// The next step. After an error there is none but [`Step::End`].
    pub fn poll(&mut self) -> Result<Step, ReadError> {
        if let Some(step) = self.ready.take() {
            return Ok(step);
        }
        if self.wanted.is_none() && !self.finished {
            self.plan();
        }
        Ok(match &self.wanted {
            Some(_) if self.finished => Step::End,
            None => Step::End,
            Some(Wanted::Header) => Step::Need(self.at..self.at.saturating_add(BoxHeader::MAX_LEN)),
            Some(Wanted::Body { header }) => {
                // A box without a size goes to the end of the source.
                let end = self.at.saturating_add(header.size.unwrap_or(MAX_MOOV));
                Step::Need(self.at..end.min(self.end.unwrap_or(u64::MAX)))
            }
            Some(Wanted::Samples(plan)) => Step::Need(plan.offset..plan.offset.saturating_add(plan.bytes)),
        })
    }

    /// The bytes that [`Step::Need`] asked for.
    pub fn supply(&mut self, bytes: &Bytes) -> Result<(), ReadError> {
        let done = match self.wanted.take() {
            None => Ok(()),
            Some(Wanted::Header) => {
                self.header(bytes);
                Ok(())
            }
            Some(Wanted::Body { header }) => self.body(header, bytes),
            Some(Wanted::Samples(plan)) => {
                self.samples(&plan, bytes);
                Ok(())
            }
        };
        self.finished |= done.is_err();
        done
    }

    /// The tracks of the `moov`, in its order; empty before [`Step::Tracks`].
    pub fn tracks(&self) -> &[TrackInfo] {
        &self.infos
    }

    /// What was wrong so far.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    fn file_error(&self, problem: Problem) -> ReadError {
        Place::root(*b"file", self.at).error(problem)
    }

    /// Chooses what to want next: samples that are known of, else the next box.
    fn plan(&mut self) {
        if let Some(plan) = self.plan_run().or_else(|| self.plan_table()) {
            self.wanted = Some(Wanted::Samples(plan));
        } else if !self.finished {
            self.wanted = Some(Wanted::Header);
        }
    }

    fn plan_run(&mut self) -> Option<Plan> {
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
            plan.gather(|| run.next());
            self.runs.push_front(run);
            return Some(plan);
        }
        None
    }

    fn plan_table(&mut self) -> Option<Plan> {
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
            plan.gather(|| table.next(cursor));
            if plan.metas.is_empty() {
                *slot = None;
                continue;
            }
            return Some(plan);
        }
    }

    fn header(&mut self, bytes: &Bytes) {
        self.note(self.at, bytes);
        let header = match BoxHeader::parse(bytes) {
            Ok(Some(header)) => header,
            Ok(None) => {
                if !bytes.is_empty() {
                    let available = bytes.len() as u64;
                    self.damage.push(self.file_error(Problem::Truncated { needed: 8, available }));
                }
                self.finished = true;
                return;
            }
            Err(problem) => {
                self.damage.push(self.file_error(problem));
                self.finished = true;
                return;
            }
        };
        let limit = match &header.kind {
            b"moov" => MAX_MOOV,
            b"moof" => MAX_MOOF,
            b"emsg" => MAX_EMSG,
            _ => 0,
        };
        let size = header.size.or_else(|| self.end.map(|end| end.saturating_sub(self.at)));
        if limit > 0 && size.is_none_or(|size| size <= limit) {
            self.wanted = Some(Wanted::Body { header });
            return;
        }
        if limit > 0 {
            let place = Place::root(header.kind, self.at);
            self.damage.push(place.error(Problem::TooLarge { size: size.unwrap_or(u64::MAX), limit }));
        }
        self.skip(header);
    }

    /// Goes behind the box at `at`.
    fn skip(&mut self, header: BoxHeader) {
        let Some(size) = header.size else {
            self.finished = true;
            return;
        };
        let next = self.at.saturating_add(size);
        if let Some(end) = self.end.filter(|end| next > *end) {
            let problem = Problem::Truncated { needed: size, available: end.saturating_sub(self.at) };
            self.damage.push(Place::root(header.kind, self.at).error(problem));
            self.finished = true;
        } else if next == u64::MAX {
            self.finished = true;
        }
        self.at = next;
    }

    fn body(&mut self, header: BoxHeader, bytes: &Bytes) -> Result<(), ReadError> {
        let start = self.at;
        self.note(start, bytes);
        let (available, needed) = (bytes.len() as u64, header.size.unwrap_or(bytes.len() as u64));
        let place = Place::root(header.kind, start);
        if available < needed {
            // Nothing can follow. What the box says as far as it goes may still be useful.
            self.damage.push(place.error(Problem::Truncated { needed, available }));
            self.finished = true;
        }
        let end = bytes.len().min(usize::try_from(needed).unwrap_or(usize::MAX));
        let body = bytes.slice((header.header_len as usize).min(end)..end);
        let body_offset = start.saturating_add(header.header_len);
        match &header.kind {
            b"moov" => self.movie(start, body_offset, &body)?,
            b"moof" => {
                let Some(movie) = &self.movie else {
                    return Err(place.error(Problem::NoMovie));
                };
                let runs = parse_moof(&body, start, body_offset, movie, &mut self.next_dts, &mut self.damage);
                self.runs.extend(runs);
            }
            _ => match Event::parse(&body, &place) {
                Ok(event) => self.ready = Some(Step::Event(event)),
                Err(error) => self.damage.push(error),
            },
        }
        self.at = start.saturating_add(needed);
        if header.size.is_none() {
            self.finished = true;
        }
        // Samples may still lie in front of the end.
        self.finished &= self.runs.is_empty() && self.cursors.iter().all(Option::is_none);
        Ok(())
    }

    fn movie(&mut self, offset: u64, body_offset: u64, body: &Bytes) -> Result<(), ReadError> {
        let movie = MovieBox::parse(body, offset, body_offset, &mut self.damage)?;
        let infos: Vec<_> = movie.tracks.iter().map(|track| track.info.clone()).collect();
        if self.movie.is_some() {
            // Segments with their init segment before each are common; another movie is not.
            if infos != self.infos {
                self.damage.push(Place::root(*b"moov", offset).error(Problem::ChangedMovie));
            }
            return Ok(());
        }
        self.next_dts = vec![0; movie.tracks.len()];
        self.cursors = vec![None; movie.tracks.len()];
        for ((i, track), cursor) in movie.tracks.iter().enumerate().zip(&mut self.cursors) {
            match sample_cost(track.table.fixed_size(), track.info.is_known()) {
                _ if track.table.is_empty() => {}
                Ok(_) => *cursor = Some(Cursor::default()),
                Err(problem) => {
                    let place = Place::root(*b"moov", offset);
                    self.damage.push(place.nth(*b"trak", i, offset).error(problem));
                }
            }
        }
        self.infos = infos;
        self.movie = Some(movie);
        self.ready = Some(Step::Tracks);
        Ok(())
    }

    fn samples(&mut self, plan: &Plan, bytes: &Bytes) {
        self.note(plan.offset, bytes);
        let shift = self.infos.get(plan.track).map_or(0, TrackInfo::shift);
        let mut samples = Vec::with_capacity(plan.metas.len());
        let (mut at, mut dts) = (0_usize, plan.dts);
        for meta in &plan.metas {
            let end = at.saturating_add(meta.size as usize);
            if end > bytes.len() || meta.size > MAX_SAMPLE {
                let problem =
                    Problem::OutsideOfInput { offset: i64::try_from(plan.offset).unwrap_or(i64::MAX) };
                self.damage.push(self.file_error(problem));
                break;
            }
            samples.push(TimedSample {
                dts: dts.saturating_add(shift),
                composition_offset: meta.composition_offset,
                duration: meta.duration,
                sync: meta.sync,
                origin: plan.origin,
                data: bytes.slice(at..end),
            });
            at = end;
            dts = dts.saturating_add(meta.duration.into());
        }
        self.claimed = self.claimed.saturating_add(at as u64);
        self.cost = self.cost.saturating_add(plan.sample_cost.saturating_mul(samples.len() as u64));
        // Twice: tracks may share bytes.
        let limit = self.supplied.saturating_mul(2).saturating_add(SLACK);
        if self.cost > self.supplied.saturating_add(SLACK) || self.claimed > limit {
            self.damage.push(self.file_error(Problem::Overcommitted));
            self.finished = true;
            return;
        }
        if samples.len() < plan.metas.len() {
            self.cut_short(plan);
        } else if plan.origin == Origin::Table
            && let Some(next) = self.next_dts.get_mut(plan.track)
        {
            *next = dts;
        }
        if !samples.is_empty() {
            self.ready = Some(Step::Samples { track: plan.track, samples });
        }
    }

    /// The source ended within these samples: what is behind them in their run or their chunk is not there
    /// either. Of a table with one size for all, nothing more is looked for.
    fn cut_short(&mut self, plan: &Plan) {
        match plan.origin {
            Origin::Fragment => {
                self.runs.pop_front();
            }
            Origin::Table => {
                let table =
                    self.movie.as_ref().and_then(|movie| movie.tracks.get(plan.track)).map(|t| &t.table);
                if let (Some(table), Some(slot)) = (table, self.cursors.get_mut(plan.track)) {
                    match slot {
                        Some(cursor) if table.fixed_size().is_none() => while table.next(cursor).is_some() {},
                        _ => *slot = None,
                    }
                }
            }
        }
    }

    fn note(&mut self, offset: u64, bytes: &Bytes) {
        self.supplied = self.supplied.max(offset.saturating_add(bytes.len() as u64));
    }
}

/// What each sample costs the input at the least, where all have the size `fixed`, or each its own.
fn sample_cost(fixed: Option<u32>, known_codec: bool) -> Result<u64, Problem> {
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

    /// Takes samples until the piece is large enough, at least one.
    fn gather(&mut self, mut next: impl FnMut() -> Option<SampleMeta>) {
        while self.bytes < PIECE_BYTES && self.metas.len() < PIECE_SAMPLES {
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
