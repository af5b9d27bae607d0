//! HTTP: one resource, bounded in time and size, from where the policy lets us. No retries here.

mod body;
mod cookies;
mod data;
mod resolve;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::time::timeout;
use url::{Host, Url};

pub use resolve::{Answer as ResolverAnswer, Resolved, Resolver, System as SystemResolver};

use super::playlist::ByteRange;
use super::{Error, Proxy, Settings, Timeouts, boxes};
use crate::memory::{Held, Meter};
use crate::outside::{self, ShownUrl, Text};
use crate::policy::{Policy, Reach};
use cookies::Cookies;
pub(super) use data::base64;
use resolve::{Gate, Names};

/// More hops are a loop; a load balancer, a CDN and a token service make three.
const MAX_REDIRECTS: usize = 8;

/// Idle connections are kept for longer than any usual target duration, so that a live source is read over
/// one connection.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// A playlist, a segment and a key at once, and one that was left half read.
const POOL_PER_HOST: usize = 4;

/// A connection whose other end vanished without a word is found before the next segment is due.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Reads what one source and its playlists name.
pub(super) struct Http {
    /// One for each distance of what names an address, the nearest first: each lets through only what is no
    /// nearer, and keeps its own connections, so that none is reused by somebody who could not have opened it.
    clients: [Client; 4],
    names: Arc<Names>,
    policy: Arc<Policy>,
    proxies: Matcher,
    timeouts: Timeouts,
    source: Url,
    /// Headers that open a door: for the source's own origin only.
    secrets: HeaderMap,
    cookies: Cookies,
    /// How far away the source's own host has been: it may not come nearer while we run (rebinding).
    source_reach: AtomicU8,
    meter: Meter,
}

/// What is asked for.
pub(super) struct Request<'a> {
    pub(super) url: &'a Url,
    /// How far away who named `url` is; the user is nearest.
    pub(super) from: Reach,
    pub(super) span: Span,
    /// A larger body is refused.
    pub(super) limit: usize,
    /// For all of it, redirects included.
    pub(super) total: Duration,
    /// Of the body that is there already: [`Answer::Unchanged`] when it still holds.
    pub(super) known: Option<&'a Validators>,
    /// Whether caches on the way are to ask the origin (RFC 9111 5.2.1.4).
    pub(super) fresh: bool,
    /// Whether a body that begins as an MP4 file is left unread: [`Answer::Film`].
    pub(super) stops_at_film: bool,
}

impl<'a> Request<'a> {
    /// All of a resource, of any size, in any time.
    pub(super) fn new(url: &'a Url, from: Reach) -> Self {
        let (limit, total) = (usize::MAX, Duration::MAX);
        Self { url, from, span: Span::All, limit, total, known: None, fresh: false, stops_at_film: false }
    }
}

/// What is wanted of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    All,
    /// These bytes; anything else is an error.
    Exactly(ByteRange),
    /// These, or as many as there are; or all of it, from a server that does not answer ranges.
    UpTo(ByteRange),
}

impl Span {
    fn range(self) -> Option<ByteRange> {
        match self {
            Self::All => None,
            Self::Exactly(range) | Self::UpTo(range) => Some(range),
        }
    }
}

pub(super) enum Answer {
    Body(Box<Body>),
    Unchanged,
    /// An MP4 file, and how far away the host asked first is.
    Film {
        first: Reach,
    },
}

/// A body, whole or the part that was asked for.
#[derive(Debug)]
pub(super) struct Body {
    /// Where it came from in the end, after redirects: relative addresses resolve against it.
    pub(super) url: Url,
    pub(super) bytes: Bytes,
    /// What `bytes` take while they are here.
    pub(super) held: Held,
    /// How far away the host asked first is.
    pub(super) first: Reach,
    /// How far away what the body names may be at least: its farthest host, and who named it.
    pub(super) reach: Reach,
    pub(super) validators: Validators,
    /// Of [`Span::UpTo`], where the server answered it; none: this is the whole resource.
    pub(super) part: Option<Part>,
}

/// What a server says of a part (RFC 9110 14.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Bytes of the whole resource.
    pub(super) total: Option<u64>,
}

