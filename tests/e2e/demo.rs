//! The demo on a machine that has nothing: no PATH, no environment.

use std::time::Duration;

use tokio::process::Command;

use super::tools::{Running, Workdir, free_port, judge_tool, now, run, say};
use super::web;

/// "Something plays within 20 s of the start."
const PLAYS_WITHIN: Duration = Duration::from_secs(20);

/// The first address in `text` that has `part` in it.
fn address(text: &str, part: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ','));
    words.filter(|word| word.starts_with("http://")).find(|word| word.contains(part)).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_within_20_s_with_an_empty_path() {
    let dir = Workdir::new("demo");
    let port = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_overdub"));
    command.env_clear().env("PATH", "").current_dir(dir.join("."));
    command.args(["demo", "--port", &port.to_string()]);
    let started = now();
    let mut demo = Running::start("overdub demo", &mut command, dir.join("demo.log"));
    let playlist = loop {
        assert!(demo.is_running(), "the demo ended\n{}", demo.tail());
        assert!(started.elapsed() < PLAYS_WITHIN, "nothing plays after {PLAYS_WITHIN:?}\n{}", demo.tail());
        if let Some(url) = address(&demo.log(), "/preview/") {
            let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).expect("a URL with a path");
            let answer = web::get(port, &path).await;
            if answer.is_some_and(|a| a.status == 200 && a.body.contains("#EXTINF")) {
                break url;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    say(&format!("demo: the preview had a segment after {:.1} s", started.elapsed().as_secs_f64()));

    // `make ui` has built the page or not; what is said of it has to be true.
    let page = web::get(port, "/").await.expect("an answer");
    let told = address(&demo.log(), "/#/streams/demo").is_some();
    assert_eq!((page.status == 200, page.body.contains("<html")), (told, told), "{}", demo.log());

    let status = web::get(port, "/api/pipeline/status").await.expect("an answer").json();
    assert_eq!(status["isRunning"], true, "{status}");
    let mut probe = judge_tool("ffprobe");
    probe.args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &playlist]);
    let probed = run(&mut probe, Duration::from_secs(30)).await.success("ffprobe of the preview");
    let mut codecs: Vec<&str> = probed.stdout.lines().filter(|line| !line.is_empty()).collect();
    codecs.sort_unstable();
    codecs.dedup();
    assert_eq!(codecs, ["aac", "h264"], "{}", probed.stderr);
    // Ten seconds of the live window, decoded; what is broken in it makes FFmpeg end with an error.
    let mut play = judge_tool("ffmpeg");
    play.args(["-v", "error", "-xerror", "-i", &playlist, "-t", "10", "-f", "null", "-"]);
    let played = run(&mut play, Duration::from_secs(60)).await.success("playing the preview");
    assert_eq!(played.stderr, "", "FFmpeg plays the preview without complaint");

    demo.interrupt();
    let status = demo.wait(Duration::from_secs(30)).await;
    assert!(status.success(), "Ctrl-C ends the demo with {status}\n{}", demo.tail());
    assert!(!demo.log().contains("panicked"), "{}", demo.tail());
}
