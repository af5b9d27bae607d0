//! One track of an MP4 file, sample by sample.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use anyhow::Context;
use overdub_fmp4::{Reader, Step, TimedSample, TrackInfo};

use super::chunks::Chunks;

/// Reads the first track of a kind. Of the file, some megabytes are in memory at a time.
///
/// What is damaged is an error: a tool does not lose samples in silence.
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
        loop {
            match step(&mut reader, &mut chunks).with_context(|| shown.clone())? {
                Step::Tracks => break,
                Step::End => return Ok(None),
                _ => {}
            }
        }
        let Some(track) = reader.tracks().iter().position(wanted) else { return Ok(None) };
        let Some(info) = reader.tracks().get(track).cloned() else { return Ok(None) };
        let mut found = Self { shown, chunks, reader, track, info, ready: VecDeque::new() };
        Ok(found.first()?.is_some().then_some(found))
    }

    pub(super) fn info(&self) -> &TrackInfo {
        &self.info
    }

    /// The next sample, left where it is; `None` at the end.
    pub(super) fn first(&mut self) -> anyhow::Result<Option<&TimedSample>> {
        while self.ready.is_empty() {
            let step = step(&mut self.reader, &mut self.chunks).with_context(|| self.shown.clone())?;
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

/// What the file has next, what is read on the way included.
pub(super) fn step(reader: &mut Reader, chunks: &mut Chunks<File>) -> anyhow::Result<Step> {
    loop {
        let step = reader.poll()?;
        if let Some(error) = reader.damage().errors().first() {
            return Err(error.clone().into());
        }
        match step {
            Step::Need(range) => reader.supply(&chunks.range(range)?)?,
            step => return Ok(step),
        }
    }
}
