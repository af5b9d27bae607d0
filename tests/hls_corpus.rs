//! Playlists of others: each is read, or refused with a reason; none makes the parser panic.
//!
//! The corpus is found by `OVERDUB_CORPUS`, else at `../shared/corpus` beside the workspace.

use std::path::{Path, PathBuf};

use overdub::hls::playlist::{Definitions, Error, Playlist, parse};

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
                refused.push(format!("{}: {error}", path.display()));
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
    assert!(!refused.iter().any(|line| line.contains("/hls/")), "{refused:#?}");
    assert!(refused.len() * 5 <= paths.len(), "too many refusals: {refused:#?}");
}
