//! A source that stops for a minute, or for ten, and comes back in each of the ways in which sources do, on tokio's paused
//! clock: what the outputs are handed goes on without a gap and in time, decodes in FFmpeg without a word, and sound and
//! picture are as far apart afterwards as they were before.

mod codecs;

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use overdub_rtmp::flv::{FILE_HEADER, TagKind, write_tag};
use overdub_rtmp::{Tag, Timestamp};

use self::codecs::encode;
use super::rig::{self, Run};
use crate::config::{OnGap, Span, StreamOptions};
use crate::demo::clip;
use crate::demux::{Demuxer, Input};
use crate::echo::{Delay, Options};
use crate::hls;
use crate::media::{AudioTrack, Flicks, Moment, Origin, Packet, PacketKind, VideoSample, VideoTrack, mp4};
use crate::playout::Playout;
use crate::publish::pacer::{LEAD, Outlet, Pacer, Verdict};
use crate::publish::tags::{Announced, Known};
use crate::roundtrip::simulated::Script;

const SEGMENT: Duration = clip::SEGMENT_DURATION;
/// Segments before the source stops.
const BEFORE: u64 = 15;
/// And after it is back.
const AFTER: u64 = 20;
/// Plays before the source has said anything: a batch of 6 s, 2 s that one may be longer, and the budget.
const BUFFER: Duration = Duration::from_secs(6);
const BUDGET: Duration = Duration::from_secs(6);
/// A held picture is repeated so often, and may begin so much later than a picture is missing.
const STEP: Flicks = Flicks::from_millis(1_000);

/// How the source is when it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// The encoder's clock went on: the stamps jump by as much as it was away.
    Jumped,
    /// Another encoder: EXT-X-DISCONTINUITY, and stamps that begin anew.
    Anew,
    /// The encoder itself stood still: everything is as late from then on.
    Late,
    /// Only the delivery had stopped: all that was made in the meantime is there at once.
    AtOnce,
}

const RETURNS: [Return; 4] = [Return::Jumped, Return::Anew, Return::Late, Return::AtOnce];

/// The segments, with the moment at which each is captured.
fn source(back: Return, away: Duration) -> Vec<(Moment, hls::Segment)> {
    let missed = away.as_secs() / SEGMENT.as_secs();
    let made = |number: u64| Moment::ZERO + SEGMENT * (number as u32 + 1);
    let plain = |number: u64, of: u64| rig::segment(number, false, clip::segment(of));
    let before = (0..BEFORE).map(|number| (made(number), plain(number, number)));
    let behind = BEFORE..BEFORE + AFTER;
    let back: Vec<_> = match back {
        Return::Jumped => behind.map(|n| (made(n) + away, plain(n, n + missed))).collect(),
        Return::Anew => behind
            .map(|n| (made(n) + away, rig::segment(n, n == BEFORE, clip::segment(n - BEFORE))))
            .collect(),
        Return::Late => behind.map(|n| (made(n) + away, plain(n, n))).collect(),
        Return::AtOnce => (BEFORE..BEFORE + missed + AFTER)
            .map(|n| (made(n).max(made(BEFORE - 1) + away), plain(n, n)))
            .collect(),
    };
    before.chain(back).collect()
}

async fn run(on_gap: OnGap, back: Return, away: Duration) -> Run {
    play(StreamOptions { on_gap: Some(on_gap), ..StreamOptions::default() }, source(back, away)).await
}

async fn play(options: StreamOptions, source: Vec<(Moment, hls::Segment)>) -> Run {
    let options = StreamOptions {
        buffer_duration: Some(Span(BUFFER)),
        processing_budget: Some(Span(BUDGET)),
        ..options
    };
    let delay = Delay::fixed(Duration::from_millis(500));
    let script = Script { options: Options { delay, rules: Vec::new(), reorder: false }, lost_every: None };
    rig::run(options, script, source).await
}

/// Where the pictures and frames of the clip stand in it; several are equal.
type Times = HashMap<Bytes, Vec<Flicks>>;

