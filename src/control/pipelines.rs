//! `/api/pipelines`: all streams, and each under its own address.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Control;
use super::error::ApiError;
use super::pipeline::{end, named};
use crate::status::StreamStatus;

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn list(State(control): State<Arc<Control>>) -> Json<Value> {
    let streams: Vec<_> = control.registry.list().iter().map(|stream| stream.status()).collect();
    Json(json!({ "pipelines": streams }))
}

pub(super) async fn one(State(control): State<Arc<Control>>, id: Id) -> Result<Json<StreamStatus>, ApiError> {
    Ok(Json(named(&control, &text(id)?)?.status()))
}

/// Stops the stream where it runs, and forgets it as soon as it is over.
pub(super) async fn delete(State(control): State<Arc<Control>>, id: Id) -> Result<Json<Value>, ApiError> {
    let stream_id = named(&control, &text(id)?)?.settings().stream_id.clone();
    let message = end(&control, &stream_id).await?;
    control.registry.forget(&stream_id);
    Ok(Json(json!({ "success": true, "message": message, "streamId": stream_id })))
}

/// The only refusal is a name that is not UTF-8, which no stream has.
fn text(id: Id) -> Result<String, ApiError> {
    id.map(|Path(id)| id).map_err(|_| ApiError::unknown_stream())
}
