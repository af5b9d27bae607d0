//! One layer of a stream's settings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::source::{self, SourceAccess, SourceChoice};
use super::srs;
use super::{
    Artifacts, ConfigurationChange, Fallback, HttpUrl, Invalid, KickGhost, OnGap, ProcessorAuth, Retention,
    RtmpUrl, Secret, Size, Span, StreamSettings,
};
use crate::media::{OutputAudio, StreamId};

/// In an output's address, the name of the stream.
pub(super) const STREAM_ID: &str = "{streamId}";

/// A stream's settings as one layer gives them: the body of `POST /api/pipeline/start`, the flags, the
/// environment, or the `[stream]` table of the file, all under the same names. It has no `Debug`: the
/// addresses are still whole. For the same reason it is serialized only into the journal, which nobody else
/// may read.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamOptions {
    /// The name of the stream, and of its folder in the storage.
    #[schema(value_type = StreamId, required)]
    pub stream_id: Option<String>,
    /// The HLS playlist, media or master, or a film in one MP4 file.
    #[schema(value_type = String, required, pattern = "^https?://", max_length = 4_096, example = "https://example.com/live.m3u8")]
    pub source_url: Option<String>,
    /// At most 32, sent with every request for the source; `authorization` and `cookie` only to its own origin.
    pub source_headers: Option<BTreeMap<String, Secret>>,
    /// What Overdub calls itself to the source.
    #[schema(min_length = 1)]
    pub source_user_agent: Option<String>,
    /// `basic USER:PASSWORD` or `bearer TOKEN`, for the source's own origin.
    pub source_auth: Option<Secret>,
    /// An address, or `none`; the environment's (`HTTPS_PROXY`, ...) otherwise.
    pub source_proxy: Option<String>,
    /// Names, `*.names`, addresses and networks that playlists and redirects may lead to in any case.
    #[schema(max_items = 64)]
    pub source_allowed_hosts: Option<Vec<String>>,
    /// `highest`, `lowest`, a number from 0, a NAME, a size (`720p`) or a part of the address.
    #[schema(min_length = 1, max_length = 256)]
    pub source_variant: Option<String>,
    /// Pixels; variants above it are not considered.
    #[schema(minimum = 1, maximum = 65_535)]
    pub source_max_height: Option<u64>,
    /// Bits per second; variants above it are not considered.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub source_max_bandwidth: Option<u64>,
    /// Of the audio rendition (RFC 5646).
    #[schema(min_length = 1, max_length = 256)]
    pub source_audio_language: Option<String>,
    /// NAME of the audio rendition.
    #[schema(min_length = 1, max_length = 256)]
    pub source_audio_name: Option<String>,
    /// PID of the audio stream, where a transport stream has several.
    #[schema(minimum = 16, maximum = 8_190)]
    pub source_audio_pid: Option<u64>,
    /// Seconds from the beginning of the first playlist, or, negative, from its end.
    #[schema(minimum = -604_800, maximum = 604_800)]
    pub start_offset: Option<f64>,
    /// The Socket.IO server that answers with the new sound; `http://127.0.0.1:5000` by default.
    #[schema(pattern = "^(http|ws)s?://", max_length = 4_096)]
    pub audio_processor_url: Option<String>,
    /// The path of its Engine.IO, which Socket.IO's own clients call `path`; `/socket.io` by default. With it, the path
    /// of `audioProcessorUrl` is the namespace and nothing else.
    #[schema(min_length = 1, max_length = 1_024, example = "/socket.io")]
    pub audio_processor_path: Option<String>,
    /// An object, or a text as `{"token": text}`: the payload of the Socket.IO connect packet.
    pub audio_processor_auth: Option<ProcessorAuth>,
    /// Of the WebSocket handshake, at most 32.
    pub audio_processor_headers: Option<BTreeMap<String, Secret>>,
    /// The outputs, at most eight; `rtmp://127.0.0.1/live/{streamId}` by default. `{streamId}` in an address is
    /// replaced, so that one default serves many streams.
    pub srs_rtmp_url: Option<OneOrMany>,
    /// SRS's HTTP API for all outputs or one for each; `none` leaves one out.
    pub srs_http_api: Option<OneOrMany>,
    /// The playlist of SRS's HLS likewise; `{app}` and `{stream}` are replaced by the output's names.
    pub srs_hls_url: Option<OneOrMany>,
    /// Which publishers at SRS may be cut off when they are in an output's way; `own` by default.
    pub srs_kick_ghost: Option<KickGhost>,
    /// How long an output's server may take to answer `connect` and `publish`: it may ask a hook; 1 to 120 s, 20 s by
    /// default.
    pub publish_timeout: Option<Span>,
    /// A file of certificates in PEM that are trusted beside the built-in and the system's ones.
    #[schema(value_type = Option<String>, min_length = 1)]
    pub ca_file: Option<PathBuf>,
    /// The least length of a batch, 1 to 300 s; 30 s by default.
    pub buffer_duration: Option<Span>,
    /// How long after its capture a batch of full length is played, 1 to 600 s; 12 s by default.
    pub processing_budget: Option<Span>,
    /// What plays where the processor's answer is missing; `original` by default.
    pub fallback: Option<Fallback>,
    /// What is done where the fallback's and the answers' configurations differ; `allow` by default.
    pub configuration_change: Option<ConfigurationChange>,
    /// Which sound the outputs carry; `basic` by default.
    pub output_audio: Option<OutputAudio>,
    /// What plays where the source has nothing; `hold` by default, or `slate` where there is one.
    pub on_gap: Option<OnGap>,
    /// A file where the service runs: the clip that plays there, in MP4 or a transport stream.
    #[schema(value_type = Option<String>, min_length = 1)]
    pub slate: Option<PathBuf>,
    /// Unanswered fragments at the processor at most; 3 by default.
    #[schema(minimum = 1, maximum = 32)]
    pub max_concurrent_batches: Option<usize>,
    /// How many segments before the live end the capture begins; 3 by default.
    #[schema(minimum = 1, maximum = 100)]
    pub live_start_segments: Option<usize>,
    /// What is written to disk beside the path; `all` by default.
    pub artifacts: Option<Artifacts>,
    /// Batches whose artifacts are kept at most; without it, as many as there are.
    pub retain_batches: Option<u64>,
    /// How old artifacts get at most; a day by default.
    pub retain_age: Option<Span>,
    /// How large all artifacts of the stream get at most; 20 GB by default.
    pub retain_bytes: Option<Size>,
    /// Samples that the processor's encoder puts before the sound without saying so; 0 by default.
    #[schema(minimum = 0, maximum = 96_000)]
    pub processor_priming: Option<u32>,
    /// Audio frames of its neighbours that go with each batch, on either side; 0 by default.
    #[schema(minimum = 0, maximum = 47)]
    pub context_frames: Option<usize>,
    /// Bytes of the largest message to the processor; 64 MiB by default, and never more than it takes itself.
    #[schema(minimum = 65_536, maximum = 1_073_741_824)]
    pub processor_max_message: Option<usize>,
}

