//! Addresses that were checked once and whose secrets do not leak through `Debug` or `Display`.

use std::fmt;

use overdub_rtmp::{InvalidTarget, Target};
use url::Url;

use crate::redact;

/// Longest address that is taken: beyond it some servers and proxies refuse it anyway.
const MAX_URL: usize = 4_096;

/// An absolute `http` or `https` address with a host.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

/// An absolute `rtmp` or `rtmps` address with a host, an application and a stream name.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    url: Url,
    target: Target,
}

impl HttpUrl {
    /// The reason is one line without the address in it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let url = absolute(text, &["http", "https"], "must be an http:// or https:// address")?;
        Ok(Self(url))
    }

    /// The same, or `ws` or `wss`: of a server that is spoken to over WebSocket.
    pub fn or_web_socket(text: &str) -> Result<Self, &'static str> {
        let schemes = ["http", "https", "ws", "wss"];
        Ok(Self(absolute(text, &schemes, "must be an http://, https://, ws:// or wss:// address")?))
    }

    /// The whole address, secrets included.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The whole address, secrets included.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl RtmpUrl {
    /// The reason is one line without the address in it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let url = absolute(text, &["rtmp", "rtmps"], "must be an rtmp:// or rtmps:// address")?;
        match Target::parse(url.as_str()) {
            Ok(target) => Ok(Self { url, target }),
            Err(InvalidTarget::UserInfo) => Err("must not hold a user and a password"),
            Err(_) => Err("must name an application and a stream: rtmp://host/app/stream"),
        }
    }

    /// The whole address, stream key included.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// What a publisher reads out of it.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact::url(self.0.as_str()))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact::rtmp_url(self.url.as_str()))
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn absolute(text: &str, schemes: &[&str], wrong_scheme: &'static str) -> Result<Url, &'static str> {
    if text.len() > MAX_URL {
        return Err("is longer than 4096 bytes");
    }
    // The parser drops them silently, so that what is used would not be what was given.
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    if text.contains(redact::HIDDEN) {
        return Err("is shortened as it is shown: give the whole address");
    }
    let url = Url::parse(text.trim()).map_err(|_| "is not an absolute address")?;
    if !schemes.contains(&url.scheme()) {
        return Err(wrong_scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host");
    }
    Ok(url)
}
