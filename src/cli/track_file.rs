//! One elementary stream as a fragmented MP4 file, written as it comes.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use overdub_fmp4::{Codec, Fragment, Sample, TrackConfig, TrackRun, init_segment};
use overdub_ts as ts;
use serde::Serialize;

use super::output_file::OutputFile;

/// The times of a transport stream stay what they are, sound included: this is its clock.
const TIMESCALE: u32 = 90_000;
/// A fragment ends at the first sync sample after this long.
const FRAGMENT: i64 = 2 * TIMESCALE as i64;
/// Or at this size, so that memory does not grow with a stream that has no sync samples.
const FRAGMENT_BYTES: usize = 8 << 20;
/// Times that go on after a longer pause than this are no duration but a jump.
const JUMP: i64 = 10 * TIMESCALE as i64;

/// Writes one track. What it has written so far is a whole file at any time.
pub(super) struct TrackFile {
    out: OutputFile,
    config: Option<TrackConfig>,
    /// Parameter sets that changed, to stand before the next sample.
    in_band: Option<Bytes>,
    samples: Vec<ts::Sample>,
    bytes: usize,
    sequence: u32,
    summary: Summary,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// The stream that was taken.
    pub(super) pid: u16,
    pub(super) codec: String,
    pub(super) samples: u64,
    pub(super) sync_samples: u64,
    /// Samples of which packets were missing or broken; they are written too.
    pub(super) damaged: u64,
    pub(super) bytes: u64,
    /// Least and greatest times, in ticks of 90 kHz.
    pub(super) first_dts: Option<i64>,
    pub(super) last_dts: Option<i64>,
    pub(super) first_pts: Option<i64>,
    pub(super) last_pts: Option<i64>,
}

impl TrackFile {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            out: OutputFile::create(path)?,
            config: None,
            in_band: None,
            samples: Vec::new(),
            bytes: 0,
            sequence: 0,
            summary: Summary::default(),
        })
    }

    /// The configuration of the samples that follow. `config` is the media's, on any timescale.
    pub(super) fn params(&mut self, config: TrackConfig, codec: &str) -> anyhow::Result<()> {
        let config = TrackConfig { id: 1, timescale: TIMESCALE, ..config };
        match &self.config {
            None => {
                let init = init_segment(std::slice::from_ref(&config))?;
                self.out.write([&init])?;
                self.summary.codec = codec.to_owned();
                self.config = Some(config);
            }
            Some(current) if current.codec == config.codec => {}
            // One sample entry holds one configuration; H.264's parameter sets may stand in the samples too.
            Some(_) => match &config.codec {
                Codec::Avc { avcc, .. } => self.in_band = parameter_sets(avcc),
                _ => bail!(
                    "the configuration changes after {} samples, and {} can hold one",
                    self.summary.samples,
                    self.out.path().display()
                ),
            },
        }
        Ok(())
    }

    /// Takes the next sample. Before its configuration is known it cannot be stored, and is left out.
    pub(super) fn push(&mut self, mut sample: ts::Sample) -> anyhow::Result<()> {
        if self.config.is_none() {
            return Ok(());
        }
        if let Some(first) = self.samples.first().map(|first| first.dts.0)
            && let Some(last) = self.samples.last().map(|last| last.dts.0)
        {
            let dts = sample.dts.0;
            let jump = dts < last || dts - last > JUMP;
            if jump || sample.random_access && dts - first >= FRAGMENT || self.bytes >= FRAGMENT_BYTES {
                self.flush((!jump).then_some(dts))?;
            }
        }
        if let Some(sets) = self.in_band.take() {
            let mut data = BytesMut::with_capacity(sets.len() + sample.data.len());
            data.put(sets);
            data.put_slice(&sample.data);
            sample.data = data.freeze();
        }
        self.count(&sample);
        self.bytes += sample.data.len();
        self.samples.push(sample);
        Ok(())
    }

    pub(super) fn finish(mut self) -> anyhow::Result<Option<Summary>> {
        self.flush(None)?;
        if self.summary.samples == 0 {
            // An empty file would look like a result.
            let path = self.out.path();
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            return Ok(None);
        }
        Ok(Some(self.summary))
    }

    fn count(&mut self, sample: &ts::Sample) {
        let summary = &mut self.summary;
        summary.pid = sample.pid;
        summary.samples += 1;
        summary.sync_samples += u64::from(sample.random_access);
        summary.damaged += u64::from(sample.damaged);
        summary.bytes += sample.data.len() as u64;
        let least = |known: Option<i64>, new: i64| Some(known.map_or(new, |known| known.min(new)));
        let most = |known: Option<i64>, new: i64| Some(known.map_or(new, |known| known.max(new)));
        summary.first_dts = least(summary.first_dts, sample.dts.0);
        summary.last_dts = most(summary.last_dts, sample.dts.0);
        summary.first_pts = least(summary.first_pts, sample.pts.0);
        summary.last_pts = most(summary.last_pts, sample.pts.0);
    }

    /// Writes what is held as a fragment; `next` is the time of the sample that goes on from it.
    fn flush(&mut self, next: Option<i64>) -> anyhow::Result<()> {
        let held = std::mem::take(&mut self.samples);
        self.bytes = 0;
        let Some(base) = held.first().map(|first| first.dts.0) else { return Ok(()) };
        let ends: Vec<_> = held.iter().skip(1).map(|sample| Some(sample.dts.0)).chain([next]).collect();
        let mut duration = 0;
        let mut samples = Vec::with_capacity(held.len());
        for (sample, end) in held.into_iter().zip(ends) {
            // The last of a run lasts as long as the one before.
            duration = end.map_or(duration, |end| u32::try_from(end - sample.dts.0).unwrap_or(0));
            samples.push(Sample {
                duration,
                composition_offset: i32::try_from(sample.pts.0 - sample.dts.0).unwrap_or(0),
                sync: sample.random_access,
                data: sample.data,
            });
        }
        self.sequence = self.sequence.wrapping_add(1);
        let base_decode_time = u64::try_from(base).unwrap_or(0);
        let run = TrackRun { track_id: 1, base_decode_time, samples };
        self.out.write(&Fragment::new(self.sequence, vec![run]).encode()?)
    }
}

/// The parameter sets of an `avcC` (ISO/IEC 14496-15 5.3.3.1.2), each behind its length in 4 bytes.
fn parameter_sets(avcc: &Bytes) -> Option<Bytes> {
    let mut rest = avcc.get(5..)?;
    let mut out = BytesMut::with_capacity(avcc.len() * 2);
    for mask in [0x1f, 0xff] {
        let (count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & mask {
            let len = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
            let set = rest.get(2..2 + len)?;
            out.put_u32(u32::try_from(len).ok()?);
            out.put_slice(set);
            rest = rest.get(2 + len..)?;
        }
    }
    Some(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_taken_whole_or_not_at_all() {
        let avcc = [1, 66, 0, 30, 0xff, 0xe1, 0, 2, 0x67, 1, 2, 0, 1, 0x68, 0, 2, 0x68, 2];
        let sets = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x68, 0, 0, 0, 2, 0x68, 2];
        assert_eq!(parameter_sets(&Bytes::copy_from_slice(&avcc)).as_deref(), Some(&sets[..]));
        for len in 0..avcc.len() {
            assert_eq!(parameter_sets(&Bytes::copy_from_slice(&avcc[..len])), None, "{len}");
        }
    }
}
