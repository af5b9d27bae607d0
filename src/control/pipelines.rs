//! `/api/pipelines`: all streams, and each under its own address.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::Control;
use super::error::{ApiError, Refusal};
use super::pipeline::{Done, STOP_WAIT, end, named};
use crate::config::StreamOptions;
use crate::media::StreamId;
use crate::status::StreamStatus;

type Id = Result<Path<String>, PathRejection>;

/// All streams.
#[derive(Serialize, ToSchema)]
pub(super) struct Pipelines {
    /// By name, those that are stopped and remembered too.
    pipelines: Vec<StreamStatus>,
}

/// The status of every stream.
#[utoipa::path(
    get,
    path = "/api/pipelines",
    operation_id = "listStreams",
    tag = "streams",
    responses((status = 200, description = "All streams by name, running and remembered", body = Pipelines)),
)]
pub(super) async fn list(State(control): State<Arc<Control>>) -> impl IntoResponse {
    let all =
        || Pipelines { pipelines: control.registry.list().iter().map(|stream| stream.status()).collect() };
    // Plain data, which always can be written as JSON.
    let make = || serde_json::to_vec(&all()).unwrap_or_default().into();
    let json = control.pipelines.answer(control.clock.now(), make);
    ([(header::CONTENT_TYPE, "application/json")], json)
}

/// The status of one stream.
#[utoipa::path(
    get,
    path = "/api/pipelines/{id}",
    operation_id = "getStream",
    tag = "streams",
    params(("id" = StreamId, Path, description = "The name of the stream")),
    responses(
        (status = 200, description = "The stream's status", body = StreamStatus),
        (status = 404, description = "There is no such stream", body = Refusal),
    ),
)]
pub(super) async fn one(State(control): State<Arc<Control>>, id: Id) -> Result<Json<StreamStatus>, ApiError> {
    Ok(Json(named(&control, &text(id)?)?.status()))
}

/// Stops the stream where it runs, and forgets it as soon as it is over.
///
/// Where publishing what was captured takes longer than ten seconds, the stream is remembered and can be deleted again.
#[utoipa::path(
    delete,
    path = "/api/pipelines/{id}",
    operation_id = "deleteStream",
    tag = "streams",
    params(("id" = StreamId, Path, description = "The name of the stream")),
    responses(
        (status = 200, description = "The stream is stopped and forgotten, or stopping", body = Done),
        (status = 404, description = "There is no such stream", body = Refusal),
    ),
)]
pub(super) async fn delete(State(control): State<Arc<Control>>, id: Id) -> Result<Json<Done>, ApiError> {
    let stream_id = named(&control, &text(id)?)?.settings().stream_id.clone();
    let message = end(&control, &stream_id).await?;
    control.registry.forget(&stream_id);
    Ok(Done::new(stream_id, message))
}

/// The request that would start the stream again, but for its secrets.
///
/// Keys, tokens and the ends of output addresses are shown as `…`, which a start refuses.
#[utoipa::path(
    get,
    path = "/api/pipelines/{id}/settings",
    operation_id = "streamSettings",
    tag = "streams",
    params(("id" = StreamId, Path, description = "The name of the stream")),
    responses(
        (status = 200, description = "The settings, defaults included", body = StreamOptions),
        (status = 404, description = "There is no such stream", body = Refusal),
    ),
)]
pub(super) async fn settings(State(control): State<Arc<Control>>, id: Id) -> Result<Json<Value>, ApiError> {
    let stream = named(&control, &text(id)?)?;
    shown(StreamOptions::from(stream.settings()))
}

/// What is set, without secrets.
pub(super) fn shown(options: StreamOptions) -> Result<Json<Value>, ApiError> {
    let mut shown = serde_json::to_value(options.redacted()).map_err(|_| ApiError::internal())?;
    if let Value::Object(fields) = &mut shown {
        fields.retain(|_, value| !value.is_null());
    }
    Ok(Json(shown))
}

/// Ends the stream where it runs, and starts it with the settings that it has, secrets included.
#[utoipa::path(
    post,
    path = "/api/pipelines/{id}/restart",
    operation_id = "restartStream",
    tag = "streams",
    params(("id" = StreamId, Path, description = "The name of the stream")),
    responses(
        (status = 200, description = "The stream starts again, at once or as soon as it has ended", body = Done),
        (status = 404, description = "There is no such stream", body = Refusal),
        (status = 409, description = "It was started with other settings meanwhile", body = Refusal),
        (status = 429, description = "There is no room for one more stream", body = Refusal),
        (status = 503, description = "The service is shutting down", body = Refusal),
    ),
)]
pub(super) async fn restart(State(control): State<Arc<Control>>, id: Id) -> Result<Json<Done>, ApiError> {
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
    Ok(Done::new(stream_id, message))
}

/// The only refusal is a name that is not UTF-8, which no stream has.
fn text(id: Id) -> Result<String, ApiError> {
    id.map(|Path(id)| id).map_err(|_| ApiError::unknown_stream())
}
