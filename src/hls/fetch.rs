//! HTTP: one request, bounded in time and size. No retries here.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::time::timeout;
use url::Url;

use super::playlist::ByteRange;
use super::{Error, Settings, Timeouts};
use crate::redact;

/// More hops are a loop; a load balancer, a CDN and a token service make three.
const MAX_REDIRECTS: usize = 8;

/// At most this much is allocated on the word of a Content-Length; the rest grows with what arrives.
const MAX_RESERVED_BYTES: u64 = 1 << 20;

/// Idle connections are kept for longer than any usual target duration, so that a live source is read over
/// one connection.
const POOL_IDLE: Duration = Duration::from_secs(30);

pub(super) struct Http {
    client: Client,
    timeouts: Timeouts,
    source: Url,
    /// Headers that open a door: for the source's own origin only.
    secrets: HeaderMap,
}

/// A whole body.
#[derive(Debug)]
pub(super) struct Body {
    /// Where it came from in the end, after redirects: relative addresses resolve against it.
    pub(super) url: Url,
    pub(super) bytes: Bytes,
}

impl Http {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let client_error = |reason: String| Error::Client { reason };
        let (mut common, mut secrets) = (HeaderMap::new(), HeaderMap::new());
        for (name, value) in &settings.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| client_error(format!("{name:?} is not a header name")))?;
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|_| client_error(format!("the value of header {name} cannot be sent")))?;
            if matches!(name, header::AUTHORIZATION | header::COOKIE) {
                value.set_sensitive(true);
                secrets.append(name, value);
            } else {
                common.append(name, value);
            }
        }
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .user_agent(settings.user_agent.as_str())
            .default_headers(common)
            .connect_timeout(settings.timeouts.connect)
            .pool_idle_timeout(POOL_IDLE)
            .redirect(redirect::Policy::limited(MAX_REDIRECTS))
            .build()
            .map_err(|error| client_error(root_cause(&error)))?;
        Ok(Self { client, timeouts: settings.timeouts, source: settings.url.clone(), secrets })
    }

    /// Fetches `url`, or `range` of it: at most `limit` bytes, within `total`.
    pub(super) async fn get(
        &self,
        url: &Url,
        range: Option<ByteRange>,
        limit: usize,
        total: Duration,
    ) -> Result<Body, Error> {
        let late =
            |_| Error::Timeout { url: redact::url(url.as_str()), what: "complete answer", after: total };
        timeout(total, self.get_untimed(url, range, limit)).await.map_err(late)?
    }

    async fn get_untimed(&self, url: &Url, range: Option<ByteRange>, limit: usize) -> Result<Body, Error> {
        let shown = redact::url(url.as_str());
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Scheme { url: shown });
        }
        let mut response = self.send(url, range, &shown).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(Error::Status { url: shown, status: status.as_u16() });
        }
        let final_url = response.url().clone();
        let mut bytes = self.body(&mut response, &shown, limit).await?;
        if let Some(range) = range
            && status != StatusCode::PARTIAL_CONTENT
        {
            bytes = cut(&bytes, range, &shown)?;
        }
        Ok(Body { url: final_url, bytes })
    }

    async fn send(&self, url: &Url, range: Option<ByteRange>, shown: &str) -> Result<Response, Error> {
        let mut url = url.clone();
        let mut request_headers = HeaderMap::new();
        if url.origin() == self.source.origin() {
            // User and password of the source hold for what its playlists list beside it.
            if url.username().is_empty() && url.password().is_none() {
                let _ = url.set_username(self.source.username());
                let _ = url.set_password(self.source.password());
            }
            request_headers.extend(self.secrets.clone());
        }
        if let Some(range) = range {
            let last = range.offset.saturating_add(range.length).saturating_sub(1);
            if let Ok(value) = HeaderValue::try_from(format!("bytes={}-{last}", range.offset)) {
                request_headers.insert(header::RANGE, value);
            }
        }
        let after = self.timeouts.connect + self.timeouts.first_byte;
        let late = Error::Timeout { url: shown.to_owned(), what: "answer", after };
        match timeout(after, self.client.get(url).headers(request_headers).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_timeout() => Err(late),
            Ok(Err(error)) => Err(Error::Unreachable { url: shown.to_owned(), reason: root_cause(&error) }),
            Err(_) => Err(late),
        }
    }

    async fn body(&self, response: &mut Response, shown: &str, limit: usize) -> Result<Bytes, Error> {
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(Error::TooLarge { url: shown.to_owned(), limit });
        }
        let reserve = announced.min(MAX_RESERVED_BYTES);
        let mut bytes = BytesMut::with_capacity(usize::try_from(reserve).unwrap_or(0));
        loop {
            let late =
                |_| Error::Timeout { url: shown.to_owned(), what: "further byte", after: self.timeouts.idle };
            match timeout(self.timeouts.idle, response.chunk()).await.map_err(late)? {
                Ok(Some(chunk)) if bytes.len().saturating_add(chunk.len()) > limit => {
                    return Err(Error::TooLarge { url: shown.to_owned(), limit });
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes.freeze()),
                Err(error) => {
                    return Err(Error::Truncated {
                        url: shown.to_owned(),
                        received: bytes.len(),
                        reason: root_cause(&error),
                    });
                }
            }
        }
    }
}

/// The part of a whole body that `range` names, from a server that ignores ranges.
fn cut(bytes: &Bytes, range: ByteRange, shown: &str) -> Result<Bytes, Error> {
    let bounds = usize::try_from(range.offset).ok().zip(usize::try_from(range.length).ok());
    let part = bounds.and_then(|(offset, length)| {
        let end = offset.checked_add(length).filter(|end| *end <= bytes.len())?;
        Some(bytes.slice(offset..end))
    });
    part.ok_or_else(|| Error::Truncated {
        url: shown.to_owned(),
        received: bytes.len(),
        reason: "the byte range lies outside of the body".to_owned(),
    })
}

/// Mozilla's roots, and the machine's own where it has any: a company's own authority is there. The platform
/// verifier of reqwest refuses to start on a machine that has none.
pub(crate) fn tls() -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Client { reason: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The innermost cause: the outer ones repeat the URL, query included.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(cause, error as &dyn std::error::Error) {
        return if error.is_redirect() {
            "too many redirects".to_owned()
        } else {
            "request failed".to_owned()
        };
    }
    cause.to_string()
}
