//! A source whose encoder dies and comes back: the output goes on over the hole, on one connection, and what a viewer gets
//! decodes without a word.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::flv::Kind;
use super::live::assert_rising;
use super::nginx::Nginx;
use super::overdub::{Echo, Run, RunSettings};
use super::packets::{CLOCK, Media, Packet};
use super::recorder::Recorder;
use super::smooth;
use super::source::{Clip, LiveSource};
use super::srs::{Srs, binary};
use super::tools::{Workdir, judge_tool, long_form, run, say};

/// How long the clip is.
pub const CLIP: u32 = 45;
const SEGMENT: u32 = 2;
const BATCH: u32 = 4;
const BUDGET: u32 = 4;
/// Where in the clip the encoder dies, and where the next one begins.
const DIES: u32 = 15;
const REVIVES: u32 = 24;
/// One AAC frame at 48 kHz: 1024 samples.
const AUDIO_FRAME: i64 = 1920;

/// Source, `run` and echo; the source is away for `away`. Ends when the run has ended with its source.
pub async fn play(dir: &Workdir, name: &str, clip: &Clip, target: &str, away: Duration) {
    let echo = Echo::start(dir).await;
    let mut source = LiveSource::start(dir, name, clip, SEGMENT, 0).await;
    source.has_segments(3).await;
    let settings = RunSettings {
        source: &source.url(),
        target,
        processor: &echo.url,
        stream_id: name,
        batch_seconds: BATCH,
        budget_seconds: BUDGET,
    };
    let mut run = Run::start(dir, &settings);
    // The first three segments had to come.
    tokio::time::sleep(Duration::from_secs(u64::from(DIES - 3 * SEGMENT))).await;
    source.die().await;
    tokio::time::sleep(away).await;
    source.revive(clip, SEGMENT, REVIVES);
    let status = run.wait(Duration::from_secs(90)).await;
    assert!(status.success(), "{name}: run ended with {status}\n{}\n{}", run.tail(), source.tail());
    assert!(
        run.tail().contains("hold"),
        "{name}: the log says that something stood for the source\n{}",
        run.tail()
    );
}

/// FFmpeg decodes every picture and frame of `file` and has nothing to say.
async fn assert_decodes(name: &str, file: &Path) {
    let mut command = judge_tool("ffmpeg");
    command.args(["-v", "error", "-xerror", "-i"]).arg(file);
    // In milliseconds, as they come: a held picture may be followed within a frame, and rounded to frames of a constant
    // rate two may be one.
    command.args(["-fps_mode", "passthrough", "-enc_time_base:v", "1:1000", "-f", "null", "-"]);
    let decoded = run(&mut command, Duration::from_secs(120)).await.success(name);
    assert_eq!(decoded.stderr.trim(), "", "{name}: FFmpeg decoding {}", file.display());
}

/// The runs of the source in one track of a recording: for each, where in the recording and where in the source it
/// begins, and how many packets it has.
fn runs(source: &[Packet], recording: &[Packet]) -> Vec<(usize, usize, usize)> {
    let mut known: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, packet) in source.iter().enumerate() {
        known.entry(&packet.hash).or_default().push(index);
    }
    let mut runs = Vec::new();
    let mut at = 0;
    while at < recording.len() {
        // Payloads may repeat: the place counts from which most of what follows is the source's.
        let same = |first: usize| {
            source[first..].iter().zip(&recording[at..]).take_while(|(a, b)| a.hash == b.hash).count()
        };
        let places = known.get(recording[at].hash.as_str()).into_iter().flatten();
        let best = places.map(|&first| (at, first, same(first))).max_by_key(|(.., count)| *count);
        at += best.map_or(1, |(.., count)| count);
        runs.extend(best);
    }
    // A held picture may be one of the source's, by itself.
    runs.retain(|(.., count)| *count > 1);
    runs
}

/// A recording is the source up to the hole, what stands for it, and the source again to its end, in step.
fn assert_held(name: &str, clip: &Clip, media: &Media, away: Duration) {
    let (video, audio) = (runs(&clip.media.video, &media.video), runs(&clip.media.audio, &media.audio));
    let ([seen, seen_again], [heard, heard_again]) = (&video[..], &audio[..]) else {
        panic!("{name}: the source is there in pieces: {video:?} {audio:?}")
    };
    for (what, source, recording, last) in [
        ("picture", &clip.media.video, &media.video, seen_again),
        ("frame", &clip.media.audio, &media.audio, heard_again),
    ] {
        assert_eq!(
            last.0 + last.2,
            recording.len(),
            "{name}: the recording ends with the source's last {what}"
        );
        assert_eq!(last.1 + last.2, source.len(), "{name}: a {what} is missing at the end");
        for pair in recording.windows(2) {
            assert!(pair[0].dts < pair[1].dts, "{name}: {what} at {} before {}", pair[0].dts, pair[1].dts);
        }
    }
    let shift = |source: &[Packet], recording: &[Packet], run: &(usize, usize, usize)| {
        recording[run.0].dts - source[run.1].dts
    };
    for (when, picture, sound) in [("before", seen, heard), ("after", seen_again, heard_again)] {
        let off =
            shift(&clip.media.audio, &media.audio, sound) - shift(&clip.media.video, &media.video, picture);
        assert!(off.abs() <= AUDIO_FRAME, "{name}: {when} the hole sound is {off}/90000 s off its picture");
        say(&format!("{name}: {when} the hole sound is {:.1} ms off its picture", off as f64 / 90.0));
    }
    // Pictures once a second, and sound without an end, between the two.
    let apart = |packets: &[Packet]| packets.windows(2).map(|pair| pair[1].dts - pair[0].dts).max();
    assert!(apart(&media.video).unwrap() <= CLOCK + 180, "{name}: {:?}", apart(&media.video));
    assert!(apart(&media.audio).unwrap() <= AUDIO_FRAME * 3 / 2 + 180, "{name}: {:?}", apart(&media.audio));
    let hole = media.video[seen_again.0].dts - media.video[seen.0 + seen.2 - 1].dts;
    let seconds = hole as f64 / CLOCK as f64;
    say(&format!("{name}: the source was away for {away:?}; its pictures were not there for {seconds:.1} s"));
    // The encoder is started, and its first segment has to be whole; the segment in work when it died is lost.
    let over = seconds - away.as_secs_f64();
    assert!((-1.0..f64::from(3 * SEGMENT)).contains(&over), "{name}: {seconds} s");
}

