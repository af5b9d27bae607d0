//! `overdub run`: one stream in the foreground.

use std::path::PathBuf;

use crate::config::{
    Artifacts, Fallback, OnGap, OneOrMany, ServiceOptions, ServiceSettings, Span, StreamOptions,
    StreamSettings, from_environment,
};

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
    /// What happens when nothing is there to be played [default: hold]
    #[arg(long, value_enum)]
    on_gap: Option<OnGap>,
    /// The folder for everything that is written [default: storage]
    #[arg(long, value_name = "DIR")]
    storage: Option<PathBuf>,
    /// What is written [default: all]
    #[arg(long, value_enum)]
    artifacts: Option<Artifacts>,
    /// Progress as one JSON object a line.
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The stream, and the folder that it writes to.
    pub(super) fn settings(&self) -> anyhow::Result<(StreamSettings, PathBuf)> {
        let flags = StreamOptions {
            source_url: Some(self.source_url.clone()),
            srs_rtmp_url: Some(OneOrMany::Many(self.rtmp_url.clone())),
            audio_processor_url: self.processor.clone(),
            stream_id: self.stream_id.clone(),
            buffer_duration: self.buffer_duration,
            processing_budget: self.processing_budget,
            fallback: self.fallback,
            on_gap: self.on_gap,
            artifacts: self.artifacts,
            ..StreamOptions::default()
        };
        let flags =
            ServiceOptions { storage_path: self.storage.clone(), stream: flags, ..ServiceOptions::default() };
        let environment = from_environment(|name| std::env::var(name).ok())?;
        let settings = flags.or(environment).resolve()?;
        let ServiceSettings { autostart, storage_path, .. } = settings;
        // The flags name a source, so that there is a stream to start.
        let stream = autostart.ok_or_else(|| anyhow::anyhow!("no source"))?;
        Ok((stream, storage_path))
    }
}
