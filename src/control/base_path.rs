//! The path below which a reverse proxy offers the service, where the proxy leaves it in the requests.
//!
//! It is a setting and never read from a header (`X-Forwarded-Prefix`): a proxy that lets the world reach one path of
//! the service passes unknown headers on, and with one of them any client could reach all others.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

/// `router` at its root and below `base`, which is empty or a path without a slash at its end. The root stays, for
/// health checks and for proxies that strip the path.
pub(super) fn below(base: &str, router: Router) -> Router {
    if base.is_empty() {
        return router;
    }
    // A layer of a router runs after it has chosen a route, so it has to be around another one.
    Router::new().fallback_service(router).layer(from_fn_with_state(Arc::from(base), strip))
}

async fn strip(State(base): State<Arc<str>>, mut request: Request, next: Next) -> Response {
    match within(&base, request.uri()) {
        Within::Below(uri) => *request.uri_mut() = uri,
        Within::Base(location) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response();
        }
        Within::Elsewhere => {}
    }
    next.run(request).await
}

/// Where an address lies.
#[derive(Debug, PartialEq)]
enum Within {
    /// What the service itself calls it.
    Below(Uri),
    /// The path itself without its slash, below which the page's relative addresses would not lie: where to go instead.
    Base(HeaderValue),
    Elsewhere,
}

fn within(base: &str, uri: &Uri) -> Within {
    let Some(rest) = uri.path().strip_prefix(base) else { return Within::Elsewhere };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if rest.is_empty() {
        return HeaderValue::try_from(format!("{base}/{query}")).map_or(Within::Elsewhere, Within::Base);
    }
    // "/overdubbed" is not below "/overdub".
    let inner =
        rest.starts_with('/').then(|| PathAndQuery::try_from(format!("{rest}{query}")).ok()).flatten();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = inner;
    match parts.path_and_query.is_some().then(|| Uri::from_parts(parts).ok()).flatten() {
        Some(uri) => Within::Below(uri),
        None => Within::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_the_path_is_told_from_what_begins_like_it() {
        let below = |uri: &str| Within::Below(uri.parse().unwrap());
        let base = |location| Within::Base(HeaderValue::from_static(location));
        for (asked, expected) in [
            ("/a/b/", below("/")),
            ("/a/b/api/health", below("/api/health")),
            ("/a/b/socket.io/?EIO=4&t=a%20b", below("/socket.io/?EIO=4&t=a%20b")),
            ("http://h:1/a/b/docs", below("http://h:1/docs")),
            ("/a/b/a/b/", below("/a/b/")),
            ("/a/b", base("/a/b/")),
            ("/a/b?x=/y", base("/a/b/?x=/y")),
            ("/a/bc/api/health", Within::Elsewhere),
            ("/A/b/", Within::Elsewhere),
            ("/x/a/b/", Within::Elsewhere),
            ("/api/health", Within::Elsewhere),
            ("/", Within::Elsewhere),
        ] {
            assert_eq!(within("/a/b", &asked.parse().unwrap()), expected, "{asked}");
        }
    }
}
