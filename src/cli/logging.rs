//! What is logged, and how it looks. Logs go to stderr: stdout belongs to results.

use std::io::{self, IsTerminal};

use anyhow::Context;
use clap::ValueEnum;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::control::{Capture, Lines};

#[derive(clap::Args)]
pub(super) struct Args {
    /// What to log: off, error, warn, info, debug, trace, or per module: info,overdub::hls=debug.
    /// Goes before the variables OVERDUB_LOG and RUST_LOG.
    #[arg(long, global = true, value_name = "FILTER")]
    log_level: Option<String>,
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Starts logging to stderr, and into `lines` where somebody wants to show them.
pub(super) fn start(args: &Args, default: &str, lines: Option<Lines>) -> anyhow::Result<()> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let given = args.log_level.clone().or_else(|| variable("OVERDUB_LOG")).or_else(|| variable("RUST_LOG"));
    let filter = given.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("wrong log filter {filter:?}"))?;
    let stderr = fmt::layer().with_writer(io::stderr);
    let stderr: Box<dyn Layer<Registry> + Send + Sync> = match args.log_format {
        Format::Text => Box::new(stderr.with_ansi(io::stderr().is_terminal()).with_filter(filter)),
        Format::Json => Box::new(stderr.json().flatten_event(true).with_filter(filter)),
    };
    let capture = lines.map(|lines| Capture::new(lines).with_filter(Capture::filter()));
    let started = tracing_subscriber::registry().with(stderr).with(capture).try_init();
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