/// What a server calls this version of a resource (RFC 9110 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let get = |name| headers.get(name).cloned();
        Self { etag: get(header::ETAG), last_modified: get(header::LAST_MODIFIED) }
    }

    /// RFC 9110 13.1: a server that knows the tag ignores the date.
    fn ask(&self, headers: &mut HeaderMap) {
        if let Some(etag) = &self.etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        if let Some(date) = &self.last_modified {
            headers.insert(header::IF_MODIFIED_SINCE, date.clone());
        }
    }
}

impl Http {
    pub(super) async fn new(settings: &Settings) -> Result<Self, Error> {
        let (common, secrets) = headers(settings)?;
        let proxies = match &settings.proxy {
            Proxy::Environment => Matcher::from_system(),
            Proxy::Direct => Matcher::builder().build(),
            Proxy::Url(url) => Matcher::builder().all(url.as_str()).build(),
        };
        let proxy_hosts: Arc<[String]> = ["http://source.invalid/", "https://source.invalid/"]
            .into_iter()
            .filter_map(|uri| Some(proxies.intercept(&http::Uri::from_static(uri))?.uri().host()?.to_owned()))
            .collect();
        let names = Arc::new(Names::new(settings.resolver.clone()));
        let policy = Arc::new(settings.policy.clone());
        let tls = tls(settings.ca_file.clone()).await?;
        let build = |from| {
            let gate =
                Gate { from, names: names.clone(), policy: policy.clone(), proxies: proxy_hosts.clone() };
            let builder = Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(settings.user_agent.as_str())
                .default_headers(common.clone())
                .connect_timeout(settings.timeouts.connect)
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(POOL_PER_HOST)
                .tcp_keepalive(KEEP_ALIVE)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .http2_keep_alive_timeout(settings.timeouts.idle)
                .dns_resolver(Arc::new(gate))
                // Each hop is checked, so the hops are taken here.
                .redirect(redirect::Policy::none());
            let builder = match &settings.proxy {
                Proxy::Environment => builder,
                Proxy::Direct => builder.no_proxy(),
                Proxy::Url(url) => builder.proxy(reqwest::Proxy::all(url.clone())?),
            };
            builder.build()
        };
        let [a, b, c, d] = Reach::ALL.map(build);
        let clients = (|| Ok([a?, b?, c?, d?]))()
            .map_err(|error: reqwest::Error| Error::Client { reason: root_cause(&error) })?;
        Ok(Self {
            clients,
            names,
            policy,
            proxies,
            timeouts: settings.timeouts,
            source: settings.url.clone(),
            secrets,
            cookies: Cookies::default(),
            source_reach: AtomicU8::new(0),
            meter: settings.meter.clone(),
        })
    }

    /// How far away the host of the source's own address was when it was asked.
    pub(super) fn source_reach(&self) -> Reach {
        Reach::ALL
            .get(usize::from(self.source_reach.load(Ordering::Relaxed)))
            .copied()
            .unwrap_or(Reach::Public)
    }

    /// It was asked, and was `reach` away. Returns how far it has been at most.
    pub(super) fn note_source(&self, reach: Reach) -> Reach {
        self.source_reach.fetch_max(reach as u8, Ordering::Relaxed);
        self.source_reach()
    }

    /// Fetches what a media playlist names that is `from` away, or `range` of it: at most `limit` bytes,
    /// within `total`.
    pub(super) async fn get(
        &self,
        url: &Url,
        from: Reach,
        range: Option<ByteRange>,
        limit: usize,
        total: Duration,
    ) -> Result<Body, Error> {
        let span = range.map_or(Span::All, Span::Exactly);
        match self.fetch(Request { span, limit, total, ..Request::new(url, from) }).await? {
            Answer::Body(body) => Ok(*body),
            // Nothing was known, so nothing can be unchanged.
            Answer::Unchanged | Answer::Film { .. } => {
                Err(Error::Status { url: ShownUrl::url(url.as_str()), status: 304 })
            }
        }
    }

    pub(super) async fn fetch(&self, request: Request<'_>) -> Result<Answer, Error> {
        let (url, total) = (request.url, request.total);
        let late =
            |_| Error::Timeout { url: ShownUrl::url(url.as_str()), what: "complete answer", after: total };
        timeout(total, self.fetch_untimed(&request)).await.map_err(late)?
    }

