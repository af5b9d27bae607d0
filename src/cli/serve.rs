//! `overdub serve`: the service.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{environment, machine, print, signals};
use crate::clock::Clock;
use crate::config::{
    AccessOptions, AccessSettings, Invalid, OneOrMany, ServiceLimits, ServiceOptions, ServiceSettings,
    StreamSettings, from_environment,
};
use crate::control::{self, Access, Control, Launch, Launcher, Lines, Page, Setup};
use crate::heavy::Shares;
use crate::journal::Journals;
use crate::pipeline;
use crate::storage::Disk;

/// How long streams may take to play what they have captured. Service managers kill after 90 s by default.
const DRAIN: Duration = Duration::from_secs(60);
/// How long open requests may take after that.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub(super) struct Args {
    /// Address or name to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,
    /// 0 takes a free one [default: 3000]
    #[arg(long)]
    port: Option<u16>,
    /// The path below which a reverse proxy offers the service, where the proxy does not strip it: /overdub
    #[arg(long, value_name = "PATH")]
    base_path: Option<String>,
    /// Let other machines in although no token is asked for (OVERDUB_API_TOKEN)
    #[arg(long)]
    insecure: bool,
    /// An origin whose pages may use the API, or "*". May be repeated.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// The folder for everything that is written [default: storage]
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// Settings as TOML; flags and the environment go before it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(args: Args, logs: Lines) -> anyhow::Result<()> {
    let settings = settings(args)?;
    let clock = Clock::start();
    let disk = Disk::new(&settings.storage_path, settings.storage_limits);
    let journals = Journals::new(disk.root());
    let shared = pipeline::Shared {
        clock,
        disk,
        journals: Some(journals.clone()),
        persistent: true,
        shares: Shares::default(),
    };
    let launch = Launcher::new(shared, settings.limits);
    let stop = signals::stop_on_signal()?;
    let listener = listen(&settings).await?;
    print::line(&format!("overdub on http://{}", listener.local_addr()?));
    let streams = Streams { resumed: resumable(&journals), ..launch.into() };
    let served = serve(listener, settings, streams, logs, clock, stop).await;
    if !journals.flush() {
        tracing::warn!("the disk does not take the journals: streams resume where they were last written");
    }
    served
}

/// The streams that an earlier process was running. What cannot be resumed is said.
fn resumable(journals: &Journals) -> Vec<StreamSettings> {
    let usable = |id| {
        let record = journals.load(&id);
        let settings = match record {
            Ok(record) => record?.settings.resolve().map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        settings.map_err(|error| tracing::error!(stream_id = %id, error, "cannot be resumed")).ok()
    };
    journals.discard_unfinished();
    journals.streams().into_iter().filter_map(usable).collect()
}

/// Flags, then the environment, then the file.
pub(super) fn settings(args: Args) -> anyhow::Result<ServiceSettings> {
    let file = args.config.or_else(|| environment::variable("OVERDUB_CONFIG").map(PathBuf::from));
    let file = match file {
        Some(path) => from_file(&path)?,
        None => ServiceOptions::default(),
    };
    let flags = ServiceOptions {
        host: args.host,
        port: args.port,
        base_path: args.base_path,
        storage_path: args.storage,
        access: AccessOptions {
            insecure: args.insecure.then_some(true),
            cors_origins: (!args.cors_origin.is_empty()).then_some(OneOrMany::Many(args.cors_origin)),
            token: None,
        },
        ..ServiceOptions::default()
    };
    let environment = from_environment(environment::variable)?;
    Ok(flags.or(environment).or(file).resolve()?)
}

fn from_file(path: &Path) -> anyhow::Result<ServiceOptions> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    ServiceOptions::from_toml(&text).with_context(|| format!("in {shown}"))
}

pub(super) async fn listen(settings: &ServiceSettings) -> anyhow::Result<TcpListener> {
    let (host, port) = (settings.host.as_str(), settings.port);
    let listener = TcpListener::bind((host, port)).await;
    let listener = listener.with_context(|| format!("cannot listen on {host}:{port}"))?;
    let access = &settings.access;
    if !listener.local_addr()?.ip().is_loopback() && access.token.is_none() {
        if !access.insecure {
            let reason = format!(
                "{host} can be reached by other machines, and anyone there could start and stop streams: set \
                 OVERDUB_API_TOKEN, listen on 127.0.0.1, or say --insecure"
            );
            return Err(Invalid::new("host", reason).into());
        }
        tracing::warn!(host, "other machines can reach this service, and it asks nobody who they are");
    }
    if access.token.as_ref().is_some_and(|token| token.reveal().len() < AccessSettings::SHORT_TOKEN) {
        tracing::warn!("OVERDUB_API_TOKEN is short enough to be guessed: 16 characters or more are not");
    }
    Ok(listener)
}

/// How streams are started, and which were running before.
pub(crate) struct Streams {
    pub launch: Box<dyn Launch>,
    /// What they write to.
    pub disk: Disk,
    /// Started first. What is configured to run from the start may be among them.
    pub resumed: Vec<StreamSettings>,
    /// For monitoring.
    pub journals: Option<Journals>,
}

impl From<Launcher> for Streams {
    fn from(launcher: Launcher) -> Self {
        let shared = launcher.shared();
        let (disk, journals) = (shared.disk.clone(), shared.journals.clone());
        Self { launch: Box::new(launcher), resumed: Vec::new(), disk, journals }
    }
}

