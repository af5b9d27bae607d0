//! `/preview/{streamId}/...`: the output as a live HLS window.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::Control;
use super::error::ApiError;
use super::pipeline::named;

pub(super) async fn file(
    State(control): State<Arc<Control>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path((id, name)) = path.map_err(|_| ApiError::unknown_stream())?;
    let stream = named(&control, &id)?;
    let file =
        stream.preview().file(&name).ok_or_else(|| ApiError::not_found("no such file in the preview"))?;
    let length = file.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
    let chunks = file.chunks.into_iter().map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(futures_util::stream::iter(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(file.cache_control));
    // Players on pages of any origin may read the media; it carries no credentials.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}
