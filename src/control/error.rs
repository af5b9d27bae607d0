//! Errors as the API answers them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::registry::StartError;
use crate::config::Invalid;
use crate::media::StreamId;
use crate::outside::{Name, Text};

/// A refusal with its status.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Refusal,
}

/// Why something was not done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusal {
    /// Always false.
    success: bool,
    /// One line for a person.
    error: Text,
    /// The part of the request that is at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<Name>,
    /// The streams among which the caller has to choose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    stream_ids: Vec<StreamId>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let body =
            Refusal { success: false, error: Text::from(error.into()), field: None, stream_ids: Vec::new() };
        Self { status, body }
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
    }

    pub(super) fn unknown_stream() -> Self {
        Self::not_found("there is no such stream").field("streamId")
    }

    /// No stream was named and there are several.
    pub(super) fn ambiguous(stream_ids: Vec<StreamId>) -> Self {
        let error = "several streams are running: name one";
        let mut error = Self::new(StatusCode::BAD_REQUEST, error).field("streamId");
        error.body.stream_ids = stream_ids;
        error
    }

    /// A task died; what it said is in the log.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error: the log says more")
    }

    #[must_use]
    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.body.field = Some(Name::from(field.into()));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        if invalid.field.is_empty() {
            return Self::new(
                StatusCode::BAD_REQUEST,
                format!("the body is not as expected: {}", invalid.reason),
            );
        }
        Self::new(StatusCode::BAD_REQUEST, invalid.to_string()).field(invalid.field)
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Conflict => Self::new(StatusCode::CONFLICT, error.to_string()).field("streamId"),
            StartError::StreamMemory { .. } => {
                Self::new(StatusCode::BAD_REQUEST, error.to_string()).field("processingBudget")
            }
            // What others take up may become free; the service itself is well.
            StartError::Full { .. } | StartError::Memory { .. } | StartError::OpenFiles { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
            }
            StartError::Draining => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}
