//! The environment as a layer.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{AccessOptions, Invalid, OneOrMany, ProcessorAuth, Secret, ServiceOptions, StreamOptions};

/// The settings that the environment gives. `variable` looks a name up. Each setting has a name of its own
/// (`OVERDUB_...`), which goes before the original service's name where that had one. An empty variable
/// counts as unset: compose files and `.env` templates leave them empty.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<ServiceOptions, Invalid> {
    let read = Reader { variable };
    Ok(ServiceOptions {
        host: read.text(&["OVERDUB_HOST"]),
        port: read.parsed(&["OVERDUB_PORT", "PORT"], "must be a port number, 0 to 65535")?,
        base_path: read.text(&["OVERDUB_BASE_PATH"]),
        storage_path: read.text(&["OVERDUB_STORAGE", "STORAGE_BASE_PATH"]).map(Into::into),
        storage_max_bytes: read.parsed(&["OVERDUB_STORAGE_MAX_BYTES"], SIZE)?,
        max_streams: read.parsed(&["OVERDUB_MAX_STREAMS"], NUMBER)?,
        max_memory: read.parsed(&["OVERDUB_MAX_MEMORY"], SIZE)?,
        max_stream_memory: read.parsed(&["OVERDUB_MAX_STREAM_MEMORY"], SIZE)?,
        storage_min_free: read.parsed(&["OVERDUB_STORAGE_MIN_FREE"], SIZE)?,
        access: AccessOptions {
            token: read.text(&["OVERDUB_API_TOKEN"]).map(Secret::new),
            cors_origins: read.text(&["OVERDUB_CORS_ORIGINS"]).map(|text| several(&text)),
            insecure: read.parsed(&["OVERDUB_INSECURE"], "must be true or false")?,
        },
        stream: StreamOptions {
            stream_id: read.text(&["OVERDUB_STREAM_ID", "STREAM_ID"]),
            source_url: read.text(&["OVERDUB_SOURCE_URL", "SOURCE_URL"]),
            source_headers: read.headers("OVERDUB_SOURCE_HEADERS")?,
            source_user_agent: read.text(&["OVERDUB_SOURCE_USER_AGENT"]),
            source_auth: read.text(&["OVERDUB_SOURCE_AUTH"]).map(Secret::new),
            source_proxy: read.text(&["OVERDUB_SOURCE_PROXY"]),
            source_allowed_hosts: read
                .text(&["OVERDUB_SOURCE_ALLOWED_HOSTS"])
                .map(|text| text.split_whitespace().map(str::to_owned).collect()),
            source_variant: read.text(&["OVERDUB_SOURCE_VARIANT"]),
            source_max_height: read.parsed(&["OVERDUB_SOURCE_MAX_HEIGHT"], NUMBER)?,
            source_max_bandwidth: read.parsed(&["OVERDUB_SOURCE_MAX_BANDWIDTH"], NUMBER)?,
            source_audio_language: read.text(&["OVERDUB_SOURCE_AUDIO_LANGUAGE"]),
            source_audio_name: read.text(&["OVERDUB_SOURCE_AUDIO_NAME"]),
            source_audio_pid: read.parsed(&["OVERDUB_SOURCE_AUDIO_PID"], NUMBER)?,
            start_offset: read.parsed(&["OVERDUB_START_OFFSET"], "must be a number of seconds")?,
            audio_processor_url: read.text(&["OVERDUB_AUDIO_PROCESSOR_URL", "AUDIO_PROCESSOR_URL"]),
            audio_processor_path: read.text(&["OVERDUB_AUDIO_PROCESSOR_PATH"]),
            audio_processor_auth: read
                .text(&["OVERDUB_AUDIO_PROCESSOR_AUTH"])
                .map(|text| ProcessorAuth::from_text(&text)),
            audio_processor_headers: read.headers("OVERDUB_AUDIO_PROCESSOR_HEADERS")?,
            srs_rtmp_url: read.text(&["OVERDUB_SRS_RTMP_URL", "SRS_RTMP_URL"]).map(|text| several(&text)),
            srs_http_api: read.text(&["OVERDUB_SRS_HTTP_API"]).map(|text| several(&text)),
            srs_hls_url: read.text(&["OVERDUB_SRS_HLS_URL"]).map(|text| several(&text)),
            srs_kick_ghost: read.choice("OVERDUB_SRS_KICK_GHOST")?,
            publish_timeout: read.parsed(&["OVERDUB_PUBLISH_TIMEOUT"], DURATION)?,
            ca_file: read.text(&["OVERDUB_CA_FILE"]).map(Into::into),
            buffer_duration: read
                .parsed(&["OVERDUB_BUFFER_DURATION", "BUFFER_DURATION_SECONDS"], DURATION)?,
            processing_budget: read.parsed(&["OVERDUB_PROCESSING_BUDGET"], DURATION)?,
            fallback: read.choice("OVERDUB_FALLBACK")?,
            configuration_change: read.choice("OVERDUB_CONFIGURATION_CHANGE")?,
            output_audio: read.choice("OVERDUB_OUTPUT_AUDIO")?,
            on_gap: read.choice("OVERDUB_ON_GAP")?,
            slate: read.text(&["OVERDUB_SLATE"]).map(Into::into),
            max_concurrent_batches: read.parsed(&["OVERDUB_MAX_CONCURRENT_BATCHES"], NUMBER)?,
            live_start_segments: read.parsed(&["OVERDUB_LIVE_START_SEGMENTS"], NUMBER)?,
            artifacts: read.choice("OVERDUB_ARTIFACTS")?,
            retain_batches: read.parsed(&["OVERDUB_RETAIN_BATCHES"], NUMBER)?,
            retain_age: read.parsed(&["OVERDUB_RETAIN_AGE"], DURATION)?,
            retain_bytes: read.parsed(&["OVERDUB_RETAIN_BYTES"], SIZE)?,
            processor_priming: read.parsed(&["OVERDUB_PROCESSOR_PRIMING"], NUMBER)?,
            context_frames: read.parsed(&["OVERDUB_CONTEXT_FRAMES"], NUMBER)?,
            processor_max_message: read.parsed(&["OVERDUB_PROCESSOR_MAX_MESSAGE"], NUMBER)?,
        },
    })
}

