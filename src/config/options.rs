//! One layer of a stream's settings.

use std::time::Duration;

use serde::Deserialize;

use super::{Artifacts, ConfigurationChange, Fallback, HttpUrl, Invalid, RtmpUrl, Span, StreamSettings};
use crate::media::StreamId;

/// A stream's settings as one layer gives them: the body of `POST /api/pipeline/start`, the flags, the
/// environment, or the `[stream]` table of the file, all under the same names. It has no `Debug`: the
/// addresses are still whole.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamOptions {
    pub stream_id: Option<String>,
    pub source_url: Option<String>,
    pub audio_processor_url: Option<String>,
    /// `{streamId}` in an address is replaced, so that one default serves many streams.
    pub srs_rtmp_url: Option<OneOrMany>,
    pub buffer_duration: Option<Span>,
    pub processing_budget: Option<Span>,
    pub fallback: Option<Fallback>,
    pub configuration_change: Option<ConfigurationChange>,
    pub max_concurrent_batches: Option<usize>,
    pub live_start_segments: Option<usize>,
    pub artifacts: Option<Artifacts>,
    pub processor_priming: Option<u32>,
    pub processor_max_message: Option<usize>,
}

/// A text or a list of texts.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

impl StreamOptions {
    /// This layer, and where it says nothing, `lower`.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            stream_id: self.stream_id.or(lower.stream_id),
            source_url: self.source_url.or(lower.source_url),
            audio_processor_url: self.audio_processor_url.or(lower.audio_processor_url),
            srs_rtmp_url: self.srs_rtmp_url.or(lower.srs_rtmp_url),
            buffer_duration: self.buffer_duration.or(lower.buffer_duration),
            processing_budget: self.processing_budget.or(lower.processing_budget),
            fallback: self.fallback.or(lower.fallback),
            configuration_change: self.configuration_change.or(lower.configuration_change),
            max_concurrent_batches: self.max_concurrent_batches.or(lower.max_concurrent_batches),
            live_start_segments: self.live_start_segments.or(lower.live_start_segments),
            artifacts: self.artifacts.or(lower.artifacts),
            processor_priming: self.processor_priming.or(lower.processor_priming),
            processor_max_message: self.processor_max_message.or(lower.processor_max_message),
        }
    }

    /// This layer as defaults for streams that a caller names: without what belongs to one stream.
    #[must_use]
    pub fn without_identity(self) -> Self {
        Self { stream_id: None, source_url: None, ..self }
    }

    /// Fills in the defaults and checks every value.
    pub fn resolve(self) -> Result<StreamSettings, Invalid> {
        type S = StreamSettings;
        let stream_id = required("streamId", self.stream_id)?;
        let stream_id =
            StreamId::new(&stream_id).map_err(|error| Invalid::new("streamId", error.to_string()))?;
        let source_url = http("sourceUrl", &required("sourceUrl", self.source_url)?)?;
        let processor = self.audio_processor_url.as_deref().unwrap_or(S::DEFAULT_PROCESSOR);
        let targets = self.srs_rtmp_url.unwrap_or_else(|| OneOrMany::One(S::DEFAULT_RTMP.to_owned()));
        Ok(S {
            srs_rtmp_urls: outputs(targets.as_slice(), &stream_id)?,
            stream_id,
            source_url,
            audio_processor_url: http("audioProcessorUrl", processor)?,
            buffer_duration: within(
                "bufferDuration",
                self.buffer_duration.unwrap_or(Span(S::DEFAULT_BUFFER)),
                spans(S::BUFFER_RANGE),
            )?
            .0,
            processing_budget: within(
                "processingBudget",
                self.processing_budget.unwrap_or(Span(S::DEFAULT_BUDGET)),
                spans(S::BUDGET_RANGE),
            )?
            .0,
            fallback: self.fallback.unwrap_or_default(),
            configuration_change: self.configuration_change.unwrap_or_default(),
            max_concurrent_batches: within(
                "maxConcurrentBatches",
                self.max_concurrent_batches.unwrap_or(S::DEFAULT_CONCURRENT),
                S::CONCURRENT_RANGE,
            )?,
            live_start_segments: within(
                "liveStartSegments",
                self.live_start_segments.unwrap_or(S::DEFAULT_LIVE_START),
                S::LIVE_START_RANGE,
            )?,
            artifacts: self.artifacts.unwrap_or_default(),
            processor_priming: within(
                "processorPriming",
                self.processor_priming.unwrap_or(0),
                (0, S::MAX_PRIMING),
            )?,
            processor_max_message: within(
                "processorMaxMessage",
                self.processor_max_message.unwrap_or(S::DEFAULT_MAX_MESSAGE),
                S::MAX_MESSAGE_RANGE,
            )?,
        })
    }
}

fn required(field: &'static str, value: Option<String>) -> Result<String, Invalid> {
    value.ok_or(Invalid::new(field, "is required"))
}

fn http(field: &'static str, text: &str) -> Result<HttpUrl, Invalid> {
    HttpUrl::new(text).map_err(|reason| Invalid::new(field, reason))
}

fn outputs(texts: &[String], stream_id: &StreamId) -> Result<Vec<RtmpUrl>, Invalid> {
    const FIELD: &str = "srsRtmpUrl";
    if texts.is_empty() {
        return Err(Invalid::new(FIELD, "must name at least one address"));
    }
    if texts.len() > StreamSettings::MAX_OUTPUTS {
        return Err(Invalid::new(FIELD, "must name at most 8 addresses"));
    }
    let mut urls = Vec::with_capacity(texts.len());
    for text in texts {
        let text = text.replace("{streamId}", stream_id.as_str());
        let url = RtmpUrl::new(&text).map_err(|reason| Invalid::new(FIELD, reason))?;
        if urls.contains(&url) {
            return Err(Invalid::new(FIELD, "names the same address twice"));
        }
        urls.push(url);
    }
    Ok(urls)
}

fn spans((least, most): (Duration, Duration)) -> (Span, Span) {
    (Span(least), Span(most))
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    (least, most): (T, T),
) -> Result<T, Invalid> {
    if (&least..=&most).contains(&&value) {
        Ok(value)
    } else {
        Err(Invalid::new(field, format!("must be {least} to {most}, not {value}")))
    }
}
