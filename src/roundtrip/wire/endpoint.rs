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
    /// handshake, and the Engine.IO path is `engine_path` (their option `path`), or `/socket.io/`. Without `engine_path`
    /// a path that ends in `/socket.io` is taken for the Engine.IO path itself, for processors behind a path of a
    /// reverse proxy.
    pub fn new(url: &Url, engine_path: Option<&str>) -> Result<Self, BadProcessorUrl> {
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
        let (engine, namespace) = match engine_path {
            // With its slash at the end, as Socket.IO's own clients ask by default; servers compare beginnings.
            Some(engine) => (engine_path_of(engine), path.to_owned()),
            None if path.ends_with("/socket.io") => (format!("{path}/"), String::new()),
            None => ("/socket.io/".to_owned(), path.to_owned()),
        };
        address.set_path(&engine);
        address.query_pairs_mut().append_pair("EIO", "4").append_pair("transport", "websocket");
        Ok(Self { address, namespace })
    }

    /// The Engine.IO path, with a slash at either end.
    pub(in crate::roundtrip) fn engine_path(&self) -> &str {
        self.address.path()
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

/// With one slash at either end.
fn engine_path_of(given: &str) -> String {
    match given.trim_matches('/') {
        "" => "/".to_owned(),
        inner => format!("/{inner}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> (String, String) {
        endpoint_at(url, None)
    }

    fn endpoint_at(url: &str, path: Option<&str>) -> (String, String) {
        let endpoint = Endpoint::new(&Url::parse(url).unwrap(), path).unwrap();
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
    fn an_engine_path_of_its_own_leaves_the_address_to_the_namespace() {
        for (path, asked) in [
            ("/custom", "/custom/"),
            ("/custom/", "/custom/"),
            ("custom", "/custom/"),
            ("/a/b/socket.io", "/a/b/socket.io/"),
            ("/", "/"),
            ("/a b", "/a%20b/"),
        ] {
            let address = |query: &str| format!("ws://h{asked}?{query}EIO=4&transport=websocket");
            assert_eq!(endpoint_at("http://h", Some(path)), (address(""), String::new()), "{path}");
            assert_eq!(
                endpoint_at("http://h/dub?t=1", Some(path)),
                (address("t=1&"), "/dub".into()),
                "{path}"
            );
        }
        // With the path given, nothing is read into the address.
        let (address, namespace) = endpoint_at("http://h/x/socket.io", Some("/socket.io"));
        assert_eq!(
            (address.as_str(), namespace.as_str()),
            ("ws://h/socket.io/?EIO=4&transport=websocket", "/x/socket.io")
        );
    }

    #[test]
    fn host_and_port_are_what_the_resolver_wants() {
        let of = |url: &str| Endpoint::new(&Url::parse(url).unwrap(), None).unwrap().host_port();
        assert_eq!(of("https://h/"), ("h".into(), 443));
        assert_eq!(of("http://h/"), ("h".into(), 80));
        assert_eq!(of("http://[::1]:5000/"), ("::1".into(), 5000));
    }

    #[test]
    fn other_schemes_are_refused() {
        for bad in ["ftp://h/", "rtmp://h/live", "file:///x", "data:x"] {
            assert!(Endpoint::new(&Url::parse(bad).unwrap(), None).is_err(), "{bad}");
        }
    }
}