fn clip_times() -> Times {
    let mut demuxer = Demuxer::new();
    let mut times = Times::new();
    for number in 0..clip::SEGMENTS_PER_LOOP {
        let origin = Origin { segment: number, captured_at: Moment::ZERO, program_date_time: None };
        let mut pieces = demuxer.handle_segment(&Input::main(clip::segment(number), false), &origin);
        pieces.extend(demuxer.flush());
        for piece in pieces {
            for sample in piece.video.into_iter().flat_map(|(_, samples)| samples) {
                times.entry(sample.data).or_default().push(sample.pts);
            }
            for frame in piece.audio.into_iter().flat_map(|(_, frames)| frames) {
                times.entry(frame.data).or_default().push(frame.pts);
            }
        }
    }
    times
}

/// A run of the source's packets of one track on the output.
#[derive(Debug)]
struct Stretch {
    /// By how much output time is ahead of the clip's own: what all its packets allow.
    ahead: Vec<Flicks>,
    from: Flicks,
    until: Flicks,
}

/// How long the clip is.
const LOOP: i64 = 16 * Flicks::PER_SECOND;
/// Sound stands on a grid of frames of 21.3 ms.
const HALF_A_FRAME: Flicks = Flicks::from_millis(11);

impl Run {
    fn track(&self, video: bool) -> Vec<&Packet> {
        self.packets.iter().map(|(packet, ..)| packet).filter(|packet| packet.is_video() == video).collect()
    }

    /// What every output may rely on.
    fn assert_in_order_and_in_time(&self, name: &str) {
        for (packet, handed_out, due) in &self.packets {
            assert!(handed_out <= due, "{name}: {:?} was handed out {handed_out:?}, due {due:?}", packet.dts);
        }
        for pair in self.packets.windows(2) {
            assert!(pair[0].0.dts <= pair[1].0.dts, "{name}: {:?} before {:?}", pair[0].0, pair[1].0);
        }
        for video in [true, false] {
            for pair in self.track(video).windows(2) {
                assert!(pair[0].dts < pair[1].dts, "{name}: {:?} before {:?}", pair[0].dts, pair[1].dts);
            }
        }
    }

    /// There is a picture each second at least, and sound without an end; within `seam`, which two periods leave that nothing
    /// fills.
    fn assert_no_gap(&self, name: &str, seam: Flicks) {
        for pair in self.track(true).windows(2) {
            let apart = pair[1].dts - pair[0].dts;
            assert!(apart <= STEP, "{name}: no picture for {apart:?} at {:?}", pair[0].dts);
        }
        for pair in self.track(false).windows(2) {
            let off = (pair[1].dts - (pair[0].dts + pair[0].duration)).abs();
            assert!(off <= seam, "{name}: sound is {off:?} off at {:?}", pair[0].dts);
        }
    }

    fn stretches(&self, video: bool, times: &Times) -> Vec<Stretch> {
        let near = |one: Flicks, other: Flicks| (one - other).abs() <= HALF_A_FRAME;
        let mut stretches: Vec<Stretch> = Vec::new();
        for packet in self.track(video) {
            // Those that stand for others last longer, or are of no clip.
            let Some(times) = times.get(&packet.data).filter(|_| packet.duration < STEP) else { continue };
            let ahead = |time: &Flicks| Flicks::new((packet.pts - *time).get().rem_euclid(LOOP));
            let possible: Vec<Flicks> = times.iter().map(ahead).collect();
            let until = packet.dts + packet.duration;
            if let Some(last) = stretches.last_mut().filter(|last| packet.dts - last.until < STEP + STEP) {
                let both = |known: &&Flicks| possible.iter().any(|other| near(**known, *other));
                let both: Vec<Flicks> = last.ahead.iter().filter(both).copied().collect();
                if !both.is_empty() {
                    (last.ahead, last.until) = (both, until);
                    continue;
                }
            }
            assert!(!video || packet.is_random_access(), "play goes on in mid-GOP at {:?}", packet.dts);
            stretches.push(Stretch { ahead: possible, from: packet.dts, until });
        }
        stretches
    }

    /// Sound and picture come back, and are as far apart as they were. Returns from when to when, in seconds, the source was
    /// not seen on the output.
    fn assert_in_step(&self, name: &str, times: &Times) -> (f64, f64) {
        let (video, audio) = (self.stretches(true, times), self.stretches(false, times));
        assert_eq!(video.len(), audio.len(), "{name}: {video:?} {audio:?}");
        for (picture, sound) in video.iter().zip(&audio) {
            let [of_picture] = picture.ahead[..] else { panic!("{name}: {picture:?}") };
            let step = sound.ahead.iter().any(|of_sound| (of_picture - *of_sound).abs() <= HALF_A_FRAME);
            assert!(step, "{name}: {sound:?} is not in step with {picture:?}");
        }
        let from = video.get(1).map_or(video[0].until, |back| back.from);
        (video[0].until.to_secs_f64(), from.to_secs_f64())
    }

