//! `overdub echo`: the reference audio processor.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;

use super::{print, signals};
use crate::echo::{Delay, Options, Rule, Server};

#[derive(clap::Args)]
pub(super) struct Args {
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// 0 takes a free one.
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// How long each answer takes; a range is drawn from: 100ms..2s.
    #[arg(long, default_value = "100ms", value_name = "TIME")]
    delay: Delay,
    /// What goes wrong with every Nth fragment, or with N% of them: fail:N[:CODE], drop:N, disconnect:N,
    /// late:N:TIME, duplicate:N, garbage:N, corrupt:N, truncate:N, empty:N, oversize:N[:BYTES],
    /// length:N:PERCENT, silence:N, priming:N:SAMPLES[:undeclared]. May be repeated; the first that applies does.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Rule>,
    /// Answer in pairs, the second of a pair first.
    #[arg(long)]
    reorder: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let address = SocketAddr::new(args.host, args.port);
    let options = Options { delay: args.delay, rules: args.faults, reorder: args.reorder };
    let server =
        Server::bind(address, options).await.with_context(|| format!("cannot listen on {address}"))?;
    print::line(&format!("echo processor on http://{}", server.local_addr()?));
    server.run(stop).await.context("the echo processor ended")
}
