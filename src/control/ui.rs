//! The web page: the files that the build embedded, or a word on why there are none.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// A page: its files, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page(&'static [File]);

/// One file of the page.
#[derive(Debug)]
pub struct File {
    /// Without a slash in front.
    pub path: &'static str,
    pub content_type: &'static str,
    /// Weak, because both forms share it (RFC 9110 8.8.1).
    pub etag: &'static str,
    pub plain: &'static [u8],
    pub gzip: Option<&'static [u8]>,
}

const INDEX: &str = "index.html";
/// Vite puts a hash of the content into the names in here: what is behind a name never changes.
const HASHED: &str = "assets/";
/// Everything only from here, but for the source's own playlist and media, which a person asks the page to play.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'none'; \
     connect-src 'self' http: https:; media-src 'self' blob: http: https:; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'none'";

const NOT_BUILT: &str = "this binary was built without the web page (`npm ci && npm run build` in ui/, then build \
     again); everything else works: the API is described at /docs";

/// All views of the page are behind `#` in its address, so that its files can be found relative to it.
const NOTHING: &str = "there is nothing at this address; a service behind a proxy that keeps a path in front of the \
     service's own needs to know that path (OVERDUB_BASE_PATH)";

impl Page {
    /// What the build found in `ui/dist`.
    pub const EMBEDDED: Self = Self(include!(concat!(env!("OUT_DIR"), "/ui.rs")));

    pub const fn new(files: &'static [File]) -> Self {
        Self(files)
    }

    /// There is a page.
    pub fn is_built(self) -> bool {
        self.file(INDEX).is_some()
    }

    /// Answers whatever no route of the API takes.
    pub(super) fn answer(self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        let nothing = || ApiError::not_found(NOTHING).into_response();
        if method != Method::GET && method != Method::HEAD {
            return nothing();
        }
        let path = uri.path().trim_start_matches('/');
        if let Some(file) = self.file(if path.is_empty() { INDEX } else { path }) {
            return file.answer(method, headers);
        }
        if !self.is_built() && (path.is_empty() || path == INDEX) {
            return ApiError::not_found(NOT_BUILT).into_response();
        }
        nothing()
    }

    fn file(self, path: &str) -> Option<&'static File> {
        self.0.iter().find(|file| file.path == path)
    }
}

impl File {
    fn answer(&self, method: &Method, request: &HeaderMap) -> Response {
        let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let gzip = self.gzip.filter(|_| text(header::ACCEPT_ENCODING).is_some_and(takes_gzip));
        let body = gzip.unwrap_or(self.plain);
        let mut response = Response::new(Body::empty());
        let mut set = |name, value| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        };
        set(header::ETAG, self.etag);
        set(header::VARY, "accept-encoding");
        let cache =
            if self.path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
        set(header::CACHE_CONTROL, cache);
        if text(header::IF_NONE_MATCH).is_some_and(|tags| matches(tags, self.etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        set(header::CONTENT_TYPE, self.content_type);
        set(header::CONTENT_SECURITY_POLICY, POLICY);
        set(header::REFERRER_POLICY, "no-referrer");
        if gzip.is_some() {
            set(header::CONTENT_ENCODING, "gzip");
        }
        response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        if method != Method::HEAD {
            *response.body_mut() = Body::from(body);
        }
        response
    }
}

/// RFC 9110 12.5.3: a coding with a weight of zero is refused.
fn takes_gzip(codings: &str) -> bool {
    codings.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

/// RFC 9110 13.1.2, with the weak comparison that it asks for.
fn matches(tags: &str, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.trim() == "*" || tags.split(',').any(|tag| opaque(tag) == opaque(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILES: [File; 3] = [
        File {
            path: "assets/app-1a2b.js",
            content_type: "text/javascript; charset=utf-8",
            etag: "W/\"1\"",
            plain: b"plain script",
            gzip: Some(b"gzip"),
        },
        File {
            path: "favicon.ico",
            content_type: "image/x-icon",
            etag: "W/\"2\"",
            plain: b"icon",
            gzip: None,
        },
        File { path: "index.html", content_type: "text/html", etag: "W/\"3\"", plain: b"<html>", gzip: None },
    ];
    const PAGE: Page = Page::new(&FILES);

    fn get(page: Page, path: &str, headers: &[(header::HeaderName, &'static str)]) -> Response {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        page.answer(&Method::GET, &path.parse().unwrap(), &headers)
    }

    fn shown<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn files_are_sent_in_the_form_that_the_browser_takes() {
        let script = "/assets/app-1a2b.js";
        let gzip = get(PAGE, script, &[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]);
        assert_eq!((shown(&gzip, "content-encoding"), shown(&gzip, "content-length")), ("gzip", "4"));
        assert_eq!(shown(&gzip, "content-type"), "text/javascript; charset=utf-8");
        assert!(shown(&gzip, "cache-control").contains("immutable"));
        for codings in ["br", "gzip;q=0, br", "identity"] {
            let plain = get(PAGE, script, &[(header::ACCEPT_ENCODING, codings)]);
            assert_eq!((shown(&plain, "content-encoding"), shown(&plain, "content-length")), ("", "12"));
            assert_eq!(shown(&plain, "vary"), "accept-encoding");
        }
        let icon = get(PAGE, "/favicon.ico", &[(header::ACCEPT_ENCODING, "gzip")]);
        assert_eq!((shown(&icon, "content-encoding"), shown(&icon, "cache-control")), ("", "no-cache"));
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        for (tags, status) in [("W/\"3\"", 304), ("\"9\", \"3\"", 304), ("*", 304), ("\"9\"", 200)] {
            assert_eq!(get(PAGE, "/", &[(header::IF_NONE_MATCH, tags)]).status(), status, "{tags}");
        }
    }

    #[test]
    fn the_page_is_at_its_root_only_from_where_its_files_are_found() {
        for (path, status) in [
            ("/", 200),
            ("/index.html", 200),
            ("/theme/", 404),
            ("/overdub/", 404),
            ("/streams/news", 404),
            ("/assets/gone.js", 404),
            ("/assets/../index.html", 404),
            ("/api/nothing", 404),
            ("/preview", 404),
            ("/metrics/x", 404),
        ] {
            assert_eq!(get(PAGE, path, &[]).status(), status, "{path}");
        }
        let post = PAGE.answer(&Method::POST, &"/".parse().unwrap(), &HeaderMap::new());
        assert_eq!(post.status(), 404);
        let page = get(PAGE, "/", &[]);
        assert!(shown(&page, "content-security-policy").contains("script-src 'self'"));
    }

    #[test]
    fn without_a_page_the_root_says_so() {
        assert!(!Page::default().is_built() && PAGE.is_built());
        for path in ["/", "/index.html"] {
            let answer = get(Page::default(), path, &[]);
            assert_eq!(
                (answer.status(), shown(&answer, "content-type")),
                (StatusCode::NOT_FOUND, "application/json")
            );
        }
    }
}
