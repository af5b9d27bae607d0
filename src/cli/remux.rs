//! `overdub remux`: the pictures of one file and the sound of another into a third, untouched.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use overdub_fmp4::{Fragment, Movie, Sample, TimedSample, Track, TrackConfig, TrackRun, init_segment};
use serde::Serialize;

use super::print;
use crate::media::mp4::{AUDIO_TRACK, VIDEO_TRACK};

/// A fragment ends at the first sync picture after this many seconds.
const FRAGMENT: f64 = 2.0;

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
    let (pictures, sound) = (load(&args.video)?, load(&args.audio)?);
    let video = track(&pictures, *b"vide").with_context(|| format!("{}", args.video.display()))?;
    let audio = track(&sound, *b"soun").with_context(|| format!("{}", args.audio.display()))?;
    let shown = args.output.display();
    let out = fs::File::create(&args.output).with_context(|| format!("cannot write {shown}"))?;
    let mut out = BufWriter::new(out);
    let mut bytes = 0;
    let mut write = |part: &Bytes| {
        bytes += part.len() as u64;
        out.write_all(part)
    };
    let config = |track: &Track, id| TrackConfig { id, edit: None, ..track.info.config.clone() };
    let init = init_segment(&[config(video, VIDEO_TRACK), config(audio, AUDIO_TRACK)])?;
    write(&init).with_context(|| format!("cannot write {shown}"))?;
    for fragment in fragments(video, audio) {
        for part in fragment.encode()?.iter() {
            write(part).with_context(|| format!("cannot write {shown}"))?;
        }
    }
    out.flush().with_context(|| format!("cannot write {shown}"))?;
    let report = Report { video_samples: video.samples.len(), audio_samples: audio.samples.len(), bytes };
    if args.json {
        return print::json(&report);
    }
    let Report { video_samples, audio_samples, .. } = report;
    print::line(&format!("{video_samples} pictures, {audio_samples} frames of sound, {bytes} bytes"));
    Ok(())
}

/// A whole MP4 file. What is damaged is an error: a tool does not lose samples in silence.
pub(super) fn load(path: &Path) -> anyhow::Result<Movie> {
    let shown = path.display();
    let data = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let movie = overdub_fmp4::parse(&data.into()).with_context(|| format!("{shown}"))?;
    match movie.damage.errors().first() {
        Some(error) => Err(anyhow!(error.clone()).context(format!("{shown}"))),
        None => Ok(movie),
    }
}

/// The first track with this handler.
pub(super) fn track(movie: &Movie, handler: [u8; 4]) -> anyhow::Result<&Track> {
    let found = movie.tracks.iter().find(|track| track.info.handler == handler);
    found
        .filter(|track| !track.samples.is_empty())
        .ok_or_else(|| anyhow!("no {} track with samples", handler.escape_ascii()))
}

fn fragments<'a>(video: &'a Track, audio: &'a Track) -> impl Iterator<Item = Fragment> + 'a {
    // Times below zero, which edit lists make, cannot be written: both tracks move together.
    let lead = [video, audio].map(|track| -track.samples.first().map_or(0.0, |first| secs(track, first.dts)));
    let lead = lead.into_iter().fold(0.0, f64::max);
    let (mut pictures, mut frames) = (&video.samples[..], &audio.samples[..]);
    (1..).map_while(move |sequence| {
        let first = pictures.first().map(|first| secs(video, first.dts));
        let cut = pictures.iter().skip(1).position(|sample| {
            sample.sync && first.is_some_and(|first| secs(video, sample.dts) - first >= FRAGMENT)
        });
        let (now, later) = pictures.split_at(cut.map_or(pictures.len(), |index| index + 1));
        let end = later.first().map_or(f64::INFINITY, |next| secs(video, next.dts));
        let heard = frames.iter().position(|frame| secs(audio, frame.dts) >= end).unwrap_or(frames.len());
        let (sound, silent) = frames.split_at(heard);
        (pictures, frames) = (later, silent);
        let mut runs = Vec::with_capacity(2);
        runs.extend(run_of(video, now, VIDEO_TRACK, lead));
        runs.extend(run_of(audio, sound, AUDIO_TRACK, lead));
        (!runs.is_empty()).then(|| Fragment::new(sequence, runs))
    })
}

fn secs(track: &Track, time: i64) -> f64 {
    time as f64 / f64::from(track.info.config.timescale.max(1))
}

fn run_of(track: &Track, samples: &[TimedSample], track_id: u32, lead: f64) -> Option<TrackRun> {
    let lead = (lead * f64::from(track.info.config.timescale)).round() as i64;
    let base = samples.first()?.dts.saturating_add(lead);
    let samples = samples.iter().map(|sample| Sample {
        duration: sample.duration,
        composition_offset: sample.composition_offset,
        sync: sample.sync,
        data: sample.data.clone(),
    });
    Some(TrackRun {
        track_id,
        base_decode_time: u64::try_from(base).unwrap_or(0),
        samples: samples.collect(),
    })
}