/// Serves until `stop`, then ends the streams and the server.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: ServiceSettings,
    streams: Streams,
    logs: Lines,
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let limits = ServiceLimits {
        max_memory: settings.limits.max_memory.or_else(machine::memory_for_streams),
        open_files: machine::raise_open_files(),
        ..settings.limits
    };
    let loopback = listener.local_addr()?.ip().is_loopback();
    let access = Access::new(settings.access, &settings.host, loopback);
    let setup = Setup {
        stream_defaults: settings.stream_defaults,
        page: Page::EMBEDDED,
        logs,
        access,
        limits,
        disk: streams.disk,
        base_path: settings.base_path,
        journals: streams.journals,
    };
    if !setup.page.is_built() {
        tracing::info!("this binary was built without the web page: it serves the API only");
    }
    setup.disk.keep_house();
    let control = Control::new(streams.launch, setup, clock);
    let configured = settings.autostart.as_ref().map(|stream| stream.stream_id.clone());
    for stream in streams.resumed.into_iter().filter(|stream| Some(&stream.stream_id) != configured.as_ref())
    {
        let stream_id = stream.stream_id.clone();
        if let Err(error) = control.registry.start(stream).await {
            tracing::error!(%stream_id, %error, "cannot be resumed");
        }
    }
    if let Some(stream) = settings.autostart {
        let stream_id = stream.stream_id.clone();
        control.registry.start(stream).await.with_context(|| format!("cannot start {stream_id}"))?;
    }
    let closing = CancellationToken::new();
    let server = control::serve(listener, Arc::clone(&control), closing.clone());
    let mut server = tokio::spawn(server);
    tokio::select! {
        ended = &mut server => return ended.context("the server ended"),
        () = stop.cancelled() => {}
    }
    // Status and preview stay reachable while the streams end.
    if timeout(DRAIN, control.registry.shut_down()).await.is_err() {
        tracing::warn!(limit = ?DRAIN, "streams did not end in time");
    }
    control.close();
    closing.cancel();
    if timeout(LAST_REQUESTS, &mut server).await.is_err() {
        server.abort();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::{BoxFuture, pending};

    use super::*;
    use crate::config::{Secret, StorageLimits, StreamOptions};
    use crate::control::{Life, Stream};
    use crate::pipeline::Death;
    use crate::preview::Preview;
    use crate::status::StreamStatus;

    /// A stream that does not end.
    struct Stubborn(StreamSettings);

    impl Stream for Stubborn {
        fn settings(&self) -> &StreamSettings {
            &self.0
        }

        fn status(&self) -> StreamStatus {
            StreamStatus::starting(&self.0)
        }

        fn preview(&self) -> Arc<Preview> {
            Arc::default()
        }

        fn is_finished(&self) -> bool {
            false
        }

        fn stop(&self) -> BoxFuture<'static, ()> {
            pending().boxed()
        }
    }

    impl Life for Stubborn {
        fn death(&self) -> Option<Death> {
            None
        }

        fn ended(&self) -> BoxFuture<'static, ()> {
            pending().boxed()
        }
    }

    impl Launch for Stubborn {
        fn launch(&self, settings: StreamSettings) -> Arc<dyn Life> {
            Arc::new(Self(settings))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_do_not_end_hold_the_service_for_a_minute() {
        let options = StreamOptions {
            stream_id: Some("a".to_owned()),
            source_url: Some("http://h/a.m3u8".to_owned()),
            ..StreamOptions::default()
        };
        let stubborn = options.resolve().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let streams = Streams {
            launch: Box::new(Stubborn(stubborn.clone())),
            disk: Disk::new(folder.path(), StorageLimits::default()),
            resumed: vec![stubborn],
            journals: None,
        };
        let options = ServiceOptions { port: Some(0), ..ServiceOptions::default() };
        let settings = options.resolve().unwrap();
        let listener = listen(&settings).await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        let clock = Clock::start();
        serve(listener, settings, streams, Lines::default(), clock, stop).await.unwrap();
        let took = clock.now().since_start();
        assert!((DRAIN..=DRAIN + LAST_REQUESTS).contains(&took), "{took:?}");
    }

    async fn on(host: &str, access: AccessSettings) -> anyhow::Result<TcpListener> {
        let options =
            ServiceOptions { host: Some(host.to_owned()), port: Some(0), ..ServiceOptions::default() };
        listen(&ServiceSettings { access, ..options.resolve()? }).await
    }

    #[tokio::test]
    async fn other_machines_are_let_in_with_a_token_or_on_purpose_only() {
        for host in ["0.0.0.0", "::"] {
            let error = on(host, AccessSettings::default()).await.unwrap_err().to_string();
            assert!(error.starts_with("host: ") && error.contains("OVERDUB_API_TOKEN"), "{error}");
            let token = Some(Secret::new("a token of many characters"));
            on(host, AccessSettings { token, ..AccessSettings::default() }).await.unwrap();
            on(host, AccessSettings { insecure: true, ..AccessSettings::default() }).await.unwrap();
        }
        on("127.0.0.1", AccessSettings::default()).await.unwrap();
        on("localhost", AccessSettings::default()).await.unwrap();
    }
}
