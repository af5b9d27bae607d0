//! Where to publish: `rtmp://[user:password@]host[:port]/app[/instance]/key[?query]`.

use std::fmt;

use percent_encoding::percent_decode_str;

/// The transport below RTMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain TCP, port 1935 unless given.
    Rtmp,
    /// TLS, port 443 unless given.
    Rtmps,
}

/// User and password of an address, for servers that challenge publishers.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Hides the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", self.user)
    }
}

/// A parsed publishing address.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub scheme: Scheme,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// What `connect` names: the path up to the stream key, with the query that stands within it
    /// (SRS's `live?vhost=x`).
    pub app: String,
    /// What `publish` names: the stream key with its own query (tokens, `?vhost=`). Empty for an address with a
    /// single path component.
    pub key: String,
    /// User and password of the address, percent-decoded.
    pub credentials: Option<Credentials>,
    /// `host[:port]` as it was written.
    authority: String,
}

/// The text is no publishing address. It is not repeated here: it may hold a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error("address does not begin with rtmp:// or rtmps://")]
    Scheme,
    #[error("address has no host")]
    Host,
    #[error("address has a bad port")]
    Port,
    #[error("address needs an application and a stream key: rtmp://host/app/key")]
    Path,
    #[error("address has a control character or a space")]
    Character,
    /// A redirect from `rtmps` to `rtmp` would send the key unencrypted.
    #[error("address leads from rtmps to rtmp")]
    Insecure,
}

impl Target {
    /// Parses an address. Nothing but user and password is decoded: application and key are sent as written.
    ///
    /// The key is what follows the last slash of the path, or the first double slash, for keys that contain slashes
    /// (`rtmp://host/live//ab/cd`). A query belongs to the key: Bilibili's keys consist of nothing else
    /// (`rtmp://host/live-bvc/?streamname=x&key=y`). Behind a single component it belongs to the application, and
    /// the key may follow it (`rtmp://host/live?vhost=x/key`). A single component alone is the application, with an
    /// empty key, as MediaMTX documents its addresses (`rtmp://host/mystream`).
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let (scheme, rest) = split_scheme(text)?.ok_or(InvalidTarget::Scheme)?;
        let (authority, path) = rest.split_once('/').ok_or(InvalidTarget::Path)?;
        let (app, key) = split_path(path);
        if app.trim_matches('/').is_empty() {
            return Err(InvalidTarget::Path);
        }
        Self::at(scheme, authority, app, key)
    }

    /// The same stream where `reference` says: a tcUrl as servers send it in redirects, absolute or relative (RFC
    /// 3986 4.2). The key stays, and so do user and password unless the new address brings its own.
    pub fn moved(&self, reference: &str) -> Result<Self, InvalidTarget> {
        let (scheme, rest) = match split_scheme(reference)? {
            Some(absolute) => absolute,
            None => match reference.strip_prefix("//") {
                Some(rest) => (self.scheme, rest),
                None => return Ok(Self { app: self.app_of(&self.resolve(reference)), ..self.clone() }),
            },
        };
        if (self.scheme, scheme) == (Scheme::Rtmps, Scheme::Rtmp) {
            return Err(InvalidTarget::Insecure);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let moved = Self::at(scheme, authority, self.app_of(path), self.key.clone())?;
        Ok(Self { credentials: moved.credentials.or_else(|| self.credentials.clone()), ..moved })
    }

    /// The path of a relative reference without a host.
    fn resolve(&self, reference: &str) -> String {
        if reference.is_empty() {
            return self.app.clone();
        }
        if let Some(path) = reference.strip_prefix('/') {
            return path.to_owned();
        }
        if reference.starts_with('?') {
            return format!("{}{reference}", self.app_name());
        }
        match self.app_name().rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{reference}"),
            None => reference.to_owned(),
        }
    }

    /// The application of a redirect's path. Some servers append the key to their tcUrl.
    fn app_of(&self, path: &str) -> String {
        let path = path.trim_matches('/');
        let without_key = [&*self.key, self.stream_name()]
            .into_iter()
            .filter(|key| !key.is_empty())
            .find_map(|key| path.strip_suffix(key)?.strip_suffix('/'));
        match without_key.unwrap_or(path) {
            "" => self.app.clone(),
            app => app.to_owned(),
        }
    }

    fn at(scheme: Scheme, authority: &str, app: String, key: String) -> Result<Self, InvalidTarget> {
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((user_info, authority)) => {
                let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
                let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
                (Some(Credentials { user: decoded(user), password: decoded(password) }), authority)
            }
            None => (None, authority),
        };
        let (host, port) = split_authority(authority, scheme)?;
        Ok(Self { scheme, host, port, app, key, credentials, authority: authority.to_owned() })
    }

    /// The application as servers name it: without its query.
    pub fn app_name(&self) -> &str {
        plain(&self.app)
    }

    /// The stream as servers name it: without its query. It is half of the secret.
    pub fn stream_name(&self) -> &str {
        plain(&self.key)
    }

    /// The virtual host that the address asks for: the parameter `vhost` of stream or application, as SRS reads it.
    pub fn vhost(&self) -> Option<&str> {
        fn query(text: &str) -> &str {
            text.split_once('?').map(|(_, query)| query).unwrap_or_default()
        }
        [query(&self.key), query(&self.app)]
            .into_iter()
            .find_map(|query| query.split('&').find_map(|pair| pair.strip_prefix("vhost=")))
            .filter(|vhost| !vhost.is_empty())
    }

    /// What `connect` sends as tcUrl: the address without the key.
    pub fn tc_url(&self) -> String {
        format!("{}{}/{}", self.scheme.prefix(), self.authority, self.app)
    }

    /// The address as it may be shown: without user, password and queries, and with the stream key cut to its first
    /// characters. What was shortened already stays as it is. Of an address with one component that one is the key.
    pub fn redacted(&self) -> String {
        let (app, key) = match self.stream_name() {
            "" if self.key.is_empty() => ("", self.app_name()),
            name => (self.app_name(), name),
        };
        let slash = if app.is_empty() { "" } else { "/" };
        let head: String = key.trim_end_matches(HIDDEN).chars().take(SHOWN).collect();
        format!("{}{}/{app}{slash}{head}{HIDDEN}", self.scheme.prefix(), self.authority)
    }
}

