//! Whether a recording is the source: every access unit and audio frame, in order, in step, in sync.
//!
//! Pure: two packet lists in, a verdict or the first fault out.

use super::packets::{CLOCK, MS, Media, Packet};

/// A time that went through FLV was cut to whole milliseconds once; the difference of two such times is off
/// by less than one. Two ticks more for a source whose own stamps are rounded to 90 kHz.
const ROUNDING: i64 = MS + 2;
/// One AAC-LC frame at 48 kHz: 1024 samples.
const AUDIO_FRAME: i64 = 1920;

/// What was found of a good recording.
#[derive(Debug)]
pub struct Verdict {
    /// Index in the source of the recording's first access unit and audio frame.
    pub first: (usize, usize),
    /// How many access units and audio frames match.
    pub count: (usize, usize),
    /// How many of the source come after the recording's last.
    pub missing_at_end: (usize, usize),
    /// Audio against video, compared with the source, at the first and the last second: the worst there.
    pub offset: (i64, i64),
    /// The worst deviation of a DTS from the source's, counted from the recording's first.
    pub drift: i64,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |ticks: i64| ticks as f64 / MS as f64;
        write!(
            f,
            "{} access units and {} audio frames identical (from {} and {} of the source, {} and {} left at its \
             end), audio/video offset off by {:.1} ms at first and {:.1} ms at last, worst step {:.1} ms",
            self.count.0,
            self.count.1,
            self.first.0,
            self.first.1,
            self.missing_at_end.0,
            self.missing_at_end.1,
            ms(self.offset.0),
            ms(self.offset.1),
            ms(self.drift)
        )
    }
}

/// `recording` must be one contiguous run of `source`.
pub fn judge(source: &Media, recording: &Media) -> Result<Verdict, String> {
    let video_at = find_run("video", &source.video, &recording.video)?;
    let audio_at = find_run("audio", &source.audio, &recording.audio)?;
    let video = &source.video[video_at..video_at + recording.video.len()];
    let audio = &source.audio[audio_at..audio_at + recording.audio.len()];
    let video_drift = same_steps("video", video, &recording.video)?;
    let audio_drift = same_steps("audio", audio, &recording.audio)?;
    for (i, (theirs, ours)) in video.iter().zip(&recording.video).enumerate() {
        let moved = (ours.pts - ours.dts) - (theirs.pts - theirs.dts);
        if moved.abs() > ROUNDING {
            return Err(format!("video {i}: composition time is off by {moved}/90000 s"));
        }
    }
    let first_second = offset_between(video, audio, recording, |packets| {
        let end = packets[0].dts + CLOCK;
        0..packets.iter().position(|p| p.dts > end).unwrap_or(packets.len())
    });
    let last_second = offset_between(video, audio, recording, |packets| {
        let begin = packets[packets.len() - 1].dts - CLOCK;
        packets.iter().position(|p| p.dts >= begin).unwrap_or(0)..packets.len()
    });
    for (when, offset) in [("first", first_second), ("last", last_second)] {
        if offset.abs() > AUDIO_FRAME {
            return Err(format!("at the {when} second audio is off by {:.1} ms", offset as f64 / MS as f64));
        }
    }
    Ok(Verdict {
        first: (video_at, audio_at),
        count: (video.len(), audio.len()),
        missing_at_end: (
            source.video.len() - video_at - video.len(),
            source.audio.len() - audio_at - audio.len(),
        ),
        offset: (first_second, last_second),
        drift: video_drift.max(audio_drift),
    })
}

/// Where in `source` the payloads of `recording` stand, all of them, in order, without one left out.
fn find_run(track: &str, source: &[Packet], recording: &[Packet]) -> Result<usize, String> {
    if recording.is_empty() {
        return Err(format!("no {track} at all"));
    }
    let same_from =
        |at: usize| source[at..].iter().zip(recording).take_while(|(a, b)| a.hash == b.hash).count();
    // Payloads may repeat (silence), so the best of all beginnings counts.
    let (at, same) =
        (0..source.len()).map(|at| (at, same_from(at))).max_by_key(|(_, n)| *n).unwrap_or((0, 0));
    if same == recording.len() {
        return Ok(at);
    }
    let wrong = &recording[same].hash;
    let elsewhere = source.iter().position(|p| p.hash == *wrong);
    Err(match elsewhere {
        Some(there) => format!(
            "{track}: of {} packets {same} follow the source from its {at}th; then comes its {there}th instead of its {}th",
            recording.len(),
            at + same
        ),
        None => format!(
            "{track}: of {} packets {same} follow the source from its {at}th; then comes one that the source has not",
            recording.len()
        ),
    })
}

/// DTS strictly rising, each step that of the source, and the sum of the steps too. Gives the worst deviation.
fn same_steps(track: &str, source: &[Packet], recording: &[Packet]) -> Result<i64, String> {
    let mut worst = 0;
    for (i, (theirs, ours)) in source.windows(2).zip(recording.windows(2)).enumerate() {
        let step = ours[1].dts - ours[0].dts;
        if step <= 0 {
            return Err(format!(
                "{track} {}: DTS goes from {} to {} (90 kHz)",
                i + 1,
                ours[0].dts,
                ours[1].dts
            ));
        }
        let of_source = theirs[1].dts - theirs[0].dts;
        let drift = (ours[1].dts - recording[0].dts) - (theirs[1].dts - source[0].dts);
        for (what, off) in [("step", step - of_source), ("time since the first", drift)] {
            if off.abs() > ROUNDING {
                return Err(format!("{track} {}: {what} is off by {off}/90000 s", i + 1));
            }
        }
        worst = worst.max(drift.abs());
    }
    Ok(worst)
}

/// How far audio moved against video within the part of each track that `part` picks: the worst pair.
fn offset_between(
    video: &[Packet],
    audio: &[Packet],
    recording: &Media,
    part: impl Fn(&[Packet]) -> std::ops::Range<usize>,
) -> i64 {
    let shifts = |source: &[Packet], ours: &[Packet]| -> Vec<i64> {
        part(ours).map(|i| ours[i].dts - source[i].dts).collect()
    };
    let (video, audio) = (shifts(video, &recording.video), shifts(audio, &recording.audio));
    let pairs = audio.iter().flat_map(|a| video.iter().map(move |v| a - v));
    pairs.max_by_key(|offset| offset.abs()).unwrap_or(0)
}
