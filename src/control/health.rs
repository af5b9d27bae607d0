//! `/api/health` and `/api/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Control;
use super::error::{ApiError, Refusal};
use crate::media::StreamId;
use crate::status::Phase;

/// How the service is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    /// `ok`, or `degraded` when a stream is in error. The process works either way, so the answer is 200:
    /// restarting it would not mend a source that is away.
    status: &'static str,
    /// Of Overdub.
    version: &'static str,
    /// Seconds since the service began.
    uptime: f64,
    /// Streams that run.
    running: usize,
    /// The streams that are in error.
    failing: Vec<StreamId>,
}

/// Liveness: the service answers.
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "health",
    tag = "service",
    responses((status = 200, description = "The service works", body = Health)),
)]
pub(super) async fn health(State(control): State<Arc<Control>>) -> Json<Health> {
    let streams: Vec<_> = control.registry.list().iter().map(|stream| stream.status()).collect();
    let failing: Vec<_> = streams
        .iter()
        .filter(|status| status.is_running && status.phase == Phase::Error)
        .map(|status| status.stream_id.clone())
        .collect();
    Json(Health {
        status: if failing.is_empty() { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        uptime: control.clock.now().saturating_since(control.started).as_secs_f64(),
        running: streams.iter().filter(|status| status.is_running).count(),
        failing,
    })
}

/// Streams can be started.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// Always true.
    ready: bool,
}

/// Readiness: new streams are taken.
///
/// Needs no token.
#[utoipa::path(
    get,
    path = "/api/ready",
    operation_id = "ready",
    tag = "service",
    responses(
        (status = 200, description = "New streams are taken", body = Ready),
        (status = 503, description = "The service is shutting down", body = Refusal),
    ),
)]
pub(super) async fn ready(State(control): State<Arc<Control>>) -> Result<Json<Ready>, ApiError> {
    if control.registry.is_draining() {
        return Err(super::registry::StartError::Draining.into());
    }
    Ok(Json(Ready { ready: true }))
}
