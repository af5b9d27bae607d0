//! `overdub demux`: a transport stream into a file for its pictures and one for its sound.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use overdub_ts as ts;
use serde::Serialize;

use super::chunks::Chunks;
use super::print;
use super::track_file::{Summary, TrackFile};
use super::track_queue::TrackQueue;
use crate::demux::{AudioChoice, audio_params, choose_audio, video_params};
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
        program: None,
        video: Half::new(TrackQueue::new(args.video.as_deref().map(TrackFile::create).transpose()?, false)),
        audio: Half::new(TrackQueue::new(args.audio.as_deref().map(TrackFile::create).transpose()?, true)),
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
    let scrambled = demuxer.stats().scrambled;
    let report = work.finish()?;
    if report.video.is_none() && report.audio.is_none() {
        let reason = match &report.last_damage {
            _ if scrambled > 0 => format!(": {scrambled} packets of it are scrambled"),
            Some(last) => format!(", and is damaged in {} places, the last: {last}", report.damages),
            None => String::new(),
        };
        bail!("{shown} has nothing that was asked for and can be demuxed{reason}");
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
            "{shown}: clock restarts: {times}; the media behind each was written on from the media before it"
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
    program: Option<Arc<ts::Program>>,
    video: Half,
    audio: Half,
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

/// One kind of stream: which PID it is, and where it goes.
struct Half {
    /// What the program has of the kind, or what stands in for it.
    pid: Option<u16>,
    /// The configuration of `pid` has come.
    begun: bool,
    /// Configurations of others, while that one's is missing: a map may list what is not on air.
    others: Vec<(u16, ts::Params)>,
    queue: TrackQueue,
}

impl Half {
    fn new(queue: TrackQueue) -> Self {
        Self { pid: None, begun: false, others: Vec::new(), queue }
    }

    /// Samples of `pid` are written.
    fn is_of(&self, pid: u16) -> bool {
        self.begun && self.pid == Some(pid)
    }

    /// Something is written of this kind.
    fn is_in_use(&self) -> bool {
        self.begun && self.queue.has_file()
    }

    /// The program has `pid` now.
    fn choose(&mut self, pid: Option<u16>) {
        if pid.is_some() && pid != self.pid {
            (self.pid, self.begun) = (pid, false);
        }
    }

    /// The first in the order of the map that has a configuration, where the one that was chosen has none.
    fn stand_in(&mut self, program: Option<&ts::Program>) -> Option<(u16, ts::Params)> {
        if self.begun {
            return None;
        }
        let place = |pid: u16| program.and_then(|it| it.streams.iter().position(|stream| stream.pid == pid));
        let others = std::mem::take(&mut self.others);
        let first = others.into_iter().min_by_key(|(pid, _)| place(*pid))?;
        self.pid = Some(first.0);
        Some(first)
    }
}

impl Work {
    fn drain(&mut self, demuxer: &mut ts::Demuxer) -> anyhow::Result<()> {
        while let Some(event) = demuxer.next_event() {
            match event {
                ts::Event::Program(program) if program.selected => self.choose(program),
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

    /// The first video of the program, and the audio that a live stream takes, whichever begins first.
    fn choose(&mut self, program: Arc<ts::Program>) {
        let is = |pid: Option<u16>| move |stream: &&ts::Stream| Some(stream.pid) == pid;
        let is_video = |stream: &&ts::Stream| stream.codec.is_some_and(ts::Codec::is_video);
        let kept = program.streams.iter().find(is(self.video.pid)).filter(is_video);
        self.video.choose(kept.or_else(|| program.streams.iter().find(is_video)).map(|stream| stream.pid));
        let known = self.program.as_ref().and_then(|known| known.streams.iter().find(is(self.audio.pid)));
        let audio = choose_audio(&program.streams, &AudioChoice::default(), known);
        self.audio.choose(audio.map(|stream| stream.pid));
        self.program = Some(program);
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
        if *half.pid.get_or_insert(pid) != pid {
            if !half.begun {
                half.others.retain(|(other, _)| *other != pid);
                half.others.push((pid, params.clone()));
            }
            return Ok(());
        }
        half.begun = true;
        half.others.clear();
        half.queue.params(config, &codec)?;
        let (its, others) = std::mem::take(&mut self.early).into_iter().partition(|early| early.pid == pid);
        self.early = others;
        self.early_bytes = self.early.iter().map(|early| early.data.len()).sum();
        let its: VecDeque<ts::Sample> = its;
        its.into_iter().try_for_each(|sample| self.sample(sample))
    }

    /// What was chosen has not begun, and is not waited for any longer.
    fn stand_in(&mut self) -> anyhow::Result<()> {
        let program = self.program.clone();
        let first = [self.video.stand_in(program.as_deref()), self.audio.stand_in(program.as_deref())];
        first.iter().flatten().try_for_each(|(pid, params)| self.params(*pid, params))
    }

    /// A stream of a kind that another one has begun.
    fn is_left_out(&self, pid: u16) -> bool {
        let listed = self.program.as_ref().and_then(|it| it.streams.iter().find(|stream| stream.pid == pid));
        let codec = listed.and_then(|stream| stream.codec);
        codec.is_some_and(|codec| if codec.is_video() { self.video.begun } else { self.audio.begun })
    }

    fn sample(&mut self, sample: ts::Sample) -> anyhow::Result<()> {
        let is_video = self.video.is_of(sample.pid);
        if is_video || self.audio.is_of(sample.pid) {
            // What began just before the wrap keeps counting beyond it: a file has no negative times.
            let before_wrap = sample.dts.0 < 0;
            self.shift.get_or_insert(if before_wrap { ts::Ticks::WRAP } else { 0 });
            let half = if is_video { &mut self.video } else { &mut self.audio };
            half.queue.push(sample);
            return self.release(false);
        }
        if self.is_left_out(sample.pid) {
            return Ok(());
        }
        self.early_bytes += sample.data.len();
        self.early.push_back(sample);
        if self.early_bytes > EARLY_BYTES {
            self.stand_in()?;
        }
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
            self.video.queue.write(self.clock, shift)?;
            self.audio.queue.write(self.clock, shift)?;
            let halves = [&self.video, &self.audio];
            let behind = halves.iter().any(|half| half.is_in_use() && half.queue.next().is_none());
            let queues = halves.map(|half| &half.queue);
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
        self.stand_in()?;
        self.video.queue.end();
        self.audio.queue.end();
        self.release(true)?;
        self.report.video = self.video.queue.finish()?;
        self.report.audio = self.audio.queue.finish()?;
        Ok(self.report)
    }
}
