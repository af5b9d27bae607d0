//! `overdub check`: whether all is there, before going live.

use std::fs;
use std::time::Duration;

use anyhow::bail;
use tokio::net::TcpListener;

use super::{machine, print, serve};
use crate::clock::Clock;
use crate::config::{ServiceSettings, StreamOptions, StreamSettings};
use crate::pipeline::reach;
use crate::storage::Disk;

// Those of `serve` are a group of the same name.
#[derive(clap::Args)]
#[group(id = "check")]
pub(super) struct Args {
    #[command(flatten)]
    serve: serve::Args,
    /// How long each of the others may take to answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
}

/// One line for each thing that was looked at.
struct Findings {
    failures: usize,
}

impl Findings {
    fn add(&mut self, what: &str, found: Result<String, String>) {
        match found {
            Ok(found) => print::line(&format!("ok    {what}: {found}")),
            Err(reason) => {
                self.failures += 1;
                print::line(&format!("FAIL  {what}: {reason}"));
            }
        }
    }
}

/// Exit codes: 0 all is well, 1 something is missing, 2 the configuration is wrong.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let limit = Duration::from_secs(args.timeout.clamp(1, 600));
    let settings = serve::settings(args.serve)?;
    let clock = Clock::start();
    let mut findings = Findings { failures: 0 };
    findings.add("configuration", Ok("every setting can be used".to_owned()));
    findings.add("listen", listen(&settings).await);
    findings.add("storage", storage(&settings));
    findings.add("machine", machine(&settings));
    let (stream, configured) = stream(&settings)?;
    if configured {
        findings.add("source", reach::source(&stream, clock, limit).await);
    } else {
        print::line("skip  source: no sourceUrl is set; streams name theirs when they are started");
    }
    findings.add(
        &format!("processor {}", stream.audio_processor_url),
        reach::processor(&stream, clock, limit).await,
    );
    for url in &stream.srs_rtmp_urls {
        findings.add(&format!("output {url}"), reach::output(&stream, url, clock, limit).await);
    }
    match findings.failures {
        0 => Ok(()),
        count => bail!("{count} of these need attention"),
    }
}

/// The stream that would run, or one made of the defaults; and whether it is configured.
fn stream(settings: &ServiceSettings) -> anyhow::Result<(StreamSettings, bool)> {
    if let Some(stream) = &settings.autostart {
        return Ok((stream.clone(), true));
    }
    let named = StreamOptions {
        stream_id: Some(ServiceSettings::DEFAULT_STREAM_ID.to_owned()),
        source_url: Some("http://localhost/".to_owned()),
        ..StreamOptions::default()
    };
    Ok((named.or(settings.stream_defaults.clone()).resolve()?, false))
}

async fn listen(settings: &ServiceSettings) -> Result<String, String> {
    let (host, port) = (settings.host.as_str(), settings.port);
    match TcpListener::bind((host, port)).await {
        Ok(_) => Ok(format!("{host}:{port} is free")),
        Err(error) => {
            Err(format!("{host}:{port}: {error}; is Overdub running already? Another port: OVERDUB_PORT"))
        }
    }
}

fn storage(settings: &ServiceSettings) -> Result<String, String> {
    let root = &settings.storage_path;
    let shown = root.display();
    let probe = root.join(format!(".check-{}", std::process::id()));
    let written = fs::create_dir_all(root).and_then(|()| fs::write(&probe, b"overdub"));
    let renamed = written.and_then(|()| fs::rename(&probe, probe.with_extension("done")));
    let removed = renamed.and_then(|()| fs::remove_file(probe.with_extension("done")));
    if let Err(error) = removed {
        let _ = fs::remove_file(&probe);
        return Err(format!("{shown}: {error}; make it writable for this user, or set OVERDUB_STORAGE"));
    }
    let least = settings.storage_limits.min_free;
    match Disk::new(root, settings.storage_limits).measure() {
        Some(free) if free < least => Err(format!(
            "{shown}: {} MB free, and {} MB are to stay free (storageMinFree): no artifacts would be written",
            free / 1_000_000,
            least / 1_000_000
        )),
        Some(free) => Ok(format!("{shown} is writable, {:.1} GB free", free as f64 / 1e9)),
        None => Ok(format!("{shown} is writable")),
    }
}

fn machine(settings: &ServiceSettings) -> Result<String, String> {
    let files = machine::raise_open_files();
    if let Some(files) = files.filter(|files| *files < 1_024) {
        return Err(format!(
            "only {files} files may be open; raise it: ulimit -n, or LimitNOFILE= of systemd"
        ));
    }
    let memory = settings.limits.max_memory.or_else(machine::memory_for_streams);
    let memory =
        memory.map_or("any memory".to_owned(), |bytes| format!("{} MB of memory", bytes / 1_000_000));
    Ok(format!(
        "streams may hold {memory}, {} files may be open",
        files.map_or("any".to_owned(), |n| n.to_string())
    ))
}
