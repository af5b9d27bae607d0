//! The samples of an MP4 file to segments, as a packager would cut them. Pure.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use overdub_fmp4::{
    Codec, CutRule, Fragment, Fragmenter, ReadError, Reader, Sample, Step, TimedSample, TrackConfig,
    TrackInfo, WriteError, init_segment,
};

/// A segment ends at the first random-access picture after this long: the usual target duration.
pub(super) const TARGET: Duration = Duration::from_secs(6);

/// Or as soon as so much is held, where those pictures stay away: what bounds memory, and below the cap of a
/// fetched segment.
const MAX_SEGMENT_BYTES: usize = 48 << 20;

/// What the cutter wants or has.
#[derive(Debug)]
pub(super) enum Next {
    /// Give these bytes of the file to [`Cutter::supply`]; fewer only at its end.
    Need(Range<u64>),
    Piece(Piece),
    End,
}

/// A segment of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Shared by the pieces that need the same.
    pub(super) init: Bytes,
    pub(super) data: Bytes,
    pub(super) duration: Duration,
    /// Its codecs' configuration is another than that of the piece before.
    pub(super) discontinuity: bool,
}

/// Why a file gives nothing, or nothing more.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutError {
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Write(#[from] WriteError),
    /// Nothing says what is in it.
    #[error("there is no moov")]
    NoMovie,
    /// There are tracks, but none in a codec that is carried.
    #[error("no track in a codec that is carried: {entries}")]
    NothingCarried { entries: String },
}

/// Cuts the first track with pictures and the first with sound.
#[derive(Debug)]
pub(super) struct Cutter {
    reader: Reader,
    tracks: Vec<Track>,
    fragmenter: Option<Fragmenter>,
    init: Bytes,
    /// The next piece is the first with its `init`, and not the first of all.
    discontinuity: bool,
    ready: VecDeque<Piece>,
    ended: bool,
}

/// A track that is taken.
#[derive(Debug)]
struct Track {
    /// In the reader's list.
    index: usize,
    info: TrackInfo,
    /// The sample entry that its samples need now, from 0.
    entry: u16,
}

impl Track {
    fn config(&self) -> TrackConfig {
        let codec = self.info.codec_of(self.entry).cloned();
        let config = self.info.config.clone();
        TrackConfig { codec: codec.unwrap_or_else(|| config.codec.clone()), ..config }
    }
}

impl Cutter {
    /// `length`: of the file, where it is known.
    pub(super) fn new(length: Option<u64>) -> Self {
        let reader = Reader::new();
        Self {
            reader: match length {
                Some(length) => reader.with_len(length),
                None => reader,
            },
            tracks: Vec::new(),
            fragmenter: None,
            init: Bytes::new(),
            discontinuity: false,
            ready: VecDeque::new(),
            ended: false,
        }
    }

    pub(super) fn supply(&mut self, bytes: &Bytes) -> Result<(), CutError> {
        Ok(self.reader.supply(bytes)?)
    }

    /// What was broken so far, and cost a part of the film: how often, and the first.
    pub(super) fn damage(&self) -> Option<(u64, &ReadError)> {
        let damage = self.reader.damage();
        Some((damage.total(), damage.errors().first()?))
    }

