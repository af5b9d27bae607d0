//! Playlists of others: each is read, or refused with a reason; none makes the parser panic.
//!
//! The corpus is found by `OVERDUB_CORPUS`, else at `../shared/corpus` beside the workspace.

use std::path::{Path, PathBuf};

use std::time::Duration;

use axum::Router;
use overdub::clock::Clock;
use overdub::hls::playlist::{Definitions, Error, Playlist, parse};
use overdub::hls::{self, Event, Settings, Status};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("OVERDUB_CORPUS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    Some(given.unwrap_or_else(beside)).filter(|path| path.is_dir())
}

fn playlists(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            playlists(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "m3u8") {
            found.push(path);
        }
    }
}

/// What the `.truth.json` beside a playlist says it lists, and whether it is a master.
fn truth(path: &Path) -> Option<(bool, u64, f64, bool)> {
    let mut name = path.as_os_str().to_owned();
    name.push(".truth.json");
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(name).ok()?).expect("JSON");
    let field = |name: &str| truth.get(name).unwrap_or(&serde_json::Value::Null).clone();
    Some((
        field("master").as_bool()?,
        field("segments").as_u64()?,
        field("extinf_sum").as_f64()?,
        field("endlist").as_bool()?,
    ))
}

#[test]
fn every_playlist_of_the_corpus_is_read_or_refused_with_a_reason() {
    let Some(corpus) = corpus() else {
        println!("NOT RUN: no corpus (set OVERDUB_CORPUS): playlists of others were not read");
        return;
    };
    let mut paths = Vec::new();
    playlists(&corpus, &mut paths);
    assert!(!paths.is_empty(), "{} holds no playlist", corpus.display());
    let (mut read, mut compared, mut refused) = (0, 0, Vec::new());
    for path in &paths {
        let body = std::fs::read(path).expect("a readable file");
        let playlist = match parse(&body, &Definitions::default()) {
            Ok(playlist) => playlist,
            Err(error) => {
                // A refusal must not be the parser's confusion.
                assert!(!matches!(error, Error::LeftOver { .. }), "{}: {error}", path.display());
                let name = path.strip_prefix(&corpus).unwrap_or(path).display();
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        read += 1;
        let Some((is_master, segments, seconds, ended)) = truth(path) else { continue };
        compared += 1;
        match playlist {
            Playlist::Master(_) => assert!(is_master, "{}", path.display()),
            Playlist::Media(media) => {
                assert!(!is_master, "{}", path.display());
                assert_eq!(media.segments.len() as u64, segments, "{}", path.display());
                assert_eq!(media.ended, ended, "{}", path.display());
                let sum: f64 = media.segments.iter().map(|segment| segment.duration.as_secs_f64()).sum();
                assert!((sum - seconds).abs() < 0.01, "{}: {sum} {seconds}", path.display());
            }
        }
    }
    println!("{} playlists: {read} read, {compared} compared with their truth", paths.len());
    for line in &refused {
        println!("refused: {line}");
    }
    // What plays elsewhere must be read here; only the fuzzers' and the parsers' own negative cases may not.
    assert!(!refused.iter().any(|line| line.starts_with("hls/")), "{refused:#?}");
    assert!(refused.len() * 5 <= paths.len(), "too many refusals: {refused:#?}");
}

/// What `hls::run` delivers of a playlist: the files' bytes, or why not.
async fn deliver(url: Url) -> Result<Vec<(String, Vec<u8>)>, hls::Error> {
    let (out, mut events) = mpsc::channel(4);
    let (status, _kept) = watch::channel(Status::default());
    let run = hls::run(Settings::new(url), Clock::start(), 0, out, status, CancellationToken::new());
    let run = tokio::spawn(run);
    let mut delivered = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Segment(segment) => delivered.push((segment.url.to_string(), segment.data.to_vec())),
            Event::Lost { reason, .. } => panic!("{reason}"),
            Event::TargetDuration(_) | Event::Renditions { .. } => {}
            Event::Ended => break,
        }
    }
    run.await.expect("no panic").map(|()| delivered)
}

/// The segments of a complete media playlist that are files beside it, and whether they are encrypted.
fn local_files(path: &Path) -> Option<(Vec<PathBuf>, bool)> {
    let body = std::fs::read(path).expect("a readable file");
    let Ok(Playlist::Media(media)) = parse(&body, &Definitions::default()) else { return None };
    let whole = media.ended && !media.segments.is_empty();
    let plain = media.segments.iter().all(|segment| segment.byte_range.is_none() && !segment.gap);
    let folder = path.parent()?;
    let files: Vec<PathBuf> = media.segments.iter().map(|segment| folder.join(&*segment.uri)).collect();
    let encrypted = media.segments.iter().any(|segment| segment.key.is_some());
    (whole && plain && files.iter().all(|file| file.is_file())).then_some((files, encrypted))
}

#[tokio::test]
async fn complete_playlists_of_the_corpus_are_delivered_byte_for_byte_in_the_clear_or_refused() {
    let Some(corpus) = corpus() else {
        println!("NOT RUN: no corpus (set OVERDUB_CORPUS): streams of others were not fetched");
        return;
    };
    let root = corpus.join("hls");
    let served = root.clone();
    let app = Router::new().fallback(move |uri: http::Uri| {
        let file = served.join(uri.path().trim_start_matches('/'));
        async move { tokio::fs::read(file).await.map_err(|_| http::StatusCode::NOT_FOUND) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base =
        Url::parse(&format!("http://{}/", listener.local_addr().expect("it is bound"))).expect("a URL");
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut paths = Vec::new();
    playlists(&root, &mut paths);
    let mut delivered = 0;
    for path in &paths {
        let Some((files, encrypted)) = local_files(path) else { continue };
        let name = path.strip_prefix(&root).expect("it was found there").to_string_lossy().into_owned();
        let url = base.join(&name).expect("a URL");
        let result = tokio::time::timeout(Duration::from_secs(30), deliver(url)).await.expect("it ends");
        match result {
            Ok(segments) => {
                assert_eq!(segments.len(), files.len(), "{name}");
                for ((url, data), file) in segments.iter().zip(&files) {
                    let listed = std::fs::read(file).expect("a file");
                    if encrypted {
                        // RFC 8216 4.3.2.4: PKCS#7 adds 1 to 16 bytes; what is left are whole TS packets.
                        let padding = listed.len() - data.len();
                        assert!((1..=16).contains(&padding), "{name}: {url}: {padding}");
                        assert!(data.len().is_multiple_of(188), "{name}: {url}");
                        assert!(data.iter().step_by(188).all(|sync| *sync == 0x47), "{name}: {url}");
                    } else {
                        assert!(*data == listed, "{name}: {url}");
                    }
                }
                delivered += 1;
            }
            Err(error @ (hls::Error::Unsupported { .. } | hls::Error::Crypt { .. })) => {
                println!("refused: {error}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    println!("{delivered} complete playlists delivered byte for byte");
    assert!(delivered > 0);
}
