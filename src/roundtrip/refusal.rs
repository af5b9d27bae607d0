//! Why a processor did not take, or did not keep, a connection: one fact, then the remedy where there is one. Pure.
//!
//! The texts follow "processor at http://...". What a server said itself is untrusted: one line, bounded.

use std::time::Duration;
use std::{fmt, io};

use tokio_tungstenite::tungstenite::http::{HeaderMap, header};
use url::Url;

use super::BadProcessorUrl;
use super::wire;
use crate::net::guarded::Ended;
use crate::outside::{Name, ShownUrl, Text};
use crate::tls;

/// Why there is no connection: what is to be read after "processor at http://...".
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("cannot be asked: {0}")]
    Url(#[from] BadProcessorUrl),
    #[error("cannot be asked: header {0:?} cannot be sent")]
    Header(Name),
    /// Nothing listens there.
    #[error("refused the connection")]
    Refused,
    #[error("is unreachable: {0}")]
    Unreachable(io::Error),
    #[error("{stage} within {} s{}", .limit.as_secs_f64(), .stage.hint())]
    ConnectTimeout { stage: Stage, limit: Duration },
    #[error("failed: {0}")]
    WebSocket(Text),
    /// An HTTP answer other than 101, as a sentence.
    #[error("{0}")]
    Http(Text),
    #[error(
        "closed the connection without an answer at {0}; if its Engine.IO has another path, set audioProcessorPath"
    )]
    NoAnswerAt(String),
    #[error("is no WebSocket server: {0}")]
    NotWebSocket(Text),
    #[error("{}", OLD_SOCKET_IO)]
    OldSocketIo,
    #[error("sends Socket.IO packets as binary: it {}", OTHER_PARSER)]
    OtherParser,
    /// What a server does that cannot read the connect packet; engine.io gives no reason then.
    #[error(
        "closed the connection instead of answering Socket.IO's connect packet: maybe it {}",
        OTHER_PARSER
    )]
    ClosedAtConnect,
    /// Socket.IO's CONNECT_ERROR, in the server's words.
    #[error("does not let the service in: {0}")]
    Forbidden(Text),
    #[error("{0}")]
    Closed(Closed),
    #[error("gave no sign of life for {} s", .0.as_secs_f64())]
    HeartbeatTimeout(Duration),
    #[error("did not take {bytes} bytes within {} s", .timeout.as_secs_f64())]
    WriteTimeout { bytes: usize, timeout: Duration },
    #[error("was disconnected: {0}")]
    Ended(Ended),
    #[error("sent a message of {0} bytes, more than {max} are not read", max = wire::MAX_ANSWER_BYTES)]
    TooLarge(usize),
    #[error("cannot be trusted: {0}")]
    Tls(#[from] tls::Error),
    #[error("is no Engine.IO 4 server: {0}")]
    Handshake(Text),
}

/// How far a connection has come: what the server has not done yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    Connect,
    Open,
    Join,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "took no connection",
            Self::Open => "opened a WebSocket, but sent no Engine.IO handshake",
            Self::Join => "did not answer Socket.IO's connect packet",
        })
    }
}

impl Stage {
    fn hint(self) -> &'static str {
        match self {
            Self::Connect | Self::Open => "",
            // python-socketio with serializer="msgpack" logs the packet as broken and says nothing.
            Self::Join => " (a server with another parser, such as msgpack, does not)",
        }
    }
}

impl LinkError {
    /// Why this side ended a connection, as metrics call it; none where it did not.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::WriteTimeout { .. } => Some(Ended::NotReading.reason()),
            Self::Ended(ended) => Some(ended.reason()),
            Self::HeartbeatTimeout(_) => Some("no_heartbeat"),
            Self::TooLarge(_) => Some("too_large"),
            _ => None,
        }
    }

    pub(super) fn is_too_big(&self) -> bool {
        matches!(self, Self::Closed(closed) if closed.is_too_big())
    }
}

/// How the server ended the WebSocket: its close code and reason, where it gave them (RFC 6455 7.1.5, 7.1.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Closed {
    code: Option<u16>,
    reason: Text,
}

impl Closed {
    pub(super) fn new(code: u16, reason: &str) -> Self {
        Self { code: Some(code), reason: Text::new(reason.trim()) }
    }

    /// A message was over the server's limit (RFC 6455 7.4.1).
    pub(super) fn is_too_big(&self) -> bool {
        self.code == Some(1009)
    }

    /// The server left without saying why.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.code, None | Some(1000)) && self.reason.is_empty()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed the connection")?;
        let Some(code) = self.code else { return Ok(()) };
        write!(f, " ({code}")?;
        if let Some(name) = code_name(code) {
            write!(f, " {name}")?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        f.write_str(")")?;
        if self.is_too_big() {
            f.write_str(
                "; raise its message limit (maxHttpBufferSize of socket.io, max_http_buffer_size of python-socketio)",
            )?;
        }
        Ok(())
    }
}