    /// What comes next. After an error there is nothing more.
    pub(super) fn poll(&mut self) -> Result<Next, CutError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Next::Piece(piece));
            }
            if self.ended {
                return Ok(Next::End);
            }
            match self.reader.poll()? {
                Step::Need(range) => return Ok(Next::Need(range)),
                Step::Tracks => self.choose()?,
                Step::Samples { track, samples } => {
                    for sample in samples {
                        self.sample(track, sample)?;
                    }
                    self.take_fragments()?;
                }
                Step::Event(_) => {}
                Step::End if self.tracks.is_empty() => {
                    let damage = self.reader.damage().errors().first().cloned();
                    return Err(damage.map_or(CutError::NoMovie, CutError::Read));
                }
                Step::End => {
                    self.finish()?;
                    self.ended = true;
                }
            }
        }
    }

    fn choose(&mut self) -> Result<(), CutError> {
        let infos = self.reader.tracks().to_vec();
        let first = |wanted: fn(&Codec) -> bool| infos.iter().position(|info| wanted(&info.config.codec));
        let chosen = [first(Codec::is_video), first(Codec::is_audio)];
        self.tracks = chosen
            .into_iter()
            .flatten()
            .filter_map(|index| Some(Track { index, info: infos.get(index)?.clone(), entry: 0 }))
            .collect();
        if self.tracks.is_empty() {
            let entries: Vec<_> =
                infos.iter().map(|info| info.sample_entry.escape_ascii().to_string()).collect();
            return Err(CutError::NothingCarried { entries: entries.join(", ") });
        }
        (0..infos.len())
            .filter(|index| !chosen.contains(&Some(*index)))
            .for_each(|other| self.reader.ignore(other));
        self.begin()
    }

    /// From here on with the configurations that the tracks have now.
    fn begin(&mut self) -> Result<(), CutError> {
        let configs: Vec<_> = self.tracks.iter().map(Track::config).collect();
        let rule = CutRule { target: TARGET, max_bytes: MAX_SEGMENT_BYTES, ..CutRule::default() };
        self.init = init_segment(&configs)?;
        self.fragmenter = Some(Fragmenter::new(&configs, rule)?);
        Ok(())
    }

    fn sample(&mut self, track: usize, sample: TimedSample) -> Result<(), CutError> {
        let Some(at) = self.tracks.iter().position(|taken| taken.index == track) else { return Ok(()) };
        if self.tracks[at].entry != sample.entry {
            self.finish()?;
            self.tracks[at].entry = sample.entry;
            self.discontinuity = true;
            self.begin()?;
        }
        let shift = self.tracks[at].info.shift();
        let TimedSample { dts, composition_offset, duration, sync, data, .. } = sample;
        let sample = Sample { duration, composition_offset, sync, data };
        match self
            .fragmenter
            .as_mut()
            .map(|fragmenter| fragmenter.push(at, dts.saturating_sub(shift), sample))
        {
            // No file has one; of a broken one the rest may still be good.
            None | Some(Ok(()) | Err(WriteError::NegativeTime { .. })) => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn finish(&mut self) -> Result<(), CutError> {
        if let Some(fragmenter) = &mut self.fragmenter {
            fragmenter.finish();
        }
        self.take_fragments()
    }

    fn take_fragments(&mut self) -> Result<(), CutError> {
        while let Some(fragment) = self.fragmenter.as_mut().and_then(Fragmenter::next_fragment) {
            let duration = self.duration(&fragment);
            let data = fragment.encode()?.to_bytes();
            let (init, discontinuity) = (self.init.clone(), std::mem::take(&mut self.discontinuity));
            self.ready.push_back(Piece { init, data, duration, discontinuity });
        }
        Ok(())
    }

    /// Of the longest of its tracks.
    fn duration(&self, fragment: &Fragment) -> Duration {
        let of_run = |run: &overdub_fmp4::TrackRun| {
            let track = self.tracks.iter().find(|track| track.info.config.id == run.track_id)?;
            let units: u64 = run.samples.iter().map(|sample| u64::from(sample.duration)).sum();
            let seconds = units as f64 / f64::from(track.info.config.timescale.max(1));
            Duration::try_from_secs_f64(seconds).ok()
        };
        fragment.tracks.iter().filter_map(of_run).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a file, of which at most `step` bytes are given at a time.
    fn cut(file: &Bytes, step: usize) -> Vec<Piece> {
        let mut cutter = Cutter::new(Some(file.len() as u64));
        let mut pieces = Vec::new();
        loop {
            match cutter.poll().expect("a good file") {
                Next::Need(range) => {
                    let (start, end) = (range.start as usize, range.end as usize);
                    cutter
                        .supply(&file.slice(start..file.len().min(end.max(start + step))))
                        .expect("a good file");
                }
                Next::Piece(piece) => pieces.push(piece),
                Next::End => return pieces,
            }
        }
    }

    /// Ten seconds of one second's groups of pictures, and of sound, as a fragmented file.
    fn film() -> Bytes {
        let video = Codec::Avc {
            // FFmpeg's of a picture of 64x64.
            avcc: Bytes::from_static(&hex_literal::hex!(
                "01 42C00A FF E1 0017 6742C00AD90411A100000300010000030032 0F1226480 1 0004 68CB83CB20"
            )),
            width: 64,
            height: 64,
        };
        let audio = Codec::Aac { asc: Bytes::from_static(&[0x11, 0x90]), sample_rate: 48_000, channels: 2 };
        let config = |id, timescale, codec| TrackConfig { id, timescale, codec, language: None, edit: None };
        let configs = [config(1, 25, video), config(2, 48_000, audio)];
        let mut fragmenter = Fragmenter::new(&configs, CutRule::default()).expect("it can be written");
        for n in 0..250 {
            let data = Bytes::from(vec![0, 0, 0, 4, if n % 25 == 0 { 0x65 } else { 0x41 }, 0x88, n as u8, 1]);
            let sync = n % 25 == 0;
            fragmenter.push(0, n, Sample { duration: 1, composition_offset: 0, sync, data }).unwrap();
        }
        for n in 0..469 {
            let data = Bytes::from(vec![n as u8; 9]);
            let sample = Sample { duration: 1_024, composition_offset: 0, sync: true, data };
            fragmenter.push(1, n * 1_024, sample).unwrap();
        }
        fragmenter.finish();
        let mut file = init_segment(&configs).unwrap().to_vec();
        while let Some(fragment) = fragmenter.next_fragment() {
            file.extend_from_slice(&fragment.encode().unwrap().to_bytes());
        }
        file.into()
    }

    #[test]
    fn a_file_is_cut_at_random_access_pictures_and_nothing_is_lost() {
        let film = film();
        let pieces = cut(&film, 1 << 20);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].duration.as_secs(), 6);
        assert_eq!(cut(&film, 0), pieces, "however it is read");
        assert!(pieces.iter().all(|piece| !piece.discontinuity));
        let read: Vec<_> = pieces.iter().map(samples).collect();
        assert!(
            read.iter().all(|[pictures, _]| pictures[0].sync),
            "each begins with a random-access picture"
        );
        let data = |track: usize| -> Vec<Bytes> {
            read.iter().flat_map(|tracks| &tracks[track]).map(|sample| sample.data.clone()).collect()
        };
        let whole = samples(&Piece { init: film, data: Bytes::new(), ..pieces[0].clone() });
        for (track, count) in [(0, 250), (1, 469)] {
            let expected: Vec<_> = whole[track].iter().map(|sample| sample.data.clone()).collect();
            assert_eq!((data(track).len(), data(track)), (count, expected));
        }
    }

    /// The samples of a piece, pictures first.
    fn samples(piece: &Piece) -> [Vec<TimedSample>; 2] {
        let file = Bytes::from([&piece.init[..], &piece.data[..]].concat());
        let mut reader = Reader::new().with_len(file.len() as u64);
        let mut tracks = [Vec::new(), Vec::new()];
        loop {
            match reader.poll().expect("a good file") {
                Step::Need(range) => {
                    let end = file.len().min(range.end as usize);
                    reader.supply(&file.slice(range.start as usize..end)).expect("a good file");
                }
                Step::Samples { track, samples } => tracks[track].extend(samples),
                Step::Tracks | Step::Event(_) => {}
                Step::End => {
                    assert_eq!(reader.damage().total(), 0);
                    return tracks;
                }
            }
        }
    }

    #[test]
    fn what_is_no_film_is_refused_with_the_reason() {
        let refused = |file: &[u8]| {
            let mut cutter = Cutter::new(Some(file.len() as u64));
            loop {
                match cutter.poll() {
                    Ok(Next::Need(range)) => {
                        let part = &file[range.start as usize..(range.end as usize).min(file.len())];
                        if let Err(error) = cutter.supply(&Bytes::copy_from_slice(part)) {
                            return error.to_string();
                        }
                    }
                    Ok(next) => panic!("{next:?}"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        assert!(refused(b"\0\0\0\x0cftypisom\0\0\0\x08mdat").contains("no moov"));
        assert!(refused(b"\0\0\0\x08moov").contains("moov"));
    }
}
