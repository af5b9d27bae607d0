//! What holds for every request, whatever it asks.

use std::any::Any;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connections::Connection;
use super::error::ApiError;

/// The longest that a request may take, its body included. A stop and a restart answer within 10 s.
const LONGEST: Duration = Duration::from_secs(30);

/// Ends what takes too long: a body that never comes, a disk that hangs.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let error = "the request took longer than 30 s and was given up";
            ApiError::new(StatusCode::REQUEST_TIMEOUT, error).into_response()
        }
    }
}

/// A connection that nobody admitted is kept for a few requests only. That is said with an answer, so that its client
/// sends the next one over another.
pub(super) async fn last_answer(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    let mut response = next.run(request).await;
    let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !switching && connection.is_some_and(|connection| connection.should_end()) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// No browser guesses what an answer might be.
pub(super) async fn nosniff(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A handler's mistake is answered like every other error.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands over what was thrown")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(panic = what, "a request could not be answered");
    ApiError::internal().into_response()
}
