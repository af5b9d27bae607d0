//! What a stream cannot be made of: each case ends in one clear line or in the documented fallback, and the
//! service goes on.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::live::{SHORT, ending};
use super::nginx::Nginx;
use super::overdub::{Echo, Run, RunSettings, Service, finished};
use super::packets::{Media, packets};
use super::recorder::Recorder;
use super::source::{self, Clip};
use super::tools::{Finished, Workdir, free_port, judge_tool, now, run, say};
use super::web::Server;

/// A person at a terminal waits no longer than this for "it does not work".
const PATIENCE: Duration = Duration::from_secs(90);

/// Exactly one line says what is wrong, it names `clue`, and the exit code is 1.
fn assert_one_line_error(name: &str, outcome: &Finished, clue: &str) {
    let stderr = &outcome.stderr;
    assert_eq!(outcome.status.code(), Some(1), "{name}: {}\n{stderr}", outcome.status);
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{name}: one line says what is wrong:\n{stderr}");
    assert_eq!(stderr.lines().last(), Some(errors[0]), "{name}: it is the last line:\n{stderr}");
    assert!(errors[0].to_lowercase().contains(clue), "{name}: `{}` does not say {clue:?}", errors[0]);
    assert!(!stderr.contains("panicked"), "{name}:\n{stderr}");
}

/// A segment of the clip with noise for its payload: marked as scrambled, or without tables.
fn noise(with_tables: bool) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut out = Vec::new();
    for packet in overdub::demo::clip::segment(0).chunks(188) {
        let media = packet[1] & 0x1F == 1;
        let mut packet = packet.to_vec();
        if media {
            packet[3] = packet[3] & 0x0F | if with_tables { 0x90 } else { 0x10 };
            for byte in &mut packet[4..] {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = state as u8;
            }
        }
        if media || with_tables {
            out.extend(packet);
        }
    }
    out
}

/// A site with what is not a stream.
async fn site(dir: &Workdir) -> Server {
    let root = dir.join("site");
    std::fs::create_dir_all(&root).expect("a folder for the site");
    let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
    std::fs::write(root.join("page.m3u8"), page).expect("a page");
    for (name, with_tables) in [("scrambled", true), ("noise", false)] {
        std::fs::write(root.join(format!("{name}.ts")), noise(with_tables)).expect("a segment");
        let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}.ts\n#EXT-X-ENDLIST\n");
        std::fs::write(root.join(format!("{name}.m3u8")), playlist).expect("a playlist");
    }
    Server::start(&root).await
}

