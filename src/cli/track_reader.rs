//! One track of an MP4 file, sample by sample.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use anyhow::Context;
use overdub_fmp4::{Problem, ReadError, Reader, Step, TimedSample, TrackInfo};

use super::chunks::Chunks;

/// Reads the first track of a kind. Of the file, some megabytes are in memory at a time.
///
/// What is damaged and may belong to the track is an error: a tool does not lose samples in silence.
#[derive(Debug)]
pub(super) struct TrackReader {
    shown: String,
    chunks: Chunks<File>,
    reader: Reader,
    track: usize,
    info: TrackInfo,
    ready: VecDeque<TimedSample>,
}

impl TrackReader {
    /// The first track that `wanted` says yes to; `None` where there is none with samples.
    pub(super) fn find(path: &Path, wanted: impl Fn(&TrackInfo) -> bool) -> anyhow::Result<Option<Self>> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let mut chunks = Chunks::new(file);
        let len = chunks.len().with_context(|| format!("cannot read {shown}"))?;
        let mut reader = Reader::new().with_len(len);
        // What is wrong with other tracks does not matter.
        loop {
            match step(&mut reader, &mut chunks, |_| false).with_context(|| shown.clone())? {
                Step::Tracks | Step::End => break,
                _ => {}
            }
        }
        let Some(track) = reader.tracks().iter().position(wanted) else {
            // Unless the wanted one is among those that are too damaged to be listed.
            let damage = reader.damage().errors().first().cloned();
            return damage.map_or(Ok(None), |error| Err(error).context(shown));
        };
        let Some(info) = reader.tracks().get(track).cloned() else { return Ok(None) };
        (0..reader.tracks().len()).filter(|other| *other != track).for_each(|other| reader.ignore(other));
        let mut found = Self { shown, chunks, reader, track, info, ready: VecDeque::new() };
        Ok(found.first()?.is_some().then_some(found))
    }

    pub(super) fn info(&self) -> &TrackInfo {
        &self.info
    }

    /// The next sample, left where it is; `None` at the end.
    pub(super) fn first(&mut self) -> anyhow::Result<Option<&TimedSample>> {
        while self.ready.is_empty() {
            let own = format!("moov/trak[{}]", self.info.trak);
            let step = step(&mut self.reader, &mut self.chunks, |error| matters(error, &own));
            let step = step.with_context(|| self.shown.clone())?;
            match step {
                Step::Samples { track, samples } if track == self.track => self.ready.extend(samples),
                Step::End => break,
                _ => {}
            }
        }
        Ok(self.ready.front())
    }

    /// Takes the next sample; `None` at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<TimedSample>> {
        self.first()?;
        Ok(self.ready.pop_front())
    }
}

/// Whether an error may cost samples of the track in `own`.
fn matters(error: &ReadError, own: &str) -> bool {
    if error.path.starts_with("moov/trak[") {
        return error.path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    }
    // A box at the top level that does not end where it says: an `mdat` that is too long or too short, or
    // something behind the last box. Samples that are not there are reported by themselves.
    let is_described = ["moov", "moof"].iter().any(|kind| error.path.starts_with(kind));
    is_described || !matches!(error.problem, Problem::Truncated { .. } | Problem::InvalidSize(_))
}

/// What the file has next, what is read on the way included.
fn step(
    reader: &mut Reader,
    chunks: &mut Chunks<File>,
    matters: impl Fn(&ReadError) -> bool,
) -> anyhow::Result<Step> {
    loop {
        let step = reader.poll()?;
        if let Some(error) = reader.damage().errors().iter().find(|error| matters(error)) {
            return Err(error.clone().into());
        }
        match step {
            Step::Need(range) => reader.supply(&chunks.range(range)?)?,
            step => return Ok(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_of_other_tracks_and_behind_the_last_box_costs_no_sample() {
        let truncated = Problem::Truncated { needed: 9, available: 8 };
        let matters = |path: &str, problem: &Problem| {
            matters(&ReadError { path: path.to_owned(), offset: 0, problem: problem.clone() }, "moov/trak[1]")
        };
        assert!(matters("moov/trak[1]", &truncated));
        assert!(matters("moov/trak[1]/mdia", &truncated));
        assert!(matters("moov", &truncated));
        assert!(matters("moof/traf[0]", &truncated));
        assert!(matters("file", &Problem::Overcommitted));
        assert!(!matters("moov/trak[10]/mdia", &truncated));
        assert!(!matters("moov/trak[0]", &Problem::EmptySamples));
        assert!(!matters("mdat", &truncated));
        assert!(!matters("file", &Problem::InvalidSize(3)));
    }
}
