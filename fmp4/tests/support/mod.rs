//! The corpus of real files, and the judges.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

/// Where the corpus is: `OVERDUB_CORPUS`, else `../shared/corpus` beside the workspace. Without it the
/// tests over real files say so, in one line, and rest on the others.
pub(crate) fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let dir = std::env::var_os("OVERDUB_CORPUS").map_or_else(beside, PathBuf::from);
    if dir.is_dir() {
        return Some(dir);
    }
    println!("NOT RUN: no corpus at {} (set OVERDUB_CORPUS)", dir.display());
    None
}

/// A corpus file with what an independent tool says of it.
pub(crate) struct Case {
    /// Relative to the corpus.
    pub(crate) name: String,
    pub(crate) truth: Value,
    /// The init segment of a bare media segment.
    pub(crate) init: Option<Bytes>,
    pub(crate) bytes: Bytes,
}

/// Every file of the corpus whose truth says that it is an MP4.
pub(crate) fn cases(corpus: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut folders = vec![corpus.join("fmp4"), corpus.join("hls")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a corpus folder").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Some(media) = path.to_str().and_then(|p| p.strip_suffix(".truth.json")).map(PathBuf::from)
            else {
                continue;
            };
            let truth: Value = serde_json::from_slice(&fs::read(&path).expect("a truth")).expect("JSON");
            if truth["kind"] != "mp4" {
                continue;
            }
            let init = truth["init"].as_str().map(|name| read(&media.with_file_name(name)));
            let name = media.strip_prefix(corpus).expect("inside").display().to_string();
            cases.push(Case { name, truth, init, bytes: read(&media) });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn read(path: &Path) -> Bytes {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}