    /// Both tracks, or one, in a file of which FFmpeg 5 knows more codecs.
    fn mp4(&self, sound: bool) -> Vec<u8> {
        let pictures = self.track(true);
        let end = self.packets.last().map(|(packet, ..)| packet.dts + STEP);
        let next = pictures.iter().skip(1).map(|packet| packet.dts).chain(end);
        let sample = |(packet, next): (&&Packet, Flicks)| VideoSample {
            dts: packet.dts,
            pts: packet.pts,
            duration: next - packet.dts,
            random_access: packet.is_random_access(),
            data: packet.data.clone(),
        };
        let samples = pictures.iter().zip(next).map(sample).collect();
        let PacketKind::Video { params, .. } = &pictures[0].kind else { unreachable!("pictures") };
        let video = VideoTrack { params: Arc::clone(params), samples };
        let heard = self.track(false);
        let PacketKind::Audio { params } = &heard[0].kind else { unreachable!("sound") };
        let frames = heard.iter().map(|packet| packet.data.clone()).collect();
        let audio = AudioTrack { params: Arc::clone(params), start: heard[0].dts, frames };
        mp4::file(Some(&video), sound.then_some(&audio), Flicks::ZERO).unwrap().to_bytes().to_vec()
    }

    /// As a publisher sends it, in an FLV file.
    fn flv(&self) -> Vec<u8> {
        let playout = Playout::resumed(Moment::from_start(Duration::from_secs(60)), Flicks::ZERO);
        let (mut pacer, mut known, mut announced) =
            (Pacer::default(), Known::default(), Announced::default());
        pacer.connected(Moment::ZERO);
        let mut out = FILE_HEADER.to_vec();
        let mut write = |at, tag: &Tag| {
            let mut body = Vec::new();
            match tag {
                Tag::Video(video) => {
                    body.put_slice(video.prefix().as_slice());
                    body.put_slice(&video.data);
                    write_tag(TagKind::Video, at, &body, &mut out);
                }
                Tag::Audio(audio) => {
                    body.put_slice(audio.prefix().as_slice());
                    body.put_slice(audio.data());
                    write_tag(TagKind::Audio, at, &body, &mut out);
                }
                Tag::Metadata(_) => {}
            }
        };
        for (packet, ..) in &self.packets {
            let now = playout.due(packet.dts) - LEAD;
            let Verdict::Send(stamp) = pacer.decide(packet, playout, now, Outlet::Open) else {
                panic!("nothing is dropped: {packet:?}")
            };
            known.learn(packet);
            let at = Timestamp::from_millis(stamp.dts);
            announced.update(&known).iter().for_each(|header| write(at, header));
            write(at, &announced.tag(packet, stamp).unwrap());
        }
        out
    }
}

/// FFmpeg decodes `file` to its end and has nothing to say.
fn assert_decodes(name: &str, file: Vec<u8>) {
    let said = ffmpeg(name, &["-v", "warning", "-xerror"], &[], file);
    assert!(said.is_empty(), "{name}: {said}");
}

/// What FFmpeg says while it decodes `file` to its end.
fn ffmpeg(name: &str, options: &[&str], filters: &[&str], file: Vec<u8>) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin"]).args(options).args(["-i", "pipe:0"]).args(filters);
    // In milliseconds, as they come: rounded to frames of a constant rate two may be one.
    command.args(["-fps_mode", "passthrough", "-enc_time_base:v", "1:1000", "-f", "null", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("ffmpeg is needed ({error}): apt-get install ffmpeg"));
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&file));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {}: {said}", output.status);
    writer.join().unwrap().expect("FFmpeg reads everything");
    said
}

