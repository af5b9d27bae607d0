//! `/preview/{streamId}/...`: the output as a live HLS window.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};

use super::Control;
use super::access::query_token;
use super::error::{ApiError, Refusal};
use super::pipeline::named;
use crate::media::StreamId;
use crate::preview::File;

/// The output as HLS, for any player: a playlist and what it names.
///
/// Live, and as the output is: with the processor's sound, its fallbacks and its holds.
#[utoipa::path(
    get,
    path = "/preview/{id}/{file}",
    operation_id = "preview",
    tag = "preview",
    params(
        ("id" = StreamId, Path, description = "The name of the stream"),
        ("file" = String, Path, description = "`index.m3u8`, or a file that it names", example = "index.m3u8"),
    ),
    responses(
        (
            status = 200,
            description = "The playlist, an init segment or a segment",
            content((String = "application/vnd.apple.mpegurl"), (String = "video/mp4")),
        ),
        (status = 404, description = "There is no such stream, or nothing was published yet", body = Refusal),
    ),
)]
pub(super) async fn file(
    State(control): State<Arc<Control>>,
    uri: Uri,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path((id, name)) = path.map_err(|_| ApiError::unknown_stream())?;
    let stream = named(&control, &id)?;
    let Some(file) = stream.preview().file(&name) else {
        // A moment later it may be there: no cache between here and the player keeps this answer.
        let mut response = ApiError::not_found("no such file in the preview").into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok(response);
    };
    let file = match query_token(&uri).filter(|_| control.setup.access.is_guarded()) {
        Some(token) if file.is_playlist() => with_token(&file, &token),
        _ => file,
    };
    let length = file.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
    let chunks = file.chunks.into_iter().map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(futures_util::stream::iter(chunks)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(file.cache_control));
    // Who knows the token may play it on any page. Without one, only pages of allowed origins may.
    if control.setup.access.is_guarded() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    Ok(response)
}

/// The playlist with the token at each address in it: players do not take the query over.
fn with_token(playlist: &File, token: &str) -> File {
    let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let text: Vec<u8> = playlist.chunks.concat();
    let mut guarded = String::new();
    for line in String::from_utf8_lossy(&text).lines() {
        match line.split_once("URI=\"").and_then(|(before, rest)| Some((before, rest.split_once('"')?))) {
            Some((before, (uri, after))) => {
                guarded += &format!("{before}URI=\"{uri}?token={token}\"{after}");
            }
            None if line.is_empty() || line.starts_with('#') => guarded += line,
            None => guarded += &format!("{line}?token={token}"),
        }
        guarded.push('\n');
    }
    File { chunks: vec![guarded.into()], ..*playlist }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_with_every_address_of_a_playlist() {
        let text = "#EXTM3U\n#EXT-X-MAP:URI=\"init-0.mp4\"\n#EXTINF:2.0,\nsegment-0.m4s\n";
        let file = File { content_type: "", cache_control: "", chunks: vec![text.into()] };
        let guarded = with_token(&file, "a+b&c").chunks.concat();
        let expected = "#EXTM3U\n#EXT-X-MAP:URI=\"init-0.mp4?token=a%2Bb%26c\"\n#EXTINF:2.0,\n\
                        segment-0.m4s?token=a%2Bb%26c\n";
        assert_eq!(String::from_utf8(guarded).unwrap(), expected);
    }
}
