//! A live HLS origin: `/{stream}/live.m3u8`. Each stream is at another place of its segment, as in life.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use overdub::clock::wall_clock;

use super::media::SEGMENT_SECONDS;

/// Segments that a playlist lists.
const WINDOW: u64 = 6;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    media: PathBuf,
    /// Milliseconds since 1970 at which the streams began: a source that was killed goes on where it would be.
    #[arg(long)]
    began: u64,
}

struct Origin {
    segments: Vec<Bytes>,
    began: u64,
}

pub async fn run(args: Args) -> bool {
    let files = (0..).map_while(|number| std::fs::read(args.media.join(format!("{number}.ts"))).ok());
    let origin = Origin { segments: files.map(Bytes::from).collect(), began: args.began };
    let router = Router::new()
        .route("/{stream}/live.m3u8", get(playlist))
        .route("/{stream}/{segment}", get(segment))
        .with_state(Arc::new(origin));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
    axum::serve(listener, router).await.is_ok()
}

impl Origin {
    /// Segments of a stream that are over.
    fn made(&self, stream: &str) -> u64 {
        let since = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = since.saturating_sub(Duration::from_millis(self.began));
        let mut hasher = DefaultHasher::new();
        stream.hash(&mut hasher);
        let length = SEGMENT_SECONDS * 1_000;
        let made = (since.as_millis() as u64 + hasher.finish() % length) / length + WINDOW;
        made.min(self.segments.len() as u64)
    }
}

async fn playlist(State(origin): State<Arc<Origin>>, Path(stream): Path<String>) -> String {
    let made = origin.made(&stream);
    let first = made.saturating_sub(WINDOW);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for number in first..made {
        let _ = writeln!(text, "#EXTINF:{SEGMENT_SECONDS}.0,\n{number}.ts");
    }
    text
}

async fn segment(
    State(origin): State<Arc<Origin>>,
    Path((stream, segment)): Path<(String, String)>,
) -> Response {
    let number = segment.strip_suffix(".ts").and_then(|number| number.parse::<u64>().ok());
    let listed = number.filter(|number| *number < origin.made(&stream));
    match listed.and_then(|number| origin.segments.get(number as usize)) {
        Some(data) => data.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
