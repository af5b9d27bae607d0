//! `/api/pipelines`: all streams, and each under its own address.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Control;
use super::error::ApiError;
use super::pipeline::{STOP_WAIT, end, named};
use crate::config::StreamOptions;
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

/// The request that would start the stream again, but for its secrets.
pub(super) async fn settings(State(control): State<Arc<Control>>, id: Id) -> Result<Json<Value>, ApiError> {
    let stream = named(&control, &text(id)?)?;
    let shown = serde_json::to_value(StreamOptions::from(stream.settings()).redacted());
    let mut shown = shown.map_err(|_| ApiError::internal())?;
    if let Value::Object(fields) = &mut shown {
        fields.retain(|_, value| !value.is_null());
    }
    Ok(Json(shown))
}

/// Ends the stream where it runs, and starts it with the settings that it has, secrets included.
pub(super) async fn restart(State(control): State<Arc<Control>>, id: Id) -> Result<Json<Value>, ApiError> {
    let settings = named(&control, &text(id)?)?.settings().clone();
    let stream_id = settings.stream_id.clone();
    tracing::info!(%stream_id, "restart requested");
    // The start waits for the end of what runs now, and is not cancelled with the caller's connection.
    if control.registry.stop(&stream_id).is_none() {
        return Err(ApiError::unknown_stream());
    }
    let restarted = tokio::spawn(async move { control.registry.start(settings).await });
    let message = match timeout(STOP_WAIT, restarted).await {
        Ok(started) => {
            started.map_err(|_| ApiError::internal())??;
            "the stream is starting again"
        }
        Err(_) => "the stream is stopping, and starts again as soon as it has ended",
    };
    Ok(Json(json!({ "success": true, "message": message, "streamId": stream_id })))
}

/// The only refusal is a name that is not UTF-8, which no stream has.
fn text(id: Id) -> Result<String, ApiError> {
    id.map(|Path(id)| id).map_err(|_| ApiError::unknown_stream())
}
