//! HTTP requests to SRS, bounded in time and size. Shell.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, StatusCode};
use url::Url;

use super::api;
use crate::outside::{self, AddressTooLong, ShownUrl, Text};

/// SRS answers within milliseconds, on the next machine too; what takes longer says nothing about now.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Streams that are asked for: SRS lists ten unless told otherwise. Each takes about 600 bytes.
const STREAMS: &str = "1000";

/// Longest answer that is read: a thousand streams with room to spare.
const MAX_ANSWER: usize = 1 << 20;

/// SRS could not be asked. Texts hold no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot ask {url}: {reason}")]
    Http { url: ShownUrl, reason: Text },
    #[error("{url} answered {status}")]
    Status { url: ShownUrl, status: StatusCode },
    #[error("{url} answered more than {MAX_ANSWER} bytes")]
    TooLong { url: ShownUrl },
    #[error("{url} leads elsewhere: {source}")]
    Address { url: ShownUrl, source: AddressTooLong },
    #[error("{url}: {source}")]
    Api { url: ShownUrl, source: api::Error },
}

/// Asks one SRS.
pub(super) struct Client {
    http: reqwest::Client,
    api: Url,
    hls: Option<Url>,
}

impl Client {
    /// `api` is SRS's `http_api`, as `http://host:1985`; `hls` the address of the output's playlist. The addresses
    /// are the operator's own, so that no proxy stands between and no redirect is followed.
    pub(super) fn new(api: Url, hls: Option<Url>, tls: rustls::ClientConfig) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(crate::USER_AGENT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| Error::Http { url: shown(&api), reason: Text::of(&error) })?;
        Ok(Self { http, api, hls })
    }

    /// The output's stream; `None` when SRS does not know it.
    pub(super) async fn stream(&self, name: &api::Name) -> Result<Option<api::Stream>, Error> {
        // Without the slash SRS redirects.
        let mut url = self.endpoint("api/v1/streams/");
        url.query_pairs_mut().append_pair("count", STREAMS);
        let body = self.ask(Method::GET, &url).await?;
        api::stream(&body, name).map_err(|source| Self::wrong(&url, source))
    }

    /// The client with SRS's number `id`; `None` when it has gone.
    pub(super) async fn client(&self, id: &str) -> Result<Option<api::Client>, Error> {
        let url = self.client_url(id);
        let body = self.ask(Method::GET, &url).await?;
        api::client(&body).map_err(|source| Self::wrong(&url, source))
    }

    /// Cuts the client off.
    pub(super) async fn kick(&self, id: &str) -> Result<(), Error> {
        let url = self.client_url(id);
        let body = self.ask(Method::DELETE, &url).await?;
        api::deleted(&body).map_err(|source| Self::wrong(&url, source))
    }

    /// Sequence and number of segments of the output's HLS playlist; `None` when there is none.
    pub(super) async fn playlist(&self) -> Result<Option<(u64, usize)>, Error> {
        let Some(url) = &self.hls else { return Ok(None) };
        match self.read_playlist(url).await? {
            Some(api::Playlist::Media { segments, sequence }) => Ok(Some((sequence, segments))),
            Some(api::Playlist::Elsewhere(address)) => match url.join(checked(url, &address)?) {
                // On the same server only: it is SRS's own second address.
                Ok(next) if next.origin() == url.origin() => match self.read_playlist(&next).await? {
                    Some(api::Playlist::Media { segments, sequence }) => Ok(Some((sequence, segments))),
                    _ => Ok(None),
                },
                _ => Ok(None),
            },
            None => Ok(None),
        }
    }

    async fn read_playlist(&self, url: &Url) -> Result<Option<api::Playlist>, Error> {
        match self.ask(Method::GET, url).await {
            Ok(body) => Ok(api::playlist(&body)),
            Err(Error::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.api.clone();
        url.set_query(None);
        url.set_path(&format!("{}/{path}", self.api.path().trim_end_matches('/')));
        url
    }

    fn client_url(&self, id: &str) -> Url {
        let mut url = self.endpoint("api/v1/clients/");
        // As one component, whatever is in it: the number is SRS's word.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(id);
        }
        url
    }

    async fn ask(&self, method: Method, url: &Url) -> Result<Bytes, Error> {
        let shown = || shown(url);
        let broken = |error: reqwest::Error| Error::Http { url: shown(), reason: cause(&error) };
        let mut response = self.http.request(method, url.clone()).send().await.map_err(broken)?;
        // SRS says what it cannot do with its own code in a body, and with status 200.
        let status = response.status();
        if !status.is_success() {
            return Err(Error::Status { url: shown(), status });
        }
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(broken)? {
            if body.len() + part.len() > MAX_ANSWER {
                return Err(Error::TooLong { url: shown() });
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }

    fn wrong(url: &Url, source: api::Error) -> Error {
        Error::Api { url: shown(url), source }
    }
}

/// An address that is followed is whole.
fn checked<'a>(url: &Url, address: &'a str) -> Result<&'a str, Error> {
    outside::check_address(address).map_err(|source| Error::Address { url: shown(url), source })?;
    Ok(address)
}

/// Without password and query, and without what may be a stream key: a playlist has its name.
fn shown(url: &Url) -> ShownUrl {
    if url.path().ends_with(".m3u8") { ShownUrl::rtmp(url.as_str()) } else { ShownUrl::url(url.as_str()) }
}

/// The innermost cause: the outer ones repeat the address, and its password with it.
fn cause(error: &reqwest::Error) -> Text {
    if error.is_timeout() {
        return format!("no answer within {TIMEOUT:?}").into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(cause, error as &dyn std::error::Error) {
        "request failed".into()
    } else {
        Text::of(cause)
    }
}