    async fn fetch_untimed(&self, request: &Request<'_>) -> Result<Answer, Error> {
        // Only what a playlist lists; a redirect to such an address is refused with the other schemes.
        if request.url.scheme() == "data" {
            return written_out(request, self.meter.part());
        }
        let mut url = request.url.clone();
        let (mut reach, mut first) = (request.from, None);
        for _ in 0..=MAX_REDIRECTS {
            let shown = ShownUrl::url(url.as_str());
            self.check(&url, reach, &shown)?;
            let mut response = self.send(&url, reach, request, &shown).await?;
            let host = self.reach(&url);
            first.get_or_insert(host);
            reach = reach.max(host);
            self.cookies.keep(&url, response.headers());
            let status = response.status();
            if let Some(next) = redirected(&url, &response) {
                url = next;
                continue;
            }
            if status == StatusCode::NOT_MODIFIED && request.known.is_some() {
                return Ok(Answer::Unchanged);
            }
            let behind_the_end =
                status == StatusCode::RANGE_NOT_SATISFIABLE && matches!(request.span, Span::UpTo(_));
            if !status.is_success() && !behind_the_end {
                return Err(Error::Status { url: shown, status: status.as_u16() });
            }
            let mut reading =
                body::Reading::new(&mut response, &shown, request.limit, &self.timeouts, self.meter.part());
            if request.stops_at_film && boxes::begin_file(reading.head().await?) {
                return Ok(Answer::Film { first: first.unwrap_or(Reach::Public) });
            }
            let (mut bytes, mut held) = reading.rest().await?;
            let content_range =
                response.headers().get(header::CONTENT_RANGE).and_then(|part| part.to_str().ok());
            let is_part = status == StatusCode::PARTIAL_CONTENT;
            let mut part = None;
            match request.span {
                Span::All => {}
                Span::Exactly(range) if is_part => {
                    body::check_part(&bytes, range, content_range, true, &shown)?;
                }
                Span::Exactly(range) => {
                    bytes = body::cut(&bytes, range, &shown)?;
                    held.set(bytes.len() as u64);
                }
                Span::UpTo(range) if is_part => {
                    body::check_part(&bytes, range, content_range, false, &shown)?;
                    part = Some(Part { total: body::total(content_range) });
                }
                Span::UpTo(_) if behind_the_end => {
                    bytes = Bytes::new();
                    part = Some(Part { total: body::total(content_range) });
                }
                Span::UpTo(_) => {}
            }
            let validators = Validators::of(response.headers());
            // User and password are given to the source's origin by rule, not by inheritance.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            let first = first.unwrap_or(Reach::Public);
            return Ok(Answer::Body(Box::new(Body { url, bytes, held, first, reach, validators, part })));
        }
        let url = ShownUrl::url(request.url.as_str());
        Err(Error::Unreachable { url, reason: "too many redirects".into() })
    }

