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
use super::track_queue::TrackQueue;
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
    /// How often the clock began again behind what was there.
    clock_restarts: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let shown = args.input.display();
    let input = File::open(&args.input).with_context(|| format!("cannot read {shown}"))?;
    let mut input = Chunks::new(input);
    let mut work = Work {
        video: TrackQueue::new(args.video.as_deref().map(TrackFile::create).transpose()?, false),
        audio: TrackQueue::new(args.audio.as_deref().map(TrackFile::create).transpose()?, true),
        early: VecDeque::new(),
        early_bytes: 0,
        clock: 0,
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
    if report.clock_restarts > 0 {
        let times = report.clock_restarts;
        print::error_line(&format!(
            "{shown}: the clock begins again {times} times; what is behind was written on from what was before"
        ));
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
    video: TrackQueue,
    audio: TrackQueue,
    /// Samples of streams whose parameters have not come yet, oldest first.
    early: VecDeque<ts::Sample>,
    early_bytes: usize,
    /// The clock that is being written, and what is added to its times in both files.
    clock: usize,
    shift: Option<i64>,
    report: Report,
}

/// A stream that begins in the middle has pictures before its first parameter sets. They are written with
/// those: at most this much, so that a stream without any does not fill the memory.
const EARLY_BYTES: usize = 8 << 20;

/// A clock that begins again waits until both tracks have come to it, so that they go on by the same amount; but for no
/// more than this, as one of them may have ended.
const CLOCK_BYTES: usize = 8 << 20;

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
        let (queue, config, codec) = match params {
            ts::Params::Video(params) => match video_params(params) {
                Some(params) => (&mut self.video, mp4::video_config(&params), params.codec_string),
                None => return Ok(()),
            },
            ts::Params::Audio(params) => match audio_params(params) {
                Some(params) => (&mut self.audio, mp4::audio_config(&params), params.codec_string),
                None => return Ok(()),
            },
        };
        queue.params(pid, config, &codec)?;
        let (its, others) = std::mem::take(&mut self.early).into_iter().partition(|early| early.pid == pid);
        self.early = others;
        self.early_bytes = self.early.iter().map(|early| early.data.len()).sum();
        let its: VecDeque<ts::Sample> = its;
        its.into_iter().try_for_each(|sample| self.sample(sample))
    }

    fn sample(&mut self, sample: ts::Sample) -> anyhow::Result<()> {
        let video = self.video.is_of(sample.pid);
        if video || self.audio.is_of(sample.pid) {
            // What began just before the wrap keeps counting beyond it: a file has no negative times.
            let before_wrap = sample.dts.0 < 0;
            self.shift.get_or_insert(if before_wrap { ts::Ticks::WRAP } else { 0 });
            let queue = if video { &mut self.video } else { &mut self.audio };
            queue.push(sample);
            return self.release(false);
        }
        self.early_bytes += sample.data.len();
        self.early.push_back(sample);
        while self.early_bytes > EARLY_BYTES
            && let Some(oldest) = self.early.pop_front()
        {
            self.early_bytes -= oldest.data.len();
        }
        Ok(())
    }

    /// Writes what can be. `all`: nothing more comes.
    fn release(&mut self, all: bool) -> anyhow::Result<()> {
        loop {
            let shift = self.shift.unwrap_or(0);
            self.video.write(self.clock, shift)?;
            self.audio.write(self.clock, shift)?;
            let queues = [&self.video, &self.audio];
            let behind = queues.iter().any(|queue| queue.is_in_use() && queue.next().is_none());
            let held: usize = queues.iter().map(|queue| queue.ready_bytes()).sum();
            let begins = queues.iter().filter_map(|queue| queue.next()).map(|(clock, _)| clock).min();
            let Some(clock) = begins.filter(|_| all || !behind || held > CLOCK_BYTES) else { return Ok(()) };
            // No track may overlap what it had; a clock that is ahead stays there.
            let there = |queue: &&TrackQueue| queue.next().is_some_and(|(its, _)| its == clock);
            let needed = queues.iter().copied().filter(there).filter_map(|queue| {
                let (_, begin) = queue.next()?;
                Some(queue.written_until() - begin)
            });
            let moved = needed.max().unwrap_or(shift).max(shift);
            self.report.clock_restarts += u64::from(moved > shift);
            (self.clock, self.shift) = (clock, Some(moved));
        }
    }

    fn finish(mut self) -> anyhow::Result<Report> {
        self.video.end();
        self.audio.end();
        self.release(true)?;
        self.report.video = self.video.finish()?;
        self.report.audio = self.audio.finish()?;
        Ok(self.report)
    }
}
