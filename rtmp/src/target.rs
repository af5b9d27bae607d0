//! Where to publish: `rtmp://host[:port]/app[/instance]/key[?query]`.

use std::fmt;

/// The transport below RTMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain TCP, port 1935 unless given.
    Rtmp,
    /// TLS, port 443 unless given.
    Rtmps,
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
    /// What `publish` names: the stream key with its own query (tokens, `?vhost=`).
    pub key: String,
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
    /// Put them into the query, as the server documents it.
    #[error("user and password in an RTMP address are not supported")]
    UserInfo,
    #[error("address needs an application and a stream key: rtmp://host/app/key")]
    Path,
    #[error("address has a control character or a space")]
    Character,
}

impl Target {
    /// Parses an address.
    ///
    /// The key is the last path component. A query behind at least two components belongs to the key; one
    /// behind a single component belongs to the application, and the key follows it
    /// (`rtmp://host/live?vhost=x/key`).
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(InvalidTarget::Character);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtmp") => (Scheme::Rtmp, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtmps") => (Scheme::Rtmps, rest),
            _ => return Err(InvalidTarget::Scheme),
        };
        let (authority, path) = rest.split_once('/').ok_or(InvalidTarget::Path)?;
        if authority.contains('@') {
            return Err(InvalidTarget::UserInfo);
        }
        let (host, port) = split_authority(authority, scheme)?;
        let (plain, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let (app, key) = match plain.trim_end_matches('/').rsplit_once('/') {
            Some((app, name)) => (app.to_owned(), format!("{name}{query}")),
            None => {
                let (app, key) = path.rsplit_once('/').ok_or(InvalidTarget::Path)?;
                (app.to_owned(), key.to_owned())
            }
        };
        if app.trim_matches('/').is_empty() || key.is_empty() || key.starts_with('?') {
            return Err(InvalidTarget::Path);
        }
        Ok(Self { scheme, host, port, app, key, authority: authority.to_owned() })
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
        let scheme = match self.scheme {
            Scheme::Rtmp => "rtmp",
            Scheme::Rtmps => "rtmps",
        };
        format!("{scheme}://{}/{}", self.authority, self.app)
    }
}

/// Without application query and stream key, which may be secret.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.app.split('?').next().unwrap_or_default();
        write!(f, "{:?} {}/{app}/…", self.scheme, self.authority)
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
    if host.is_empty() {
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
    use super::*;

    #[test]
    fn applications_instances_and_queries_go_where_servers_look_for_them() {
        for (text, host, port, app, key, tc_url) in [
            ("rtmp://h/live/k", "h", 1935, "live", "k", "rtmp://h/live"),
            ("rtmp://h:19350/live/k?token=a/b", "h", 19350, "live", "k?token=a/b", "rtmp://h:19350/live"),
            ("rtmp://h/live/inst/k", "h", 1935, "live/inst", "k", "rtmp://h/live/inst"),
            ("rtmp://h/live?vhost=x/k", "h", 1935, "live?vhost=x", "k", "rtmp://h/live?vhost=x"),
            ("RTMPS://[::1]/live/k?vhost=x", "::1", 443, "live", "k?vhost=x", "rtmps://[::1]/live"),
            ("rtmp://[::1]:1936/a/k", "::1", 1936, "a", "k", "rtmp://[::1]:1936/a"),
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
            ("rtmp://h/live", InvalidTarget::Path),
            ("rtmp://h/live/", InvalidTarget::Path),
            ("rtmp://h//k", InvalidTarget::Path),
            ("rtmp:///live/k", InvalidTarget::Host),
            ("rtmp://h:x/live/k", InvalidTarget::Port),
            ("rtmp://h:0/live/k", InvalidTarget::Port),
            ("rtmp://[::1]x/live/k", InvalidTarget::Port),
            ("rtmp://u:p@h/live/k", InvalidTarget::UserInfo),
            ("rtmp://h/live/k\r\n", InvalidTarget::Character),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_printed_target_keeps_its_secrets() {
        let shown = format!("{:?}", Target::parse("rtmp://h/live?pass=1/secret?token=2").unwrap());
        assert_eq!(shown, "Rtmp h/live/…");
    }
}
