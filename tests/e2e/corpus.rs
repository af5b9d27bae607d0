//! `demux` and `probe` on streams from the field, against FFmpeg and the truth beside each file.
//!
//! The corpus is found at `../shared/corpus` or where `OVERDUB_CORPUS` says. A clone that has neither still
//! runs the same checks on the small files of tests/data, which FFmpeg made (the command is in README.md there).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::overdub::finished;
use super::packets::{Media, Packet, packets};
use super::tools::{Workdir, say};

/// A file, and what is known of its first H.264 and its first AAC track.
struct Sample {
    file: PathBuf,
    video: Option<Truth>,
    audio: Option<Truth>,
}

struct Truth {
    packets: usize,
    /// MD5 of the elementary stream, where ffprobe's bytes are the stream's own.
    md5: Option<String>,
    /// Some access units carry no time of their own; FFmpeg and we may guess differently.
    all_timed: bool,
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let named = std::env::var_os("OVERDUB_CORPUS").map(PathBuf::from);
    let found = named.unwrap_or(beside).join("ts");
    found.is_dir().then_some(found)
}

/// The H.264 and AAC files of a folder, by their truths.
fn samples(folder: &Path) -> Vec<Sample> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder of samples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files.into_iter().filter(|file| file.extension().is_some_and(|x| x == "ts")).filter_map(sample).collect()
}

fn sample(file: PathBuf) -> Option<Sample> {
    let mut truth = file.clone().into_os_string();
    truth.push(".truth.json");
    let text = std::fs::read_to_string(&truth).unwrap_or_else(|e| panic!("{}: {e}", truth.display()));
    let json: serde_json::Value = serde_json::from_str(&text).expect("a truth is JSON");
    let first = |codec: &str| -> Option<Truth> {
        let streams = json["ffprobe"]["streams"].as_array()?;
        let stream = streams.iter().find(|s| s["codec_name"] == codec && s["packets"].as_u64() > Some(0))?;
        let equal = stream["es_md5_equal"] == true;
        Some(Truth {
            packets: usize::try_from(stream["packets"].as_u64()?).ok()?,
            md5: stream["payload_md5"].as_str().filter(|_| equal).map(str::to_owned),
            all_timed: stream["packets_without_pts"] == 0 && stream["packets_without_dts"] == 0,
        })
    };
    let (video, audio) = (first("h264"), first("aac"));
    (video.is_some() || audio.is_some()).then_some(Sample { file, video, audio })
}

fn hashes(packets: &[Packet]) -> Vec<&str> {
    packets.iter().map(|p| p.hash.as_str()).collect()
}

/// Where two lists part, said briefly.
fn same(what: &str, theirs: &[&str], ours: &[&str]) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    let at = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{what}: {} in the source, {} of ours, the first difference at {at}",
        theirs.len(),
        ours.len()
    ))
}

/// Every unit of a track with its times (moved by one amount for the whole track, which is given back), and
/// the same decoded frames.
async fn same_track(
    what: &str,
    source: &Path,
    ours: &Path,
    truth: &Truth,
    copy: &[&str],
) -> Result<i64, String> {
    if !ours.exists() {
        return Err(format!("{what}: no {}", ours.display()));
    }
    let (theirs, mine) = (packets(source, copy).await, packets(ours, copy).await);
    if mine.len() != truth.packets {
        return Err(format!("{what}: {} units, the truth says {}", mine.len(), truth.packets));
    }
    same(what, &hashes(&theirs), &hashes(&mine))?;
    let shift = mine[0].dts - theirs[0].dts;
    for (i, (a, b)) in theirs.iter().zip(&mine).enumerate().filter(|_| truth.all_timed) {
        let off = (b.dts - a.dts - shift, b.pts - a.pts - shift);
        // One tick: an audio clock of 44.1 kHz has no whole number of 90 kHz ticks.
        if off.0.abs() > 1 || off.1.abs() > 1 {
            return Err(format!("{what} {i}: DTS off by {} and PTS by {} (90 kHz)", off.0, off.1));
        }
    }
    let decode = [copy[0], copy[1], "-fps_mode", "passthrough"];
    let (theirs, mine) = (packets(source, &decode).await, packets(ours, &decode).await);
    same(&format!("{what} frames"), &hashes(&theirs), &hashes(&mine))?;
    Ok(shift)
}

async fn check(dir: &Workdir, sample: &Sample) -> Result<(), String> {
    let limit = Duration::from_secs(60);
    let (video, audio) = (dir.join("video.mp4"), dir.join("audio.mp4"));
    for old in [&video, &audio] {
        let _ = std::fs::remove_file(old);
    }
    let args =
        ["demux".as_ref(), sample.file.as_path(), "--video".as_ref(), &video, "--audio".as_ref(), &audio];
    let done = finished(args, limit).await;
    if !done.status.success() {
        return Err(format!("demux: {}: {}", done.status, done.stderr.trim()));
    }
    let mut shifts = Vec::new();
    for (truth, ours, copy) in [(&sample.video, &video, Media::VIDEO), (&sample.audio, &audio, Media::AUDIO)]
    {
        if let Some(truth) = truth {
            shifts.push(same_track(copy[1], &sample.file, ours, truth, copy).await?);
        }
    }
    if let [video, audio] = shifts[..]
        && (video - audio).abs() > 1
    {
        return Err(format!("video is moved by {video}, audio by {audio} (90 kHz)"));
    }
    let done =
        finished(["probe".as_ref(), sample.file.as_path(), "--hash".as_ref(), "--json".as_ref()], limit)
            .await;
    if !done.status.success() {
        return Err(format!("probe: {}: {}", done.status, done.stderr.trim()));
    }
    for md5 in [&sample.video, &sample.audio].into_iter().flatten().filter_map(|truth| truth.md5.as_ref()) {
        if !done.stdout.contains(md5) {
            return Err(format!("probe --hash does not say {md5}: {}", done.stdout.trim()));
        }
    }
    Ok(())
}

async fn check_all(name: &str, folder: &Path) {
    let dir = Workdir::new(name);
    let samples = samples(folder);
    assert!(!samples.is_empty(), "{}: no H.264 or AAC file", folder.display());
    let mut faults = Vec::new();
    for sample in &samples {
        if let Err(fault) = check(&dir, sample).await {
            faults.push(format!("{}: {fault}", sample.file.file_name().unwrap_or_default().display()));
        }
    }
    say(&format!(
        "{name}: {} of {} files are as FFmpeg sees them",
        samples.len() - faults.len(),
        samples.len()
    ));
    assert!(faults.is_empty(), "{} of {} files:\n{}", faults.len(), samples.len(), faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn demux_and_probe_agree_with_ffmpeg_on_our_small_files() {
    check_all("small files", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ts")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn demux_and_probe_agree_with_ffmpeg_on_the_corpus() {
    match corpus() {
        Some(folder) => check_all("corpus", &folder).await,
        None => say("corpus: NOT RUN, there is none at ../shared/corpus nor at OVERDUB_CORPUS"),
    }
}
