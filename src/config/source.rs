//! How a source is reached, beside its address.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HttpUrl, Invalid};
use crate::policy::Allowed;
use crate::redact;

/// A text that opens a door. Neither `Debug` nor anything else shows it; serialized it is whole, and nothing
/// that is shown may hold one.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be sent and not to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact::HIDDEN)
    }
}

/// How a source and what its playlists name are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceAccess {
    /// Names in lower case, each once.
    pub headers: Vec<(String, Secret)>,
    /// None: Overdub's own.
    pub user_agent: Option<String>,
    pub auth: Option<SourceAuth>,
    pub proxy: SourceProxy,
    /// Where playlists and redirects may lead although the policy says no.
    pub allowed_hosts: Vec<Allowed>,
}

/// Who we are to the source's own origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceAuth {
    Basic { user: String, password: Secret },
    Bearer(Secret),
}

/// What is read of a source, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceChoice {
    /// `highest`, `lowest`, a number from 0 in the order of the playlist, or a NAME, a size (`720p`) or a part of
    /// the address.
    pub variant: Option<String>,
    /// Pixels.
    pub max_height: Option<u64>,
    /// Bits a second.
    pub max_bandwidth: Option<u64>,
    /// RFC 5646.
    pub audio_language: Option<String>,
    /// NAME of an audio rendition.
    pub audio_name: Option<String>,
    /// PID of an audio stream in a transport stream.
    pub audio_pid: Option<u16>,
    /// Milliseconds from the beginning of the first playlist, or, negative, from its end.
    pub start_offset: Option<i64>,
}

impl SourceChoice {
    /// Names of variants and renditions are read by people.
    pub const MAX_TEXT: usize = 256;
    /// Far above any picture or connection: only what is no such number at all is refused.
    pub const HEIGHT_RANGE: (u64, u64) = (1, 65_535);
    pub const BANDWIDTH_RANGE: (u64, u64) = (1, 1_000_000_000_000);
    /// The PIDs that elementary streams may have (ISO/IEC 13818-1 table 2-3).
    pub const PID_RANGE: (u64, u64) = (0x0010, 0x1FFE);
    /// Seconds; no playlist lists more than a week.
    pub const MAX_OFFSET: f64 = 7.0 * 86_400.0;
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceProxy {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    Direct,
    Url(HttpUrl),
}

impl SourceAccess {
    /// More are no header list but a mistake; each is sent with every request.
    pub const MAX_HEADERS: usize = 32;
    /// Servers refuse longer ones (8 KiB for all of them is a usual limit).
    pub const MAX_HEADER_VALUE: usize = 4_096;
    /// An allow list is written by a person.
    pub const MAX_ALLOWED: usize = 64;

    /// What the client says itself; another value would make it misread the answer.
    pub(super) const OURS: [&str; 12] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "upgrade",
        "expect",
        "range",
        "if-none-match",
        "if-modified-since",
        "if-range",
        "accept-encoding",
    ];
}

/// Headers that a user may set: names in lower case and in order, none of which is in `ours`. `field` is the
/// setting's name.
pub(super) fn headers(
    field: &'static str,
    ours: &[&str],
    given: Option<&BTreeMap<String, Secret>>,
) -> Result<Vec<(String, Secret)>, Invalid> {
    let given = given.into_iter().flatten();
    let mut headers: Vec<(String, Secret)> = given
        .map(|(name, value)| Ok((header(field, ours, name, value.reveal())?, value.clone())))
        .collect::<Result<_, Invalid>>()?;
    headers.sort_by(|(a, _), (b, _)| a.cmp(b));
    if headers.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Invalid::new(field, "names the same header twice"));
    }
    if headers.len() > SourceAccess::MAX_HEADERS {
        return Err(Invalid::new(field, "must have at most 32 headers"));
    }
    Ok(headers)
}

fn header(field: &'static str, ours: &[&str], name: &str, value: &str) -> Result<String, Invalid> {
    let Ok(parsed) = http::HeaderName::try_from(name) else {
        return Err(Invalid::new(field, "names a header that is no token of letters, digits and dashes"));
    };
    let name = parsed.as_str();
    if ours.contains(&name) || name.starts_with("proxy-") {
        return Err(Invalid::new(field, format!("{name} is set by Overdub itself")));
    }
    if value.contains('…') {
        return Err(Invalid::new(
            field,
            format!("the value of {name} is hidden as it is shown: give the real one"),
        ));
    }
    if value.len() > SourceAccess::MAX_HEADER_VALUE || http::HeaderValue::try_from(value).is_err() {
        return Err(Invalid::new(field, format!("the value of {name} cannot be sent")));
    }
    Ok(name.to_owned())
}

/// `basic USER:PASSWORD` or `bearer TOKEN`. What is wrong is said without the text.
pub(super) fn auth(text: &Secret) -> Result<SourceAuth, Invalid> {
    let wrong = || Invalid::new("sourceAuth", "must be \"basic USER:PASSWORD\" or \"bearer TOKEN\"");
    let (scheme, rest) = text.reveal().trim().split_once(' ').ok_or_else(wrong)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        // RFC 7617 2: the first colon ends the user.
        let (user, password) = rest.split_once(':').filter(|(user, _)| !user.is_empty()).ok_or_else(wrong)?;
        return Ok(SourceAuth::Basic { user: user.to_owned(), password: Secret::new(password) });
    }
    // RFC 6750 2.1.
    let token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() && rest.chars().all(token) {
        return Ok(SourceAuth::Bearer(Secret::new(rest)));
    }
    Err(wrong())
}

/// A name to choose by.
pub(super) fn name(field: &'static str, text: Option<String>) -> Result<Option<String>, Invalid> {
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() || text.chars().count() > SourceChoice::MAX_TEXT {
        return Err(Invalid::new(field, "must have 1 to 256 characters"));
    }
    Ok(Some(text.to_owned()))
}

/// Seconds to milliseconds.
pub(super) fn start_offset(seconds: f64) -> Result<i64, Invalid> {
    // Not a number lies in no range.
    if !(-SourceChoice::MAX_OFFSET..=SourceChoice::MAX_OFFSET).contains(&seconds) {
        return Err(Invalid::new("startOffset", "must be -604800 to 604800 seconds"));
    }
    Ok((seconds * 1e3).round() as i64)
}

pub(super) fn proxy(text: &str) -> Result<SourceProxy, Invalid> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(SourceProxy::Direct);
    }
    HttpUrl::new(text).map(SourceProxy::Url).map_err(|reason| Invalid::new("sourceProxy", reason))
}

pub(super) fn allowed(texts: &[String]) -> Result<Vec<Allowed>, Invalid> {
    const FIELD: &str = "sourceAllowedHosts";
    if texts.len() > SourceAccess::MAX_ALLOWED {
        return Err(Invalid::new(FIELD, "must have at most 64 entries"));
    }
    let entry =
        |text: &String| text.parse().map_err(|wrong| Invalid::new(FIELD, format!("each entry {wrong}")));
    texts.iter().map(entry).collect()
}