#[tokio::test(flavor = "multi_thread")]
async fn run_says_in_one_line_why_a_source_cannot_be_played() {
    let dir = Workdir::new("bad-sources");
    let site = site(&dir).await;
    let nobody = format!("http://127.0.0.1:{}/live.m3u8", free_port());
    let mut nginx = Nginx::start(&dir).await;
    let target = nginx.url("x");
    let cases = [
        ("unreachable", nobody, "unreachable"),
        ("404", site.url("nothing.m3u8"), "404"),
        ("HTML", site.url("page.m3u8"), "playlist"),
        ("scrambled", site.url("scrambled.m3u8"), "scrambled"),
        ("noise", site.url("noise.m3u8"), "without program tables"),
    ];
    for (name, source, clue) in cases {
        assert_run_fails(&dir, name, &source, &target, clue).await;
    }
    nginx.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_says_in_one_line_why_it_cannot_publish() {
    let dir = Workdir::new("bad-targets");
    let clip = Clip::of(20).await;
    let site = source::vod(&dir, &clip, SHORT.segment).await;
    let source = site.url("master.m3u8");
    let mut nginx = Nginx::start(&dir).await;
    let nobody = format!("rtmp://127.0.0.1:{}/live/x", free_port());
    for (name, target, clue) in
        [("refusing", nginx.refusing_url(), "server"), ("nobody there", nobody, "connect")]
    {
        assert_run_fails(&dir, name, &source, &target, clue).await;
    }
    nginx.stop().await;
}

/// `run` ends by itself, and says why.
async fn assert_run_fails(dir: &Workdir, name: &str, source: &str, target: &str, clue: &str) {
    let storage = dir.join(format!("storage-{name}"));
    let started = now();
    let args =
        ["run", source, target, "--storage", storage.to_str().expect("UTF-8"), "--buffer-duration", "4"];
    let outcome = finished(args, PATIENCE).await;
    assert_one_line_error(name, &outcome, clue);
    let error = outcome.stderr.lines().last().unwrap_or_default().to_owned();
    say(&format!("{name}: after {:.1} s: {error}", started.elapsed().as_secs_f64()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_ends_with_2_and_an_impossible_file_with_1() {
    let limit = Duration::from_secs(20);
    for args in [vec!["run"], vec!["no-such-command"], vec!["run", "ftp://host/x", "rtmp://host/a/b"]] {
        let outcome = finished(&args, limit).await;
        assert_eq!(outcome.status.code(), Some(2), "{args:?}: {}", outcome.stderr);
    }
    let dir = Workdir::new("bad-files");
    let (video, audio) = (dir.join("v.mp4"), dir.join("a.mp4"));
    let not_ts = dir.join("not.ts");
    std::fs::write(&not_ts, "this is no transport stream ".repeat(100)).expect("a file");
    for input in [dir.join("absent.ts"), not_ts] {
        let args: [&Path; 6] =
            ["demux".as_ref(), &input, "--video".as_ref(), &video, "--audio".as_ref(), &audio];
        assert_one_line_error("demux", &finished(args, limit).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_ends_publish_with_one_line() {
    let dir = Workdir::new("refused");
    let clip = Clip::of(20).await;
    let mut nginx = Nginx::start(&dir).await;
    let mp4 = dir.join("clip.mp4");
    let mut command = judge_tool("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(&clip.file).args([
        "-c",
        "copy",
        "-movflags",
        "frag_keyframe+delay_moov",
    ]);
    command.args(["-bsf:a", "aac_adtstoasc"]).arg(&mp4);
    run(&mut command, Duration::from_secs(30)).await.success("making an MP4");
    for (name, url, clue) in [
        ("refusing", nginx.refusing_url(), "server"),
        ("nobody there", format!("rtmp://127.0.0.1:{}/live/x", free_port()), "connect"),
    ] {
        let outcome = finished([Path::new("publish"), &mp4, url.as_ref()], PATIENCE).await;
        assert_one_line_error(name, &outcome, clue);
    }
    nginx.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_is_not_there_leaves_the_original_sound() {
    let dir = Workdir::new("no-processor");
    let clip = Clip::of(20).await;
    let mut nginx = Nginx::start(&dir).await;
    let server = source::vod(&dir, &clip, SHORT.segment).await;
    let recorder = Recorder::start(&nginx.url("original"), &dir.join("pulled.flv")).await;
    let settings = RunSettings {
        source: &server.url("master.m3u8"),
        target: &nginx.url("original"),
        processor: &format!("http://127.0.0.1:{}", free_port()),
        stream_id: "original",
        batch_seconds: SHORT.batch,
        budget_seconds: SHORT.budget,
    };
    let mut run = Run::start(&dir, &settings);
    let status = run.wait(SHORT.limit()).await;
    assert!(status.success(), "run ended with {status}\n{}", run.tail());
    let verdict = ending("no processor", &clip, &mut nginx, recorder).await;
    assert_eq!((verdict.first, verdict.missing_at_end), ((0, 0), (0, 0)), "all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_audio_keeps_its_pictures() {
    let dir = Workdir::new("no-audio");
    let clip = Clip::of(20).await;
    let mut nginx = Nginx::start(&dir).await;
    let server = source::vod_without_audio(&dir, &clip, SHORT.segment).await;
    let mut recorder = Recorder::start(&nginx.url("mute"), &dir.join("pulled.flv")).await;
    let settings = RunSettings {
        source: &server.url("master.m3u8"),
        target: &nginx.url("mute"),
        processor: &format!("http://127.0.0.1:{}", free_port()),
        stream_id: "mute",
        batch_seconds: SHORT.batch,
        budget_seconds: SHORT.budget,
    };
    let mut run = Run::start(&dir, &settings);
    let status = run.wait(SHORT.limit()).await;
    assert!(status.success(), "run ended with {status}\n{}", run.tail());
    recorder.settled().await;
    nginx.stop().await;
    let recording = recorder.finish().await;
    let pulled = packets(&recording.file, Media::VIDEO).await;
    let hashes =
        |packets: &[super::packets::Packet]| packets.iter().map(|p| p.hash.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&pulled), hashes(&clip.media.video), "every picture, in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_outlives_every_bad_stream() {
    let dir = Workdir::new("bad-service");
    let site = site(&dir).await;
    let nginx = Nginx::start(&dir).await;
    let clip = Clip::of(20).await;
    let good = source::vod(&dir, &clip, SHORT.segment).await;
    let echo = Echo::start(&dir).await;
    let mut service = Service::start(&dir).await;
    let short = |id: &str, source: String, target: String| {
        json!({
            "streamId": id, "sourceUrl": source, "srsRtmpUrl": target, "bufferDuration": SHORT.batch,
            "processingBudget": SHORT.budget, "audioProcessorUrl": echo.url,
        })
    };
    let nobody = format!("http://127.0.0.1:{}/live.m3u8", free_port());
    let streams = [
        short("unreachable", nobody, nginx.url("a")),
        short("missing", site.url("nothing.m3u8"), nginx.url("b")),
        short("html", site.url("page.m3u8"), nginx.url("c")),
        short("refused", good.url("master.m3u8"), nginx.refusing_url()),
    ];
    for settings in &streams {
        let answer = service.start_stream(settings.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    for settings in &streams {
        let id = settings["streamId"].as_str().expect("a text");
        let said = |s: &serde_json::Value| s["lastError"].as_str().map(str::to_owned);
        let status = service.reaches(id, "an error in the status", PATIENCE, |s| said(s).is_some()).await;
        say(&format!("{id}: phase {}: {}", status["phase"], said(&status).unwrap_or_default()));
    }
    for (body, field) in [
        (json!({"streamId": "../../evil", "sourceUrl": "http://h/x.m3u8"}), "streamId"),
        (json!({"streamId": "x", "sourceUrl": "file:///etc/passwd"}), "sourceUrl"),
        (json!({"streamId": "x"}), "sourceUrl"),
    ] {
        let answer = service.start_stream(body).await;
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!(field)), "{}", answer.body);
    }
    let answer = service.start_stream(short("good", good.url("master.m3u8"), nginx.url("good"))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    service.reaches("good", "publishing", PATIENCE, |s| s["phase"] == "publishing").await;
    service.assert_healthy().await;
    service.stop().await;
}
