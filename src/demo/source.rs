//! A live HLS origin that needs nothing but this binary: the bundled clip without end.
//!
//! | path | what |
//! |---|---|
//! | `/live.m3u8` | a live window of 2 s segments that moves with the clock |
//! | `/master.m3u8` | a master playlist of the live one |
//! | `/vod.m3u8?loops=N` | the clip N times (1), complete |
//! | `/vod-master.m3u8?loops=N` | a master playlist of that |
//! | `/live/N.ts`, `/vod/N.ts` | their segments |

use std::fmt::Write as _;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::clip::{self, BANDWIDTH, CODECS, RESOLUTION, SEGMENT_DURATION, SEGMENTS_PER_LOOP};
use crate::clock::{Clock, wall_clock};
use crate::media::Moment;

/// Segments listed by the live playlist: 12 s, as packagers do by default.
const WINDOW: u64 = 6;

/// Segments that left the window are served for as long again (RFC 8216 6.2.2).
const KEPT: u64 = 2 * WINDOW;

/// A complete playlist of at most an hour: the list is made in memory.
const MAX_LOOPS: u64 = 225;

/// The origin as routes; `clock` decides what the live playlist lists. A full window is there at once.
pub fn router(clock: Clock) -> Router {
    let origin = Origin { clock, started_at: clock.now(), started: wall_clock() };
    Router::new()
        .route("/live.m3u8", get(live))
        .route("/vod.m3u8", get(vod))
        .route("/master.m3u8", get(|| async { playlist(master("live.m3u8")) }))
        .route("/vod-master.m3u8", get(vod_master))
        .route("/live/{name}", get(live_segment))
        .route("/vod/{name}", get(vod_segment))
        .with_state(origin)
}

#[derive(Clone, Copy)]
struct Origin {
    clock: Clock,
    started_at: Moment,
    /// The calendar time of `started_at`.
    started: SystemTime,
}

impl Origin {
    /// The number after the last segment that is complete.
    fn end(&self) -> u64 {
        let running = self.clock.now().saturating_since(self.started_at);
        WINDOW + u64::try_from(running.as_millis() / SEGMENT_DURATION.as_millis()).unwrap_or(0)
    }

    /// The date at which segment `number` begins: segment [`WINDOW`] began when the origin started.
    fn date(&self, number: u64) -> Option<String> {
        let since_first = SEGMENT_DURATION * u32::try_from(number).ok()?;
        let before_start = SEGMENT_DURATION * u32::try_from(WINDOW).ok()?;
        let date = OffsetDateTime::from(self.started) + since_first - before_start;
        // Milliseconds, as packagers write it.
        date.replace_millisecond(date.millisecond()).ok()?.format(&Rfc3339).ok()
    }
}

#[derive(Deserialize)]
struct Loops {
    #[serde(default = "one")]
    loops: u64,
}

fn one() -> u64 {
    1
}

async fn live(State(origin): State<Origin>) -> Response {
    let end = origin.end();
    playlist(media("live", end - WINDOW..end, |number| origin.date(number)))
}

async fn vod(Query(Loops { loops }): Query<Loops>) -> Response {
    let end = loops.clamp(1, MAX_LOOPS) * SEGMENTS_PER_LOOP;
    playlist(media("vod", 0..end, |_| None) + "#EXT-X-ENDLIST\n")
}

async fn vod_master(Query(Loops { loops }): Query<Loops>) -> Response {
    playlist(master(&format!("vod.m3u8?loops={loops}")))
}

/// The segments of a complete playlist are always there.
async fn vod_segment(Path(name): Path<String>) -> Response {
    match name.strip_suffix(".ts").and_then(|number| number.parse::<u64>().ok()) {
        Some(number) if number < MAX_LOOPS * SEGMENTS_PER_LOOP => ts(number),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn live_segment(State(origin): State<Origin>, Path(name): Path<String>) -> Response {
    let number = name.strip_suffix(".ts").and_then(|number| number.parse::<u64>().ok());
    let end = origin.end();
    match number {
        Some(number) if (end.saturating_sub(KEPT)..end).contains(&number) => ts(number),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn ts(number: u64) -> Response {
    // A page of another origin, such as the service's own, may play the source too.
    let headers = [(header::CONTENT_TYPE, "video/mp2t"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, clip::segment(number)).into_response()
}

fn playlist(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apple.mpegurl"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, text).into_response()
}

fn media(folder: &str, numbers: std::ops::Range<u64>, date: impl Fn(u64) -> Option<String>) -> String {
    let seconds = SEGMENT_DURATION.as_secs_f64();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:{seconds:.0}\n\
         #EXT-X-MEDIA-SEQUENCE:{}\n",
        numbers.start
    );
    for number in numbers {
        if let Some(date) = date(number) {
            let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{date}");
        }
        let _ = writeln!(text, "#EXTINF:{seconds:.3},\n{folder}/{number}.ts");
    }
    text
}

fn master(media: &str) -> String {
    let (width, height) = RESOLUTION;
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH={BANDWIDTH},CODECS=\"{CODECS}\",\
         RESOLUTION={width}x{height},FRAME-RATE=25.000\n{media}\n"
    )
}