const DURATION: &str = "must be a duration: seconds (30, 0.5) or with a unit (100ms, 30s, 2m)";
const SIZE: &str = "must be a size: bytes, or a number with a unit (500MB, 10GB)";
const NUMBER: &str = "must be a whole number";

/// Several addresses stand in one variable with blanks between them: a comma may be part of an address.
fn several(text: &str) -> OneOrMany {
    OneOrMany::Many(text.split_whitespace().map(str::to_owned).collect())
}

struct Reader<F> {
    variable: F,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// The first of `names` that is set, with its value.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| {
            let value = (self.variable)(name)?;
            let value = value.trim();
            (!value.is_empty()).then(|| (*name, value.to_owned()))
        })
    }

    fn text(&self, names: &[&'static str]) -> Option<String> {
        self.first(names).map(|(_, value)| value)
    }

    fn parsed<T: FromStr>(&self, names: &[&'static str], wrong: &'static str) -> Result<Option<T>, Invalid> {
        self.first(names)
            .map(|(name, value)| value.parse().map_err(|_| Invalid::new(name, wrong)))
            .transpose()
    }

    fn headers(&self, name: &'static str) -> Result<Option<BTreeMap<String, Secret>>, Invalid> {
        let wrong = |_| Invalid::new(name, "must be a JSON object of names and texts");
        self.text(&[name]).map(|text| serde_json::from_str(&text).map_err(wrong)).transpose()
    }

    fn choice<T: clap::ValueEnum>(&self, name: &'static str) -> Result<Option<T>, Invalid> {
        self.first(&[name])
            .map(|(name, value)| {
                T::from_str(&value, true).map_err(|_| {
                    let names: Vec<_> = T::value_variants()
                        .iter()
                        .filter_map(|v| Some(v.to_possible_value()?.get_name().to_owned()))
                        .collect();
                    Invalid::new(name, format!("must be one of {}", names.join(", ")))
                })
            })
            .transpose()
    }
}
