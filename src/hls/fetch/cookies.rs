//! The cookies of one source, in memory.

use std::sync::{Mutex, PoisonError};

use cookie_store::CookieStore;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use url::Url;

/// Session and token services set a few; a server that sets a new one each time only empties the jar.
const MAX_COOKIES: usize = 128;

/// Longer ones are refused by browsers too (RFC 6265 6.1).
const MAX_COOKIE_BYTES: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Cookies {
    jar: Mutex<CookieStore>,
}

impl Cookies {
    /// Keeps what the answer from `url` sets (RFC 6265 5.3).
    pub(super) fn keep(&self, url: &Url, headers: &HeaderMap) {
        let mut jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        for value in headers.get_all(SET_COOKIE) {
            let Ok(text) = value.to_str() else { continue };
            if text.len() > MAX_COOKIE_BYTES {
                continue;
            }
            if jar.iter_any().count() >= MAX_COOKIES {
                jar.clear();
            }
            // What cannot be read, or is for another domain, is no cookie of ours.
            let _ = jar.parse(text, url);
        }
    }

    /// The `Cookie` header for `url` (RFC 6265 5.4), behind the cookies that the user `given`.
    pub(super) fn header(&self, url: &Url, given: Option<&HeaderValue>) -> Option<HeaderValue> {
        let jar = self.jar.lock().unwrap_or_else(PoisonError::into_inner);
        let given = given.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let kept = jar.get_request_values(url).map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = given.into_iter().chain(kept).collect();
        let mut value = HeaderValue::try_from(all.join("; ")).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn set(cookies: &Cookies, from: &str, values: &[&str]) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SET_COOKIE, value.parse().expect("a header"));
        }
        cookies.keep(&url(from), &headers);
    }

    #[test]
    fn cookies_go_back_to_where_they_came_from_and_to_nobody_else() {
        let cookies = Cookies::default();
        set(
            &cookies,
            "https://a.example/x/m.m3u8",
            &["s=1; Path=/", "t=2; Secure; Path=/", "u=3", "evil=1; Domain=b.example"],
        );
        let sent = |to: &str| cookies.header(&url(to), None).map(|value| value.to_str().unwrap().to_owned());
        let mut whole: Vec<String> =
            sent("https://a.example/x/s.ts").unwrap().split("; ").map(str::to_owned).collect();
        whole.sort();
        assert_eq!(whole, ["s=1", "t=2", "u=3"]);
        assert_eq!(sent("http://a.example/y").as_deref(), Some("s=1"));
        assert_eq!(sent("https://b.example/"), None);
        let given = HeaderValue::from_static("own=9");
        let both = cookies.header(&url("http://a.example/y"), Some(&given)).unwrap();
        assert_eq!(both, "own=9; s=1");
        assert!(both.is_sensitive());
    }

    #[test]
    fn a_server_that_sets_cookies_without_end_fills_no_memory() {
        let cookies = Cookies::default();
        for n in 0..10 * MAX_COOKIES {
            set(&cookies, "http://a.example/", &[&format!("n{n}=1")]);
        }
        set(&cookies, "http://a.example/", &[&format!("long={}", "x".repeat(MAX_COOKIE_BYTES))]);
        assert!(cookies.jar.lock().unwrap().iter_any().count() <= MAX_COOKIES);
        assert!(!cookies.header(&url("http://a.example/"), None).unwrap().to_str().unwrap().contains("long"));
    }
}
