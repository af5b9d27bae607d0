//! Requests of the event channel, as the layer below does not look at them: whose connection it is, how much a polling
//! session is sent and sends.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;

use super::MAX_MESSAGE;
use super::sessions::Session;
use crate::control::access::given_token;
use crate::control::connections::Connection;
use crate::control::error::ApiError;
use crate::control::{Control, limits};

/// Longest Engine.IO handshake: some 200 bytes.
const MAX_HANDSHAKE: usize = 4 << 10;

/// Longest address and header of a session's first request, which may hold a token.
const MAX_ADDRESS: usize = 4 << 10;
/// The headers that it is kept with.
const KEPT: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::UPGRADE,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

/// Around the channel's layer.
pub(in crate::control) async fn observe(
    State(control): State<Arc<Control>>,
    mut request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/socket.io") {
        return next.run(request).await;
    }
    let connection = request.extensions().get::<Connection>().cloned();
    let id = parameter(request.uri(), "sid");
    let session = id.as_deref().and_then(|id| control.events.sessions.get(id));
    let joined = session.as_deref().is_some_and(Session::is_joined);
    // An id is as good as the token with which its session has joined.
    let given = given_token(request.headers(), request.uri());
    let admitted = joined || control.setup.access.admits(given.as_deref());
    if let Some(connection) = connection.as_ref().filter(|_| admitted) {
        connection.admit();
    }
    if id.is_none() {
        let customer = connection.as_ref().map(Connection::customer);
        let with_token = admitted && control.setup.access.is_guarded();
        if !with_token && !control.events.sessions.may_open(customer) {
            let error = "too many sessions that do not join";
            return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error).into_response();
        }
        *request.headers_mut() = kept(request.headers());
        let Some(uri) = copied(request.uri()) else {
            let error = format!("the address is longer than {MAX_ADDRESS} bytes");
            return ApiError::new(StatusCode::URI_TOO_LONG, error).into_response();
        };
        *request.uri_mut() = uri;
        // axum's `OriginalUri` is a part of that buffer too.
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        request.extensions_mut().clear();
        if let Some(upgrade) = upgrade {
            request.extensions_mut().insert(upgrade);
        }
        if let Some(connection) = &connection {
            request.extensions_mut().insert(connection.clone());
        }
    }
    if *request.method() == Method::POST {
        return post(session.as_deref(), request, next).await;
    }
    let asked = control.clock.now();
    let response = next.clone().run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if let Some(connection) = connection {
            connection.upgraded();
            if let Some(session) = session.filter(|_| joined) {
                connection.joined();
                session.attach(connection);
            }
        }
        return response;
    }
    match session {
        Some(session) => {
            session.polled(response.body().size_hint().lower(), control.clock.now().saturating_since(asked));
            response
        }
        None if id.is_none() && response.status() == StatusCode::OK => opened(&control, response, next).await,
        None => response,
    }
}

/// What the layer below reads of a session's first request. It keeps that request as long as the session lives, and each
/// of these is a part of the buffer that all headers were read into: they are copied.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in KEPT {
        for value in headers.get_all(&name).iter().filter(|value| value.len() <= MAX_ADDRESS) {
            if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
                kept.append(name.clone(), copy);
            }
        }
    }
    kept
}

fn copied(uri: &Uri) -> Option<Uri> {
    let text = uri.to_string();
    (text.len() <= MAX_ADDRESS).then(|| Uri::try_from(text).ok()).flatten()
}

/// Packets of a polling session.
async fn post(session: Option<&Session>, request: Request, next: Next) -> Response {
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = length.unwrap_or(MAX_MESSAGE as u64);
    if session.is_some_and(|session| !session.may_post(bytes)) {
        let error = "the session was sent more than it has read";
        return ApiError::new(StatusCode::TOO_MANY_REQUESTS, error).into_response();
    }
    limits::in_time(request, next).await
}

/// A polling session was opened: the oldest that has not joined gives way to it.
async fn opened(control: &Control, response: Response, next: Next) -> Response {
    #[derive(Deserialize)]
    struct Handshake {
        sid: String,
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, MAX_HANDSHAKE).await else {
        return ApiError::internal().into_response();
    };
    // An open packet is `0` and its JSON.
    let handshake: Option<Handshake> = body.get(1..).and_then(|json| serde_json::from_slice(json).ok());
    if let Some(displaced) = handshake.and_then(|handshake| control.events.sessions.opened(handshake.sid)) {
        // As its client would: by a close packet.
        let close = Request::post(format!("/socket.io/?EIO=4&transport=polling&sid={displaced}"));
        if let Ok(close) = close.body(Body::from("1")) {
            let _ = next.run(close).await;
        }
    }
    Response::from_parts(parts, Body::from(body))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
