//! `/api/pipeline/...`: start, stop, status, as the original service has them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Control;
use super::body::JsonBody;
use super::error::{ApiError, Refusal};
use super::pipelines::shown;
use super::registry::{Only, Started, Stream};
use crate::config::{StreamDefaults, StreamOptions};
use crate::media::StreamId;
use crate::status::{Phase, StreamStatus};

/// How long a caller waits for the end of a stream. What was captured is still being played then; the end
/// goes on without the caller.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(10);

/// What was done with a stream.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    /// Always true.
    success: bool,
    /// One line for a person.
    message: &'static str,
    stream_id: StreamId,
    /// It ran with these settings before, and nothing was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already_running: bool,
}

impl Done {
    pub(super) fn new(stream_id: StreamId, message: &'static str) -> Json<Self> {
        Json(Self { success: true, message, stream_id, already_running: false })
    }
}

/// What a start request need not say.
///
/// The service's own settings of streams, from its file, its environment and its arguments; where they say nothing, the
/// defaults hold that are described with each setting. Secrets are shown as `…`.
#[utoipa::path(
    get,
    path = "/api/pipeline/defaults",
    operation_id = "streamDefaults",
    tag = "streams",
    responses((status = 200, description = "What is set for all streams", body = StreamDefaults)),
)]
pub(super) async fn defaults(State(control): State<Arc<Control>>) -> Result<Json<Value>, ApiError> {
    shown(control.setup.stream_defaults.clone())
}

/// Starts a stream.
///
/// What the request does not say is as the service's own settings say, and otherwise as the defaults are. The same
/// settings for a stream that runs change nothing; others are refused until it is stopped.
#[utoipa::path(
    post,
    path = "/api/pipeline/start",
    operation_id = "startStream",
    tag = "streams",
    request_body = StreamOptions,
    responses(
        (status = 200, description = "The stream is starting, or runs already with these settings", body = Done),
        (status = 400, description = "A setting is missing, unknown or wrong: `field` names it", body = Refusal),
        (status = 409, description = "The stream runs with other settings", body = Refusal),
        (status = 429, description = "There is no room for one more stream", body = Refusal),
        (status = 503, description = "The service is shutting down", body = Refusal),
    ),
)]
pub(super) async fn start(
    State(control): State<Arc<Control>>,
    JsonBody(options): JsonBody<StreamOptions>,
) -> Result<Json<Done>, ApiError> {
    let settings = options.or(control.setup.stream_defaults.clone()).resolve()?;
    let stream_id = settings.stream_id.clone();
    // Not cancelled with the caller's connection: a start that waits for an old stream's end would be lost.
    let started = tokio::spawn(async move { control.registry.start(settings).await });
    let started = started.await.map_err(|_| ApiError::internal())??;
    let already_running = started == Started::AlreadyRunning;
    let message = if already_running { "the stream runs already" } else { "the stream is starting" };
    tracing::info!(%stream_id, already_running, "start requested");
    Ok(Json(Done { success: true, message, stream_id, already_running }))
}

/// Which stream is to end.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StopRequest {
    /// May be left out while one stream runs.
    stream_id: Option<String>,
}

/// Stops a stream.
///
/// What was captured is still published; after ten seconds the answer says that this goes on. A stream that is stopped
/// already stays so. It is remembered, with its last status, until it is deleted or 100 others have stopped after it.
#[utoipa::path(
    post,
    path = "/api/pipeline/stop",
    operation_id = "stopStream",
    tag = "streams",
    request_body = StopRequest,
    responses(
        (status = 200, description = "The stream is stopped or stopping", body = Done),
        (status = 400, description = "Several streams run and none is named, or the body is wrong", body = Refusal),
        (status = 404, description = "There is no such stream", body = Refusal),
    ),
)]
pub(super) async fn stop(
    State(control): State<Arc<Control>>,
    JsonBody(request): JsonBody<StopRequest>,
) -> Result<Json<Done>, ApiError> {
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
    Ok(Done::new(stream_id, message))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatusQuery {
    /// May be left out while one stream runs, or none.
    stream_id: Option<String>,
}

/// A stream, or that there is none.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum StatusAnswer {
    Stream(Box<StreamStatus>),
    Nothing(NoStream),
}

/// There is no stream. Nothing else stands here, so that no stream's status is taken for it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NoStream {
    /// Always false.
    is_running: bool,
    /// Always `idle`.
    phase: Phase,
}

/// The status of a stream.
///
/// Where no stream is named: of the one that runs; where none runs, of the one that there is.
#[utoipa::path(
    get,
    path = "/api/pipeline/status",
    operation_id = "streamStatus",
    tag = "streams",
    params(StatusQuery),
    responses(
        (status = 200, description = "The stream's status, or that there is none", body = StatusAnswer),
        (status = 400, description = "Several streams run and none is named, or the query is wrong", body = Refusal),
        (status = 404, description = "There is no such stream", body = Refusal),
    ),
)]
pub(super) async fn status(
    State(control): State<Arc<Control>>,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Json<StatusAnswer>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let stream = match query.stream_id {
        Some(id) => named(&control, &id)?,
        None => match control.registry.only() {
            Only::One(stream) => stream,
            Only::None => {
                let nothing = NoStream { is_running: false, phase: Phase::Idle };
                return Ok(Json(StatusAnswer::Nothing(nothing)));
            }
            Only::Several(ids) => return Err(ApiError::ambiguous(ids)),
        },
    };
    Ok(Json(StatusAnswer::Stream(Box::new(stream.status()))))
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