async fn into_nginx(name: &str, away: Duration) {
    let dir = Workdir::new(name);
    let clip = Clip::of(CLIP).await;
    let mut nginx = Nginx::start(&dir).await;
    let mut recorder = Recorder::start(&nginx.url(name), &dir.join("pulled.flv")).await;
    play(&dir, name, &clip, &nginx.url(name), away).await;
    recorder.settled().await;
    nginx.stop().await;
    let recording = recorder.finish().await;
    // nginx writes one file for each publishing connection, over that of the one before.
    let file = nginx.recording(name);
    assert_rising(name, &file);
    assert_decodes(name, &file).await;
    assert_held(name, &clip, &Media::read(&file).await, away);
    // FFmpeg passes sound on when a picture has come behind it: in a hole that is a second later.
    let mut pictures = recording.arrivals;
    pictures.retain(|arrival| arrival.tag.kind == Kind::Video);
    let uneven = smooth::judge(&pictures).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    say(&format!("{name}: off its pace by {uneven:.0} ms at most"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_dies_and_comes_back_is_held_on_one_connection() {
    into_nginx("hole", Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_source_that_is_away_for_a_minute_is_held_on_one_connection() {
    if long_form("a source away for a minute") {
        into_nginx("hole-minute", Duration::from_secs(60)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_source_that_is_away_for_ten_minutes_is_held_on_one_connection() {
    if long_form("a source away for ten minutes") {
        into_nginx("hole-ten-minutes", Duration::from_secs(600)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn srs_keeps_the_connection_over_a_hole_and_its_hls_decodes() {
    into_srs("hole-srs", Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_srs_keeps_the_connection_over_a_minute() {
    if long_form("a minute's hole through SRS") {
        into_srs("hole-srs-minute", Duration::from_secs(60)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_srs_keeps_the_connection_over_ten_minutes() {
    if long_form("a hole of ten minutes through SRS") {
        into_srs("hole-srs-ten-minutes", Duration::from_secs(600)).await;
    }
}

/// SRS cuts off who is silent for 5 to 10 s, and makes HLS of what it gets.
async fn into_srs(name: &str, away: Duration) {
    let Some(binary) = binary("a hole in the source, through SRS") else { return };
    let dir = Workdir::new(name);
    let clip = Clip::of(CLIP).await;
    let mut srs = Srs::start(&binary, &dir).await;
    let mut rtmp = Recorder::start(&srs.rtmp_url(name), &dir.join("rtmp.flv")).await;
    let target = srs.rtmp_url(name);
    let played = play(&dir, name, &clip, &target, away);
    let watched = async {
        srs.has_segments(name, 2, Duration::from_secs(90)).await;
        let mut hls =
            Recorder::start_with(&["-live_start_index", "0"], &srs.hls_url(name), &dir.join("hls.flv")).await;
        // Segments of two seconds, and the playlist is read again after each: what ends it is the end of the stream.
        tokio::time::sleep(away + Duration::from_secs(u64::from(CLIP))).await;
        hls.quiet_for(Duration::from_secs(6)).await;
        hls
    };
    let ((), hls) = tokio::join!(played, watched);
    rtmp.settled().await;
    srs.stop().await;
    let (rtmp, hls) = (rtmp.finish().await, hls.finish().await);
    for (by, recording) in [("RTMP", rtmp), ("HLS", hls)] {
        let name = format!("{name} by {by}");
        assert_decodes(&name, &recording.file).await;
        let media = Media::read(&recording.file).await;
        let (video, audio) = (runs(&clip.media.video, &media.video), runs(&clip.media.audio, &media.audio));
        assert_eq!((video.len(), audio.len()), (2, 2), "{name}: {video:?} {audio:?}");
        let apart = media.video.windows(2).map(|pair| pair[1].dts - pair[0].dts).max().unwrap();
        assert!(apart <= CLOCK + 360, "{name}: no picture for {apart}/90000 s");
        say(&format!(
            "{name}: {} pictures, {} frames, the source before and behind the hole",
            media.video.len(),
            media.audio.len()
        ));
    }
    assert_eq!(srs.publishers(), 1, "one connection\n{}", srs.tail());
}
