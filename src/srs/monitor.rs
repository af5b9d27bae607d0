//! Asks SRS again and again beside a publisher. Shell.

use std::path::PathBuf;
use std::time::Duration;

use overdub_rtmp::Target;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::api::Name;
use super::client::{Client, Error};
use super::watch::{Phase, Status, Watch};
use crate::clock::Clock;
use crate::config::KickGhost;
use crate::outside::Text;
use crate::tls;

/// How often a stream that is published is asked about: what the status shows is never older.
const CALM: Duration = Duration::from_secs(5);

/// How often while it is not: who is in the way keeps viewers waiting.
const URGENT: Duration = Duration::from_secs(1);

/// An output that has been publishing for this long is the publisher that SRS names: SRS lets a second one of a
/// busy stream begin, and closes only then.
const SETTLED: Duration = Duration::from_secs(3);

/// What to ask, and of whom.
#[derive(Clone)]
pub struct Settings {
    /// SRS's `http_api`, such as `http://127.0.0.1:1985`; with `user:password@` where it asks for them.
    pub api: Url,
    /// The playlist of SRS's HLS of the stream.
    pub hls: Option<Url>,
    /// The address that is published to.
    pub target: Target,
    /// Who may be cut off.
    pub kick: KickGhost,
    pub ca_file: Option<PathBuf>,
}

/// Watches one output until `stop`. `is_connected` tells from what the `output` says of itself; nothing that
/// happens here changes what the publisher does.
pub async fn run<T>(
    settings: Settings,
    clock: Clock,
    mut output: watch::Receiver<T>,
    is_connected: fn(&T) -> bool,
    status: watch::Sender<Option<Status>>,
    stop: CancellationToken,
) {
    let name = Name::of(&settings.target);
    let mut watch = Watch::new(settings.kick);
    let mut client = None;
    let mut connected_at = None;
    loop {
        let connected = is_connected(&output.borrow());
        let now = clock.now();
        connected_at = if connected { connected_at.or(Some(now)) } else { None };
        let phase = match connected_at {
            None => Phase::Away,
            Some(at) if now.saturating_since(at) < SETTLED => Phase::Fresh,
            Some(_) => Phase::Settled,
        };
        let asked = async {
            if client.is_none() {
                client = Some(connect(&settings).await?);
            }
            match &client {
                Some(client) => ask(client, &name, &mut watch, clock, phase).await,
                None => Ok(()),
            }
        };
        let asked: Result<(), Text> = tokio::select! {
            () = stop.cancelled() => return,
            asked = asked => asked,
        };
        if let Err(error) = asked {
            if watch.status().last_error.as_ref() != Some(&error) {
                tracing::warn!(%error, "SRS's HTTP API does not answer");
            }
            watch.unreachable(error);
        }
        status.send_replace(Some(watch.status().clone()));
        let pause = if phase == Phase::Settled { CALM } else { URGENT };
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(pause) => {}
            Ok(_) = output.wait_for(|output| is_connected(output) != connected) => {}
        }
    }
}

async fn connect(settings: &Settings) -> Result<Client, Text> {
    let tls = tls::client_config(settings.ca_file.clone()).await.map_err(|error| Text::of(&error))?;
    let tls = rustls::ClientConfig::clone(&tls);
    Client::new(settings.api.clone(), settings.hls.clone(), tls).map_err(|error| Text::of(&error))
}

/// One round of questions.
async fn ask(
    client: &Client,
    name: &Name,
    watch: &mut Watch,
    clock: Clock,
    phase: Phase,
) -> Result<(), Text> {
    let text = |error: Error| Text::of(&error);
    let stream = client.stream(name).await.map_err(text)?;
    if let Some(ghost) = watch.streams(clock.now(), phase, stream.as_ref()) {
        let known = client.client(&ghost).await.map_err(text)?;
        if let Some(id) = watch.client(clock.now(), known.as_ref()) {
            client.kick(&id).await.map_err(text)?;
            watch.kicked();
            tracing::warn!(client = &*id, "cut off a publisher that was in the way at SRS");
        }
    }
    match client.playlist().await {
        Ok(playlist) => watch.playlist(clock.now(), playlist),
        Err(error) => watch.failed(text(error)),
    }
    Ok(())
}
