//! Overdub and FFmpeg pull the same live streams with the same faults at the same time; the table says what
//! either lost (docs/hls.md). `OVERDUB_LONG=1` streams for longer and freezes the playlist for 30 s.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::clips::{Clip, FRAMES_PER_SECOND, Form, HASHES, Packets, packets_of, read_hashes};
use crate::faults::{Fault, Lasts, Show, answer};
use futures_util::future::join_all;
use overdub::clock::Clock;
use overdub::hls::{self, Event, Settings, Status, Timeouts};
use overdub::media::Rendition;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

/// The clock wraps at 2^33 / 90 kHz; so many seconds into the clip.
const WRAPS_AFTER: f64 = 8.0;

/// What one client made of one faulty stream.
#[derive(Debug, Default)]
struct Outcome {
    /// The first segment that is in the output: a client on a busy machine may begin behind a fault.
    first: u64,
    pictures_lost: u32,
    audio_frames_lost: u32,
    segments_lost: u32,
    repeated: u32,
    /// It did not end by itself, or ended with a failure.
    died: bool,
}

impl Outcome {
    /// Compares with everything from the first segment that has anything in the output to the last of all.
    fn of(show: &Show, fault: Fault, got: &Packets, died: bool) -> Self {
        let expected: Vec<&Packets> = (0..show.length)
            .map(|n| &show.clip(fault, n).packets[usize::try_from(n).expect("a short show")])
            .collect();
        let has = |packets: &Packets| packets.video.keys().any(|hash| got.video.contains_key(hash));
        let Some(first) = expected.iter().position(|packets| has(packets)) else {
            return Self { segments_lost: u32::MAX, pictures_lost: u32::MAX, died, ..Self::default() };
        };
        let mut outcome = Self { first: first as u64, died, ..Self::default() };
        for packets in &expected[first..] {
            let pictures = missing(&packets.video, &got.video);
            outcome.pictures_lost += pictures;
            outcome.audio_frames_lost += missing(&packets.audio, &got.audio);
            outcome.segments_lost += u32::from(pictures as usize == packets.video.len());
        }
        outcome.repeated = got.video.values().map(|count| count - 1).sum();
        outcome
    }

    fn seconds_lost(&self) -> f64 {
        f64::from(self.pictures_lost) / f64::from(FRAMES_PER_SECOND)
    }

    fn cells(&self) -> String {
        if self.pictures_lost == u32::MAX {
            return "nothing came".to_owned();
        }
        let died = if self.died { ", failed" } else { "" };
        let repeated =
            if self.repeated > 0 { format!(", {} repeated", self.repeated) } else { String::new() };
        let Self { segments_lost, audio_frames_lost, .. } = self;
        format!(
            "{segments_lost} segments, {:.2} s, {audio_frames_lost} audio frames{repeated}{died}",
            self.seconds_lost()
        )
    }
}

fn missing(expected: &HashMap<String, u32>, got: &HashMap<String, u32>) -> u32 {
    u32::try_from(expected.keys().filter(|hash| !got.contains_key(*hash)).count()).expect("few")
}

/// Both clients wait about as long for an answer.
fn settings(url: Url) -> Settings {
    let timeouts = Timeouts {
        connect: Duration::from_millis(500),
        first_byte: Duration::from_millis(1000),
        idle: Duration::from_millis(1500),
    };
    Settings { timeouts, segment_life: Duration::from_secs(4), ..Settings::new(url) }
}

/// FFmpeg's limit for one read or connection, in microseconds.
const FFMPEG_TIMEOUT: &str = "1500000";

async fn origin(show: &Arc<Show>, fault: Fault) -> Url {
    let show = show.clone();
    crate::origin::start(move |ask| answer(&show, fault, ask)).await.0
}

async fn overdub(show: &Arc<Show>, fault: Fault, folder: &Path, limit: Duration) -> (Outcome, Status) {
    let (out, mut events) = mpsc::channel(4);
    let (status_out, status) = watch::channel(Status::default());
    let settings = settings(origin(show, fault).await);
    let stop = CancellationToken::new();
    let run = tokio::spawn(hls::run(settings, Clock::start(), 0, out, status_out, stop));
    // Of each rendition, what came, behind the initialization section that it needs first.
    let mut captured: [Vec<u8>; 2] = Default::default();
    let ended = tokio::time::timeout(limit, async {
        while let Some(event) = events.recv().await {
            match event {
                Event::Segment(segment) => {
                    let captured = &mut captured[usize::from(segment.rendition == Rendition::Audio)];
                    if captured.is_empty() {
                        captured.extend_from_slice(&segment.init.unwrap_or_default());
                    }
                    captured.extend_from_slice(&segment.data);
                }
                Event::Ended => return true,
                _ => {}
            }
        }
        false
    });
    let ended = ended.await.unwrap_or(false);
    run.abort();
    let mut packets = Packets::default();
    for bytes in captured.into_iter().filter(|bytes| !bytes.is_empty()) {
        let file = folder.join(format!("{fault:?}.ts"));
        std::fs::write(&file, bytes).expect("room for a clip");
        packets.add(packets_of(&file));
    }
    let status = status.borrow().clone();
    (Outcome::of(show, fault, &packets, !ended), status)
}

