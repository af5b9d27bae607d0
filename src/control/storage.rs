//! `/api/storage/...`: what lies on the disk, and its removal.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Control;
use super::body::JsonBody;
use super::error::{ApiError, Refusal};
use crate::media::StreamId;
use crate::storage;

/// Sizes in bytes, of all streams or of one.
#[derive(Serialize, ToSchema)]
#[schema(as = StorageUsage)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    /// Captured segments.
    original_stream_size: u64,
    /// Batches as they came from the processor and went out.
    processed_fragments_size: u64,
    total_size: u64,
    /// What may still be written; null where the disk does not say, or was not asked yet.
    available_space: Option<u64>,
    /// The lowest and the highest number of a batch.
    oldest_batch: Option<u64>,
    newest_batch: Option<u64>,
    /// Each stream that has files, by name.
    breakdown: Vec<StreamUsage>,
}

/// The same of one stream.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamStorageUsage)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamUsage {
    stream_id: StreamId,
    original_stream_size: u64,
    processed_fragments_size: u64,
    total_size: u64,
    /// How many there are.
    segments: u64,
    batches: u64,
    oldest_batch: Option<u64>,
    newest_batch: Option<u64>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsQuery {
    /// All streams without it.
    stream_id: Option<String>,
}

/// What lies on the disk.
#[utoipa::path(
    get,
    path = "/api/storage/stats",
    operation_id = "storageUsage",
    tag = "storage",
    params(StatsQuery),
    responses(
        (status = 200, description = "Sizes in bytes", body = Usage),
        (status = 400, description = "The query is wrong", body = Refusal),
        (status = 404, description = "Nothing is known of such a stream", body = Refusal),
    ),
)]
pub(super) async fn stats(
    State(control): State<Arc<Control>>,
    query: Result<Query<StatsQuery>, QueryRejection>,
) -> Result<Json<Usage>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let wanted = query.stream_id.map(|id| known(&control, &id)).transpose()?;
    let usage = control.setup.disk.usage();
    let breakdown: Vec<_> = usage
        .into_iter()
        .filter(|(id, _)| wanted.as_ref().is_none_or(|wanted| wanted == id))
        .map(|(stream_id, usage)| StreamUsage {
            stream_id,
            original_stream_size: usage.original_bytes,
            processed_fragments_size: usage.processed_bytes,
            total_size: usage.total_bytes(),
            segments: usage.segments,
            batches: usage.batches,
            oldest_batch: usage.oldest_batch,
            newest_batch: usage.newest_batch,
        })
        .collect();
    let sum = |size: fn(&StreamUsage) -> u64| breakdown.iter().map(size).sum();
    Ok(Json(Usage {
        original_stream_size: sum(|stream| stream.original_stream_size),
        processed_fragments_size: sum(|stream| stream.processed_fragments_size),
        total_size: sum(|stream| stream.total_size),
        available_space: control.setup.disk.available(),
        oldest_batch: breakdown.iter().filter_map(|stream| stream.oldest_batch).min(),
        newest_batch: breakdown.iter().filter_map(|stream| stream.newest_batch).max(),
        breakdown,
    }))
}

/// What is to be removed.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CleanRequest {
    /// All streams without it.
    stream_id: Option<String>,
    /// How many of the newest batches stay, of each stream; none without it.
    keep_last: Option<u32>,
}

/// What was removed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CleanDone {
    /// Always true.
    success: bool,
    deleted_files: u64,
    freed_bytes: u64,
}

/// Removes artifacts from the disk.
///
/// What is still to be published is never touched.
#[utoipa::path(
    post,
    path = "/api/storage/clean",
    operation_id = "cleanStorage",
    tag = "storage",
    request_body = CleanRequest,
    responses(
        (status = 200, description = "What was removed", body = CleanDone),
        (status = 400, description = "The body is wrong", body = Refusal),
        (status = 404, description = "Nothing is known of such a stream", body = Refusal),
    ),
)]
pub(super) async fn clean(
    State(control): State<Arc<Control>>,
    JsonBody(request): JsonBody<CleanRequest>,
) -> Result<Json<CleanDone>, ApiError> {
    let wanted = request.stream_id.map(|id| known(&control, &id)).transpose()?;
    let keep_last = u64::from(request.keep_last.unwrap_or(0));
    let disk = control.setup.disk.clone();
    // A slow disk holds nobody else up, and what has begun goes on when the caller leaves.
    let cleaned = tokio::task::spawn_blocking(move || disk.clean(wanted.as_ref(), keep_last)).await;
    let storage::Cleaned { files, bytes } = cleaned.map_err(|_| ApiError::internal())?;
    tracing::info!(files, bytes, "storage cleaned");
    Ok(Json(CleanDone { success: true, deleted_files: files, freed_bytes: bytes }))
}

/// The stream of this name, where there is one or something of it is stored.
fn known(control: &Control, id: &str) -> Result<StreamId, ApiError> {
    let id = StreamId::new(id).map_err(|_| ApiError::unknown_stream())?;
    let there = control.registry.get(&id).is_some() || control.setup.disk.usage().contains_key(&id);
    if there { Ok(id) } else { Err(ApiError::unknown_stream()) }
}