/// The registry's names (RFC 6455 11.7).
fn code_name(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1007 => "invalid payload",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "missing extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}

/// What an HTTP answer other than 101 to the WebSocket handshake means. `path` is the Engine.IO path that was asked.
pub(super) fn handshake(status: u16, headers: &HeaderMap, body: &[u8], path: &str) -> Text {
    sentence(status, headers, body, path).into()
}

fn sentence(status: u16, headers: &HeaderMap, body: &[u8], path: &str) -> String {
    let said = Said::new(headers, body);
    let shown = said.shown(status);
    match said.text.as_deref() {
        // Node's engine.io without "websocket" among its transports; python-engineio likewise.
        Some("Transport unknown" | "Invalid transport") => {
            return format!("allows polling only ({shown}); enable its websocket transport");
        }
        // A proxy that drops Upgrade: the same servers see a plain GET with transport=websocket.
        Some("Bad request" | "Invalid websocket upgrade") => return lost_upgrade(&shown),
        // engine.io and python-engineio, of a client of another major version.
        Some(text) if text.to_ascii_lowercase().contains("unsupported") && text.contains("version") => {
            return format!("{OLD_SOCKET_IO} ({shown})");
        }
        _ => {}
    }
    match status {
        301 | 302 | 303 | 307 | 308 => {
            let to = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
            match to.map(without_query) {
                Some(to) => format!("redirects to {to} (HTTP {status}); set the processor's address to that"),
                None => format!("redirects without saying where ({shown})"),
            }
        }
        401 | 403 => format!(
            "rejected the connection ({shown}); check the processor's credentials (audioProcessorAuth, audioProcessorHeaders)"
        ),
        404 => format!("has no Engine.IO server at {path} ({shown}); audioProcessorPath sets another path"),
        426 => lost_upgrade(&shown),
        502 | 504 => format!("is out of reach of the proxy in front of it ({shown})"),
        503 => format!("is unavailable ({shown})"),
        400..500 => format!("rejected the WebSocket handshake ({shown})"),
        _ => format!("answered the WebSocket handshake with {shown}; is it a Socket.IO server?"),
    }
}

/// Socket.IO 3 changed the protocol (Engine.IO 4, Socket.IO protocol 5); neither side speaks the other's.
pub(super) const OLD_SOCKET_IO: &str =
    "speaks Socket.IO 2 (Engine.IO 3); Socket.IO 3 or later, python-socketio 5 or later is needed";

/// A parser that both sides would have to agree on in advance.
pub(super) const OTHER_PARSER: &str = "uses another Socket.IO parser, such as socket.io-msgpack-parser; only the \
     default parser is supported";

fn lost_upgrade(shown: &str) -> String {
    format!(
        "did not see a WebSocket handshake ({shown}); a proxy in front of it must forward the Upgrade and Connection headers"
    )
}

/// What an answer says in its body.
struct Said {
    /// One line of text, or the `message` of a JSON object.
    text: Option<Text>,
    is_html: bool,
}

impl Said {
    fn new(headers: &HeaderMap, body: &[u8]) -> Self {
        let media =
            headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        let is_chunked = headers.get(header::TRANSFER_ENCODING).is_some_and(|coding| coding == "chunked");
        let body = if is_chunked { joined(body) } else { body.to_vec() };
        let text = String::from_utf8_lossy(&body);
        let text = text.trim();
        // engine.io labels its one-line messages as HTML.
        let is_html = text.starts_with('<') || text.is_empty() && media.contains("html");
        let message = match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::String(text)) => Some(text),
            Ok(value) => value["message"].as_str().map(str::to_owned),
            Err(_) if !is_html => text.lines().next().map(str::to_owned),
            Err(_) => None,
        };
        let text = message.map(|text| Text::new(text.trim())).filter(|text| !text.is_empty());
        Self { text, is_html }
    }

    fn shown(&self, status: u16) -> String {
        match &self.text {
            Some(text) => format!("HTTP {status}: {text}"),
            None if self.is_html => format!("HTTP {status}: an HTML page"),
            None => format!("HTTP {status}"),
        }
    }
}

/// The chunks of a body (RFC 9112 7.1), as far as it is there. Node's HTTP server sends one for each write.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).ok();
        let size = size.and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok());
        let Some(size) = size.filter(|&size| size > 0) else { break };
        let rest = &body[end + 2..];
        let (chunk, rest) = rest.split_at(size.min(rest.len()));
        data.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n").unwrap_or_default();
    }
    data
}

