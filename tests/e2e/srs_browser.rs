//! What a viewer sees who watches SRS's HLS in a browser while the source dies and comes back: Chromium with hls.js, as it
//! is, plays on through the hole and behind it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::browser::Browser;
use super::hole;
use super::source::Clip;
use super::srs::{Srs, binary};
use super::tools::{Workdir, say, until};

/// How long the source is away.
const AWAY: Duration = Duration::from_secs(15);
/// hls.js keeps three target durations behind the end of the playlist, and what it has is played to its end.
const BEHIND: Duration = Duration::from_secs(15);
/// Playback goes on where it never stands still for longer, in seconds: a busy machine samples late, and one that had to
/// wait for a segment would have waited for two seconds.
const STANDSTILL: f64 = 1.5;
/// The window over which pictures are counted, in seconds.
const WINDOW: f64 = 2.0;

/// The page, at one moment.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Sample {
    /// The browser's clock, in seconds.
    at: f64,
    /// `currentTime` of the video.
    time: f64,
    /// Decoded so far.
    pictures: u32,
    /// Bytes of sound decoded so far.
    sound: u64,
}

/// All that the page saw.
#[derive(Debug, Default, Deserialize)]
struct Seen {
    samples: Vec<Sample>,
    errors: Vec<Complaint>,
}

/// What hls.js complained of.
#[derive(Debug, Deserialize)]
struct Complaint {
    /// `currentTime` of the video.
    time: f64,
    what: String,
}

/// What a viewer had of it.
#[derive(Debug)]
struct Viewing {
    /// The longest time for which nothing moved, in seconds.
    standstill: f64,
    /// Playing time with the source's pictures before the hole, with held ones in it, and behind it.
    before: f64,
    held: f64,
    after: f64,
}

/// From the first moment at which it plays to the last.
fn played(samples: &[Sample]) -> &[Sample] {
    let (Some(begin), Some(end)) = (samples.first(), samples.last()) else { return &[] };
    let (begin, end) = (begin.time, end.time);
    let first = samples.iter().position(|sample| sample.time > begin).unwrap_or(samples.len());
    let last = samples.iter().position(|sample| sample.time == end).unwrap_or(samples.len());
    samples.get(first..=last).unwrap_or_default()
}

/// Judges what was played: a hole is where there are no more than two pictures a second.
fn viewing(samples: &[Sample]) -> Viewing {
    let mut viewing = Viewing { standstill: 0.0, before: 0.0, held: 0.0, after: 0.0 };
    let mut moved = samples.first().map_or(0.0, |sample| sample.at);
    for (index, pair) in samples.windows(2).enumerate() {
        let [one, next] = pair else { unreachable!("windows of two") };
        if next.time > one.time {
            moved = next.at;
        }
        viewing.standstill = viewing.standstill.max(next.at - moved);
        let ago = samples[..=index].iter().rfind(|sample| sample.time <= next.time - WINDOW);
        let Some(ago) = ago else { continue };
        let held = f64::from(next.pictures - ago.pictures) <= 2.0 * (next.time - ago.time);
        let part = match (held, viewing.held > 0.0) {
            (true, _) => &mut viewing.held,
            (false, false) => &mut viewing.before,
            (false, true) => &mut viewing.after,
        };
        *part += next.time - one.time;
    }
    viewing
}

async fn page(hls_js: Vec<u8>, seen: Arc<Mutex<Seen>>) -> String {
    let note = async |State(seen): State<Arc<Mutex<Seen>>>, Json(now): Json<Seen>| {
        *seen.lock().expect("no panic under the lock") = now;
    };
    let routes = Router::new()
        .route("/", get(async || Html(include_str!("srs_browser.html"))))
        .route("/hls.js", get(async || ([("content-type", "text/javascript")], hls_js)))
        .route("/seen", post(note))
        .with_state(seen);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("a bound address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_a_browser_plays_its_hls_over_a_hole() {
    let Some(binary) = binary("a hole in the source, through SRS in a browser") else { return };
    let hls_js = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/node_modules/hls.js/dist/hls.min.js");
    let hls_js = std::fs::read(&hls_js)
        .unwrap_or_else(|error| panic!("{}: {error}; make ui installs it", hls_js.display()));
    let (name, dir) = ("hole-browser", Workdir::new("hole-browser"));
    let clip = Clip::of(hole::CLIP).await;
    let mut srs = Srs::start(&binary, &dir).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let url = page(hls_js, Arc::clone(&seen)).await;
    let target = srs.rtmp_url(name);
    let played_out = hole::play(&dir, name, &clip, &target, AWAY);
    let watched = async {
        srs.has_segments(name, 3, Duration::from_secs(90)).await;
        Browser::open(&format!("{url}?playlist={}", srs.hls_url(name)))
    };
    let ((), mut browser) = tokio::join!(played_out, watched);
    until(BEHIND + Duration::from_secs(45), "the end of the stream in the browser", async || {
        assert_eq!(browser.ended(), None);
        let seen = seen.lock().expect("no panic under the lock");
        let last = seen.samples.last()?;
        let moved = seen.samples.iter().find(|sample| sample.time == last.time)?;
        (last.at - moved.at > BEHIND.as_secs_f64()).then_some(())
    })
    .await;
    drop(browser);
    srs.stop().await;
    assert_eq!(srs.publishers(), 1, "one connection\n{}", srs.tail());

    let seen = std::mem::take(&mut *seen.lock().expect("no panic under the lock"));
    let samples = played(&seen.samples);
    let viewing = viewing(samples);
    let complaints: Vec<_> =
        seen.errors.iter().map(|error| format!("{} at {:.1} s", error.what, error.time)).collect();
    say(&format!("{name}: {viewing:.2?}; hls.js complained of {complaints:?}"));
    let away = AWAY.as_secs_f64();
    assert!(viewing.standstill <= STANDSTILL, "playback stood still: {viewing:?} {:?}", seen.errors);
    assert!(viewing.before > 3.0 && viewing.after > 10.0, "the source on both sides: {viewing:?}");
    // What was lost with the encoder, and the first segment of the next one, are missing as well.
    assert!((away - 3.0..away + 8.0).contains(&viewing.held), "a hole of {AWAY:?}: {viewing:?}");
    let silent = samples.windows(10).any(|some| some[0].sound == some[some.len() - 1].sound);
    assert!(!silent, "there is sound, or silence, all the time");
    // At the end there is nothing more to play.
    let end = samples.last().map_or(0.0, |sample| sample.time);
    assert!(seen.errors.iter().all(|error| error.time >= end - 1.0), "until {end:.2} s: {:?}", seen.errors);
}
