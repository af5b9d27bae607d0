//! `overdub remux`: the pictures of one file and the sound of another into a third, untouched.

use std::path::PathBuf;

use anyhow::Context;
use overdub_fmp4::{Edit, Fragment, Sample, TimedSample, TrackConfig, TrackRun, init_segment};
use serde::Serialize;

use super::output_file::OutputFile;
use super::print;
use super::track_reader::TrackReader;
use crate::media::mp4::{AUDIO_TRACK, VIDEO_TRACK};

/// A fragment ends at the first sync picture after this many seconds.
const FRAGMENT: f64 = 2.0;
/// Or at this size, so that memory does not grow with a stream that has no sync pictures.
const FRAGMENT_BYTES: usize = 8 << 20;

#[derive(clap::Args)]
pub(super) struct Args {
    /// MP4, fragmented or plain: its first video track is taken.
    video: PathBuf,
    /// MP4, fragmented or plain: its first audio track is taken.
    audio: PathBuf,
    output: PathBuf,
    /// Say what was written as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    video_samples: usize,
    audio_samples: usize,
    bytes: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut video = Half::open(args, VIDEO_TRACK)?;
    let mut audio = Half::open(args, AUDIO_TRACK)?;
    let mut out = OutputFile::create(&args.output)?;
    out.write([&init_segment(&[video.config()?, audio.config()?])?])?;
    for sequence in 1.. {
        let end = video.gather_pictures()?;
        audio.gather_until(end)?;
        let runs: Vec<_> = [video.run(), audio.run()].into_iter().flatten().collect();
        if runs.is_empty() {
            break;
        }
        out.write(&Fragment::new(sequence, runs).encode()?)?;
    }
    let report = Report { video_samples: video.taken, audio_samples: audio.taken, bytes: out.written() };
    if args.json {
        return print::json(&report);
    }
    let Report { video_samples, audio_samples, bytes } = report;
    print::line(&format!("{video_samples} pictures, {audio_samples} frames of sound, {bytes} bytes"));
    Ok(())
}

/// One track on its way from its file to the output.
struct Half {
    source: TrackReader,
    id: u32,
    /// Added to all times: media times cannot be negative, but an edit list can hide what lies before zero
    /// (ISO/IEC 14496-12 8.6.6), priming above all.
    shift: i64,
    run: Vec<TimedSample>,
    bytes: usize,
    taken: usize,
}

impl Half {
    fn open(args: &Args, id: u32) -> anyhow::Result<Self> {
        let (path, handler) =
            if id == VIDEO_TRACK { (&args.video, *b"vide") } else { (&args.audio, *b"soun") };
        let source = TrackReader::find(path, |info| info.handler == handler)?;
        let mut source = source.with_context(|| {
            format!("{}: no {} track with samples", path.display(), handler.escape_ascii())
        })?;
        let first = source.first()?.map_or(0, |first| first.dts);
        let shift = first.saturating_neg().max(0);
        Ok(Self { source, id, shift, run: Vec::new(), bytes: 0, taken: 0 })
    }

    fn config(&self) -> anyhow::Result<TrackConfig> {
        let media_time = u64::try_from(self.shift)?;
        let edit = (media_time > 0).then(|| Edit { media_time, ..Edit::default() });
        Ok(TrackConfig { id: self.id, edit, ..self.source.info().config.clone() })
    }

    fn secs(&self, time: i64) -> f64 {
        time as f64 / f64::from(self.source.info().config.timescale.max(1))
    }

    /// Takes the next sample if `wanted`; returns its time in seconds if it is left.
    fn take(&mut self, wanted: impl FnOnce(&Self, &TimedSample) -> bool) -> anyhow::Result<Result<(), f64>> {
        let Some(next) = self.source.first()?.cloned() else { return Ok(Err(f64::INFINITY)) };
        // Decoding times only go on within a run; where the source's jump back, another fragment begins.
        let on =
            self.run.last().map_or(Some(0), |last| u32::try_from(next.dts.saturating_sub(last.dts)).ok());
        let Some(distance) = on.filter(|_| wanted(self, &next)) else {
            return Ok(Err(self.secs(next.dts)));
        };
        if let Some(last) = self.run.last_mut() {
            last.duration = distance;
        }
        self.bytes += next.data.len();
        self.taken += 1;
        self.run.push(next);
        self.source.next()?;
        Ok(Ok(()))
    }

    /// Takes pictures up to where a fragment ends; returns that time in seconds.
    fn gather_pictures(&mut self) -> anyhow::Result<f64> {
        loop {
            let taken = self.take(|half, next| {
                let Some(first) = half.run.first() else { return true };
                let long = half.secs(next.dts) - half.secs(first.dts) >= FRAGMENT;
                !(next.sync && long || half.bytes >= FRAGMENT_BYTES)
            })?;
            if let Err(end) = taken {
                return Ok(end);
            }
        }
    }

    /// Takes what begins before `end` seconds; a fragment takes no more than its size.
    fn gather_until(&mut self, end: f64) -> anyhow::Result<()> {
        while self.take(|half, next| half.bytes < FRAGMENT_BYTES && half.secs(next.dts) < end)?.is_ok() {}
        Ok(())
    }

    fn run(&mut self) -> Option<TrackRun> {
        self.bytes = 0;
        let base = self.run.first()?.dts.saturating_add(self.shift);
        let samples = self.run.drain(..).map(|sample| Sample {
            duration: sample.duration,
            composition_offset: sample.composition_offset,
            sync: sample.sync,
            data: sample.data,
        });
        let samples = samples.collect();
        Some(TrackRun { track_id: self.id, base_decode_time: u64::try_from(base).unwrap_or(0), samples })
    }
}
