//! What ARCHITECTURE.md promises about dependencies, checked on every run: the three crates are pure, and
//! the stages of the service do not know one another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates that do no I/O, read no clock and know no runtime.
const PURE_CRATES: [&str; 3] = ["ts", "fmp4", "rtmp"];

/// What a pure crate must not depend on, also not by way of others: runtimes, sockets, clocks.
const IMPURE: [&str; 16] = [
    "tokio",
    "mio",
    "socket2",
    "async-std",
    "async-io",
    "smol",
    "polling",
    "hyper",
    "reqwest",
    "axum",
    "time",
    "chrono",
    "instant",
    "web-time",
    "quanta",
    "coarsetime",
];

/// The stages: each is wired by `pipeline` and shown by `control`; none may name another.
const STAGES: [&str; 10] =
    ["hls", "demux", "batch", "roundtrip", "remux", "publish", "srs", "preview", "storage", "journal"];

/// Who may name the stages. A stage may name none of these either, or the arrows would run in circles.
const ABOVE_THE_STAGES: [&str; 4] = ["pipeline", "control", "cli", "demo"];

/// About 400 lines is the aim; past this a file has more than one subject.
const LONGEST_FILE: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|x| x == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The text without `//` comments, so that documentation may name what code may not.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that `code` names: `crate::name` and `crate::{name, name::x}`.
fn modules_named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0usize;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.extend(first_word(&std::mem::take(&mut name))),
                    c => name.push(c),
                }
            }
            names.extend(first_word(&name));
        } else {
            names.extend(first_word(rest));
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let text = text.trim_start();
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// The files of one module of the root package: `src/name.rs` or everything in `src/name/`.
fn module_sources(name: &str) -> Vec<PathBuf> {
    let file = root().join("src").join(format!("{name}.rs"));
    if file.exists() { vec![file] } else { sources(&root().join("src").join(name)) }
}

/// Fails when a file of `module` names one of `forbidden`.
fn assert_names_none_of(module: &str, forbidden: &[&str]) {
    let mut wrong = Vec::new();
    for path in module_sources(module) {
        let named = modules_named(&code_of(&path));
        for name in forbidden.iter().filter(|name| **name != module && named.contains(**name)) {
            wrong.push(format!(
                "{} names crate::{name}",
                path.strip_prefix(root()).unwrap_or(&path).display()
            ));
        }
    }
    assert!(wrong.is_empty(), "dependencies point one way (ARCHITECTURE.md):\n{}", wrong.join("\n"));
}

#[test]
fn the_scanner_sees_plain_and_grouped_imports() {
    let code = "use crate::hls::Cursor;\nuse crate::{media::{Flicks, Moment}, demux, batch::x};\nlet a = crate::clock::now();";
    let named: Vec<_> = modules_named(code).into_iter().collect();
    assert_eq!(named, ["batch", "clock", "demux", "hls", "media"]);
}

#[test]
fn the_three_crates_depend_on_no_runtime_no_socket_and_no_clock() {
    for name in PURE_CRATES {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .args(["--package", &format!("overdub-{name}")])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
        let packages: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(packages.contains(format!("overdub-{name}").as_str()), "unexpected output:\n{tree}");
        let impure: Vec<_> = IMPURE.iter().filter(|bad| packages.contains(**bad)).collect();
        assert!(impure.is_empty(), "overdub-{name} must stay pure, but depends on {impure:?}");
        let others: Vec<_> =
            packages.iter().filter(|p| p.starts_with("overdub") && !p.ends_with(name)).collect();
        assert!(others.is_empty(), "overdub-{name} must know none of ours, but depends on {others:?}");
    }
}

#[test]
fn clippy_forbids_clocks_and_sockets_in_the_three_crates() {
    let both_clocks = ["std::time::Instant::now", "std::time::SystemTime::now"];
    for name in PURE_CRATES {
        let rules =
            std::fs::read_to_string(root().join(name).join("clippy.toml")).expect("a clippy.toml per crate");
        let rules: toml::Table = rules.parse().expect("clippy.toml is TOML");
        let paths = |list: &str| -> Vec<String> {
            let entries = rules.get(list).and_then(toml::Value::as_array).cloned().unwrap_or_default();
            entries.iter().filter_map(|e| e.get("path")?.as_str().map(str::to_owned)).collect()
        };
        for clock in both_clocks {
            assert!(
                paths("disallowed-methods").iter().any(|p| p == clock),
                "{name}/clippy.toml allows {clock}"
            );
        }
        let sockets = paths("disallowed-types");
        assert!(sockets.iter().any(|p| p == "std::net::TcpStream"), "{name}/clippy.toml allows sockets");
    }
    let rules = std::fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml at the root");
    for clock in both_clocks {
        assert!(rules.contains(clock), "clippy.toml allows {clock}");
    }
}

#[test]
fn stages_do_not_import_one_another() {
    for stage in STAGES {
        let forbidden: Vec<&str> = STAGES.iter().chain(&ABOVE_THE_STAGES).copied().collect();
        assert_names_none_of(stage, &forbidden);
    }
}

#[test]
fn the_words_they_share_import_none_of_them() {
    for shared in ["media", "clock", "net", "playout", "policy", "redact", "outside", "logs", "histogram"] {
        let forbidden: Vec<&str> = STAGES.iter().chain(&ABOVE_THE_STAGES).copied().collect();
        assert_names_none_of(shared, &forbidden);
    }
}

/// Where strings of others are kept to be shown, and the fields there whose strings are our own words.
const SHOWN: [(&str, &[&str]); 9] = [
    ("src/status/mod.rs", &["start_time", "fallback_reasons", "state"]),
    ("src/hls/status.rs", &[]),
    ("src/hls/error.rs", &[]),
    ("src/publish/status.rs", &[]),
    ("src/publish/error.rs", &[]),
    ("src/roundtrip/status.rs", &[]),
    ("src/roundtrip/failure.rs", &[]),
    ("src/srs/watch.rs", &[]),
    ("src/status/batches.rs", &[]),
];

#[test]
fn strings_of_others_are_shown_by_types_that_bound_them() {
    for (file, ours) in SHOWN {
        let code = code_of(&root().join(file));
        let production = code.split("#[cfg(test)]").next().unwrap_or_default();
        for line in production.lines().map(str::trim).filter(|line| !line.starts_with("#[")) {
            let Some((name, kind)) = line.split_once(": ") else { continue };
            let name = name.rsplit(' ').next().unwrap_or_default();
            let is_string = kind.contains("String") && !line.contains("fn ");
            assert!(!is_string || ours.contains(&name), "{file}: {line}\nis for crate::outside to bound");
        }
    }
}

#[test]
fn no_file_has_grown_past_one_subject() {
    let mut long = Vec::new();
    for folder in ["src", "ts", "fmp4", "rtmp", "tests"] {
        for path in sources(&root().join(folder)) {
            let lines = std::fs::read_to_string(&path).expect("a readable source file").lines().count();
            if lines > LONGEST_FILE {
                long.push(format!("{}: {lines} lines", path.strip_prefix(root()).unwrap_or(&path).display()));
            }
        }
    }
    assert!(long.is_empty(), "split these by subject (at most {LONGEST_FILE} lines):\n{}", long.join("\n"));
}
