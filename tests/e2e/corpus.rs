//! `demux` and `probe` on streams from the field, against FFmpeg and the truth beside each file.
//!
//! The corpus is found at `../shared/corpus` or where `OVERDUB_CORPUS` says. A clone that has neither still
//! runs the same checks on the small files of tests/data, which FFmpeg made (the command is in README.md there).

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;

use super::overdub::finished;
use super::packets::{Packet, packets, packets_by};
use super::tools::{Workdir, say};

/// A file, and what is known of the streams in it that `demux` takes.
struct Sample {
    file: PathBuf,
    streams: Vec<Truth>,
}

struct Truth {
    /// What ffprobe counts as packets at the start and is no frame.
    headless: usize,
    pid: u64,
    codec: String,
    packets: usize,
    first_dts: i64,
    /// MD5 of the elementary stream, where ffprobe's bytes are the stream's own.
    md5: Option<String>,
    /// Some access units carry no time of their own; FFmpeg and we may guess differently.
    all_timed: bool,
}

/// Files whose first packet, as ffprobe counts it, is the end of a frame whose header is not in the file. No
/// decoder can do anything with it; `demux` reports it and leaves it out. androidx/media, where this one is from,
/// has the same sound as MP4 with 9 samples, too (ts/tests/corpus.rs says more).
const HEADLESS: &[&str] = &["ax_sample_ac3.ts"];

const VIDEO: &[&str] = &["h264", "hevc"];
const AUDIO: &[&str] = &["aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "opus"];

impl Truth {
    /// How FFmpeg lists packets that are comparable between a transport stream and an MP4. `None`: it cannot
    /// take the multiplex of LATM off without decoding.
    fn filter(&self) -> Option<&'static [&'static str]> {
        match self.codec.as_str() {
            "h264" => Some(&["-copyinkf", "-bsf:v", "h264_mp4toannexb,filter_units=remove_types=7-9|12"]),
            "hevc" => Some(&["-copyinkf", "-bsf:v", "hevc_mp4toannexb,filter_units=remove_types=32-35|38"]),
            "aac" => Some(&["-bsf:a", "aac_adtstoasc"]),
            "aac_latm" => None,
            _ => Some(&[]),
        }
    }
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let named = std::env::var_os("OVERDUB_CORPUS").map(PathBuf::from);
    let found = named.unwrap_or(beside).join("ts");
    found.is_dir().then_some(found)
}

/// The files of a folder that have something for `demux`, by their truths.
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
    let headless = usize::from(HEADLESS.iter().any(|name| file.ends_with(name)));
    let stream = |stream: &serde_json::Value| -> Option<Truth> {
        let codec = stream["codec_name"].as_str()?;
        let equal = stream["es_md5_equal"] == true;
        let ours = VIDEO.contains(&codec) || AUDIO.contains(&codec);
        // What ffprobe only guesses a codec for has neither.
        let known = stream["width"].as_u64() > Some(0)
            || stream["sample_rate"].as_str().is_some_and(|rate| rate != "0");
        (ours && known && stream["packets"].as_u64() > Some(0)).then_some(Truth {
            headless,
            pid: u64::from_str_radix(stream["id"].as_str()?.trim_start_matches("0x"), 16).ok()?,
            codec: codec.to_owned(),
            packets: usize::try_from(stream["packets"].as_u64()?).ok()?,
            first_dts: stream["first_dts"].as_i64()?,
            md5: stream["payload_md5"].as_str().filter(|_| equal && headless == 0).map(str::to_owned),
            // FFmpeg gives the stamp of the first frame to what is left of the one before it.
            all_timed: headless == 0
                && stream["packets_without_pts"] == 0
                && stream["packets_without_dts"] == 0,
        })
    };
    let streams: Vec<_> = json["ffprobe"]["streams"].as_array()?.iter().filter_map(stream).collect();
    (!streams.is_empty()).then_some(Sample { file, streams })
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

/// Every unit of a track with its times (moved by one amount for the whole track, which is given back where
/// it can be told), and the same decoded frames.
async fn same_track(source: &Path, ours: &Path, truth: &Truth) -> Result<Option<i64>, String> {
    let (what, map) = (&truth.codec, format!("0:i:{}", truth.pid));
    let mut shift = None;
    if let Some(filter) = truth.filter() {
        let copy = |map| [&["-map", map, "-c", "copy"], filter].concat();
        let (theirs, mine) = (packets(source, &copy(&map)).await, packets(ours, &copy("0:0")).await);
        if mine.len() + truth.headless != truth.packets {
            return Err(format!("{what}: {} units, the truth says {}", mine.len(), truth.packets));
        }
        let theirs = &theirs[truth.headless.min(theirs.len())..];
        same(what, &hashes(theirs), &hashes(&mine))?;
        shift = Some(mine[0].dts - truth.first_dts);
        let shift = mine[0].dts - theirs[0].dts;
        for (i, (a, b)) in theirs.iter().zip(&mine).enumerate().filter(|_| truth.all_timed) {
            let off = (b.dts - a.dts - shift, b.pts - a.pts - shift);
            // One tick: an audio clock of 44.1 kHz has no whole number of 90 kHz ticks.
            if off.0.abs() > 1 || off.1.abs() > 1 {
                return Err(format!("{what} {i}: DTS off by {} and PTS by {} (90 kHz)", off.0, off.1));
            }
        }
    }
    let decode = |map| ["-map", map, "-fps_mode", "passthrough"];
    // In MP4, layers II and III have one object type, and FFmpeg decodes both with its decoder for III.
    let by: &[&str] = if what == "mp2" { &["-c:a", "mp2"] } else { &[] };
    let theirs = packets_by(by, source, &decode(&map)).await;
    let mine = packets_by(by, ours, &decode("0:0")).await;
    same(&format!("{what} frames"), &hashes(&theirs), &hashes(&mine))?;
    Ok(shift)
}

