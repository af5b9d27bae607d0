//! Who may do what: the token, and, where there is none, that the request was meant for this machine.
//!
//! Without a token, being on this machine is what lets one in. A browser on this machine opens pages of others,
//! though, and they can send requests here. So what changes something must not come from another page
//! (`Origin`), and a name that leads here by somebody else's DNS is not answered (`Host`: DNS rebinding).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::{Host, Url};

use super::Control;
use super::connections::Connection;
use super::error::ApiError;
use crate::config::{AccessSettings, Origins, Secret};

/// Who may use the API.
#[derive(Clone, Debug, Default)]
pub struct Access {
    token: Option<Secret>,
    origins: Origins,
    /// Requests must name this machine.
    local: Option<Local>,
}

/// How this machine is named, beside `localhost` and its loopback addresses.
#[derive(Clone, Debug, Default)]
struct Local {
    host: String,
}

impl Access {
    /// For a service on `host`; `loopback` says that only this machine reaches it.
    pub fn new(settings: AccessSettings, host: &str, loopback: bool) -> Self {
        let AccessSettings { token, origins, insecure } = settings;
        let local = token.is_none() && loopback && !insecure;
        Self { token, origins, local: local.then(|| Local { host: host.to_ascii_lowercase() }) }
    }

    /// A token is asked for.
    pub(super) fn is_guarded(&self) -> bool {
        self.token.is_some()
    }

    /// `given` is the token, or none is asked for. Takes the same time wherever they begin to differ.
    pub(super) fn admits(&self, given: Option<&str>) -> bool {
        let Some(token) = &self.token else { return true };
        given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.reveal().as_bytes())))
    }

    /// Pages of other origins that may read answers.
    pub(super) fn cors(&self) -> CorsLayer {
        let origins = match &self.origins {
            Origins::Any => AllowOrigin::any(),
            Origins::These(list) => {
                AllowOrigin::list(list.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
            }
        };
        /// How long a browser may remember what it was told, in seconds.
        const REMEMBER: u64 = 3_600;
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
            .max_age(std::time::Duration::from_secs(REMEMBER))
    }

    /// Why a request is not for us, or not from whom it should be.
    fn refuses(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<ApiError> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let host = text(header::HOST).or(uri.authority().map(Authority::as_str));
        if let Some(local) = &self.local
            && let Some(host) = host
            && !local.is_named(host)
            && !self.has_origin_of(host)
        {
            let error = "this service answers to localhost and to its loopback address only, and the request \
                 names another host; with OVERDUB_API_TOKEN set, or with that host among the allowed origins, it would";
            return Some(ApiError::new(StatusCode::FORBIDDEN, error));
        }
        let harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let channel = uri.path().starts_with("/socket.io");
        let origin = text(header::ORIGIN).filter(|_| !harmless || channel)?;
        let same = host.is_some_and(|host| is_same(origin, host));
        if same || self.allows(origin) {
            return None;
        }
        let error =
            "a page of another origin may not do this; allow its origin (OVERDUB_CORS_ORIGINS) if it should";
        Some(ApiError::new(StatusCode::FORBIDDEN, error))
    }

    fn allows(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::These(list) => list.iter().any(|allowed| allowed == origin),
        }
    }

    /// A proxy in front passes the name on by which it is reached.
    fn has_origin_of(&self, host: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::These(list) => list.iter().any(|origin| is_same(origin, host)),
        }
    }
}

impl Local {
    fn is_named(&self, host: &str) -> bool {
        let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
        match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost") || name == self.host
            }
            None => false,
        }
    }
}

/// The page comes from the address that it asks. The scheme does not count: a proxy may have taken the TLS off.
fn is_same(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Ok(asked) = Url::parse(&format!("{}://{host}/", origin.scheme())) else { return false };
    origin.host().is_some()
        && origin.host() == asked.host()
        && origin.port_or_known_default() == asked.port_or_known_default()
}

