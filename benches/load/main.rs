//! Many live streams at once, for as long as is asked: what they cost, and whether they stay clean.
//!
//! ```text
//! make load N=20 T=120                                   Overdub
//! make load N=20 T=120 WAY=ffmpeg                        the same work by FFmpeg, as the original service does it
//! make load N=3 T=200 FAULTS=benches/load/faults.txt     with faults
//! ```
//!
//! Everything runs on this machine, each part a process of its own, so that its CPU can be told apart and it can be
//! killed or stopped: a live HLS source, `overdub echo`, `overdub serve`, and an RTMP server that checks what it is
//! sent. Without faults the command fails when anything was not clean.
//!
//! | module | what is in it |
//! |---|---|
//! | media | 720p, 3 Mbit/s, made once by FFmpeg, as live HLS segments |
//! | origin, receiver | the source and the RTMP server, each a process of this binary |
//! | process | a process that is started, measured, killed, stopped |
//! | network, disk | those of Overdub, where they are to fail |
//! | viewers | what arrives of each stream, and what does not |
//! | faults | a script of them, and what each cost |
//! | around | source and RTMP server together, for whoever publishes |
//! | service | Overdub under load; ffmpeg: FFmpeg in its place |
//! | report | what it cost |
//! | numbers | means, slopes, quantiles |

#![expect(unreachable_pub, reason = "a program: nothing is outside")]

mod around;
mod disk;
mod faults;
mod ffmpeg;
mod media;
mod network;
mod numbers;
mod origin;
mod process;
mod receiver;
mod report;
mod service;
mod viewers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Parser)]
struct Cli {
    /// Cargo says so to every benchmark.
    #[arg(long, global = true, hide = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Runs the streams and says what they cost.
    Run(Load),
    /// The live source.
    #[command(hide = true)]
    Source(origin::Args),
    /// The RTMP server.
    #[command(hide = true)]
    Sink(receiver::Args),
    /// What lies between Overdub and the others.
    #[command(hide = true)]
    Network(network::Args),
}

#[derive(clap::Args)]
struct Load {
    #[arg(long, default_value_t = 2)]
    streams: usize,
    /// How long is measured, after all streams have begun to play.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Length of a batch in seconds.
    #[arg(long, default_value_t = 30)]
    batch: u64,
    /// Seconds that the processor has.
    #[arg(long, default_value_t = 12)]
    budget: u64,
    #[arg(long, value_enum, default_value_t = Way::Overdub)]
    way: Way,
    /// A script of faults.
    #[arg(long)]
    faults: Option<PathBuf>,
    /// Megabytes of the disk that Overdub writes to, one of its own; for faults of the disk.
    #[arg(long)]
    disk: Option<u64>,
    /// What is written: all, segments, output or none.
    #[arg(long, default_value = "all")]
    artifacts: String,
    /// What is kept of each stream on the disk at most, as `retainBytes` has it.
    #[arg(long, default_value = "20GB")]
    retain: String,
    /// Another binary than the one that Cargo built beside this.
    #[arg(long)]
    overdub: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    Overdub,
    Ffmpeg,
}

fn main() -> ExitCode {
    let Some(role) = Cli::parse().command else {
        println!("load: not run; `make load N=20 T=120`, or `cargo bench --bench load -- run --help`");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let clean = runtime.block_on(async {
        match role {
            Role::Run(load) if load.way == Way::Ffmpeg => ffmpeg::run(&load).await,
            Role::Run(load) => service::run(&load).await,
            Role::Source(args) => origin::run(args).await,
            Role::Sink(args) => receiver::run(args).await,
            Role::Network(args) => network::run(args).await,
        }
    });
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
