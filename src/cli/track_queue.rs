//! Samples of one track on their way into a file, until their times are clean.

use std::collections::VecDeque;

use overdub_fmp4::TrackConfig;
use overdub_ts as ts;

use super::track_file::{Summary, TrackFile};
use crate::demux::{RawTimes, StampSource, Stamps};
use crate::media::Flicks;

/// Samples wait for those behind them, which tell whether their times are right, while all of them are no more
/// than this.
const MAX_WAITING: usize = 32 << 20;

/// The samples of one kind of stream, and the file that they go into.
pub(super) struct TrackQueue {
    file: Option<TrackFile>,
    /// Audio: each frame has its length.
    audio: bool,
    stamps: Stamps,
    configured: bool,
    /// The configuration of the next sample, where it is another.
    params: Option<(TrackConfig, String)>,
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// With clean times.
    ready: VecDeque<Entry>,
    ready_bytes: usize,
    /// The newest clock.
    clock: usize,
    /// The clock of what was written, and what was added to its times.
    written: (usize, i64),
    /// Where what was written ends, and its last decode time.
    end: i64,
    last: Option<i64>,
}

/// A sample, the number of the clock that it is on, and the configuration that begins with it.
struct Entry {
    clock: usize,
    params: Option<(TrackConfig, String)>,
    sample: ts::Sample,
}

impl TrackQueue {
    pub(super) fn new(file: Option<TrackFile>, audio: bool) -> Self {
        Self {
            file,
            audio,
            stamps: Stamps::default(),
            configured: false,
            params: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ready: VecDeque::new(),
            ready_bytes: 0,
            clock: 0,
            written: (0, 0),
            end: 0,
            last: None,
        }
    }

    /// Something is written of this kind.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The configuration of the samples that follow.
    pub(super) fn params(&mut self, config: TrackConfig, codec: &str) -> anyhow::Result<()> {
        if std::mem::replace(&mut self.configured, true) {
            self.params = Some((config, codec.to_owned()));
            return Ok(());
        }
        self.file.as_mut().map_or(Ok(()), |file| file.params(config, codec))
    }

    pub(super) fn push(&mut self, sample: ts::Sample) {
        if self.file.is_none() {
            return;
        }
        let ticks = |ticks: ts::Ticks| Flicks::from_ticks(ticks.0);
        self.stamps.push(RawTimes {
            dts: ticks(sample.dts),
            pts: ticks(sample.pts),
            source: if sample.stamped { StampSource::Header } else { StampSource::Counted },
            length: self.audio.then(|| ticks(sample.duration)),
        });
        self.waiting_bytes += sample.data.len();
        self.waiting.push_back(Entry { clock: 0, params: self.params.take(), sample });
        if self.waiting_bytes > MAX_WAITING {
            self.stamps.end();
        }
        self.settle();
    }

    /// No sample follows.
    pub(super) fn end(&mut self) {
        self.stamps.end();
        self.settle();
    }

    /// The number of the clock that comes next, and the first decode time on it.
    pub(super) fn next(&self) -> Option<(usize, i64)> {
        self.ready.front().map(|entry| (entry.clock, entry.sample.dts.0))
    }

    /// Where what was written ends.
    pub(super) fn written_until(&self) -> i64 {
        self.end
    }

    /// Bytes that have clean times and wait to be written.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Writes what is on clock `clock`, `shift` later than its stamps say.
    pub(super) fn write(&mut self, clock: usize, shift: i64) -> anyhow::Result<()> {
        while self.ready.front().is_some_and(|entry| entry.clock == clock)
            && let Some(Entry { params, mut sample, .. }) = self.ready.pop_front()
            && let Some(file) = &mut self.file
        {
            self.ready_bytes -= sample.data.len();
            if self.written.0 != clock || self.last.is_none() {
                // A track that comes to a clock behind the other may still overlap what it had.
                let overlap = if self.last.is_some() { self.end - (sample.dts.0 + shift) } else { 0 };
                self.written = (clock, shift + overlap.max(0));
            }
            let dts = sample.dts.0 + self.written.1;
            // A file has no times below zero.
            let dts = dts.max(self.last.map_or(0, |last| last + 1));
            sample.dts = ts::Ticks(dts);
            sample.pts = ts::Ticks((sample.pts.0 + self.written.1).max(dts));
            self.last = Some(dts);
            self.end = self.end.max(dts + sample.duration.0.max(1));
            if let Some((config, codec)) = params {
                file.params(config, &codec)?;
            }
            file.push(sample)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<Option<Summary>> {
        self.file.map(TrackFile::finish).transpose().map(Option::flatten)
    }

    fn settle(&mut self) {
        while let Some(times) = self.stamps.poll()
            && let Some(mut entry) = self.waiting.pop_front()
        {
            self.clock += usize::from(times.restart);
            entry.clock = self.clock;
            entry.sample.dts = ts::Ticks(times.dts.to_ticks());
            entry.sample.pts = ts::Ticks(times.pts.to_ticks());
            self.waiting_bytes -= entry.sample.data.len();
            self.ready_bytes += entry.sample.data.len();
            self.ready.push_back(entry);
        }
    }
}
