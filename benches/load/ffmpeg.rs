//! The same work by FFmpeg as the service does it that Overdub replaces: of each batch the segments are put together,
//! one process takes the pictures out, one the sound, one puts both together again; one process for each stream
//! publishes, at the pace of the stream. Nothing is encoded. What its service itself takes (Node) is not in it, nor the
//! processor.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use overdub::clock::Clock;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::around::Around;
use super::numbers::{max, mean};
use super::process::{of_ended_children, taken};
use super::{Load, media};

/// Those that run now.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().expect("nobody panics with it")
}

pub async fn run(load: &Load) -> bool {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::start();
    let warm = 2 * load.batch;
    let mut around = Around::start(warm + load.seconds + 2 * load.batch).await;
    let folder = tempfile::tempdir().expect("a folder");
    let pause = Duration::from_secs(load.batch) / load.streams as u32;
    for number in 0..load.streams {
        let output = format!("rtmp://127.0.0.1:{}/live/ffmpeg-{number}", around.server_port);
        let own = folder.path().join(number.to_string());
        fs::create_dir_all(&own).expect("a folder");
        tokio::spawn(stream(load.batch, around.media.clone(), own, output));
        tokio::time::sleep(pause).await;
    }
    tokio::time::sleep(Duration::from_secs(load.batch)).await;
    let cpu = || of_ended_children() + now(|taken| taken.cpu_seconds);
    let (started, before) = (clock.now(), cpu());
    let elapsed = || clock.now().saturating_since(started).as_secs_f64();
    let (mut resident, mut processes) = (Vec::new(), Vec::new());
    while elapsed() < load.seconds as f64 {
        resident.push(now(|taken| taken.resident_bytes / 1e6));
        processes.push(running().len() as f64);
        around.look(clock.now()).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let (streams, lasted) = (load.streams as f64, elapsed());
    let cpu = (cpu() - before) / lasted * 100.0;
    println!("{streams} streams of 3 Mbit/s, 720p, {lasted:.0} s, by FFmpeg, batches of {} s", load.batch);
    println!("  CPU, all FFmpeg               {cpu:.1} % of a core, {:.2} % a stream", cpu / streams);
    println!(
        "  memory, all FFmpeg            {:.1} MB mean, {:.1} MB peak; {:.1} MB a stream",
        mean(&resident),
        max(resident.iter().copied()),
        mean(&resident) / streams
    );
    println!(
        "  processes at once             {:.1} mean, {} peak",
        mean(&processes),
        max(processes.iter().copied())
    );
    let publishing = around.viewers.all().count();
    println!("  streams at the RTMP server    {publishing}");
    publishing == load.streams
}

/// Of all that run now.
fn now(what: fn(&super::process::Taken) -> f64) -> f64 {
    running().iter().filter_map(|id| taken(*id)).map(|taken| what(&taken)).sum()
}

/// One stream: batch after batch, each when its media would have been captured.
async fn stream(batch: u64, media: PathBuf, folder: PathBuf, output: String) {
    let mut publisher = ffmpeg(&["-re", "-f", "mpegts", "-i", "pipe:0", "-c", "copy", "-f", "flv", &output]);
    let mut publisher = publisher.stdin(Stdio::piped()).kill_on_drop(true).spawn().expect("ffmpeg");
    running().extend(publisher.id());
    let mut stdin = publisher.stdin.take().expect("a pipe");
    let each = batch.div_ceil(media::SEGMENT_SECONDS);
    for number in 0.. {
        let began = tokio::time::sleep(Duration::from_secs(each * media::SEGMENT_SECONDS));
        let Some(ready) = one_batch(&media, &folder, number * each, each).await else { return };
        if stdin.write_all(&ready).await.is_err() {
            return;
        }
        began.await;
    }
}

async fn one_batch(media: &Path, folder: &Path, first: u64, count: u64) -> Option<Vec<u8>> {
    let [source, video, audio, output] = ["source.ts", "video.mp4", "audio.mp4", "output.ts"]
        .map(|name| folder.join(name).display().to_string());
    let mut file = fs::File::create(&source).ok()?;
    for number in first..first + count {
        file.write_all(&fs::read(media.join(format!("{number}.ts"))).ok()?).ok()?;
    }
    drop(file);
    let fragmented = "frag_keyframe+empty_moov+delay_moov";
    finished(&["-i", &source, "-map", "0:v", "-c", "copy", "-movflags", fragmented, &video]).await?;
    let adts = "aac_adtstoasc";
    finished(&["-i", &source, "-map", "0:a", "-c", "copy", "-bsf:a", adts, "-movflags", fragmented, &audio])
        .await?;
    let both = [
        "-copyts", "-i", &video, "-i", &audio, "-map", "0:v", "-map", "1:a", "-c", "copy", "-f", "mpegts",
        &output,
    ];
    finished(&both).await?;
    fs::read(output).ok()
}

async fn finished(args: &[&str]) -> Option<()> {
    let mut child = ffmpeg(args).spawn().ok()?;
    let id = child.id();
    running().extend(id);
    let status = child.wait().await.ok();
    running().retain(|one| Some(*one) != id);
    status.filter(std::process::ExitStatus::success).map(|_| ())
}

/// It complains of where batches are cut for pages, and of the end of the run.
fn ffmpeg(args: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "fatal", "-y"]).args(args).kill_on_drop(true).stdin(Stdio::null());
    command
}
