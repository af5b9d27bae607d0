//! Where a processor's URL leads: the WebSocket address and the Socket.IO namespace.

use url::Url;

/// The URL cannot be a processor's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProcessorUrl {
    #[error("processor URL must begin with http, https, ws or wss, not {0}")]
    Scheme(String),
    #[error("processor URL has no host")]
    NoHost,
}

/// Where to connect to.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `ws` or `wss`, with the path and query of the Engine.IO handshake.
    pub(in crate::roundtrip) address: Url,
    /// Empty for the default namespace, otherwise with its slash in front.
    pub(in crate::roundtrip) namespace: String,
}

impl Endpoint {
    /// As Socket.IO's own clients read a URL: its path is the namespace, its query goes with the
    /// handshake, and the Engine.IO path is `/socket.io/`. A path that ends in `/socket.io` is taken for
    /// the Engine.IO path itself, for processors behind a path of a reverse proxy.
    pub fn new(url: &Url) -> Result<Self, BadProcessorUrl> {
        let scheme = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            other => return Err(BadProcessorUrl::Scheme(other.to_owned())),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadProcessorUrl::NoHost);
        }
        let mut address = url.clone();
        // Fails only between special and other schemes, and all four are special.
        let _ = address.set_scheme(scheme);
        address.set_fragment(None);
        let path = url.path().trim_end_matches('/');
        let (engine, namespace) = match path.strip_suffix("/socket.io") {
            Some(_) => (format!("{path}/"), String::new()),
            None => ("/socket.io/".to_owned(), path.to_owned()),
        };
        address.set_path(&engine);
        address.query_pairs_mut().append_pair("EIO", "4").append_pair("transport", "websocket");
        Ok(Self { address, namespace })
    }

    /// Host and port, for the TCP connection.
    pub(in crate::roundtrip) fn host_port(&self) -> (String, u16) {
        let default = if self.address.scheme() == "wss" { 443 } else { 80 };
        // An IPv6 address stands in brackets in a URL only.
        let host = self.address.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (host.to_owned(), self.address.port().unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> (String, String) {
        let endpoint = Endpoint::new(&Url::parse(url).unwrap()).unwrap();
        (endpoint.address.to_string(), endpoint.namespace)
    }

    #[test]
    fn the_path_is_the_namespace_and_the_query_is_kept() {
        let plain = "ws://127.0.0.1:5000/socket.io/?EIO=4&transport=websocket";
        assert_eq!(endpoint("http://127.0.0.1:5000"), (plain.into(), String::new()));
        assert_eq!(endpoint("ws://127.0.0.1:5000/"), (plain.into(), String::new()));
        assert_eq!(endpoint("http://127.0.0.1:5000/dub/"), (plain.into(), "/dub".into()));
        assert_eq!(
            endpoint("https://h/?token=a%20b#x"),
            ("wss://h/socket.io/?token=a%20b&EIO=4&transport=websocket".into(), String::new())
        );
        assert_eq!(
            endpoint("wss://h/proxy/socket.io/"),
            ("wss://h/proxy/socket.io/?EIO=4&transport=websocket".into(), String::new())
        );
    }

    #[test]
    fn host_and_port_are_what_the_resolver_wants() {
        let of = |url: &str| Endpoint::new(&Url::parse(url).unwrap()).unwrap().host_port();
        assert_eq!(of("https://h/"), ("h".into(), 443));
        assert_eq!(of("http://h/"), ("h".into(), 80));
        assert_eq!(of("http://[::1]:5000/"), ("::1".into(), 5000));
    }

    #[test]
    fn other_schemes_are_refused() {
        for bad in ["ftp://h/", "rtmp://h/live", "file:///x", "data:x"] {
            assert!(Endpoint::new(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
