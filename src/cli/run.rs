//! `overdub run`: one stream in the foreground.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{print, signals};
use crate::clock::Clock;
use crate::config::{
    Artifacts, Fallback, OnGap, OneOrMany, ServiceOptions, ServiceSettings, Span, StreamOptions,
    StreamSettings, from_environment,
};
use crate::pipeline::{self, End, Handle, Shared};
use crate::status::StreamStatus;

/// On a terminal one line is written over each second.
const ON_TERMINAL: Duration = Duration::from_secs(1);
/// In a file each line stays: one for every batch of ordinary length or so.
const IN_FILE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct Args {
    /// The playlist.
    source_url: String,
    /// Where the output goes; several get the same.
    #[arg(required = true)]
    rtmp_url: Vec<String>,
    /// The audio processor [default: http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    processor: Option<String>,
    /// The name of the stream, in paths and towards the processor [default: stream]
    #[arg(long, value_name = "ID")]
    stream_id: Option<String>,
    /// The least length of a batch [default: 30]
    #[arg(long, value_name = "TIME")]
    buffer_duration: Option<Span>,
    /// How long the processor may take for the longest batch [default: 12]
    #[arg(long, value_name = "TIME")]
    processing_budget: Option<Span>,
    /// What plays where the processor's answer is missing [default: original]
    #[arg(long, value_enum)]
    fallback: Option<Fallback>,
    /// What happens when nothing is there to be played [default: hold]
    #[arg(long, value_enum)]
    on_gap: Option<OnGap>,
    /// The folder for everything that is written [default: storage]
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// What is written [default: all]
    #[arg(long, value_enum)]
    artifacts: Option<Artifacts>,
    /// Progress as one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// The stream, and the folder that it writes to.
    fn settings(&self) -> anyhow::Result<(StreamSettings, PathBuf)> {
        let flags = StreamOptions {
            source_url: Some(self.source_url.clone()),
            srs_rtmp_url: Some(OneOrMany::Many(self.rtmp_url.clone())),
            audio_processor_url: self.processor.clone(),
            stream_id: self.stream_id.clone(),
            buffer_duration: self.buffer_duration,
            processing_budget: self.processing_budget,
            fallback: self.fallback,
            on_gap: self.on_gap,
            artifacts: self.artifacts,
            ..StreamOptions::default()
        };
        let flags =
            ServiceOptions { storage_path: self.storage.clone(), stream: flags, ..ServiceOptions::default() };
        let environment = from_environment(|name| std::env::var(name).ok())?;
        let settings = flags.or(environment).resolve()?;
        let ServiceSettings { autostart, storage_path, .. } = settings;
        // The flags name a source, so that there is a stream to start.
        let stream = autostart.ok_or_else(|| anyhow::anyhow!("no source"))?;
        Ok((stream, storage_path))
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (settings, storage_root) = args.settings()?;
    let clock = Clock::start();
    let stop = signals::stop_on_signal()?;
    let shared = Arc::new(Shared { clock, storage_root, persistent: false });
    let stream = pipeline::spawn(settings, &shared);
    let mut progress = Progress::new(args.json);
    let mut end = std::pin::pin!(stream.finished());
    let end = loop {
        tokio::select! {
            end = &mut end => break end,
            () = stop.cancelled() => {
                progress.show(&stream.status());
                break ended(&stream, &mut progress, clock).await;
            }
            () = clock.sleep(progress.interval()) => progress.show(&stream.status()),
        }
    };
    progress.last(&stream.status());
    match end {
        End::Finished => Ok(()),
        End::Failed(error) => Err(anyhow::Error::msg(error)),
    }
}

/// Stops the stream and shows how it ends.
async fn ended(stream: &Handle, progress: &mut Progress, clock: Clock) -> End {
    let mut end = std::pin::pin!(stream.stop());
    loop {
        tokio::select! {
            end = &mut end => return end,
            () = clock.sleep(progress.interval()) => progress.show(&stream.status()),
        }
    }
}

enum Progress {
    Json,
    Terminal,
    Lines,
}

impl Progress {
    fn new(json: bool) -> Self {
        if json {
            Self::Json
        } else if io::stdout().is_terminal() {
            Self::Terminal
        } else {
            Self::Lines
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Json | Self::Terminal => ON_TERMINAL,
            Self::Lines => IN_FILE,
        }
    }

    fn show(&mut self, status: &StreamStatus) {
        match self {
            // A snapshot is plain data: there is nothing in it that JSON cannot say.
            Self::Json => drop(print::json(status)),
            Self::Terminal => {
                let mut out = io::stdout().lock();
                let _ = write!(out, "\r\x1b[K{}", describe(status));
                let _ = out.flush();
            }
            Self::Lines => print::line(&describe(status)),
        }
    }

    fn last(&mut self, status: &StreamStatus) {
        self.show(status);
        if matches!(self, Self::Terminal) {
            print::line("");
        }
    }
}

/// One line that fits a terminal.
fn describe(status: &StreamStatus) -> String {
    let stats = &status.stats;
    let bitrate = if stats.published_seconds > 0.0 {
        stats.bytes_published as f64 * 8.0 / stats.published_seconds / 1e6
    } else {
        0.0
    };
    let phase = format!("{:?}", status.phase).to_lowercase();
    let mut line = format!(
        "{phase} | batches {} captured, {} processed, {} fallback | {:.1} s published, {bitrate:.2} Mbit/s | \
         late {:.0} ms (max {:.0})",
        stats.batches_captured,
        stats.batches_processed,
        stats.batches_fallback,
        stats.published_seconds,
        stats.lateness_ms,
        stats.max_lateness_ms,
    );
    if stats.gaps > 0 {
        line += &format!(" | gaps {}", stats.gaps);
    }
    line
}