/// A text or a list of texts.
#[derive(Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn as_slice(&self) -> &[String] {
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
            source_headers: self.source_headers.or(lower.source_headers),
            source_user_agent: self.source_user_agent.or(lower.source_user_agent),
            source_auth: self.source_auth.or(lower.source_auth),
            source_proxy: self.source_proxy.or(lower.source_proxy),
            source_allowed_hosts: self.source_allowed_hosts.or(lower.source_allowed_hosts),
            source_variant: self.source_variant.or(lower.source_variant),
            source_max_height: self.source_max_height.or(lower.source_max_height),
            source_max_bandwidth: self.source_max_bandwidth.or(lower.source_max_bandwidth),
            source_audio_language: self.source_audio_language.or(lower.source_audio_language),
            source_audio_name: self.source_audio_name.or(lower.source_audio_name),
            source_audio_pid: self.source_audio_pid.or(lower.source_audio_pid),
            start_offset: self.start_offset.or(lower.start_offset),
            audio_processor_url: self.audio_processor_url.or(lower.audio_processor_url),
            audio_processor_path: self.audio_processor_path.or(lower.audio_processor_path),
            audio_processor_auth: self.audio_processor_auth.or(lower.audio_processor_auth),
            audio_processor_headers: self.audio_processor_headers.or(lower.audio_processor_headers),
            srs_rtmp_url: self.srs_rtmp_url.or(lower.srs_rtmp_url),
            srs_http_api: self.srs_http_api.or(lower.srs_http_api),
            srs_hls_url: self.srs_hls_url.or(lower.srs_hls_url),
            srs_kick_ghost: self.srs_kick_ghost.or(lower.srs_kick_ghost),
            publish_timeout: self.publish_timeout.or(lower.publish_timeout),
            ca_file: self.ca_file.or(lower.ca_file),
            buffer_duration: self.buffer_duration.or(lower.buffer_duration),
            processing_budget: self.processing_budget.or(lower.processing_budget),
            fallback: self.fallback.or(lower.fallback),
            configuration_change: self.configuration_change.or(lower.configuration_change),
            output_audio: self.output_audio.or(lower.output_audio),
            on_gap: self.on_gap.or(lower.on_gap),
            slate: self.slate.or(lower.slate),
            max_concurrent_batches: self.max_concurrent_batches.or(lower.max_concurrent_batches),
            live_start_segments: self.live_start_segments.or(lower.live_start_segments),
            artifacts: self.artifacts.or(lower.artifacts),
            retain_batches: self.retain_batches.or(lower.retain_batches),
            retain_age: self.retain_age.or(lower.retain_age),
            retain_bytes: self.retain_bytes.or(lower.retain_bytes),
            processor_priming: self.processor_priming.or(lower.processor_priming),
            context_frames: self.context_frames.or(lower.context_frames),
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
        let access = self.source_access()?;
        let on_gap =
            self.on_gap.unwrap_or(if self.slate.is_some() { OnGap::Slate } else { OnGap::default() });
        if on_gap == OnGap::Slate && self.slate.is_none() {
            return Err(Invalid::new("slate", "must name a file where onGap is slate"));
        }
        let choice = self.source_choice()?;
        let processor_access = self.processor_access()?;
        let stream_id = required("streamId", self.stream_id)?;
        let stream_id =
            StreamId::new(&stream_id).map_err(|error| Invalid::new("streamId", error.to_string()))?;
        let source_url = http("sourceUrl", &required("sourceUrl", self.source_url)?)?;
        let processor = self.audio_processor_url.as_deref().unwrap_or(S::DEFAULT_PROCESSOR);
        let (srs_apis, srs_hls) = (self.srs_http_api, self.srs_hls_url);
        let targets = self.srs_rtmp_url.unwrap_or_else(|| OneOrMany::One(S::DEFAULT_RTMP.to_owned()));
        let srs_rtmp_urls = outputs(targets.as_slice(), &stream_id)?;
        Ok(S {
            srs: srs::controls(srs_apis.as_ref(), srs_hls.as_ref(), &srs_rtmp_urls)?,
            srs_rtmp_urls,
            srs_kick_ghost: self.srs_kick_ghost.unwrap_or_default(),
            stream_id,
            source_url,
            source: access,
            choice,
            audio_processor_url: HttpUrl::or_web_socket(processor)
                .map_err(|reason| Invalid::new("audioProcessorUrl", reason))?,
            processor: processor_access,
            publish_timeout: within(
                "publishTimeout",
                self.publish_timeout.unwrap_or(Span(S::DEFAULT_PUBLISH_TIMEOUT)),
                spans(S::PUBLISH_TIMEOUT_RANGE),
            )?
            .0,
            ca_file: file("caFile", self.ca_file)?,
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
            output_audio: self.output_audio.unwrap_or_default(),
            on_gap,
            slate: file("slate", self.slate)?,
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
            retention: Retention {
                batches: self.retain_batches,
                age: Some(self.retain_age.unwrap_or(Span(S::DEFAULT_RETAIN_AGE)).0),
                bytes: Some(self.retain_bytes.unwrap_or(Size(S::DEFAULT_RETAIN_BYTES)).0),
            },
            processor_priming: within(
                "processorPriming",
                self.processor_priming.unwrap_or(0),
                (0, S::MAX_PRIMING),
            )?,
            context_frames: within(
                "contextFrames",
                self.context_frames.unwrap_or(0),
                (0, S::MAX_CONTEXT_FRAMES),
            )?,
            processor_max_message: within(
                "processorMaxMessage",
                self.processor_max_message.unwrap_or(S::DEFAULT_MAX_MESSAGE),
                S::MAX_MESSAGE_RANGE,
            )?,
        })
    }
}

