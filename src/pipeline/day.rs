//! Twenty-four hours of answers that were encoded one by one: whole MP4 files with an encoder's priming and the wrong
//! length go through the reading of answers and into their slots, and each frame's sound is compared with where it
//! belongs. Beside it, what comes of appending them.

use std::sync::Arc;

use bytes::Bytes;
use overdub_fmp4::{Chunks, Edit, Fragment, TrackConfig, init_segment};

use super::desk::to_fit;
use crate::config::{ConfigurationChange, Fallback};
use crate::media::{AudioContext, AudioParams, AudioTrack, Flicks, OutputAudio, mp4};
use crate::remux::{Fitter, Sound, Used};
use crate::roundtrip::answer;

const SOURCE_RATE: u32 = 48_000;
const FRAME: u32 = 1024;
/// Batches of 30 s in a day.
const BATCHES: i64 = 2_880;
const BATCH: Flicks = Flicks::from_millis(30_000);

/// How the answers of a day are made.
struct Day {
    rate: u32,
    /// Samples in front, answer by answer in turn.
    priming: &'static [u32],
    /// In the edit list, or by the setting.
    declared: bool,
    /// A failure each so many batches.
    fails_every: Option<i64>,
}

/// Milliseconds that sound was off where it belongs, at worst.
struct Off {
    fitted: f64,
    appended: f64,
    /// At the end of the day.
    appended_at_last: f64,
    padded: usize,
    trimmed: usize,
}

fn params(rate: u32) -> Arc<AudioParams> {
    Arc::new(AudioParams::aac_lc(rate, 2).unwrap())
}

/// An answer of `frames` frames, each of which says which it is.
fn file(params: &Arc<AudioParams>, frames: i64, edit: Option<Edit>) -> Bytes {
    let frames: Vec<Bytes> = (0..frames).map(|k| Bytes::copy_from_slice(&k.to_be_bytes())).collect();
    let track = AudioTrack { params: Arc::clone(params), start: Flicks::ZERO, frames };
    let mut out = Chunks::default();
    out.push(init_segment(&[TrackConfig { edit, ..mp4::audio_config(params) }]).unwrap());
    let run = mp4::audio_run(&track, 0..track.frames.len(), Flicks::ZERO);
    out.append(Fragment::new(1, vec![run]).encode().unwrap());
    out.to_bytes()
}

/// Slot `n`: the frames of the source that begin in its 30 s.
fn slot(n: i64) -> AudioTrack {
    let first = |n: i64| (BATCH.to_samples(SOURCE_RATE) * n + i64::from(FRAME) - 1) / i64::from(FRAME);
    let (begin, end) = (first(n), first(n + 1));
    AudioTrack {
        params: params(SOURCE_RATE),
        start: Flicks::from_samples(begin * i64::from(FRAME), SOURCE_RATE),
        frames: vec![Bytes::from_static(b"original"); (end - begin) as usize],
    }
}

fn run(day: &Day) -> Off {
    let (mut sound, mut fitter) =
        (Sound::new(Fallback::Original, ConfigurationChange::Allow, OutputAudio::Basic), Fitter::default());
    let params = params(day.rate);
    let samples = |count: i64| Flicks::from_samples(count, day.rate);
    let mut off = Off { fitted: 0.0, appended: 0.0, appended_at_last: 0.0, padded: 0, trimmed: 0 };
    // Where published audio ends, and where it would if answers were appended.
    let (mut end, mut appended) = (slot(0).start, slot(0).start);
    for n in 0..BATCHES {
        let slot = slot(n);
        let priming = day.priming[n as usize % day.priming.len()];
        // Up to 3 % too short or too long, every thousandth in between.
        let permille = n * 37 % 61 - 30;
        let length = slot.duration().to_samples(day.rate) * (1_000 + permille) / 1_000;
        let frames = (length + i64::from(priming) + i64::from(FRAME) - 1) / i64::from(FRAME);
        let edit = Edit { media_time: priming.into(), ..Edit::default() };
        let data = file(&params, frames, day.declared.then_some(edit));
        let undeclared_priming = if day.declared { 0 } else { priming };
        let terms = answer::Terms {
            duration: slot.duration(),
            sent: data.len(),
            undeclared_priming,
            outputs: OutputAudio::Basic,
        };
        let answer = answer::read(&data, &terms).unwrap();
        // Frame k of the answer begins so far behind the beginning of the slot's sound.
        let of_frame = |k: i64| samples(k * i64::from(FRAME) - i64::from(priming));

        let late = (appended + samples(i64::from(priming)) - slot.start).to_secs_f64() * 1e3;
        off.appended = off.appended.max(late.abs());
        off.appended_at_last = late;
        appended += samples(frames * i64::from(FRAME));

        let track = if day.fails_every.is_some_and(|every| n % every == every - 1) {
            let (track, used) = sound.fallback(&mut fitter, &slot);
            assert_eq!(used, Used::Original);
            track.unwrap()
        } else {
            let answer = to_fit(&answer, &AudioContext::default(), &slot.params);
            let (track, report) = sound.processed(&mut fitter, &slot, answer);
            off.padded += report.padded;
            off.trimmed += report.trimmed;
            for (place, frame) in track.frames.iter().enumerate() {
                let Ok(number) = frame[..].try_into().map(i64::from_be_bytes) else { continue };
                let late = track.pts(place) - (slot.start + of_frame(number));
                off.fitted = off.fitted.max(late.to_secs_f64().abs() * 1e3);
            }
            track
        };
        // Slots join: within half a frame where the rates differ, to the sample where they do not.
        let seam = (track.start - end).abs();
        assert!(seam.get() * 2 <= params.frame_duration().get(), "batch {n}: {seam:?}");
        assert!(day.rate != SOURCE_RATE || seam == Flicks::ZERO, "batch {n}: {seam:?}");
        end = track.end();
    }
    let day_ends = slot(BATCHES).start;
    assert!(
        (end - day_ends).abs() <= params.frame_duration(),
        "the day ends at {end:?} instead of {day_ends:?}"
    );
    off
}

#[test]
fn a_day_of_independent_encodings_stays_within_one_frame_of_the_picture() {
    const MIXED: &[u32] = &[1_024, 1_600, 2_112];
    let day = |rate, priming, declared, fails_every| Day { rate, priming, declared, fails_every };
    let days = [
        ("1024, 1600 and 2112 declared", day(48_000, MIXED, true, None)),
        ("1024 by the setting", day(48_000, &[1_024], false, None)),
        ("1600 by the setting", day(48_000, &[1_600], false, None)),
        ("2112 by the setting", day(48_000, &[2_112], false, None)),
        ("all declared, answers at 44.1 kHz", day(44_100, MIXED, true, None)),
        ("the same, every seventh fails", day(44_100, MIXED, true, Some(7))),
    ];
    println!("24 h, {BATCHES} answers of 30 s, up to 3 % too short or long; sound off its place, ms:");
    for (name, day) in days {
        let off = run(&day);
        println!(
            "{name:36} fitted {:5.2} at worst ({} frames cut, {} put in) | appended {:9.1} at worst, {:9.1} at the end",
            off.fitted, off.trimmed, off.padded, off.appended, off.appended_at_last,
        );
        let frame = f64::from(FRAME) * 1e3 / f64::from(day.rate);
        assert!(off.fitted <= frame / 2.0 + 0.001, "{name}: {} ms", off.fitted);
        assert!(off.trimmed > 0 && off.padded > 0, "{name}: nothing was too long or too short");
        assert!(off.appended > 1_000.0, "{name}: appending would have done: {} ms", off.appended);
    }
}