/// Characters of a stream key that are shown: enough to tell two outputs apart.
const SHOWN: usize = 2;

/// What stands for the rest of it.
const HIDDEN: char = '…';

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp://",
            Self::Rtmps => "rtmps://",
        }
    }
}

/// Without queries and stream key, which may be secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// The scheme of an absolute address and what follows it; `None` for a relative reference.
fn split_scheme(text: &str) -> Result<Option<(Scheme, &str)>, InvalidTarget> {
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(InvalidTarget::Character);
    }
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtmp") => Ok(Some((Scheme::Rtmp, rest))),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtmps") => Ok(Some((Scheme::Rtmps, rest))),
        // A URL inside the query of a relative reference.
        Some((scheme, _)) if scheme.contains(['/', '?']) => Ok(None),
        Some(_) => Err(InvalidTarget::Scheme),
        None => Ok(None),
    }
}

/// Application and key of a path without its first slash.
fn split_path(path: &str) -> (String, String) {
    let (plain, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    if let Some((app, name)) = plain.split_once("//").filter(|(app, _)| !app.is_empty()) {
        return (app.to_owned(), format!("{name}{query}"));
    }
    // Without a query, a slash at the end is a slip.
    let plain = if query.is_empty() { plain.trim_end_matches('/') } else { plain };
    if let Some((app, name)) = plain.rsplit_once('/') {
        return (app.to_owned(), format!("{name}{query}"));
    }
    match query.rsplit_once('/') {
        Some((query, key)) => (format!("{plain}{query}"), key.to_owned()),
        None => (format!("{plain}{query}"), String::new()),
    }
}

fn plain(text: &str) -> &str {
    text.split('?').next().unwrap_or_default()
}

fn split_authority(authority: &str, scheme: Scheme) -> Result<(String, u16), InvalidTarget> {
    let default = match scheme {
        Scheme::Rtmp => 1935,
        Scheme::Rtmps => 443,
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, port) = v6.split_once(']').ok_or(InvalidTarget::Host)?;
            (
                host,
                if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(InvalidTarget::Port)?) },
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(['?', '#', '\\']) {
        return Err(InvalidTarget::Host);
    }
    let port = match port {
        Some(text) => text.parse().ok().filter(|&port| port != 0).ok_or(InvalidTarget::Port)?,
        None => default,
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn applications_instances_and_queries_go_where_servers_look_for_them() {
        for (text, host, port, app, key, tc_url) in [
            ("rtmp://h/live/k", "h", 1935, "live", "k", "rtmp://h/live"),
            ("rtmp://h:19350/live/k?token=a/b", "h", 19350, "live", "k?token=a/b", "rtmp://h:19350/live"),
            ("rtmp://h/live/inst/k", "h", 1935, "live/inst", "k", "rtmp://h/live/inst"),
            ("rtmp://h/live/k/", "h", 1935, "live", "k", "rtmp://h/live"),
            ("rtmp://h/live?vhost=x/key", "h", 1935, "live?vhost=x", "key", "rtmp://h/live?vhost=x"),
            ("RTMPS://[::1]/live/k?vhost=x", "::1", 443, "live", "k?vhost=x", "rtmps://[::1]/live"),
            ("rtmp://[::1]:1936/a/k", "::1", 1936, "a", "k", "rtmp://[::1]:1936/a"),
            // Bilibili.
            (
                "rtmp://h/live-bvc/?streamname=x&key=y",
                "h",
                1935,
                "live-bvc",
                "?streamname=x&key=y",
                "rtmp://h/live-bvc",
            ),
            ("rtmp://h/a/b/?k=c/d//e", "h", 1935, "a/b", "?k=c/d//e", "rtmp://h/a/b"),
            // MediaMTX.
            ("rtmp://h/mystream", "h", 1935, "mystream", "", "rtmp://h/mystream"),
            ("rtmp://h/mystream/", "h", 1935, "mystream", "", "rtmp://h/mystream"),
            (
                "rtmp://h/mystream?user=u&pass=p",
                "h",
                1935,
                "mystream?user=u&pass=p",
                "",
                "rtmp://h/mystream?user=u&pass=p",
            ),
            // A double slash where the key begins, which may have slashes.
            ("rtmp://h/live//ab/cd", "h", 1935, "live", "ab/cd", "rtmp://h/live"),
            (
                "rtmp://h/live/inst//ab/cd?e=f//g",
                "h",
                1935,
                "live/inst",
                "ab/cd?e=f//g",
                "rtmp://h/live/inst",
            ),
            ("rtmp://h/live//k", "h", 1935, "live", "k", "rtmp://h/live"),
            // As written.
            ("rtmp://h/live/k{1}`中文%7B", "h", 1935, "live", "k{1}`中文%7B", "rtmp://h/live"),
            ("rtmp://h/live/k|^<>\"#x", "h", 1935, "live", "k|^<>\"#x", "rtmp://h/live"),
            ("rtmp://u:p@h:1936/live/k", "h", 1936, "live", "k", "rtmp://h:1936/live"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (&*target.host, target.port, &*target.app, &*target.key),
                (host, port, app, key),
                "{text}"
            );
            assert_eq!(target.tc_url(), tc_url);
        }
    }

    #[test]
    fn names_are_without_queries_and_the_virtual_host_is_a_parameter() {
        for (text, app, stream, vhost) in [
            ("rtmp://h/live/k", "live", "k", None),
            ("rtmp://h/live/k?token=1&vhost=x", "live", "k", Some("x")),
            ("rtmp://h/live?vhost=x&a=b/k", "live", "k", Some("x")),
            ("rtmp://h/live/inst/k?vhost=", "live/inst", "k", None),
            ("rtmp://h/live/?k=1&vhost=x", "live", "", Some("x")),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(
                (target.app_name(), target.stream_name(), target.vhost()),
                (app, stream, vhost),
                "{text}"
            );
        }
    }

    #[test]
    fn addresses_without_a_needed_part_say_which() {
        for (text, error) in [
            ("http://h/live/k", InvalidTarget::Scheme),
            ("h/live/k", InvalidTarget::Scheme),
            ("rtmp://h", InvalidTarget::Path),
            ("rtmp://h/", InvalidTarget::Path),
            ("rtmp://h//k", InvalidTarget::Path),
            ("rtmp:///live/k", InvalidTarget::Host),
            ("rtmp://u:p@/live/k", InvalidTarget::Host),
            ("rtmp://h?x/live/k", InvalidTarget::Host),
            ("rtmp://h:x/live/k", InvalidTarget::Port),
            ("rtmp://h:0/live/k", InvalidTarget::Port),
            ("rtmp://[::1]x/live/k", InvalidTarget::Port),
            ("rtmp://h/live/k\r\n", InvalidTarget::Character),
            ("rtmp://h/live playpath=k", InvalidTarget::Character),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        for (text, user, password) in [
            ("rtmp://me:secret@h/live/k", "me", "secret"),
            ("rtmp://m%40e:s%2F%3a:%C3%A9@h/live/k", "m@e", "s/::é"),
            ("rtmp://me:p@ss@h/live/k", "me", "p@ss"),
            ("rtmp://me@h/live/k", "me", ""),
        ] {
            let target = Target::parse(text).unwrap();
            let expected = Credentials { user: user.to_owned(), password: password.to_owned() };
            assert_eq!(target.credentials, Some(expected), "{text}");
            let shown = format!("{target:?} {:?}", target.credentials);
            assert!(password.is_empty() || !shown.contains(password), "{shown}");
        }
    }

    #[test]
    fn a_printed_target_keeps_its_secrets() {
        for (text, shown) in [
            ("rtmp://h/live?pass=1/secret?token=2", "rtmp://h/live/se…"),
            ("rtmps://u:p@h:1936/live/inst/secret", "rtmps://h:1936/live/inst/se…"),
            ("rtmp://h/live-bvc/?streamname=x&key=y", "rtmp://h/live-bvc/…"),
            ("rtmp://h/secret?pass=x", "rtmp://h/se…"),
            ("rtmp://h/live//secret/secret", "rtmp://h/live/se…"),
            ("rtmp://h/live/中文中文", "rtmp://h/live/中文…"),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!((format!("{target:?}"), target.redacted()), (shown.to_owned(), shown.to_owned()));
            assert_eq!(Target::parse(shown).unwrap().redacted(), shown, "twice");
        }
    }

    #[test]
    fn a_redirect_names_a_server_and_an_application_and_the_key_stays() {
        let target = Target::parse("rtmp://u:p@h:19350/live/inst/secret?t=1").unwrap();
        for (reference, tc_url) in [
            ("rtmp://other/app", "rtmp://other/app"),
            ("rtmp://other:1/app?x=1/", "rtmp://other:1/app?x=1"),
            ("rtmp://other/app/secret", "rtmp://other/app"),
            ("rtmp://other/app/secret?t=1", "rtmp://other/app"),
            ("rtmp://other", "rtmp://other/live/inst"),
            ("rtmp://other/", "rtmp://other/live/inst"),
            ("rtmps://[::1]:2/a/b", "rtmps://[::1]:2/a/b"),
            ("//other:3/app", "rtmp://other:3/app"),
            ("/app", "rtmp://h:19350/app"),
            ("app", "rtmp://h:19350/live/app"),
            ("?x=rtmp://y", "rtmp://h:19350/live/inst?x=rtmp://y"),
            ("", "rtmp://h:19350/live/inst"),
        ] {
            let moved = target.moved(reference).unwrap();
            assert_eq!((&*moved.tc_url(), &*moved.key), (tc_url, "secret?t=1"), "{reference}");
            assert_eq!(moved.credentials, target.credentials);
        }
        let own = target.moved("rtmp://a:b@other/app").unwrap().credentials.unwrap();
        assert_eq!((&*own.user, &*own.password), ("a", "b"));
        for (reference, error) in [
            ("http://other/app", InvalidTarget::Scheme),
            ("rtmp:///app", InvalidTarget::Host),
            ("rtmp://other:x/app", InvalidTarget::Port),
            ("rtmp://other/a b", InvalidTarget::Character),
        ] {
            assert_eq!(target.moved(reference), Err(error), "{reference}");
        }
        let secure = Target::parse("rtmps://h/live/secret").unwrap();
        assert_eq!(secure.moved("rtmp://h/live"), Err(InvalidTarget::Insecure));
        assert!(secure.moved("//h/live").is_ok());
    }

    proptest! {
        #[test]
        fn any_key_arrives_as_written_behind_a_double_slash(app in "[a-z]{1,8}(/[a-z]{1,8})?", key in "[^\\p{Cc} ?/][^\\p{Cc} ?]{0,20}") {
            let target = Target::parse(&format!("rtmp://h/{app}//{key}")).unwrap();
            prop_assert_eq!((target.app, target.key), (app, key));
        }

        #[test]
        fn no_text_makes_the_parser_panic_and_nothing_behind_the_second_character_of_the_key_is_shown(
            text in "[/?@:#a-c\\[\\]中]{0,20}",
        ) {
            if let Ok(target) = Target::parse(&format!("rtmp://{text}")) {
                let _ = target.moved(&text);
                prop_assert!(target.redacted().ends_with('…'));
                prop_assert!(!target.redacted().contains('?'));
            }
        }
    }
}
