//! The corpus of real streams, where there is one, and ffprobe as its judge.

use std::path::{Path, PathBuf};

/// The folder of the corpus; `None`, said in one line, where there is none.
pub(crate) fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = std::env::var_os("OVERDUB_CORPUS").map_or(beside, PathBuf::from);
    let found = root.is_dir().then_some(root);
    if found.is_none() {
        println!("NOT CHECKED: no corpus here; set OVERDUB_CORPUS to run this test");
    }
    found
}

/// Every transport stream of the corpus.
pub(crate) fn transport_streams(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.join("ts")];
    folders
        .extend(std::fs::read_dir(root.join("hls")).expect("hls").map(|entry| entry.expect("entry").path()));
    let mut files: Vec<_> = folders
        .iter()
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).expect("folder"))
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ts"))
        .collect();
    files.sort();
    files
}
