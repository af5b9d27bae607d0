//! `/metrics`: Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::{Control, admission};
use crate::journal::Journals;
use crate::metrics::{self, Process, Service, StreamView};

/// The version of Prometheus's text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The numbers of the service and of all streams, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "service",
    responses((status = 200, description = "Prometheus's text format", content_type = "text/plain", body = String)),
)]
pub(super) async fn metrics(State(control): State<Arc<Control>>) -> impl IntoResponse {
    let text = control.metrics.answer(control.clock.now(), || text(&control).into());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

fn text(control: &Control) -> String {
    let streams: Vec<StreamView> = control
        .registry
        .list()
        .iter()
        .filter(|stream| !stream.is_finished())
        .map(|stream| {
            let status = stream.status();
            StreamView { memory: admission::memory_of(stream.settings(), &status), status }
        })
        .collect();
    let disk = &control.setup.disk;
    let (removed, stuck) = disk.removed();
    let service = Service {
        uptime_seconds: control.clock.now().saturating_since(control.started).as_secs_f64(),
        draining: control.registry.is_draining(),
        storage: disk.usage(),
        storage_free: disk.available(),
        storage_removed: removed.bytes,
        storage_stuck: stuck,
        journal: control.setup.journals.as_ref().map(Journals::stats).unwrap_or_default(),
        connections: control.connections.numbers(),
        process: Process::snapshot(),
    };
    metrics::text(&service, &streams)
}
