//! `/api/health` and `/api/ready`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Control;
use super::error::ApiError;
use crate::media::StreamId;
use crate::status::Phase;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    /// `ok`, or `degraded` when a stream is in error. The process works either way, so the answer is 200:
    /// restarting it would not mend a source that is away.
    status: &'static str,
    version: &'static str,
    /// Seconds.
    uptime: f64,
    running: usize,
    /// The streams that are in error.
    failing: Vec<StreamId>,
}

/// Liveness: the service answers.
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

/// Readiness: new streams are taken.
pub(super) async fn ready(State(control): State<Arc<Control>>) -> Result<Json<serde_json::Value>, ApiError> {
    if control.registry.is_draining() {
        return Err(super::registry::StartError::Draining.into());
    }
    Ok(Json(serde_json::json!({ "ready": true })))
}
