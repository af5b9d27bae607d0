//! The walk through a file, one piece at a time, from any source of bytes.

use std::ops::Range;

use bytes::Bytes;

use super::boxes::BoxHeader;
use super::decode_time::Clocks;
use super::error::{Damage, Place, Problem, ReadError};
use super::event::Event;
use super::fragmented::{MoofPlace, parse_moof};
use super::movie::{MovieBox, TrackInfo};
use super::picture::is_random_access;
use super::schedule::{Bounds, MAX_SAMPLE, Plan, Schedule};
use super::window::Windows;
use super::{Origin, TimedSample};

/// A `moov` beyond this is not read: the sample tables of a day of video with sound take some 100 MB.
const MAX_MOOV: u64 = 256 << 20;
/// A `moof` beyond this is not read: it would describe a million samples.
const MAX_MOOF: u64 = 16 << 20;
/// An `emsg` beyond this is skipped.
const MAX_EMSG: u64 = 1 << 20;
/// Lets a tiny input with an unusual layout pass.
const SLACK: u64 = 4 << 10;
/// Boxes at the top level that are walked through, whatever their size...
const FREE_BOXES: u64 = 4 << 10;
/// ... and one more for so many bytes: a `moof` for a single sample has a hundred, and an `mdat` is beside it.
const BYTES_PER_BOX: u64 = 48;
/// Errors after which the rest is not looked at...
const FREE_ERRORS: u64 = 1 << 10;
/// ... and one more for so many bytes: each is made into text.
const BYTES_PER_ERROR: u64 = 1 << 10;

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
/// everything else as it comes, until [`Step::End`]. Wanted offsets go forward from fragment to fragment;
/// within a fragment, and in a plain file, they go wherever the tracks lie, which come out together: always
/// the one next whose next sample is decoded first. So the source must be able to seek.
///
/// Samples of an unknown codec that all have the same one, two or three bytes, uncompressed sound in other
/// words, are left alone.
///
/// A piece is about 1 MiB of samples, unless one box (`moov`: at most 256 MiB, `moof`: 16 MiB) or sample
/// (256 MiB) is larger. Between the steps the reader holds the `moov`'s tables, one `moof`, and the four
/// last buffers that were larger than what it had asked for. A range is a claim of the file: fetch it
/// piece by piece, as below, or state the length with [`with_len`](Self::with_len), beyond which nothing
/// is asked for.
///
/// ```
/// use std::io::{Read, Seek, SeekFrom};
/// use overdub_fmp4::{Reader, Step};
///
/// fn count(file: &mut (impl Read + Seek)) -> Result<usize, Box<dyn std::error::Error>> {
///     let (mut reader, mut count) = (Reader::new(), 0);
///     loop {
///         match reader.poll()? {
///             Step::Need(range) => {
///                 let mut bytes = Vec::new();
///                 file.seek(SeekFrom::Start(range.start))?;
///                 // More than is asked for saves asking for what lies behind it.
///                 file.take((range.end - range.start).max(1 << 20)).read_to_end(&mut bytes)?;
///                 reader.supply(&bytes.into())?;
///             }
///             Step::Samples { samples, .. } => count += samples.len(),
///             Step::Tracks | Step::Event(_) => {}
///             Step::End => return Ok(count),
///         }
///     }
/// }
/// # assert!(count(&mut std::io::Cursor::new(Vec::new())).is_ok_and(|count| count == 0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Reader {
    movie: Option<MovieBox>,
    infos: Vec<TrackInfo>,
    /// Where the next box at the top level begins.
    at: u64,
    end: Option<u64>,
    wanted: Option<Wanted>,
    ready: Option<Step>,
    schedule: Schedule,
    windows: Windows,
    clocks: Clocks,
    anchored: bool,
    /// Where the input begins in its file.
    origin: u64,
    damage: Damage,
    /// The end of what was supplied of this input.
    supplied: u64,
    /// Bytes of the samples that were read.
    claimed: u64,
    /// What these samples must have cost the input at the least.
    cost: u64,
    /// Boxes at the top level of this input so far.
    boxes: u64,
    /// Errors before this input.
    damaged_before: u64,
    finished: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    Header,
    Body { header: BoxHeader },
    Samples(Plan),
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

    /// Times of fragments that are centuries from zero are counted from nearer to the first of them, by the same amount in
    /// all tracks, so that none is beyond 63 bits.
    #[must_use]
    pub fn with_anchor(mut self) -> Self {
        self.anchored = true;
        self
    }

    /// Goes on with another input, whose offsets begin at 0 again: a media segment behind its init segment,
    /// or the next segment. Samples without `tfdt` go on where the last ones ended.
    pub fn next_input(&mut self, len: Option<u64>) {
        self.at = 0;
        self.origin = 0;
        self.end = len;
        self.wanted = None;
        self.ready = None;
        self.schedule.clear();
        self.windows.clear();
        (self.supplied, self.claimed, self.cost, self.boxes) = (0, 0, 0, 0);
        self.damaged_before = self.damage.total();
        self.finished = false;
    }

    /// The input is a byte range that begins at `offset` of its file, from which absolute data offsets count (ISO/IEC
    /// 14496-12 8.8.7). To be called behind [`next_input`](Self::next_input).
    pub fn begins_at(&mut self, offset: u64) {
        self.origin = offset;
    }

    /// Goes on where `other` is, which read the same movie: fragments whose times are 32 bits, or none, continue its.
    pub fn continues(&mut self, other: &Self) {
        if self.infos == other.infos {
            self.clocks = other.clocks.clone();
        }
    }

    /// Leaves a track alone from here on, by its index in [`Reader::tracks`]: its samples are neither asked
    /// for nor returned. For one of several tracks of a large file.
    pub fn ignore(&mut self, track: usize) {
        self.schedule.ignore(track);
        if matches!(&self.wanted, Some(Wanted::Samples(plan)) if plan.track == track) {
            self.wanted = None;
        }
    }

    /// The next step. After an error there is none but [`Step::End`].
    pub fn poll(&mut self) -> Result<Step, ReadError> {
        loop {
            if let Some(step) = self.ready.take() {
                return Ok(step);
            }
            if self.wanted.is_none() && !self.finished {
                self.plan();
                self.give_up();
            }
            let Some(range) = self.range() else { return Ok(Step::End) };
            let there = if range.is_empty() { Some(Bytes::new()) } else { self.windows.get(&range) };
            match there {
                Some(bytes) => self.take(&bytes)?,
                None => return Ok(Step::Need(range)),
            }
        }
    }

    /// The bytes from the beginning of the range that [`Step::Need`] asked for; fewer than all only where
    /// the source ends. More are kept for the steps that follow, so that a source which reads in large
    /// pieces is asked less often.
    pub fn supply(&mut self, bytes: &Bytes) -> Result<(), ReadError> {
        let Some(range) = self.range() else { return Ok(()) };
        let asked = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        if bytes.len() > asked {
            self.windows.keep(range.start, bytes.clone());
        }
        self.take(&bytes.slice(..asked.min(bytes.len())))
    }

    /// What is wanted; never behind the end, where that is known.
    fn range(&self) -> Option<Range<u64>> {
        if self.finished {
            return None;
        }
        let (start, len) = match self.wanted.as_ref()? {
            Wanted::Header => (self.at, BoxHeader::MAX_LEN),
            // A box without a size goes to the end of the source.
            Wanted::Body { header } => (self.at, header.size.unwrap_or(MAX_MOOV)),
            Wanted::Samples(plan) => (plan.offset, plan.bytes),
        };
        let end = start.saturating_add(len).min(self.end.unwrap_or(u64::MAX));
        Some(start..end.max(start))
    }

    /// Uses the bytes that were wanted.
    fn take(&mut self, bytes: &Bytes) -> Result<(), ReadError> {
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
        let (windows, movie) = (&self.windows, self.movie.as_ref());
        let bounds = Bounds { end: self.end, there: |offset| windows.end_at(offset) };
        let samples = movie.and_then(|movie| self.schedule.next(movie, &bounds, &mut self.damage));
        self.wanted = Some(samples.map_or(Wanted::Header, Wanted::Samples));
    }

    /// Ends the input where too much of it is wrong.
    fn give_up(&mut self) {
        let errors = self.damage.total().saturating_sub(self.damaged_before);
        if errors > FREE_ERRORS + self.supplied / BYTES_PER_ERROR {
            self.damage.push(self.file_error(Problem::TooDamaged));
            self.finished = true;
        }
    }

    fn header(&mut self, bytes: &Bytes) {
        self.note(self.at, bytes);
        self.boxes += 1;
        if self.boxes > FREE_BOXES + self.at / BYTES_PER_BOX {
            self.damage.push(self.file_error(Problem::TinyBoxes));
            self.finished = true;
            return;
        }
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
                let at = MoofPlace { offset: start, body_offset, origin: self.origin, end: self.end };
                let runs = parse_moof(&body, at, movie, &mut self.clocks, &mut self.damage);
                self.schedule.add(runs);
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
        self.finished &= self.schedule.is_empty();
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
        self.clocks = Clocks::new(movie.tracks.len(), self.anchored);
        self.schedule = Schedule::new(&movie, &mut self.damage);
        self.infos = infos;
        self.movie = Some(movie);
        self.ready = Some(Step::Tracks);
        Ok(())
    }

    fn samples(&mut self, plan: &Plan, bytes: &Bytes) {
        self.note(plan.offset, bytes);
        let info = self.infos.get(plan.track);
        if info.is_none_or(|info| info.codec_of(plan.entry).is_none()) {
            self.damage.push(plan.error(Problem::UnknownSampleEntry(plan.entry)));
        }
        let shift = info.map_or(0, TrackInfo::shift);
        let codec = info.and_then(|info| info.codec_of(plan.entry));
        let mut samples = Vec::with_capacity(plan.metas.len());
        let (mut at, mut dts) = (0_usize, plan.dts);
        for meta in &plan.metas {
            let end = at.saturating_add(meta.size as usize);
            if end > bytes.len() || meta.size > MAX_SAMPLE {
                let offset = i64::try_from(plan.offset.saturating_add(at as u64)).unwrap_or(i64::MAX);
                self.damage.push(plan.error(Problem::OutsideOfInput { offset }));
                break;
            }
            samples.push(TimedSample {
                dts: dts.saturating_add(shift),
                composition_offset: meta.composition_offset,
                duration: meta.duration,
                sync: bytes.get(at..end).and_then(|b| is_random_access(codec, b)).unwrap_or(meta.sync),
                origin: plan.origin(),
                entry: plan.entry,
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
            self.damage.push(plan.error(Problem::Overcommitted));
            self.finished = true;
            return;
        }
        if samples.len() < plan.metas.len() {
            if let Some(movie) = &self.movie {
                self.schedule.cut_short(plan, movie);
            }
        } else if plan.origin() == Origin::Table
            && let Some(next) = self.clocks.next(plan.track)
        {
            *next = dts;
        }
        if !samples.is_empty() {
            self.ready = Some(Step::Samples { track: plan.track, samples });
        }
    }

    fn note(&mut self, offset: u64, bytes: &Bytes) {
        self.supplied = self.supplied.max(offset.saturating_add(bytes.len() as u64));
    }
}