async fn ffmpeg(show: &Arc<Show>, fault: Fault, folder: &Path, limit: Duration) -> Outcome {
    let file = folder.join(format!("{fault:?}.hashes"));
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y", "-rw_timeout", FFMPEG_TIMEOUT, "-i"]);
    command.arg(origin(show, fault).await.as_str()).args(HASHES).arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("ffmpeg is installed (apt-get install ffmpeg)");
    let ended = tokio::time::timeout(limit, child.wait()).await;
    let died = !matches!(ended, Ok(Ok(status)) if status.success());
    let _ = child.kill().await;
    let text = std::fs::read(&file).unwrap_or_default();
    Outcome::of(show, fault, &read_hashes(&String::from_utf8_lossy(&text)), died)
}

/// Segments in all, and how many seconds a playlist is frozen.
fn lengths() -> (u64, u64) {
    if std::env::var("OVERDUB_LONG").is_ok() { (60, 30) } else { (18, 6) }
}

fn show(form: Form) -> Arc<Show> {
    let (length, frozen) = lengths();
    let seconds = usize::try_from(length).expect("a short show");
    let wrap = 2_f64.powi(33) / 90_000.0 - WRAPS_AFTER;
    Arc::new(Show {
        form,
        main: Clip::make(form, "320x180", 48_000, 0.0, seconds),
        wrapping: (form == Form::Muxed).then(|| Clip::make(form, "320x180", 48_000, wrap, seconds)),
        advertisement: Clip::make(form, "480x270", 44_100, 100.0, seconds),
        length,
        frozen: Duration::from_secs(frozen),
    })
}

/// Both clients on each fault, all at the same time; the rows of the table.
async fn compare(shows: &[Arc<Show>], rows: &[(Form, Fault)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (length, frozen) = lengths();
    let limit = Duration::from_secs(length + frozen + 20);
    let rows = rows.iter().map(|&(form, fault)| {
        let show = shows.iter().find(|show| show.form == form).expect("it was made").clone();
        let folder = folder.path().join(format!("{form:?}"));
        async move {
            std::fs::create_dir_all(&folder).expect("a folder");
            let (ours, theirs) =
                tokio::join!(overdub(&show, fault, &folder, limit), ffmpeg(&show, fault, &folder, limit));
            (show, fault, ours, theirs)
        }
    });
    let rows = join_all(rows).await;

    println!("| fault | Overdub lost | retries | discontinuities | FFmpeg lost |\n|---|---|---|---|---|");
    for (show, fault, (ours, status), theirs) in &rows {
        let Status { retries, discontinuities, .. } = status;
        let form = match show.form {
            Form::Muxed => "",
            Form::Apart => "sound apart, on the sound: ",
            Form::Fragmented => "fragmented MP4: ",
        };
        let late = if theirs.first > ours.first { ", began later: not compared" } else { "" };
        let (title, ours, theirs) = (fault.title(), ours.cells(), theirs.cells());
        println!("| {form}{title} | {ours} | {retries} | {discontinuities} | {theirs}{late} |");
    }
    for (show, fault, (ours, status), theirs) in &rows {
        let row = format!("{:?} {fault:?}: {ours:?} {status:?}, FFmpeg {theirs:?}", show.form);
        let unavailable = fault.unavailable().iter().filter(|number| **number >= ours.first);
        let gaps = unavailable.clone().count()..=fault.unavailable().len();
        let lost = unavailable.map(|number| {
            &show.clip(*fault, *number).packets[usize::try_from(*number).expect("a short show")]
        });
        let (pictures, frames) =
            lost.fold((0, 0), |(video, audio), lost| (video + lost.video.len(), audio + lost.audio.len()));
        // Of sound that is apart, only sound is struck.
        let pictures = if show.form == Form::Apart { 0 } else { pictures };
        assert!(!ours.died, "{row}");
        assert_eq!(ours.pictures_lost as usize, pictures, "{row}");
        assert_eq!(ours.audio_frames_lost as usize, frames, "{row}");
        assert_eq!(ours.repeated, 0, "{row}");
        if theirs.first <= ours.first {
            assert!(ours.pictures_lost <= theirs.pictures_lost, "{row}");
            assert!(ours.audio_frames_lost <= theirs.audio_frames_lost, "{row}");
        }
        let breaks = match fault {
            Fault::AdBreak => 2,
            Fault::SequenceReset => 1,
            _ => 0,
        };
        if !matches!(fault, Fault::WindowJump | Fault::Status(_, Lasts::Ever)) {
            assert_eq!(status.discontinuities, breaks, "{row}");
        }
        assert!(gaps.contains(&(status.gaps as usize)), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_costs_more_than_it_costs_ffmpeg() {
    let rows = Fault::ALL.map(|fault| (Form::Muxed, fault));
    compare(&[show(Form::Muxed)], &rows).await;
    // One after the other: each has a process and two clients for each row.
    compare(&[show(Form::Apart), show(Form::Fragmented)], &Fault::OF_OTHER_FORMS).await;
}
