//! Sound that goes by Enhanced RTMP, into a server that names it and into one that does not hear of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use overdub::clock::Clock;
use overdub::sink;
use overdub_rtmp::flv::{AudioFourCc, AudioTag};
use tokio_util::sync::CancellationToken;

use super::overdub::command;
use super::tags::tags;
use super::tools::{Workdir, free_port, judge_tool, run};
use super::web::Server;

/// Six seconds of H.264 and of sound by this encoder of FFmpeg, as a VOD playlist.
async fn offer(dir: &Workdir, encoder: &str) -> Server {
    let root = dir.join("source");
    std::fs::create_dir_all(&root).expect("a folder");
    let mut ffmpeg = judge_tool("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"]);
    ffmpeg.args([
        "-f",
        "lavfi",
        "-i",
        "aevalsrc='0.3*sin(2*PI*440*t)+0.05*(random(0)-0.5)':s=48000",
        "-t",
        "6",
    ]);
    ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", encoder, "-ac", "2"]);
    ffmpeg.args(["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"]).arg(root.join("index.m3u8"));
    run(&mut ffmpeg, Duration::from_secs(30)).await.success("making a clip");
    Server::start(&root).await
}

/// The audio tags of an FLV file.
fn audio_tags(file: &[u8]) -> Vec<AudioTag> {
    let audio = tags(file).into_iter().filter(|(kind, ..)| *kind == 8);
    audio.map(|(.., body)| AudioTag::parse(&body).expect("an audio tag")).collect()
}

/// The sound that goes out of such a stream without a processor, with `outputAudio` so.
async fn published(dir: &Workdir, encoder: &str, output_audio: &str) -> Vec<AudioTag> {
    let source = offer(dir, encoder).await;
    let settings = sink::Settings { record: 16 << 20, ..sink::Settings::default() };
    let anywhere: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let server = sink::Server::bind(anywhere, settings, Clock::start()).await.expect("a free port");
    let (address, reports) = (server.local_addr().expect("it is bound"), server.reports());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.run(stop.clone()));

    let mut overdub = command();
    overdub.args(["run", &source.url("index.m3u8"), &format!("rtmp://{address}/live/key")]);
    overdub.args(["--processor", &format!("http://127.0.0.1:{}", free_port())]);
    overdub.args(["--buffer-duration", "2", "--processing-budget", "1", "--output-audio", output_audio]);
    overdub.arg("--storage").arg(dir.join("storage"));
    run(&mut overdub, Duration::from_secs(60)).await.success("overdub run");

    stop.cancel();
    serving.await.expect("no panic");
    let report = reports.latest("key").expect("it was published");
    assert_eq!(report.violations, []);
    assert_eq!(report.video.packets, 150);
    audio_tags(&reports.recordings("key")[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_by_enhanced_rtmp_goes_out_as_it_is_where_the_outputs_take_it() {
    // 1,536 samples in a frame of AC-3 and E-AC-3, 20 ms in one of Opus, whose encoder has some before the first.
    for (encoder, codec, least) in [
        ("ac3", AudioFourCc::Ac3, 187),
        ("eac3", AudioFourCc::Eac3, 187),
        ("libopus", AudioFourCc::Opus, 300),
    ] {
        let dir = Workdir::new(encoder);
        let sent = published(&dir, encoder, "enhanced").await;
        let frames: Vec<Bytes> = sent
            .into_iter()
            .filter_map(|tag| match tag {
                AudioTag::EnhancedFrame(of, frame) if of == codec => Some(frame),
                AudioTag::EnhancedSequenceHeader(of, _) if of == codec => None,
                other => panic!("{encoder}: {other:?}"),
            })
            .collect();
        let mut ffmpeg = judge_tool("ffmpeg");
        ffmpeg.args(["-v", "error", "-i"]).arg(dir.join("source/index.m3u8"));
        let payload = dir.join("payload");
        ffmpeg.args(["-map", "0:a", "-c", "copy", "-f", "data"]).arg(&payload);
        run(&mut ffmpeg, Duration::from_secs(30)).await.success("reading the clip's sound");
        assert!(
            (least..least + 3).contains(&frames.len()),
            "{encoder}: {} frames in six seconds",
            frames.len()
        );
        let source = std::fs::read(payload).expect("it was written");
        assert!(frames.concat() == source, "{encoder}: the same frames, all of them");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_in_ac_3_is_silence_in_aac_where_they_do_not() {
    let dir = Workdir::new("no-ac-3");
    let sent = published(&dir, "ac3", "basic").await;
    let frames = sent.iter().filter(|tag| matches!(tag, AudioTag::AacFrame(_))).count();
    assert!(matches!(sent[0], AudioTag::AacSequenceHeader(_)), "{:?}", sent[0]);
    assert_eq!(frames + 1, sent.len());
    assert!((280..=283).contains(&frames), "{frames} frames of 1,024 samples in six seconds");
}
