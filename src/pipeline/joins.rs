//! What is heard where two answers meet: a tone in batches, each decoded and encoded by itself (FFmpeg, as a processor
//! has it), put into their slots and decoded as one stream. What is not the tone is the click.

use std::f64::consts::TAU;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::desk::to_fit;
use crate::batch::{self, Batcher};
use crate::media::{
    AudioParams, AudioTrack, Batch, Flicks, Moment, Origin, OutputAudio, Piece, StampedFrame, mp4,
};
use crate::remux::Fitter;
use crate::roundtrip::answer;

const RATE: u32 = 48_000;
const FRAME: usize = 1024;
const TONE: f64 = 997.0;
const SECONDS: u64 = 34;
const BATCH: Duration = Duration::from_secs(4);

/// What FFmpeg makes of `input`.
fn ffmpeg(args: &[&str], input: Bytes) -> Bytes {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-v", "error"]).args(args).arg("pipe:1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("ffmpeg is needed ({error}): apt-get install ffmpeg"));
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "ffmpeg {args:?}: {}", output.status);
    // FFmpeg may end without reading what it does not need.
    let _ = writer.join().unwrap();
    output.stdout.into()
}

/// The tone as a source has it: AAC frames.
fn source() -> AudioTrack {
    let tone = format!("aevalsrc=0.5*sin({TONE}*2*PI*t):s={RATE}:d={SECONDS}");
    let adts =
        ffmpeg(&["-f", "lavfi", "-i", &tone, "-c:a", "aac", "-b:a", "160k", "-f", "adts"], Bytes::new());
    let frames = overdub_ts::adts::frames(adts).map(|frame| frame.data).collect();
    let params = AudioParams::aac_lc(RATE, 1).unwrap();
    AudioTrack { params: Arc::new(params), start: Flicks::ZERO, frames }
}

fn batches(source: &AudioTrack, context_frames: usize) -> Vec<Batch> {
    let settings = batch::Settings { buffer_duration: BATCH, processing_budget: BATCH };
    let mut batcher = Batcher::new(settings, 0).with_context_frames(context_frames);
    let in_a_segment = (2 * RATE as usize).div_ceil(FRAME);
    let mut batches = Vec::new();
    for (number, frames) in source.frames.chunks(in_a_segment).enumerate() {
        let stamped = frames
            .iter()
            .enumerate()
            .map(|(k, data)| StampedFrame { pts: source.pts(number * in_a_segment + k), data: data.clone() });
        let origin = Origin { segment: number as u64, captured_at: Moment::ZERO, program_date_time: None };
        let audio = Some((Arc::clone(&source.params), stamped.collect()));
        batches.extend(batcher.handle_piece(Piece {
            origin,
            period: 0,
            continues: false,
            video: None,
            audio,
        }));
    }
    batches.extend(batcher.flush());
    batches
}

/// The batches as a viewer hears them, samples of one channel, and where each but the first begins.
fn processed(batches: &[Batch]) -> (Vec<f64>, Vec<usize>) {
    let mut fitter = Fitter::default();
    let (mut frames, mut joins) = (Vec::new(), Vec::new());
    let mut params = None;
    for batch in batches {
        let slot = batch.audio.as_ref().unwrap();
        let sent = batch.context.around(slot);
        let fragment = mp4::file(None, Some(&sent), sent.start).unwrap().to_bytes();
        let encode = [
            "-i",
            "pipe:0",
            "-c:a",
            "aac",
            "-b:a",
            "160k",
            "-movflags",
            "frag_keyframe+delay_moov",
            "-f",
            "mp4",
        ];
        let terms = answer::Terms {
            duration: sent.duration(),
            sent: fragment.len(),
            undeclared_priming: 0,
            outputs: OutputAudio::Basic,
        };
        let answer = answer::read(&ffmpeg(&encode, fragment), &terms).unwrap();
        assert_eq!(answer.priming, FRAME as u64, "FFmpeg declares one frame of priming");
        let (track, report) = fitter.fit(slot, to_fit(&answer, &batch.context, &slot.params));
        assert_eq!((report.padded, report.error), (0, Flicks::ZERO), "{report:?}");
        joins.push(frames.len() * FRAME);
        frames.extend(track.frames);
        params = Some(track.params);
    }
    let whole = AudioTrack { params: params.unwrap(), start: Flicks::ZERO, frames };
    let whole = mp4::file(None, Some(&whole), Flicks::ZERO).unwrap().to_bytes();
    let pcm = ffmpeg(&["-i", "pipe:0", "-f", "f32le", "-ac", "1"], whole);
    let samples = pcm.chunks_exact(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap())));
    joins.remove(0);
    (samples.collect(), joins)
}

/// The tone's sine and cosine parts in `samples`, of which the first is sample `at`, by least squares.
fn parts(samples: &[f64], at: usize) -> (f64, f64) {
    let phase = |k: usize| TAU * TONE * (at + k) as f64 / f64::from(RATE);
    // Over many periods the two are orthogonal.
    let scale = 2.0 / samples.len() as f64;
    let sum =
        |of: fn(f64) -> f64| samples.iter().enumerate().map(|(k, x)| x * of(phase(k))).sum::<f64>() * scale;
    (sum(f64::sin), sum(f64::cos))
}

/// The loudest that is not the tone, within a frame of `at`, in dB against the tone.
fn residue(samples: &[f64], at: usize, tone: (f64, f64)) -> f64 {
    let amplitude = tone.0.hypot(tone.1);
    let peak = (at - FRAME..at + FRAME)
        .map(|k| {
            let phase = TAU * TONE * k as f64 / f64::from(RATE);
            (samples[k] - tone.0 * phase.sin() - tone.1 * phase.cos()).abs()
        })
        .fold(0.0, f64::max);
    20.0 * (peak / amplitude).log10()
}

#[test]
fn independently_encoded_answers_join_without_a_click_when_they_are_sent_with_context() {
    let source = source();
    let mut clicks = Vec::new();
    println!("{TONE} Hz through FFmpeg's AAC in batches of 4 s: loudest beside the tone, dB against it");
    for context in 0..=4 {
        let (samples, joins) = processed(&batches(&source, context));
        assert!(joins.len() >= 7, "{joins:?}");
        // The tone as it is in the middle of a batch, one second of it.
        let middle = joins[2] + 2 * RATE as usize;
        let tone = parts(&samples[middle..middle + RATE as usize], middle);
        let worst =
            |places: &[usize]| places.iter().map(|at| residue(&samples, *at, tone)).fold(f64::MIN, f64::max);
        let joined = worst(&joins);
        let between: Vec<usize> = joins.iter().map(|at| at - RATE as usize).collect();
        let steady = worst(&between);
        println!("contextFrames {context}: {joined:6.1} at the joins, {steady:6.1} between them");
        clicks.push((joined, steady));
    }
    let plain = clicks[0].0;
    println!(
        "clicks are {:.1} dB lower with two frames, {:.1} dB with three",
        plain - clicks[2].0,
        plain - clicks[3].0
    );
    assert!(plain > -20.0, "joined plainly there is a click: {plain}");
    assert!(plain - clicks[2].0 > 30.0, "with two frames it is far below the tone: {clicks:?}");
    for (joined, steady) in &clicks[3..] {
        assert!(joined - steady < 6.0, "with three frames a join is as clean as the rest: {clicks:?}");
    }
}
