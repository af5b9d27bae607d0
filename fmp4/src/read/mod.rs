//! Reading: piece by piece from any source of bytes, or whole from memory.

mod boxes;
mod decode_time;
mod edits;
mod error;
mod event;
mod fragmented;
mod movie;
mod picture;
mod plain;
mod reader;
mod sample_entry;
mod schedule;
mod smpb;
#[cfg(test)]
mod tests;
mod window;

use bytes::Bytes;

pub use error::{Damage, Problem, ReadError};
pub use event::{Event, EventTime};
pub use movie::TrackInfo;
pub use reader::{Reader, Step};
pub use smpb::Gapless;

/// Where a sample was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the sample tables of the `moov`.
    Table,
    /// In a `moof`.
    Fragment,
}

/// A sample as it was read. Times are in the track's timescale, on the presentation timeline: the edit list
/// is applied, so what it hides at the beginning has a negative presentation time (less its delay).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedSample {
    pub dts: i64,
    /// Presentation time less decoding time.
    pub composition_offset: i32,
    pub duration: u32,
    /// Decoding can begin here: as the file says, unless the picture itself (H.264) says otherwise.
    pub sync: bool,
    pub origin: Origin,
    /// The sample entry that it needs, from 0: see [`TrackInfo::codec_of`].
    pub entry: u16,
    /// A slice of the input.
    pub data: Bytes,
}

impl TimedSample {
    pub fn pts(&self) -> i64 {
        self.dts.saturating_add(self.composition_offset.into())
    }
}

/// A track with its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    pub info: TrackInfo,
    /// In decoding order.
    pub samples: Vec<TimedSample>,
}

impl Track {
    /// How much is to be decoded at the beginning but not presented, in the track's timescale: what the
    /// edit list hides, or else what iTunSMPB declares.
    pub fn priming(&self) -> u64 {
        let Some(first) = self.samples.iter().map(TimedSample::pts).min() else { return 0 };
        let edit = self.info.config.edit.unwrap_or_default();
        let delay = i64::try_from(edit.delay).unwrap_or(i64::MAX);
        let hidden = u64::try_from(delay.saturating_sub(first)).unwrap_or(0);
        match (hidden, self.info.gapless) {
            (0, Some(gapless)) if edit.media_time == 0 => gapless.priming.into(),
            _ => hidden,
        }
    }

    /// How much is to be decoded at the end but not presented, in the track's timescale: what is behind the
    /// edit, or else what iTunSMPB declares. Of fragments the edit list does not know the duration.
    pub fn trailing(&self) -> u64 {
        let Some(last) = self.samples.last() else { return 0 };
        let edit = self.info.config.edit.unwrap_or_default();
        let smpb = self.info.gapless.map_or(0, |gapless| gapless.trailing.into());
        if edit.duration == 0 || last.origin == Origin::Fragment {
            return smpb;
        }
        let ends = self.samples.iter().map(|s| s.pts().saturating_add(s.duration.into())).max().unwrap_or(0);
        let presented = i64::try_from(edit.delay.saturating_add(edit.duration)).unwrap_or(i64::MAX);
        let hidden = u64::try_from(ends.saturating_sub(presented)).unwrap_or(0);
        // The edit counts in the movie's ticks, mostly milliseconds: a remainder below two of them is
        // rounding, not padding.
        let rounding = u64::from(self.info.config.timescale) / 500;
        if hidden <= rounding { smpb } else { hidden }
    }
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Movie {
    pub tracks: Vec<Track>,
    pub events: Vec<Event>,
    /// What was wrong, and cost a part of the file.
    pub damage: Damage,
}

/// Reads a whole file from memory. Samples are slices of `input`.
///
/// An error means that nothing of it can be used; whatever costs only a part is in [`Movie::damage`].
/// Memory is bounded: a sample takes 56 bytes here, and no more samples are read than a quarter of the
/// input's bytes (than its bytes, where a fragment says that its frames all have one size below four).
pub fn parse(input: &Bytes) -> Result<Movie, ReadError> {
    parse_at_most(input, usize::MAX)
}

/// The same of a file that is of no use where it has more than `limit` samples: it is refused as soon as it shows.
pub fn parse_at_most(input: &Bytes, limit: usize) -> Result<Movie, ReadError> {
    let mut movie = Movie::default();
    let mut reader = Reader::new().with_len(input.len() as u64);
    read_all(&mut reader, input, &mut movie, limit)?;
    finish(&reader, movie)
}

/// Reads a media segment (any number of fragments) with its init segment. Samples are slices of `segment`.
pub fn parse_segment(init: &Bytes, segment: &Bytes) -> Result<Movie, ReadError> {
    let mut movie = Movie::default();
    let mut reader = Reader::new().with_len(init.len() as u64);
    read_all(&mut reader, init, &mut movie, usize::MAX)?;
    reader.next_input(Some(segment.len() as u64));
    read_all(&mut reader, segment, &mut movie, usize::MAX)?;
    finish(&reader, movie)
}

fn read_all(reader: &mut Reader, input: &Bytes, movie: &mut Movie, limit: usize) -> Result<(), ReadError> {
    let mut count = 0;
    loop {
        match reader.poll()? {
            Step::Need(range) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(input.len());
                reader.supply(&input.slice(at(range.start)..at(range.end)))?;
            }
            Step::Tracks => {
                let track = |info: &TrackInfo| Track { info: info.clone(), samples: Vec::new() };
                movie.tracks = reader.tracks().iter().map(track).collect();
            }
            Step::Samples { track, samples } => {
                count += samples.len();
                if count > limit {
                    let (path, offset) = ("file".to_owned(), 0);
                    return Err(ReadError { path, offset, problem: Problem::TooMany { limit } });
                }
                if let Some(track) = movie.tracks.get_mut(track) {
                    track.samples.extend(samples);
                }
            }
            Step::Event(event) => movie.events.push(event),
            Step::End => return Ok(()),
        }
    }
}

fn finish(reader: &Reader, mut movie: Movie) -> Result<Movie, ReadError> {
    movie.damage = reader.damage().clone();
    if reader.tracks().is_empty() {
        let first = movie.damage.errors().first().cloned();
        return Err(first.unwrap_or(ReadError {
            path: "file".to_owned(),
            offset: 0,
            problem: Problem::NoMovie,
        }));
    }
    Ok(movie)
}
