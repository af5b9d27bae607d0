//! The answers of SRS's HTTP API (`/api/v1/`), and the HLS playlists that it writes. Pure.
//!
//! Fields are those of SRS 5 to 7; what is missing or of another type is taken for unknown, not for an error.

use overdub_rtmp::Target;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::outside;

/// An answer that is not SRS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the answer is not that of SRS's HTTP API")]
    NotSrs,
    /// SRS's own error number (`srs_kernel_error.hpp`); 2049 is an unknown client.
    #[error("SRS answered with error {0}")]
    Code(i64),
}

/// The stream of an output, by the names that SRS gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    app: String,
    stream: String,
    /// Virtual hosts that it may be in, the likeliest first: `?vhost=`, the host of the address, the default.
    vhosts: Vec<String>,
}

impl Name {
    pub(super) fn of(target: &Target) -> Self {
        let named = target.vhost().filter(|vhost| *vhost != DEFAULT_VHOST);
        Self {
            app: target.app_name().to_owned(),
            stream: target.stream_name().to_owned(),
            vhosts: named.into_iter().chain([&*target.host, ""]).map(str::to_owned).collect(),
        }
    }
}

/// Not part of a stream's URL there.
const DEFAULT_VHOST: &str = "__defaultVhost__";

/// One stream of `/api/v1/streams/`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) app: String,
    /// `[vhost]/app/name`, without the default virtual host.
    pub(super) url: String,
    /// Publisher and players.
    pub(super) clients: u64,
    /// Brought up to date every few seconds.
    pub(super) recv_bytes: u64,
    pub(super) kbps: Rates,
    pub(super) publish: Publish,
    pub(super) video: Option<Codec>,
    pub(super) audio: Option<Codec>,
}

/// Kilobits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Rates {
    pub(super) recv_30s: f64,
    pub(super) send_30s: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Publish {
    pub(super) active: bool,
    /// The publisher's client; stays when it has gone.
    pub(super) cid: outside::Name,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Codec {
    pub(super) codec: outside::Name,
}

/// `/api/v1/clients/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Client {
    pub(super) ip: outside::Name,
    /// Seconds since it connected.
    pub(super) alive: f64,
}

/// The wanted stream among those of `/api/v1/streams/`; `None` when SRS does not know it.
pub(super) fn stream(body: &[u8], name: &Name) -> Result<Option<Stream>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        streams: Vec<Stream>,
    }
    let Answer { streams } = answer(body)?;
    let rank = |stream: &Stream| {
        let vhost = stream.url.strip_suffix(&format!("/{}/{}", name.app, name.stream))?;
        name.vhosts.iter().position(|wanted| wanted == vhost)
    };
    Ok(streams
        .into_iter()
        .filter_map(|stream| Some((rank(&stream)?, stream)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, stream)| stream))
}

/// The client of `/api/v1/clients/{id}`; `None` when it has gone.
pub(super) fn client(body: &[u8]) -> Result<Option<Client>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        client: Client,
    }
    match answer(body) {
        Ok(Answer { client }) => Ok(Some(client)),
        Err(Error::Code(UNKNOWN_CLIENT)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `ERROR_RTMP_CLIENT_NOT_FOUND`.
const UNKNOWN_CLIENT: i64 = 2049;

/// Whether a DELETE was obeyed; a client that has gone by itself counts.
pub(super) fn deleted(body: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Answer {}
    match answer::<Answer>(body) {
        Ok(_) | Err(Error::Code(UNKNOWN_CLIENT)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn answer<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    match serde_json::from_slice(body) {
        Ok(Code { code: 0 }) => serde_json::from_slice(body).map_err(|_| Error::NotSrs),
        Ok(Code { code }) => Err(Error::Code(code)),
        Err(_) => Err(Error::NotSrs),
    }
}

/// A playlist of SRS's HLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Playlist {
    /// With `hls_ctx` on, SRS first sends every player to an address of its own.
    Elsewhere(String),
    Media {
        segments: usize,
        sequence: u64,
    },
}

/// Reads it; `None` when it is none.
pub(super) fn playlist(body: &[u8]) -> Option<Playlist> {
    let text = std::str::from_utf8(body).ok()?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some("#EXTM3U") {
        return None;
    }
    let (mut segments, mut sequence, mut master) = (0, 0, false);
    for line in lines {
        match line {
            _ if line.starts_with("#EXTINF:") => segments += 1,
            _ if line.starts_with("#EXT-X-STREAM-INF:") => master = true,
            _ if master && !line.starts_with('#') => return Some(Playlist::Elsewhere(line.to_owned())),
            _ => {
                let number = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:").and_then(|n| n.parse().ok());
                sequence = number.unwrap_or(sequence);
            }
        }
    }
    Some(Playlist::Media { segments, sequence })
}
