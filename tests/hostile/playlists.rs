//! Attacks by playlists: names, numbers of things, lines without an end.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use overdub::demo::clip;
use serde_json::json;

use crate::attack::{Attack, Target};
use crate::origin::{Live, endless, serve};

/// Characters of a hostile name.
const HUGE: usize = 200_000;
/// Just below the 16 MB that a playlist may have.
const FULL: usize = 15 << 20;

/// Of the names that a stream shows of its source: one of these makes a status of megabytes.
const SHOWN: usize = 5_000_000;

/// A name of `len` characters that has escapes of a terminal in it, and what turns and breaks lines elsewhere.
fn name(len: usize) -> String {
    let evil = "<img src=x onerror=alert(1)>\u{1b}[31m\u{7}\u{9b}2J\u{2028}\u{202e}\u{85}";
    evil.to_owned() + &"N".repeat(len) + evil
}

/// Too much of something.
pub fn numbers() -> Vec<Attack> {
    let mut all = Vec::new();
    let segments = |each: &str, count: usize| {
        let mut text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n".to_owned();
        (0..count).for_each(|number| text += &each.replace("@", &number.to_string()));
        text
    };
    let tags = |tag: &str| {
        // Numbers have six digits at most.
        let count = FULL / (tag.len() + 5 * tag.matches('@').count());
        segments(tag, count.min(1_000_000)) + "#EXTINF:2,\n0.ts\n"
    };
    let playlist = |name: &str, text: String| {
        let text = Bytes::from(text);
        Attack::new(name, move |target| {
            let text = text.clone();
            fetched(target, move |_| text.clone().into_response())
        })
    };
    all.push(playlist("a million segments", segments("#EXTINF:2\n@\n", 930_000)).alone());
    all.push(playlist("a million segments at one address", segments("#EXTINF:2,\na\n", 1_000_000)));
    all.push(playlist("a million segments, all missing", segments("#EXT-X-GAP\n#EXTINF:2,\na\n", 650_000)));
    for (name, tag) in [
        ("a million tags that nobody knows", "#EXT-X-Q:A=1\n"),
        ("a million discontinuities", "#EXT-X-DISCONTINUITY\n"),
        ("a million dates", "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n"),
        ("a million date ranges", "#EXT-X-DATERANGE:ID=\"@\",START-DATE=\"2026-01-01T00:00:00Z\"\n"),
        ("a million keys", "#EXT-X-KEY:METHOD=AES-128,URI=\"@\",KEYFORMAT=\"@\"\n"),
        ("a million maps", "#EXT-X-MAP:URI=\"@.mp4\"\n"),
        ("a million parts", "#EXT-X-PART:DURATION=1,URI=\"@\"\n"),
        ("a million variables", "#EXT-X-DEFINE:NAME=\"v@\",VALUE=\"@\"\n"),
        ("a million renditions", "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"@\",URI=\"@\"\n"),
        ("a million variants", "#EXT-X-STREAM-INF:BANDWIDTH=1\n@.m3u8\n"),
    ] {
        all.push(playlist(name, tags(tag)));
    }
    let attributes = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1".to_owned() + &",A=1".repeat(FULL / 4) + "\na\n";
    all.push(playlist("endless attributes", attributes));
    let growing = "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"".to_owned() + &"x".repeat(60_000) + "\"\n#EXTINF:2,\n";
    let uses = "{$a}".repeat(60_000);
    all.push(playlist("variables that multiply", format!("#EXTM3U\n#EXT-X-VERSION:8\n{growing}{uses}\n")));
    for (name, start) in [
        ("an endless line", "#EXTM3U\n#EXT-X-Q:"),
        ("an endless address", "#EXTM3U\n#EXTINF:2,\n"),
        ("an endless preamble", ""),
    ] {
        all.push(Attack::new(name, move |target| {
            fetched(target, move |_| endless(start, Bytes::from(vec![b'a'; 64 << 10])))
        }));
    }
    all
}

