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

/// An absolute `rtmp` or `rtmps` address with a host and an application; the rest of the path is the stream key. Kept as
/// it was written: a URL parser would encode braces, backticks and non-ASCII, and servers compare keys byte by byte.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    text: String,
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
        let text = readable(text)?;
        match Target::parse(text) {
            Ok(target) => Ok(Self { text: text.to_owned(), target }),
            Err(InvalidTarget::Scheme) => Err("must be an rtmp:// or rtmps:// address"),
            Err(InvalidTarget::Host) => Err("has no host"),
            Err(InvalidTarget::Port) => Err("has a bad port"),
            Err(InvalidTarget::Character) => Err("must not contain spaces: write them as %20"),
            Err(InvalidTarget::Path | InvalidTarget::Insecure) => {
                Err("must name an application and a stream: rtmp://host/app/stream")
            }
        }
    }

    /// The whole address, stream key included.
    pub fn as_str(&self) -> &str {
        &self.text
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
        f.write_str(&self.target.redacted())
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text without space around it, if it can be an address at all.
fn readable(text: &str) -> Result<&str, &'static str> {
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
    Ok(text.trim())
}

fn absolute(text: &str, schemes: &[&str], wrong_scheme: &'static str) -> Result<Url, &'static str> {
    let url = Url::parse(readable(text)?).map_err(|_| "is not an absolute address")?;
    if !schemes.contains(&url.scheme()) {
        return Err(wrong_scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("has no host");
    }
    Ok(url)
}
