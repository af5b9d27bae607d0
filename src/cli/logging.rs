//! What is logged, and how it looks. Logs go to stderr, or to a file of each day: stdout belongs to results.

use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use time::OffsetDateTime;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use super::environment::variable;
use crate::clock::wall_clock;
use crate::control::{Capture, Lines};
use crate::logs::{self, Record, Sink, Tick};
use crate::outside;

/// Days of logs that are kept by default: two weekends.
const FILES: usize = 14;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What to log: off, error, warn, info, debug, trace, or per module: info,overdub::hls=debug.
    /// Goes before the variables OVERDUB_LOG, LOG_LEVEL and RUST_LOG.
    #[arg(long, global = true, value_name = "FILTER")]
    log_level: Option<String>,
    /// Goes before OVERDUB_LOG_FORMAT and LOG_FORMAT [default: text]
    #[arg(long, global = true, value_enum)]
    log_format: Option<Format>,
    /// A file instead of stderr, a new one each day. Goes before OVERDUB_LOG_FILE and LOG_FILE.
    #[arg(long, global = true, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// How often the log is told the time: the number of suppressed lines is told so much late at most.
const TICK: Duration = Duration::from_secs(1);

/// Tells what was suppressed, and writes what is still waiting, when it is dropped.
pub(super) struct Guard {
    ticks: Vec<Arc<dyn Tick>>,
    _file: Option<WorkerGuard>,
}

impl Guard {
    /// Tells the log the time, for as long as the future is polled.
    pub(super) fn ticking(&self) -> impl Future<Output = ()> + use<> {
        let ticks = self.ticks.clone();
        async move {
            loop {
                tokio::time::sleep(TICK).await;
                ticks.iter().for_each(|tick| tick.tick());
            }
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.ticks.iter().for_each(|tick| tick.finish());
    }
}

/// Lines to stderr or to a file.
struct Written<W> {
    writer: W,
    format: Format,
    color: bool,
}

impl<W> Sink for Written<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    const MAX_FIELD: usize = outside::MAX_ADDRESS;

    fn line(&self, record: Record) {
        let at = OffsetDateTime::from(wall_clock());
        let line = match self.format {
            Format::Text => logs::text(&record, at, self.color),
            Format::Json => logs::json(&record, at),
        };
        // Whoever read it has gone away.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// Starts logging to stderr or a file, and into `lines` where somebody wants to show them.
pub(super) fn start(args: &Args, default: &str, lines: Option<Lines>) -> anyhow::Result<Guard> {
    let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
    let given = args.log_level.clone().or_else(|| first(&["OVERDUB_LOG", "LOG_LEVEL", "RUST_LOG"]));
    let filter = given.as_deref().map_or(default, level);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("wrong log filter {filter:?}"))?;
    let format = match (args.log_format, first(&["OVERDUB_LOG_FORMAT", "LOG_FORMAT"])) {
        (Some(format), _) => format,
        (None, Some(text)) => {
            Format::from_str(&text, true).map_err(|_| anyhow::anyhow!("wrong log format: text or json"))?
        }
        (None, None) => Format::default(),
    };
    let file = args.log_file.clone().or_else(|| first(&["OVERDUB_LOG_FILE", "LOG_FILE"]).map(PathBuf::from));
    let mut ticks = Vec::new();
    let (shown, file) = match file {
        None => (layer(io::stderr, format, io::stderr().is_terminal(), filter, &mut ticks), None),
        Some(path) => {
            let kept = first(&["OVERDUB_LOG_FILES", "LOG_MAX_FILES"]);
            let kept = kept.map(|text| text.parse().context("OVERDUB_LOG_FILES must be a whole number"));
            let (writer, guard) = daily(&path, kept.transpose()?.unwrap_or(FILES))?;
            (layer(writer, format, false, filter, &mut ticks), Some(guard))
        }
    };
    let capture = lines.map(|lines| {
        let layer = logs::Layer::new(Capture::new(lines));
        ticks.push(layer.ticks());
        layer.with_filter(Capture::filter())
    });
    let started = tracing_subscriber::registry().with(shown).with(capture).try_init();
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))?;
    logs::log_panics();
    Ok(Guard { ticks, _file: file })
}

/// The levels that the original service has beyond ours; everything else as it is.
fn level(text: &str) -> &str {
    match text {
        "http" => "info",
        "verbose" => "debug",
        "silly" => "trace",
        other => other,
    }
}

fn layer<W>(
    writer: W,
    format: Format,
    color: bool,
    filter: EnvFilter,
    ticks: &mut Vec<Arc<dyn Tick>>,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = logs::Layer::new(Written { writer, format, color });
    ticks.push(layer.ticks());
    Box::new(layer.with_filter(filter))
}

/// A file for each day, the date behind its name. Lines wait in memory for the disk, and are dropped where it does
/// not keep up: a stream never waits for its log.
fn daily(path: &Path, kept: usize) -> anyhow::Result<(NonBlocking, WorkerGuard)> {
    let shown = path.display();
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{shown} is no name for a log file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(name)
        .max_log_files(kept.max(1))
        .build(folder)
        .with_context(|| format!("cannot write logs to {shown}"))?;
    Ok(tracing_appender::non_blocking(file))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_original_services_levels_are_understood() {
        assert_eq!(
            [level("silly"), level("verbose"), level("http"), level("warn")],
            ["trace", "debug", "info", "warn"]
        );
        assert_eq!(level("info,overdub::hls=debug"), "info,overdub::hls=debug");
    }

    #[test]
    fn a_log_file_is_one_of_its_day() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, guard) = daily(&folder.path().join("logs/o.log"), 2).unwrap();
        writer.write_all(b"a line\n").unwrap();
        drop(guard);
        let files: Vec<_> = std::fs::read_dir(folder.path().join("logs")).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        let name = files[0].file_name().into_string().unwrap();
        assert!(name.starts_with("o.log.20"), "{name}");
        assert_eq!(std::fs::read_to_string(files[0].path()).unwrap(), "a line\n");
        assert!(daily(Path::new("/"), 1).is_err());
    }
}