    /// What can be said before a name is resolved; names are judged by the [`Gate`] of the client.
    fn check(&self, url: &Url, from: Reach, shown: &ShownUrl) -> Result<(), Error> {
        outside::check_address(url.as_str())
            .map_err(|source| Error::TooLong { url: shown.to_owned(), source })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Scheme { url: shown.to_owned() });
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            // RFC 6761 6.3: also where a proxy would resolve it.
            Some(Host::Domain(name)) if is_localhost(name) && !self.policy.allows_name(name) => {
                std::net::Ipv4Addr::LOCALHOST.into()
            }
            _ => return Ok(()),
        };
        let forbidden = |source| Error::Forbidden { url: shown.to_owned(), source };
        self.policy.check(from, address).map(|_| ()).map_err(forbidden)
    }

    /// How far away the host of `url` is, once it was asked. Through a proxy only addresses tell.
    fn reach(&self, url: &Url) -> Reach {
        let by_address = |address| Reach::of(address).unwrap_or(Reach::Public);
        match url.host() {
            Some(Host::Ipv4(address)) => by_address(address.into()),
            Some(Host::Ipv6(address)) => by_address(address.into()),
            Some(Host::Domain(name)) if !self.is_proxied(url) => {
                self.names.reach(&name.trim_end_matches('.').to_ascii_lowercase())
            }
            _ => Reach::Public,
        }
    }

    fn is_proxied(&self, url: &Url) -> bool {
        // What cannot be asked about cannot be vouched for.
        url.as_str().parse::<http::Uri>().map_or(true, |uri| self.proxies.intercept(&uri).is_some())
    }

    async fn send(
        &self,
        url: &Url,
        from: Reach,
        request: &Request<'_>,
        shown: &ShownUrl,
    ) -> Result<Response, Error> {
        let mut url = url.clone();
        let mut headers = HeaderMap::new();
        let own = url.origin() == self.source.origin();
        if own {
            headers.extend(self.secrets.clone());
            // User and password of the source hold for what its playlists list beside it.
            let bare = url.username().is_empty() && url.password().is_none();
            if bare && !headers.contains_key(header::AUTHORIZATION) {
                let _ = url.set_username(self.source.username());
                let _ = url.set_password(self.source.password());
            }
        }
        if let Some(cookies) = self.cookies.header(&url, headers.get(header::COOKIE)) {
            headers.insert(header::COOKIE, cookies);
        }
        if let Some(range) = request.span.range() {
            let last = range.offset.saturating_add(range.length).saturating_sub(1);
            if let Ok(value) = HeaderValue::try_from(format!("bytes={}-{last}", range.offset)) {
                headers.insert(header::RANGE, value);
            }
        }
        if let Some(known) = request.known {
            known.ask(&mut headers);
        }
        if request.fresh {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let after = self.timeouts.connect + self.timeouts.first_byte;
        let late = Error::Timeout { url: shown.to_owned(), what: "answer", after };
        let [machine, link, private, public] = &self.clients;
        let client = match from {
            Reach::Machine => machine,
            Reach::Link => link,
            Reach::Private => private,
            Reach::Public => public,
        };
        match timeout(after, client.get(url).headers(headers).send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(match resolve::refusal(&error) {
                Some(source) => Error::Forbidden { url: shown.to_owned(), source },
                None if error.is_timeout() => late,
                None => Error::Unreachable { url: shown.to_owned(), reason: root_cause(&error) },
            }),
            Err(_) => Err(late),
        }
    }
}

/// What is in the address itself.
fn written_out(request: &Request<'_>, mut held: Held) -> Result<Answer, Error> {
    let (url, from) = (request.url.clone(), request.from);
    let shown = ShownUrl::url(url.as_str());
    outside::check_address(url.as_str()).map_err(|source| Error::TooLong { url: shown.clone(), source })?;
    let mut bytes: Bytes =
        data::bytes(&url).ok_or_else(|| Error::Address { playlist: shown.clone() })?.into();
    if bytes.len() > request.limit {
        return Err(Error::TooLarge { url: shown, limit: request.limit });
    }
    if let Span::Exactly(range) = request.span {
        bytes = body::cut(&bytes, range, &shown)?;
    }
    let validators = Validators::default();
    held.set(bytes.len() as u64);
    Ok(Answer::Body(Box::new(Body { url, bytes, held, first: from, reach: from, validators, part: None })))
}

/// The user's headers: those for every host, and those for the source's own origin.
fn headers(settings: &Settings) -> Result<(HeaderMap, HeaderMap), Error> {
    let client_error = |reason: String| Error::Client { reason: reason.into() };
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
    Ok((common, secrets))
}

/// Where an answer sends us on to (RFC 9110 15.4).
fn redirected(url: &Url, response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?;
    url.join(std::str::from_utf8(location.as_bytes()).ok()?).ok()
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// TLS that offers HTTP/2, and trusts the certificates of `ca_file` beside the usual ones.
pub(crate) async fn tls(ca_file: Option<PathBuf>) -> Result<rustls::ClientConfig, Error> {
    let config = crate::tls::client_config(ca_file)
        .await
        .map_err(|error| Error::Client { reason: Text::of(&error) })?;
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The innermost cause: the outer ones repeat the URL, query included.
fn root_cause(error: &reqwest::Error) -> Text {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(cause, error as &dyn std::error::Error) {
        return Text::new("request failed");
    }
    Text::of(cause)
}