async fn check(dir: &Workdir, number: usize, sample: &Sample) -> Result<(), String> {
    let limit = Duration::from_secs(60);
    let (video, audio) = (dir.join(format!("{number}.video.mp4")), dir.join(format!("{number}.audio.mp4")));
    let file = sample.file.as_path();
    let args = ["demux".as_ref(), file, "--video".as_ref(), &video, "--audio".as_ref(), &audio];
    let done = finished(args.into_iter().chain(["--json".as_ref()]), limit).await;
    if !done.status.success() {
        return Err(format!("demux: {}: {}", done.status, done.stderr.trim()));
    }
    let report: serde_json::Value = serde_json::from_str(&done.stdout).map_err(|e| format!("demux: {e}"))?;
    let mut shifts = Vec::new();
    for (name, ours, codecs) in [("video", &video, VIDEO), ("audio", &audio, AUDIO)] {
        let mut of_kind = sample.streams.iter().filter(|truth| codecs.contains(&truth.codec.as_str()));
        match report[name]["pid"].as_u64() {
            Some(pid) => {
                let truth = of_kind.find(|truth| truth.pid == pid);
                let truth = truth.ok_or(format!("demux took {name} from PID {pid}, the truth has none"))?;
                shifts.extend(same_track(file, ours, truth).await?);
            }
            None if of_kind.next().is_some() => return Err(format!("demux wrote no {name}")),
            None => {}
        }
    }
    if let [video, audio] = shifts[..]
        && (video - audio).abs() > 1
    {
        return Err(format!("video is moved by {video}, audio by {audio} (90 kHz)"));
    }
    let done = finished(["probe".as_ref(), file, "--hash".as_ref(), "--json".as_ref()], limit).await;
    if !done.status.success() {
        return Err(format!("probe: {}: {}", done.status, done.stderr.trim()));
    }
    for md5 in sample.streams.iter().filter_map(|truth| truth.md5.as_ref()) {
        if !done.stdout.contains(md5) {
            return Err(format!("probe --hash does not say {md5}: {}", done.stdout.trim()));
        }
    }
    Ok(())
}

/// One line of the table by file that lies in target/tmp afterwards.
fn row(file: &str, sample: &Sample, agreed: bool) -> String {
    let streams: Vec<_> = sample
        .streams
        .iter()
        .map(|stream| format!("{} {} {}", stream.pid, stream.codec, stream.packets - stream.headless))
        .collect();
    let bytes = sample.streams.iter().all(|stream| stream.md5.is_some());
    let agreed = match (agreed, bytes) {
        (true, true) => "samples, times, decoded frames, elementary bytes",
        (true, false) => "samples, times, decoded frames",
        (false, _) => "no",
    };
    format!("| {file} | {} | {agreed} |\n", streams.join(", "))
}

/// Files judged at a time: most of it is starting processes.
const AT_ONCE: usize = 4;

async fn check_all(name: &str, folder: &Path) {
    let dir = Workdir::new(name);
    let samples = samples(folder);
    assert!(!samples.is_empty(), "{}: no file", folder.display());
    let (mut faults, mut rows) = (Vec::new(), Vec::new());
    let checks = samples.iter().enumerate().map(|(number, sample)| {
        let dir = &dir;
        async move { (sample, check(dir, number, sample).await) }
    });
    let mut checks = futures_util::stream::iter(checks).buffer_unordered(AT_ONCE);
    while let Some((sample, checked)) = checks.next().await {
        let file = sample.file.file_name().unwrap_or_default().display();
        rows.push(row(&file.to_string(), sample, checked.is_ok()));
        if let Err(fault) = checked {
            faults.push(format!("{file}: {fault}"));
        }
    }
    rows.sort();
    let table = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.md", name.replace(' ', "-")));
    let header = "| file | streams: PID, codec, samples | as in the truth |\n|---|---|---|\n";
    std::fs::write(&table, format!("{header}{}", rows.concat())).expect("a table in target/tmp");
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