/// A stream whose source answers every playlist by `answer`, and has nothing else.
async fn fetched(target: Target, answer: impl Fn(&str) -> Response + Send + Sync + 'static) {
    let answer = move |path: &str| match path.ends_with("m3u8") {
        true => answer(path),
        false => StatusCode::NOT_FOUND.into_response(),
    };
    let source = serve(&target, answer).await + "/live.m3u8";
    target.start_stream(json!({ "sourceUrl": source })).await;
}

/// Each place of a playlist that holds a text.
pub fn names() -> Vec<Attack> {
    let quoted = name(HUGE);
    let header = |what: &str, line: String| {
        let line: Bytes = line.into();
        Attack::new(format!("huge {what}"), move |target| {
            let header = String::from_utf8_lossy(&line).into_owned();
            async move {
                let source = Live { header, ..clip_live() }.serve(&target).await;
                target.start_stream(json!({ "sourceUrl": source })).await;
            }
        })
    };
    vec![
        header("METHOD", format!("#EXT-X-KEY:METHOD={},URI=\"k\"\n", "M".repeat(HUGE))),
        header("KEYFORMAT", format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",KEYFORMAT=\"{quoted}\"\n")),
        header("key address", format!("#EXT-X-KEY:METHOD=AES-128,URI=\"http://{quoted}/\"\n")),
        header("map address", format!("#EXT-X-MAP:URI=\"{quoted}\"\n")),
        header("variables", format!("#EXT-X-DEFINE:NAME=\"{quoted}\",VALUE=\"{quoted}\"\n{{${quoted}}}\n")),
        header("imported variable", format!("#EXT-X-DEFINE:IMPORT=\"{quoted}\"\n")),
        header(
            "date range",
            format!(
                "#EXT-X-DATERANGE:ID=\"{quoted}\",CLASS=\"{quoted}\",START-DATE=\"2026-01-01T00:00:00Z\",X-N=\"{quoted}\"\n"
            ),
        ),
        header("date", format!("#EXT-X-PROGRAM-DATE-TIME:{quoted}\n")),
        header("tag", format!("#EXT-X-{quoted}\n")),
        Attack::new("huge names in a master playlist", |target| async move {
            let source = huge_names(&target).await;
            target.start_stream(json!({ "sourceUrl": source })).await;
        })
        .alone(),
        Attack::new("a huge redirect", move |target| {
            let to = format!("http://127.0.0.1:9/{}", "r".repeat(60_000));
            fetched(target, move |_| (StatusCode::FOUND, [("location", to.clone())]).into_response())
        }),
        Attack::new("a page of text in place of a playlist", |target| {
            let page = name(HUGE) + "\r\n";
            fetched(target, move |_| page.clone().into_response())
        }),
    ]
}

/// The demo's clip, live.
fn clip_live() -> Live {
    Live::of("ts", clip::segment)
}

/// A source that plays, and whose names are huge in every place: 13 MB of them.
pub async fn huge_names(target: &Target) -> String {
    let (quoted, shown) = (name(HUGE), name(SHOWN));
    let mut master = format!(
        "#EXTM3U\n#EXT-X-VERSION:8\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{shown}\",LANGUAGE=\"{quoted}\",CHARACTERISTICS=\"{quoted}\",\
         CHANNELS=\"2\",DEFAULT=YES,AUTOSELECT=YES\n"
    );
    for number in 1..4 {
        let _ = writeln!(
            master,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{number}{quoted}\",LANGUAGE=\"{quoted}\",URI=\"{number}.m3u8\""
        );
    }
    let _ = writeln!(
        master,
        "#EXT-X-SESSION-DATA:DATA-ID=\"{quoted}\",VALUE=\"{quoted}\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS=\"{},{shown}\",AUDIO=\"a\",X-N=\"{quoted}\",NAME=\"{quoted}\"\n\
         live.m3u8",
        clip::CODECS
    );
    let live = Live { others: vec![("master.m3u8", master.into())], ..clip_live() };
    live.serve(target).await.replace("live.m3u8", "master.m3u8")
}
