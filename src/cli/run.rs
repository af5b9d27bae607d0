//! `overdub run`: one stream in the foreground.

use std::path::PathBuf;
use std::sync::Arc;

use super::progress::Progress;
use super::{environment, signals};
use crate::clock::Clock;
use crate::config::{
    Artifacts, ConfigurationChange, Fallback, KickGhost, OnGap, OneOrMany, ProcessorAuth, Secret,
    ServiceOptions, ServiceSettings, Span, StreamOptions, StreamSettings, from_environment,
};
use crate::heavy::Shares;
use crate::media::OutputAudio;
use crate::pipeline::{self, End};
use crate::status::{Phase, StreamStatus};
use crate::storage::Disk;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The playlist.
    source_url: String,
    /// Where the output goes; several get the same.
    #[arg(required = true)]
    rtmp_url: Vec<String>,
    /// The audio processor [default: http://127.0.0.1:5000]
    #[arg(long, value_name = "URL")]
    processor: Option<String>,
    /// The Engine.IO path of the processor, "path" in Socket.IO's own clients [default: /socket.io]
    #[arg(long, value_name = "PATH")]
    processor_path: Option<String>,
    /// Credentials for the processor: a token, or a JSON object; better in OVERDUB_AUDIO_PROCESSOR_AUTH.
    #[arg(long, value_name = "AUTH", value_parser = |text: &str| Ok::<_, String>(ProcessorAuth::from_text(text)))]
    processor_auth: Option<ProcessorAuth>,
    /// A header for every connection to the processor: "Name: value". May be repeated.
    #[arg(long, value_name = "HEADER", value_parser = header)]
    processor_header: Vec<(String, Secret)>,
    /// Samples at the start of each answer that its encoder added without saying so [default: 0]
    #[arg(long, value_name = "SAMPLES")]
    processor_priming: Option<u32>,
    /// Send each batch with so many audio frames of its neighbours on either side [default: 0]
    #[arg(long, value_name = "FRAMES")]
    context_frames: Option<usize>,
    /// The name of the stream, in paths and towards the processor [default: stream]
    #[arg(long, value_name = "ID")]
    stream_id: Option<String>,
    /// The least length of a batch [default: 30]
    #[arg(long, value_name = "TIME")]
    buffer_duration: Option<Span>,
    /// How long the processor may take for the longest batch [default: 12]
    #[arg(long, value_name = "TIME")]
    processing_budget: Option<Span>,
    /// What plays where the processor's answer is missing [default: original]
    #[arg(long, value_enum)]
    fallback: Option<Fallback>,
    /// What is done where processed and original audio have different configurations [default: allow]
    #[arg(long, value_enum)]
    configuration_change: Option<ConfigurationChange>,
    /// Which sound the outputs carry: AAC and MP3, or, by Enhanced RTMP, Opus, AC-3 and E-AC-3 too [default: basic]
    #[arg(long, value_enum)]
    output_audio: Option<OutputAudio>,
    /// What plays where the source has nothing [default: hold, or slate with --slate]
    #[arg(long, value_enum)]
    on_gap: Option<OnGap>,
    /// The clip that plays there: an MP4 file or a transport stream with the codecs of the stream.
    #[arg(long, value_name = "FILE")]
    slate: Option<PathBuf>,
    /// The folder for everything that is written [default: storage]
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// SRS's HTTP API, for all outputs or, repeated, for each; "none" leaves one out.
    #[arg(long, value_name = "URL")]
    srs_http_api: Vec<String>,
    /// The playlist of SRS's HLS likewise [default: http://HOST:8080/{app}/{stream}.m3u8]
    #[arg(long, value_name = "URL")]
    srs_hls_url: Vec<String>,
    /// Which publishers at SRS may be cut off when they are in the way [default: own]
    #[arg(long, value_enum)]
    srs_kick_ghost: Option<KickGhost>,
    /// How long an output's server may take to answer publish [default: 20]
    #[arg(long, value_name = "TIME")]
    publish_timeout: Option<Span>,
    /// Certificates in PEM that TLS trusts beside the built-in and the system's ones.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A header for every request of the source: "Name: value". May be repeated.
    #[arg(long, value_name = "HEADER", value_parser = header)]
    source_header: Vec<(String, Secret)>,
    /// "basic USER:PASSWORD" or "bearer TOKEN", for the source's own origin; better in OVERDUB_SOURCE_AUTH.
    #[arg(long, value_name = "AUTH", value_parser = |text: &str| Ok::<_, String>(Secret::new(text)))]
    source_auth: Option<Secret>,
    /// A proxy for the source, or "none" [default: as HTTPS_PROXY and the like say]
    #[arg(long, value_name = "URL")]
    source_proxy: Option<String>,
    /// A host, address or network that the source's playlists may lead to in any case. May be repeated.
    #[arg(long, value_name = "HOST")]
    source_allowed_host: Vec<String>,
    /// The variant of a master playlist: "highest", "lowest", a number from 0, a name, a size (720p) or a part of
    /// its address [default: highest]
    #[arg(long, value_name = "VARIANT")]
    source_variant: Option<String>,
    /// Pictures higher than this are taken only where there are no others.
    #[arg(long, value_name = "PIXELS")]
    source_max_height: Option<u64>,
    /// Variants above this rate are taken only where there are no others.
    #[arg(long, value_name = "BITS_PER_SECOND")]
    source_max_bandwidth: Option<u64>,
    /// The language of the sound, where the source has several: en, pt-BR, ...
    #[arg(long, value_name = "LANGUAGE")]
    source_audio_language: Option<String>,
    /// The name of the audio rendition; goes before the language.
    #[arg(long, value_name = "NAME")]
    source_audio_name: Option<String>,
    /// The PID of the audio stream, where a transport stream has several; goes before the language.
    #[arg(long, value_name = "PID")]
    source_audio_pid: Option<u64>,
    /// Where to begin: seconds from the beginning of the playlist, or, negative, from its end.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    start_offset: Option<f64>,
    /// What is written [default: all]
    #[arg(long, value_enum)]
    artifacts: Option<Artifacts>,
    /// Progress as one JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The stream, and the disk that it writes to.
    pub(super) fn settings(&self) -> anyhow::Result<(StreamSettings, Disk)> {
        let flags = StreamOptions {
            source_url: Some(self.source_url.clone()),
            srs_rtmp_url: Some(OneOrMany::Many(self.rtmp_url.clone())),
            srs_http_api: given(&self.srs_http_api).map(OneOrMany::Many),
            srs_hls_url: given(&self.srs_hls_url).map(OneOrMany::Many),
            srs_kick_ghost: self.srs_kick_ghost,
            publish_timeout: self.publish_timeout,
            ca_file: self.ca_file.clone(),
            audio_processor_url: self.processor.clone(),
            audio_processor_path: self.processor_path.clone(),
            audio_processor_auth: self.processor_auth.clone(),
            audio_processor_headers: given(&self.processor_header)
                .map(|headers| headers.into_iter().collect()),
            processor_priming: self.processor_priming,
            context_frames: self.context_frames,
            stream_id: self.stream_id.clone(),
            buffer_duration: self.buffer_duration,
            processing_budget: self.processing_budget,
            fallback: self.fallback,
            on_gap: self.on_gap,
            slate: self.slate.clone(),
            configuration_change: self.configuration_change,
            output_audio: self.output_audio,
            artifacts: self.artifacts,
            source_headers: given(&self.source_header).map(|headers| headers.into_iter().collect()),
            source_auth: self.source_auth.clone(),
            source_proxy: self.source_proxy.clone(),
            source_allowed_hosts: given(&self.source_allowed_host),
            source_variant: self.source_variant.clone(),
            source_max_height: self.source_max_height,
            source_max_bandwidth: self.source_max_bandwidth,
            source_audio_language: self.source_audio_language.clone(),
            source_audio_name: self.source_audio_name.clone(),
            source_audio_pid: self.source_audio_pid,
            start_offset: self.start_offset,
            ..StreamOptions::default()
        };
        let flags =
            ServiceOptions { storage_path: self.storage.clone(), stream: flags, ..ServiceOptions::default() };
        let environment = from_environment(environment::variable)?;
        let settings = flags.or(environment).resolve()?;
        let ServiceSettings { autostart, storage_path, storage_limits, .. } = settings;
        // The flags name a source, so that there is a stream to start.
        let stream = autostart.ok_or_else(|| anyhow::anyhow!("no source"))?;
        Ok((stream, Disk::new(storage_path, storage_limits)))
    }
}

