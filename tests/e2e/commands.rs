//! The commands of the documents, as a shell reads them: every block runs, with stand-ins for what would take long or
//! change this machine, which still refuse what is not there. `curl` asks a real service.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::overdub::Service;
use super::tools::{Workdir, free_port, run, say};

/// Those of docs/API.md and docs/processor.md have tests of their own, which look at the answers too.
const DOCUMENTS: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/DEPLOYMENT.md",
    "docs/TROUBLESHOOTING.md",
    "docs/PERFORMANCE.md",
    "docs/testing.md",
    "docs/corpus.md",
    "docs/hls.md",
    "docs/page.md",
    "docs/publishing.md",
    "docs/time.md",
];

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Each is what the shell finds under that name. Options of `overdub` are checked by asking for help behind them, of
/// `make` by a dry run, of `cargo` by naming the targets; what is installed must be there or be built by us.
fn stand_ins() -> [(&'static str, String); 7] {
    let overdub = env!("CARGO_BIN_EXE_overdub");
    let ours = format!("exec {overdub} \"$@\" --help >/dev/null");
    [
        ("target/release/overdub", ours.clone()),
        ("bin/overdub", ours),
        ("bin/make", format!("exec /usr/bin/make --dry-run -C {ROOT} \"$@\" >/dev/null")),
        (
            "bin/cargo",
            format!(
                "case $1 in build|test|run|bench|deny) ;; *) exit 1 ;; esac
                 while [ $# -gt 0 ]; do
                   case $1 in --test) [ -e {ROOT}/tests/$2 ] || [ -e {ROOT}/tests/$2.rs ] || exit 1 ;;
                     --bench) [ -e {ROOT}/benches/$2 ] || [ -e {ROOT}/benches/$2.rs ] || exit 1 ;; esac
                   shift
                 done"
            ),
        ),
        (
            "bin/install",
            format!("set -- \"${{@: -2:1}}\"; case $1 in target/*) ;; *) test -f {ROOT}/$1 ;; esac"),
        ),
        ("bin/systemctl", "test \"$3\" = overdub".to_owned()),
        ("bin/curl", "exec /usr/bin/curl --silent --show-error --fail --output /dev/null \"$@\"".to_owned()),
    ]
}

fn put(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, format!("#!/bin/bash\n{script}\n")).expect("a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// What stands between "```sh" and "```".
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_is_one() {
    let dir = Workdir::new("commands");
    let service = Service::start(&dir).await;
    let place = dir.join("clone");
    for (path, script) in stand_ins() {
        put(&place.join(path), &script);
    }
    std::fs::copy(Path::new(ROOT).join(".env.example"), place.join(".env.example")).expect("the example");
    // Nobody is there: the stream starts all the same, and goes on asking.
    let nowhere = format!("http://127.0.0.1:{}/live.m3u8", free_port());
    let mut ran = 0;
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(Path::new(ROOT).join(document)).expect(document);
        for block in blocks(&text) {
            let needs_stream = block.contains("streamId=news") && !block.contains("/pipeline/start");
            if needs_stream {
                let news = json!({ "streamId": "news", "sourceUrl": nowhere });
                assert_eq!(service.start_stream(news).await.status, 200);
            }
            let script = block
                .replace("127.0.0.1:3000", &format!("127.0.0.1:{}", service.port))
                .replace("https://example.com/live.m3u8", &nowhere);
            let mut shell = Command::new("bash");
            shell.args(["-euc", &script]).current_dir(&place);
            let path = std::env::var("PATH").unwrap_or_default();
            shell.env("PATH", format!("{}:{path}", place.join("bin").display()));
            run(&mut shell, Duration::from_secs(60)).await.success(&format!("{document}:\n{block}"));
            if needs_stream {
                service.stop_stream("news").await;
            }
            ran += block.lines().count();
        }
        for target in text.split("`make ").skip(1).filter_map(|rest| rest.split('`').next()) {
            let mut make = Command::new("bash");
            make.args(["-euc", &format!("make {target}")]).current_dir(&place);
            make.env("PATH", format!("{}:/usr/bin:/bin", place.join("bin").display()));
            run(&mut make, Duration::from_secs(60)).await.success(&format!("{document}: make {target}"));
        }
    }
    say(&format!("{ran} lines of commands in {} documents", DOCUMENTS.len()));
    service.stop().await;
}
