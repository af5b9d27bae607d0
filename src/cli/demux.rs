//! `overdub demux`: a transport stream into a file for its pictures and one for its sound.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, bail};
use overdub_ts as ts;
use serde::Serialize;

use super::chunks::Chunks;
use super::print;
use super::track_file::{Summary, TrackFile};
use crate::demux::{audio_params, video_params};
use crate::media::mp4;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A transport stream (MPEG-TS).
    input: PathBuf,
    /// Where the pictures go.
    #[arg(long, value_name = "FILE", required_unless_present = "audio")]
    video: Option<PathBuf>,
    /// Where the sound goes.
    #[arg(long, value_name = "FILE")]
    audio: Option<PathBuf>,
    /// Say what was written as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    video: Option<Summary>,
    audio: Option<Summary>,
    /// Places where the transport stream is broken.
    damages: u64,
    last_damage: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let shown = args.input.display();
    let input = File::open(&args.input).with_context(|| format!("cannot read {shown}"))?;
    let mut input = Chunks::new(input);
    let mut work = Work {
        video: Half::new(args.video.as_deref().map(TrackFile::create).transpose()?),
        audio: Half::new(args.audio.as_deref().map(TrackFile::create).transpose()?),
        early: VecDeque::new(),
        early_bytes: 0,
        shift: None,
        report: Report::default(),
    };
    let mut demuxer = ts::Demuxer::new();
    while let Some(chunk) = input.next().with_context(|| format!("cannot read {shown}"))? {
        demuxer.push(chunk);
        work.drain(&mut demuxer)?;
    }
    demuxer.finish();
    work.drain(&mut demuxer)?;
    let report = work.finish()?;
    if report.video.is_none() && report.audio.is_none() {
        bail!("{shown} has nothing that was asked for and can be demuxed");
    }
    let missing = [(&args.video, &report.video, "picture"), (&args.audio, &report.audio, "sound")]
        .map(|(wanted, got, what)| (wanted.is_some() && got.is_none()).then_some(what));
    // A file with one track of the two is no failure: what there is was written.
    for what in missing.into_iter().flatten() {
        print::error_line(&format!("{shown} has no {what} that can be demuxed: nothing was written for it"));
    }
    if args.json {
        return print::json(&report);
    }
    for (name, summary) in [("video", &report.video), ("audio", &report.audio)] {
        if let Some(summary) = summary {
            let Summary { codec, samples, bytes, .. } = summary;
            print::line(&format!("{name}: {codec}, {samples} samples, {bytes} bytes"));
        }
    }
    if let Some(last) = &report.last_damage {
        print::line(&format!("damaged in {} places, the last: {last}", report.damages));
    }
    Ok(())
}

struct Work {
    video: Half,
    audio: Half,
    /// Samples of streams whose parameters have not come yet, oldest first.
    early: VecDeque<ts::Sample>,
    early_bytes: usize,
    /// What is added to every time of both files.
    shift: Option<i64>,
    report: Report,
}

/// A stream that begins in the middle has pictures before its first parameter sets. They are written with
/// those: at most this much, so that a stream without any does not fill the memory.
const EARLY_BYTES: usize = 8 << 20;

/// One kind of stream: which PID it is, and where it goes.
struct Half {
    pid: Option<u16>,
    file: Option<TrackFile>,
}

impl Half {
    fn new(file: Option<TrackFile>) -> Self {
        Self { pid: None, file }
    }

    /// The file, if `pid` goes there. The first stream of its kind that has parameters is taken.
    fn file_of(&mut self, pid: u16) -> Option<&mut TrackFile> {
        if *self.pid.get_or_insert(pid) == pid { self.file.as_mut() } else { None }
    }
}

impl Work {
    fn drain(&mut self, demuxer: &mut ts::Demuxer) -> anyhow::Result<()> {
        while let Some(event) = demuxer.next_event() {
            match event {
                ts::Event::Params { pid, params } => self.params(pid, &params)?,
                ts::Event::Sample(sample) => self.sample(sample)?,
                ts::Event::Damage(damage) => {
                    self.report.damages += 1;
                    self.report.last_damage = Some(damage.to_string());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn params(&mut self, pid: u16, params: &ts::Params) -> anyhow::Result<()> {
        let (half, config, codec) = match params {
            ts::Params::Video(params) => match video_params(params) {
                Some(params) => (&mut self.video, mp4::video_config(&params), params.codec_string),
                None => return Ok(()),
            },
            ts::Params::Audio(params) => match audio_params(params) {
                Some(params) => (&mut self.audio, mp4::audio_config(&params), params.codec_string),
                None => return Ok(()),
            },
        };
        let Some(file) = half.file_of(pid) else { return Ok(()) };
        file.params(config, &codec)?;
        let (its, others) = std::mem::take(&mut self.early).into_iter().partition(|early| early.pid == pid);
        self.early = others;
        self.early_bytes = self.early.iter().map(|early| early.data.len()).sum();
        let its: VecDeque<ts::Sample> = its;
        its.into_iter().try_for_each(|sample| self.sample(sample))
    }

    fn sample(&mut self, mut sample: ts::Sample) -> anyhow::Result<()> {
        let mut halves = [&mut self.video, &mut self.audio].into_iter();
        match halves.find(|half| half.pid == Some(sample.pid)) {
            Some(Half { file: Some(file), .. }) => {
                // A file has no negative times: what began just before the wrap keeps counting beyond it.
                let before_wrap = sample.dts.0 < 0;
                let shift = *self.shift.get_or_insert(if before_wrap { ts::Ticks::WRAP } else { 0 });
                sample.dts.0 += shift;
                sample.pts.0 += shift;
                file.push(sample)
            }
            Some(_) => Ok(()),
            None => {
                self.early_bytes += sample.data.len();
                self.early.push_back(sample);
                while self.early_bytes > EARLY_BYTES
                    && let Some(oldest) = self.early.pop_front()
                {
                    self.early_bytes -= oldest.data.len();
                }
                Ok(())
            }
        }
    }

    fn finish(mut self) -> anyhow::Result<Report> {
        self.report.video = self.video.file.map(TrackFile::finish).transpose()?.flatten();
        self.report.audio = self.audio.file.map(TrackFile::finish).transpose()?.flatten();
        Ok(self.report)
    }
}