/// Around everything.
pub(super) async fn guard(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    match control.setup.access.refuses(request.method(), request.uri(), request.headers()) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

/// Around what changes or reveals something.
pub(super) async fn authorize(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let given = bearer(request.headers()).map(str::to_owned);
    if_admitted(&control, given.as_deref(), request, next).await
}

/// Around previews, which players fetch that set no headers.
pub(super) async fn authorize_player(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Response {
    let given = given_token(request.headers(), request.uri());
    if_admitted(&control, given.as_deref(), request, next).await
}

async fn if_admitted(control: &Control, given: Option<&str>, request: Request, next: Next) -> Response {
    if !control.setup.access.admits(given) {
        return unauthorized();
    }
    if let Some(connection) = request.extensions().get::<Connection>() {
        connection.admit();
    }
    next.run(request).await
}

fn unauthorized() -> Response {
    let error = "this needs the service's token (OVERDUB_API_TOKEN) as \"Authorization: Bearer TOKEN\"";
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, error).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// RFC 6750 2.1; the scheme's case does not count (RFC 9110 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// From where clients give it that cannot set headers, too.
pub(super) fn given_token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    bearer(headers).map(str::to_owned).or_else(|| query_token(uri))
}

/// `?token=`.
pub(super) fn query_token(uri: &Uri) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(access: &Access, method: &Method, path: &str, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        access.refuses(method, &path.parse().unwrap(), &headers).is_some()
    }

    fn local(origins: &[&str]) -> Access {
        let origins = Origins::These(origins.iter().map(|origin| (*origin).to_owned()).collect());
        Access::new(AccessSettings { origins, ..AccessSettings::default() }, "studio", true)
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_answered() {
        let access = local(&["https://overdub.example"]);
        for (host, fine) in [
            ("127.0.0.1:3000", true),
            ("127.8.9.1", true),
            ("localhost:3000", true),
            ("LOCALHOST.", true),
            ("a.localhost", true),
            ("[::1]:3000", true),
            ("studio:3000", true),
            ("overdub.example", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("overdub.example:3000", false),
            ("192.168.1.5:3000", false),
            ("0.0.0.0:3000", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(refused(&access, &Method::GET, "/api/health", &[("host", host)]), !fine, "{host}");
        }
        assert!(!refused(&access, &Method::GET, "/api/health", &[]), "HTTP/1.0");
        let settings = AccessSettings { token: Some(Secret::new("t")), ..AccessSettings::default() };
        for access in [
            Access::new(settings, "studio", true),
            Access::new(AccessSettings { insecure: true, ..AccessSettings::default() }, "studio", true),
            Access::new(AccessSettings::default(), "studio", false),
        ] {
            assert!(!refused(&access, &Method::GET, "/api/health", &[("host", "evil.example")]));
        }
    }

    #[test]
    fn pages_of_others_change_nothing_and_hear_nothing() {
        let access = local(&["https://friend.example"]);
        let host = ("host", "localhost:3000");
        for (origin, fine) in [
            ("http://localhost:3000", true),
            ("https://localhost:3000", true),
            ("https://friend.example", true),
            ("http://localhost:3001", false),
            ("http://localhost", false),
            ("https://friend.example:444", false),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            let headers = [host, ("origin", origin)];
            assert_eq!(refused(&access, &Method::POST, "/api/pipeline/start", &headers), !fine, "{origin}");
            assert_eq!(refused(&access, &Method::DELETE, "/api/pipelines/a", &headers), !fine, "{origin}");
            assert_eq!(refused(&access, &Method::GET, "/socket.io/?EIO=4", &headers), !fine, "{origin}");
            assert!(
                !refused(&access, &Method::GET, "/api/pipelines", &headers),
                "reading is for CORS to forbid"
            );
        }
        assert!(!refused(&access, &Method::POST, "/api/pipeline/start", &[host]), "no browser");
    }

    #[test]
    fn a_token_is_taken_whole_or_not_at_all() {
        let settings = AccessSettings { token: Some(Secret::new("sesame")), ..AccessSettings::default() };
        let access = Access::new(settings, "h", false);
        assert!(access.admits(Some("sesame")));
        for wrong in [None, Some(""), Some("sesam"), Some("sesame1"), Some("SESAME")] {
            assert!(!access.admits(wrong), "{wrong:?}");
        }
        assert!(Access::default().admits(None));
        let header = |value| [(header::AUTHORIZATION, HeaderValue::from_static(value))].into_iter().collect();
        assert_eq!(bearer(&header("bearer  sesame ")), Some("sesame"));
        assert_eq!(bearer(&header("Basic sesame")), None);
        let token = |uri: &str| query_token(&uri.parse().unwrap());
        assert_eq!(token("/x?a=1&token=se%2Bsame"), Some("se+same".to_owned()));
        assert_eq!(token("/x?atoken=1"), None);
    }
}
