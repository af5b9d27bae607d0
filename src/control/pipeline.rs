//! `/api/pipeline/...`: start, stop, status, as the original service has them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Control;
use super::body::JsonBody;
use super::error::ApiError;
use super::registry::{Only, Started, Stream};
use crate::config::StreamOptions;
use crate::media::StreamId;

/// How long a caller waits for the end of a stream. What was captured is still being played then; the end
/// goes on without the caller.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(10);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    success: bool,
    message: String,
    stream_id: StreamId,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    already_running: bool,
}

pub(super) async fn start(
    State(control): State<Arc<Control>>,
    JsonBody(options): JsonBody<StreamOptions>,
) -> Result<Response, ApiError> {
    let settings = options.or(control.setup.stream_defaults.clone()).resolve()?;
    let stream_id = settings.stream_id.clone();
    // Not cancelled with the caller's connection: a start that waits for an old stream's end would be lost.
    let started = tokio::spawn(async move { control.registry.start(settings).await });
    let started = started.await.map_err(|_| ApiError::internal())??;
    let already_running = started == Started::AlreadyRunning;
    let message = if already_running { "the stream runs already" } else { "the stream is starting" };
    tracing::info!(%stream_id, already_running, "start requested");
    let done = Done { success: true, message: message.to_owned(), stream_id, already_running };
    Ok(Json(done).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StopRequest {
    stream_id: Option<String>,
}

pub(super) async fn stop(
    State(control): State<Arc<Control>>,
    JsonBody(request): JsonBody<StopRequest>,
) -> Result<Response, ApiError> {
    let stream = match request.stream_id {
        Some(id) => named(&control, &id)?,
        None => match control.registry.only() {
            Only::One(stream) => stream,
            Only::None => return Err(ApiError::not_found("no stream is running")),
            Only::Several(ids) => return Err(ApiError::ambiguous(ids)),
        },
    };
    let stream_id = stream.settings().stream_id.clone();
    let message = end(&control, &stream_id).await?;
    let done = Done { success: true, message: message.to_owned(), stream_id, already_running: false };
    Ok(Json(done).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusQuery {
    stream_id: Option<String>,
}

pub(super) async fn status(
    State(control): State<Arc<Control>>,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let stream = match query.stream_id {
        Some(id) => named(&control, &id)?,
        None => match control.registry.only() {
            Only::One(stream) => stream,
            Only::None => return Ok(Json(json!({"isRunning": false, "phase": "idle"})).into_response()),
            Only::Several(ids) => return Err(ApiError::ambiguous(ids)),
        },
    };
    Ok(Json(stream.status()).into_response())
}

/// The stream called `id`; a name that no stream can have is one that no stream has.
pub(super) fn named(control: &Control, id: &str) -> Result<Arc<dyn Stream>, ApiError> {
    let id = StreamId::new(id).map_err(|_| ApiError::unknown_stream())?;
    control.registry.get(&id).ok_or_else(ApiError::unknown_stream)
}

/// Ends a stream, whether or not the caller stays, and says how far that is.
pub(super) async fn end(control: &Control, id: &StreamId) -> Result<&'static str, ApiError> {
    let over = control.registry.get(id).is_some_and(|stream| stream.is_finished());
    let end = control.registry.stop(id).ok_or_else(ApiError::unknown_stream)?;
    if over {
        return Ok("the stream was stopped already");
    }
    tracing::info!(stream_id = %id, "stop requested");
    match tokio::time::timeout(STOP_WAIT, tokio::spawn(end)).await {
        Ok(Ok(())) => Ok("the stream is stopped"),
        Ok(Err(_)) => Err(ApiError::internal()),
        Err(_) => Ok("the stream is stopping: what was captured is still being published"),
    }
}
