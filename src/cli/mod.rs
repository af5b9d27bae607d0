//! The command line: one file per command.
//!
//! Exit codes: 0 fine, 1 failed (one line on stderr), 2 used wrongly.

mod check;
mod chunks;
mod demo;
mod demux;
mod echo;
mod environment;
mod listing;
mod logging;
mod machine;
mod output_file;
mod print;
mod probe;
mod progress;
mod publish;
mod remux;
mod run;
mod serve;
mod signals;
mod track_file;
mod track_queue;
mod track_reader;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::Invalid;
use crate::control::Lines;

/// How long tasks that ignore their end may hold the process: a thread that hangs on a dead disk would
/// otherwise hold it for ever.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(1);

/// A live HLS stream in, an external audio processor in the middle, RTMP out.
#[derive(Parser)]
#[command(name = "overdub", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    log: logging::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: streams are started and stopped over HTTP.
    Serve(serve::Args),
    /// Check the configuration, the disk, the processor, the source and the outputs, before going live.
    Check(check::Args),
    /// Run one stream in the foreground, with progress.
    Run(Box<run::Args>),
    /// Run everything on this machine: a live source, a processor, an RTMP server, and the service.
    Demo(demo::Args),
    /// Run the reference audio processor: it answers every fragment unchanged.
    Echo(echo::Args),
    /// Take an MPEG-TS file apart: pictures and sound as fragmented MP4.
    Demux(demux::Args),
    /// Put pictures and sound together into one fragmented MP4, untouched.
    Remux(remux::Args),
    /// Send an MP4 file to an RTMP server, at its own pace.
    Publish(publish::Args),
    /// Say what is in an MPEG-TS or MP4 file.
    Probe(probe::Args),
}

impl Command {
    /// What is logged when nobody says what: services speak, tools only complain.
    fn default_log_level(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Echo(_) => "info",
            Self::Check(_)
            | Self::Run(_)
            | Self::Demo(_)
            | Self::Demux(_)
            | Self::Remux(_)
            | Self::Publish(_)
            | Self::Probe(_) => "warn",
        }
    }
}

/// Parses the command line, runs the command, and says what went wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let logs = Lines::default();
    let shown = matches!(cli.command, Command::Serve(_) | Command::Demo(_)).then(|| logs.clone());
    let logging = environment::read_file()
        .map_err(Into::into)
        .and_then(|()| logging::start(&cli.log, cli.command.default_log_level(), shown));
    // Held to the end: what still waits is written then.
    let guard = match logging {
        Ok(guard) => guard,
        Err(error) => return failed(&error),
    };
    // Fails only when it is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::from(error).context("cannot start the runtime")),
    };
    runtime.spawn(guard.ticking());
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args, logs).await,
            Command::Check(args) => check::run(args).await,
            Command::Run(args) => run::run(*args).await,
            Command::Demo(args) => demo::run(args, logs).await,
            Command::Echo(args) => echo::run(args).await,
            Command::Demux(args) => demux::run(&args),
            Command::Remux(args) => remux::run(&args),
            Command::Publish(args) => publish::run(args).await,
            Command::Probe(args) => probe::run(args).await,
        }
    });
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// One line with all causes; settings that cannot be used count as wrong usage.
fn failed(error: &anyhow::Error) -> ExitCode {
    let line = format!("{error:#}").replace(['\n', '\r'], " ");
    print::error_line(&format!("error: {line}"));
    if error.is::<Invalid>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
