//! What is logged, and how it looks. Logs go to stderr: stdout belongs to results.

use std::io::{self, IsTerminal};

use anyhow::Context;
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

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

pub(super) fn start(args: &Args, default: &str) -> anyhow::Result<()> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let given = args.log_level.clone().or_else(|| variable("OVERDUB_LOG")).or_else(|| variable("RUST_LOG"));
    let filter = given.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).with_context(|| format!("wrong log filter {filter:?}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match args.log_format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
