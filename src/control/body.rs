//! A request's JSON body, with errors that name the field.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::MAX_BODY;
use super::error::ApiError;
use crate::config::Invalid;

/// A JSON body of type `T`; an empty one reads as `{}`.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let json = is_json(&request);
        let body = Bytes::from_request(request, state).await.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let error = format!("the body is larger than {} KiB", MAX_BODY >> 10);
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error)
            }
            other => ApiError::new(other, error.body_text()),
        })?;
        // A page of another site can send a form or plain text to this machine without asking, JSON not.
        if !json && !body.is_empty() {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/json",
            ));
        }
        let body = if body.is_empty() { b"{}" } else { &body[..] };
        Ok(Self(Invalid::from_json(body)?))
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}