/// A redirect's target without its query, which repeats ours and may hold a token.
fn without_query(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    match Url::parse(path) {
        Ok(url) => ShownUrl::url(url.as_str()).to_string(),
        Err(_) => Text::new(path).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::MAX_TEXT;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Text {
        let headers = headers.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
        });
        handshake(status, &headers.collect(), body.as_bytes(), "/socket.io/")
    }

    const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");
    const HTML: (&str, &str) = ("content-type", "text/html");

    #[test]
    fn every_answer_to_the_handshake_is_named_by_its_status_and_its_remedy() {
        type Case = (u16, &'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);
        const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>502</title></head></html>";
        let cases: &[Case] = &[
            // Node's socket.io with transports: ["polling"], over an upgrade and over plain HTTP.
            (400, &[HTML], "Transport unknown", &["polling", "websocket transport", "400"]),
            (
                400,
                &[],
                r#"{"code":0,"message":"Transport unknown"}"#,
                &["polling", "HTTP 400: Transport unknown"],
            ),
            // The same as Node's HTTP server sends it, and cut off.
            (
                400,
                &[CHUNKED],
                "28\r\n{\"code\":0,\"message\":\"Transport unknown\"}\r\n0\r\n\r\n",
                &["polling only"],
            ),
            (400, &[CHUNKED], "5;x=1\r\n\"Inva\r\ne\r\nlid transport\"\r\n", &["polling only"]),
            (400, &[CHUNKED], "ffffffffffffffff\r\nhello", &["(HTTP 400: hello)"]),
            (400, &[CHUNKED], "fffffffffffffffff\r\nhello", &["(HTTP 400)"]),
            // python-engineio with transports=["polling"].
            (400, &[], r#""Invalid transport""#, &["polling", "HTTP 400: Invalid transport"]),
            // nginx without proxy_set_header Upgrade, before either.
            (400, &[], r#"{"code":3,"message":"Bad request"}"#, &["Upgrade and Connection", "400"]),
            (400, &[], r#""Invalid websocket upgrade""#, &["Upgrade and Connection", "400"]),
            (426, &[], "", &["Upgrade and Connection", "HTTP 426)"]),
            // python-socketio 4, and socket.io.
            (
                400,
                &[],
                r#""The client is using an unsupported version of the Socket.IO or Engine.IO protocols""#,
                &["Socket.IO 2", "unsupported version"],
            ),
            (400, &[], r#"{"code":5,"message":"Unsupported protocol version"}"#, &["Engine.IO 3"]),
            (
                301,
                &[("location", "https://h/socket.io/?EIO=4&token=s")],
                "",
                &["redirects to https://h/socket.io/ (HTTP 301)"],
            ),
            (308, &[("location", "/elsewhere/?token=s")], PAGE, &["redirects to /elsewhere/ (HTTP 308)"]),
            (302, &[("location", "https://u:p@h/login")], "", &["redirects to https://h/login (HTTP 302)"]),
            (307, &[], "", &["redirects without saying where (HTTP 307)"]),
            (401, &[], "", &["rejected the connection (HTTP 401)", "audioProcessorAuth"]),
            (
                403,
                &[],
                r#"{"code":4,"message":"Forbidden"}"#,
                &["HTTP 403: Forbidden", "audioProcessorHeaders"],
            ),
            (404, &[HTML], PAGE, &["/socket.io/", "HTTP 404: an HTML page", "audioProcessorPath"]),
            (502, &[HTML], PAGE, &["proxy in front", "HTTP 502: an HTML page"]),
            (504, &[], "upstream request timeout", &["HTTP 504: upstream request timeout"]),
            (503, &[], "", &["unavailable (HTTP 503)"]),
            (200, &[HTML], PAGE, &["HTTP 200: an HTML page", "is it a Socket.IO server?"]),
            (200, &[HTML], "", &["HTTP 200: an HTML page"]),
            (418, &[], "a\r\nb", &["rejected the WebSocket handshake (HTTP 418: a)"]),
        ];
        for (status, headers, body, expected) in cases {
            let said = answer(*status, headers, body);
            for part in *expected {
                assert!(said.contains(part), "{status} {body:?}: {said:?} lacks {part:?}");
            }
            assert!(!said.contains('\n') && !said.contains("token"), "{said:?}");
        }
    }

    #[test]
    fn a_close_frame_is_shown_with_its_code_its_name_and_its_reason() {
        for (closed, expected) in [
            (Closed::default(), "closed the connection"),
            (Closed::new(1000, ""), "closed the connection (1000 normal closure)"),
            (
                Closed::new(1008, "no such tenant"),
                "closed the connection (1008 policy violation: no such tenant)",
            ),
            (Closed::new(4_001, "quota\n spent"), "closed the connection (4001: quota<U+000A> spent)"),
            (Closed::new(3_000, ""), "closed the connection (3000)"),
        ] {
            assert_eq!(closed.to_string(), expected);
            assert!(!closed.is_too_big());
        }
        let too_big = Closed::new(1009, "33 kB where 20 kB are taken");
        assert!(too_big.is_too_big());
        assert_eq!(
            too_big.to_string(),
            "closed the connection (1009 message too big: 33 kB where 20 kB are taken); raise its message limit \
             (maxHttpBufferSize of socket.io, max_http_buffer_size of python-socketio)"
        );
        assert!(Closed::default().is_silent() && Closed::new(1000, "").is_silent());
        assert!(!Closed::new(1001, "").is_silent() && !Closed::new(1000, "bye").is_silent());
    }

    #[test]
    fn what_a_server_says_is_bounded_and_one_line() {
        let long = "x\u{1b}[31m\n".repeat(10_000);
        let said = answer(500, &[], &long);
        assert!(said.len() <= MAX_TEXT && said.chars().all(|c| !c.is_control()), "{said}");
    }
}