impl StreamOptions {
    fn source_access(&self) -> Result<SourceAccess, Invalid> {
        let headers = source::headers("sourceHeaders", &SourceAccess::OURS, self.source_headers.as_ref())?;
        let auth = self.source_auth.as_ref().map(source::auth).transpose()?;
        if auth.is_some() && headers.iter().any(|(name, _)| name == "authorization") {
            return Err(Invalid::new("sourceAuth", "is given as a header already"));
        }
        if let Some(agent) = &self.source_user_agent
            && (agent.is_empty() || http::HeaderValue::try_from(agent.as_str()).is_err())
        {
            return Err(Invalid::new("sourceUserAgent", "cannot be sent"));
        }
        let proxy = self.source_proxy.as_deref().map(source::proxy).transpose()?.unwrap_or_default();
        let allowed_hosts = source::allowed(self.source_allowed_hosts.as_deref().unwrap_or_default())?;
        Ok(SourceAccess { headers, user_agent: self.source_user_agent.clone(), auth, proxy, allowed_hosts })
    }
}

impl StreamOptions {
    fn source_choice(&self) -> Result<SourceChoice, Invalid> {
        let number =
            |field, value: Option<u64>, range| value.map(|value| within(field, value, range)).transpose();
        Ok(SourceChoice {
            variant: source::name("sourceVariant", self.source_variant.clone())?,
            max_height: number("sourceMaxHeight", self.source_max_height, SourceChoice::HEIGHT_RANGE)?,
            max_bandwidth: number(
                "sourceMaxBandwidth",
                self.source_max_bandwidth,
                SourceChoice::BANDWIDTH_RANGE,
            )?,
            audio_language: source::name("sourceAudioLanguage", self.source_audio_language.clone())?,
            audio_name: source::name("sourceAudioName", self.source_audio_name.clone())?,
            audio_pid: number("sourceAudioPid", self.source_audio_pid, SourceChoice::PID_RANGE)?
                .and_then(|pid| pid.try_into().ok()),
            start_offset: self.start_offset.map(source::start_offset).transpose()?,
        })
    }
}

fn required(field: &'static str, value: Option<String>) -> Result<String, Invalid> {
    value.ok_or(Invalid::new(field, "is required"))
}

fn http(field: &'static str, text: &str) -> Result<HttpUrl, Invalid> {
    HttpUrl::new(text).map_err(|reason| Invalid::new(field, reason))
}

fn file(field: &'static str, path: Option<PathBuf>) -> Result<Option<PathBuf>, Invalid> {
    match path {
        Some(path) if path.as_os_str().is_empty() => Err(Invalid::new(field, "must name a file")),
        path => Ok(path),
    }
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
        let text = text.replace(STREAM_ID, stream_id.as_str());
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

pub(super) fn within<T: PartialOrd + std::fmt::Display>(
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