/// A list that a lower layer may fill when no flag did.
fn given<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn header(text: &str) -> Result<(String, Secret), &'static str> {
    let (name, value) = text.split_once(':').ok_or("must be \"Name: value\"")?;
    Ok((name.trim().to_owned(), Secret::new(value.trim())))
}

/// Runs the stream until its source ends, it fails, or a signal ends it.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (settings, disk) = args.settings()?;
    disk.keep_house();
    let clock = Clock::start();
    let stop = signals::stop_on_signal()?;
    let shared = Arc::new(pipeline::Shared {
        clock,
        disk,
        journals: None,
        persistent: false,
        shares: Shares::default(),
    });
    let stream = pipeline::spawn(settings, None, &shared);
    let mut progress = Progress::new(args.json);
    let end = loop {
        tokio::select! {
            end = stream.finished() => break end,
            () = stop.cancelled() => break stream.stop().await,
            () = clock.sleep(progress.interval()) => {}
        }
        let status = stream.status();
        progress.show(&summary(&status), &status)?;
    };
    let status = stream.status();
    progress.finish(&summary(&status), &status)?;
    match end {
        End::Finished => Ok(()),
        End::Failed(error) | End::Died(error) => Err(anyhow::anyhow!(error)),
        End::Exceeded(excess) => Err(excess.into()),
    }
}

/// One line: how far it is, what it carries, and what is wrong.
fn summary(status: &StreamStatus) -> String {
    let stats = &status.stats;
    let phase = match status.phase {
        Phase::Idle => "ended",
        Phase::Fetching => "fetching",
        Phase::Processing => "processing",
        Phase::Publishing => "publishing",
        Phase::Error => "error",
    };
    let mut line = format!(
        "{phase} | batches {} ({} processed, {} fallback) | {:.1} s published | {:.2} Mbit/s | lateness {:.0} ms (max {:.0})",
        stats.batches_captured,
        stats.batches_processed,
        stats.batches_fallback,
        stats.published_seconds,
        stats.bitrate / 1e6,
        stats.lateness_ms,
        stats.max_lateness_ms,
    );
    if let Some(lag) = stats.lag_seconds {
        line += &format!(" | {lag:.1} s behind the source");
    }
    if let Some(error) = &status.last_error {
        line += &format!(" | {error}");
    }
    line
}