async fn held(back: Return, away: Duration, times: &Times) {
    let run = run(OnGap::Hold, back, away).await;
    let name = format!("{back:?} after {away:?}");
    run.assert_in_order_and_in_time(&name);
    run.assert_no_gap(&name, HALF_A_FRAME);
    let (from, to) = run.assert_in_step(&name, times);
    let hold = run.status.stats.hold;
    println!("{name}: source from {from:.2} s to {to:.2} s not seen, {hold:?}");
    let seconds = away.as_secs_f64();
    assert!((from - 30.0).abs() < 0.1, "{name}: everything that was captured was played: {from}");
    match back {
        // A hole keeps its length.
        Return::Jumped | Return::Anew => assert!((to - from - seconds).abs() < 0.1, "{name}: {from} to {to}"),
        // Two segments tell that it stays late. What follows has the budget, and no more.
        Return::Late => assert!((to - from - seconds).abs() < 8.0, "{name}: {from} to {to}"),
        // What is there when the source is back plays on from where the clock is.
        Return::AtOnce => {
            assert!(to - from < seconds && to - from > seconds - 16.0, "{name}: {from} to {to}");
        }
    }
    assert!(!hold.active && hold.count == 1, "{name}: {hold:?}");
    assert!((hold.seconds - (to - from)).abs() < 1.1, "{name}: {hold:?}");
    let offset = run.status.stats.av_offset_ms.expect("both tracks play");
    assert!(offset.abs() <= 11.0, "{name}: {offset} ms");
    assert_decodes(&name, run.flv());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stops_for_a_minute_is_held_and_goes_on() {
    let times = clip_times();
    for back in RETURNS {
        held(back, Duration::from_secs(60), &times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stops_for_ten_minutes_is_held_and_goes_on() {
    let times = clip_times();
    for back in RETURNS {
        held(back, Duration::from_secs(600), &times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn holes_that_are_skipped_are_not_on_the_output_and_the_clock_waits() {
    let times = clip_times();
    for back in RETURNS {
        let run = run(OnGap::Skip, back, Duration::from_secs(60)).await;
        let name = format!("{back:?}, skipped");
        run.assert_in_order_and_in_time(&name);
        run.assert_no_gap(&name, Flicks::from_millis(40));
        let (until, from) = run.assert_in_step(&name, &times);
        assert!(from - until < 0.1, "{name}: {until} to {from}");
        for pair in run.track(true).windows(2) {
            assert!(pair[1].dts - pair[0].dts < Flicks::from_millis(100), "{name}: {:?}", pair[0].dts);
        }
        let stats = &run.status.stats;
        assert_eq!((stats.hold.count, stats.playout_moves), (0, 1), "{name}: {stats:?}");
        println!("{name}: the clock waited {:.1} s", stats.playout_moved_seconds);
        assert!((stats.playout_moved_seconds - 60.0).abs() <= 12.0, "{name}: {stats:?}");
        assert_decodes(&name, run.flv());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slate_plays_in_the_hole_and_the_source_comes_back() {
    let times = clip_times();
    let folder = tempfile::tempdir().unwrap();
    let slate = folder.path().join("0.ts");
    encode(
        &["-c:v", "libx264", "-g", "50", "-bf", "2", "-force_key_frames", "0"],
        5,
        &folder.path().join("%d.ts"),
    );
    let options = StreamOptions { slate: Some(slate), ..StreamOptions::default() };
    let run = play(options, source(Return::Anew, Duration::from_secs(60))).await;
    let name = "slate";
    run.assert_in_order_and_in_time(name);
    run.assert_no_gap(name, Flicks::from_millis(22));
    let (from, to) = run.assert_in_step(name, &times);
    assert!((to - from - 60.0).abs() < 0.1, "{from} to {to}");
    // Two seconds of 25 pictures, again and again.
    let other =
        |packet: &&Packet| matches!(&packet.kind, PacketKind::Video { params, .. } if params.width == 320);
    let shown = run.track(true).into_iter().filter(other).count();
    assert!((1_450..1_510).contains(&shown), "{shown} pictures of the slate");
    assert_decodes(name, run.flv());
}

#[tokio::test(start_paused = true)]
async fn a_slate_that_cannot_be_read_is_a_held_picture() {
    let options = StreamOptions { slate: Some("/no/such/file".into()), ..StreamOptions::default() };
    let run = play(options, source(Return::Anew, Duration::from_secs(30))).await;
    run.assert_no_gap("no slate", HALF_A_FRAME);
    assert_eq!(run.status.stats.hold.count, 1);
    assert!(
        run.status.last_error.as_deref().unwrap_or_default().contains("slate"),
        "{:?}",
        run.status.last_error
    );
}
