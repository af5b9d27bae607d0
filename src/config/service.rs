//! The settings of the service around the streams.

use std::path::PathBuf;

use serde::Deserialize;

use super::options::within;
use super::{
    AccessOptions, AccessSettings, Invalid, ServiceLimits, Size, StorageLimits, StreamOptions, StreamSettings,
};

/// One layer of the service's settings: flags, environment, or the file:
///
/// ```toml
/// port = 3000
/// storagePath = "/var/lib/overdub"
///
/// [access]
/// token = "..."
/// corsOrigins = ["https://tools.example"]
///
/// [stream]
/// audioProcessorUrl = "http://127.0.0.1:5000"
/// bufferDuration = 30
/// ```
#[derive(Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceOptions {
    pub host: Option<String>,
    pub port: Option<u16>,
    /// The path below which a reverse proxy offers the service, where the proxy leaves it in the requests.
    pub base_path: Option<String>,
    pub storage_path: Option<PathBuf>,
    /// What the artifacts of all streams may take together.
    pub storage_max_bytes: Option<Size>,
    /// With less free space the oldest artifacts go, and where none may go, no more are written.
    pub storage_min_free: Option<Size>,
    /// Streams that run at once at most.
    pub max_streams: Option<usize>,
    /// What all streams, and one, may hold in memory, by their bitrates; one that is measured to hold more than
    /// `max_stream_memory` is started again.
    pub max_memory: Option<Size>,
    pub max_stream_memory: Option<Size>,
    /// Who may use the service.
    #[serde(default)]
    pub access: AccessOptions,
    /// Defaults for every stream; with a `sourceUrl`, also the stream to start at once.
    #[serde(default)]
    pub stream: StreamOptions,
}

/// The service's settings, complete and checked.
#[derive(Clone)]
pub struct ServiceSettings {
    /// Address or name to listen on.
    pub host: String,
    pub port: u16,
    /// Empty, or a path without a slash at its end.
    pub base_path: String,
    /// The folder that holds everything the service writes (DESIGN section 7).
    pub storage_path: PathBuf,
    /// What all streams may take of the disk.
    pub storage_limits: StorageLimits,
    /// How many streams are taken on.
    pub limits: ServiceLimits,
    pub access: AccessSettings,
    /// What a start request does not say.
    pub stream_defaults: StreamOptions,
    /// The stream that is configured to run from the start.
    pub autostart: Option<StreamSettings>,
}

impl ServiceSettings {
    /// Only this machine: the API can start streams, so that reaching it from outside is a decision.
    pub const DEFAULT_HOST: &str = "127.0.0.1";
    /// The original service's port.
    pub const DEFAULT_PORT: u16 = 3000;
    /// As long as anything that a person writes into a proxy's configuration.
    pub const MAX_BASE_PATH: usize = 1 << 10;
    /// Below the working directory, as the original service.
    pub const DEFAULT_STORAGE: &str = "storage";
    /// Enough for logs, journals and whoever comes to look.
    pub const DEFAULT_MIN_FREE: u64 = 1_000_000_000;
    /// The name of a configured stream that was given none.
    pub const DEFAULT_STREAM_ID: &str = "stream";
}

/// Without the slash at its end; what is `/` is no path.
fn base_path(given: &str) -> Result<String, Invalid> {
    let path = given.trim_end_matches('/');
    let usual = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
    let plain =
        path.chars().all(usual) && !path.contains("//") && path.len() <= ServiceSettings::MAX_BASE_PATH;
    if plain && (path.is_empty() || path.starts_with('/')) && !path.split('/').any(|part| part == "..") {
        return Ok(path.to_owned());
    }
    Err(Invalid::new("basePath", "must be a path such as /overdub, as the proxy passes it on"))
}

impl ServiceOptions {
    /// Reads the file's layer.
    pub fn from_toml(text: &str) -> Result<Self, Invalid> {
        Invalid::from_toml(text)
    }

    /// This layer, and where it says nothing, `lower`.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            host: self.host.or(lower.host),
            port: self.port.or(lower.port),
            base_path: self.base_path.or(lower.base_path),
            storage_path: self.storage_path.or(lower.storage_path),
            storage_max_bytes: self.storage_max_bytes.or(lower.storage_max_bytes),
            storage_min_free: self.storage_min_free.or(lower.storage_min_free),
            max_streams: self.max_streams.or(lower.max_streams),
            max_memory: self.max_memory.or(lower.max_memory),
            max_stream_memory: self.max_stream_memory.or(lower.max_stream_memory),
            access: self.access.or(lower.access),
            stream: self.stream.or(lower.stream),
        }
    }

    /// Fills in the defaults and checks every value, also those that only later streams will use.
    pub fn resolve(self) -> Result<ServiceSettings, Invalid> {
        type S = ServiceSettings;
        let host = self.host.unwrap_or_else(|| S::DEFAULT_HOST.to_owned());
        if host.is_empty() || host.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/') {
            return Err(Invalid::new("host", "must be an address or a host name"));
        }
        let storage_path = self.storage_path.unwrap_or_else(|| S::DEFAULT_STORAGE.into());
        if storage_path.as_os_str().is_empty() {
            return Err(Invalid::new("storagePath", "must not be empty"));
        }
        let stream_defaults = self.stream.clone().without_identity();
        // A default that is wrong would otherwise be reported to whoever starts the first stream.
        let probe = StreamOptions {
            stream_id: Some(S::DEFAULT_STREAM_ID.to_owned()),
            source_url: Some("http://localhost/".to_owned()),
            ..StreamOptions::default()
        };
        probe.or(stream_defaults.clone()).resolve()?;
        let autostart = match self.stream.source_url {
            Some(_) => {
                let named = StreamOptions {
                    stream_id: Some(S::DEFAULT_STREAM_ID.to_owned()),
                    ..StreamOptions::default()
                };
                Some(self.stream.or(named).resolve()?)
            }
            None => None,
        };
        Ok(ServiceSettings {
            host,
            access: self.access.resolve()?,
            port: self.port.unwrap_or(S::DEFAULT_PORT),
            base_path: base_path(self.base_path.as_deref().unwrap_or_default())?,
            storage_path,
            storage_limits: StorageLimits {
                max_bytes: self.storage_max_bytes.map(|size| size.0),
                min_free: self.storage_min_free.map_or(S::DEFAULT_MIN_FREE, |size| size.0),
            },
            limits: ServiceLimits {
                max_streams: within(
                    "maxStreams",
                    self.max_streams.unwrap_or(ServiceLimits::DEFAULT_STREAMS),
                    ServiceLimits::STREAMS_RANGE,
                )?,
                max_memory: self.max_memory.map(|size| size.0),
                max_stream_memory: Some(
                    self.max_stream_memory.map_or(ServiceLimits::DEFAULT_STREAM_MEMORY, |size| size.0),
                ),
                stream_share: self.max_stream_memory.map(|size| size.0),
                open_files: None,
            },
            stream_defaults,
            autostart,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_a_path_and_ends_without_a_slash() {
        for (given, path) in
            [("", ""), ("/", ""), ("/overdub", "/overdub"), ("/a/b-c/", "/a/b-c"), ("/a%20b", "/a%20b")]
        {
            assert_eq!(base_path(given).unwrap(), path);
        }
        for wrong in ["overdub", "//h/a", "/a//b", "/a/../b", "/a?b", "/a b", "https://h/a", "/a\\b", "/a;b"]
        {
            assert_eq!(base_path(wrong).unwrap_err().field, "basePath", "{wrong}");
        }
    }
}
