//! `overdub demo`: a live source, a processor and an RTMP server inside, and the service around a stream.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{environment, print, serve, signals};
use crate::clock::Clock;
use crate::config::{
    AccessOptions, OneOrMany, ServiceOptions, ServiceSettings, Span, StreamOptions, from_environment,
};
use crate::control::{Launcher, Lines, Page};
use crate::demo::Surroundings;
use crate::heavy::Shares;
use crate::pipeline;
use crate::sink::Report;
use crate::storage::Disk;

const STREAM: &str = "demo";

/// Two of the source's segments: something plays within seconds.
const BUFFER: Duration = Duration::from_secs(4);
/// Ample for the echo processor's tenth of a second.
const BUDGET: Duration = Duration::from_secs(2);
/// How often the RTMP server's findings are told.
const TELL: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// Let other machines in although no token is asked for (OVERDUB_API_TOKEN)
    #[arg(long)]
    insecure: bool,
    /// 0 takes a free one [default: 3000]
    #[arg(long)]
    port: Option<u16>,
    /// Where the demo writes; it is removed at the end only when this is not given
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
}

pub(super) async fn run(args: Args, logs: Lines) -> anyhow::Result<()> {
    let clock = Clock::start();
    let stop = signals::stop_on_signal()?;
    // The surroundings outlive the stream, which says goodbye to them.
    let leaving = CancellationToken::new();
    let surroundings = Surroundings::start(clock, &leaving).await?;
    let temporary = std::env::temp_dir().join(format!("overdub-demo-{}", std::process::id()));
    let settings = settings(&args, &surroundings, &temporary)?;
    let listener: TcpListener = serve::listen(&settings).await?;
    let service = format!("http://{}", listener.local_addr()?);
    let page = match Page::EMBEDDED.is_built() {
        true => format!("{service}/#/streams/{STREAM}"),
        false => "not in this binary: it needs npm (`make ui`)".to_owned(),
    };
    print::line(&format!(
        "overdub demo: a live source, an echo processor and an RTMP server, all inside\n\
         \n  page      {page}\
         \n  preview   {service}/preview/{STREAM}/index.m3u8   (any HLS player: ffplay, VLC, Safari)\
         \n  status    {service}/api/pipeline/status\
         \n  source    {}\
         \n  processor {}\
         \n  output    {}   (checked as it arrives)\n\
         \nCtrl-C ends it.",
        surroundings.source_url(),
        surroundings.processor_url(),
        surroundings.rtmp_url(STREAM),
    ));
    let disk = Disk::new(&settings.storage_path, settings.storage_limits);
    let shared =
        pipeline::Shared { clock, disk, journals: None, persistent: true, shares: Shares::default() };
    let streams = Launcher::new(shared, settings.limits).into();
    let served = tokio::select! {
        served = serve::serve(listener, settings, streams, logs, clock, stop) => served,
        () = tell(clock, &surroundings) => Ok(()),
    };
    leaving.cancel();
    surroundings.ended().await;
    if args.storage.is_none() {
        // Nobody asked for it to be kept; what cannot be removed is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&temporary);
    }
    if let Some(report) = surroundings.reports().latest(STREAM) {
        print::line(&verdict(&report));
    }
    served
}

fn settings(
    args: &Args,
    surroundings: &Surroundings,
    temporary: &std::path::Path,
) -> anyhow::Result<ServiceSettings> {
    let stream = StreamOptions {
        stream_id: Some(STREAM.to_owned()),
        source_url: Some(surroundings.source_url()),
        audio_processor_url: Some(surroundings.processor_url()),
        srs_rtmp_url: Some(OneOrMany::One(surroundings.rtmp_url(STREAM))),
        buffer_duration: Some(Span(BUFFER)),
        processing_budget: Some(Span(BUDGET)),
        ..StreamOptions::default()
    };
    let environment = from_environment(environment::variable)?;
    let options = ServiceOptions {
        base_path: environment.base_path,
        host: args.host.clone(),
        port: args.port,
        storage_path: Some(args.storage.clone().unwrap_or_else(|| temporary.to_owned())),
        access: AccessOptions { insecure: args.insecure.then_some(true), ..environment.access },
        stream,
        ..ServiceOptions::default()
    };
    Ok(options.resolve()?)
}

/// Says what the RTMP server sees, for ever.
async fn tell(clock: Clock, surroundings: &Surroundings) {
    loop {
        clock.sleep(TELL).await;
        match surroundings.reports().latest(STREAM) {
            Some(report) if report.video.packets > 0 => print::line(&verdict(&report)),
            _ => print::line("waiting for the first batch"),
        }
    }
}

fn verdict(report: &Report) -> String {
    let seconds = report.video.last_ms.unwrap_or_default() - report.video.first_ms.unwrap_or_default();
    let found = match report.violations.last() {
        None => "nothing wrong".to_owned(),
        Some(last) => format!("{} violations, the last: {last}", report.violation_count),
    };
    format!(
        "output: {:.1} s, {} pictures, {} audio frames, at most {} ms late: {found}",
        seconds as f64 / 1e3,
        report.video.packets,
        report.audio.packets,
        report.latest.as_millis(),
    )
}
