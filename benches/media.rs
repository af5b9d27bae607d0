//! How fast the media crates are, in bytes of the input per second: `cargo bench`.
//!
//! The input is the demo's clip, or the transport stream that `OVERDUB_BENCH_TS` names (read up to 64 MB of
//! it): real pictures are larger than the clip's.

use std::io::Read;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use overdub::demo::clip;
use overdub::demux::{Demuxer, Input};
use overdub::hls::playlist::{Definitions, parse_from};
use overdub::media::{AudioTrack, Flicks, Moment, Origin, VideoTrack, mp4};
use overdub_fmp4 as fmp4;
use overdub_ts as ts;

fn main() {
    divan::main();
}

/// How much of a file is read.
const INPUT: u64 = 64 << 20;
/// Size of a push, as a network reader would hand it on; whole packets.
const PUSH: usize = 188 * 1_394;

/// A minute of the demo's clip, or the file.
fn input() -> Bytes {
    match std::env::var_os("OVERDUB_BENCH_TS") {
        Some(path) => {
            let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let mut data = Vec::new();
            file.take(INPUT).read_to_end(&mut data).expect("a readable file");
            data.into()
        }
        None => (0..30).flat_map(clip::segment).collect(),
    }
}

fn pushes(input: &Bytes) -> impl Iterator<Item = Bytes> {
    input.chunks(PUSH).map(|push| input.slice_ref(push))
}

fn origin() -> Origin {
    Origin { segment: 0, captured_at: Moment::ZERO, program_date_time: None }
}

/// The transport packets of one PID, and the tables.
fn only(input: &Bytes, pids: &[u16]) -> Bytes {
    let pid = |packet: &[u8]| u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
    input.chunks_exact(188).filter(|packet| pids.contains(&pid(packet))).flatten().copied().collect()
}

/// MPEG-TS to access units and audio frames.
#[divan::bench]
fn ts_to_samples(bencher: Bencher<'_, '_>) {
    let input = input();
    bencher.counter(BytesCount::new(input.len())).bench(|| samples(&input));
}

/// The same of the pictures alone: start codes become lengths.
#[divan::bench]
fn annex_b_to_length_prefixed(bencher: Bencher<'_, '_>) {
    let whole = input();
    let mut demuxer = ts::Demuxer::new();
    demuxer.push(whole.clone());
    let program = std::iter::from_fn(|| demuxer.next_event()).find_map(|event| match event {
        ts::Event::Program(program) => Some(program),
        _ => None,
    });
    let program = program.expect("a program");
    let is_video = |codec| matches!(codec, Some(ts::Codec::H264 | ts::Codec::Hevc));
    let video = program.streams.iter().find(|stream| is_video(stream.codec)).expect("pictures");
    let input = only(&whole, &[0, program.pmt_pid, video.pid]);
    bencher.counter(BytesCount::new(input.len())).bench(|| samples(&input));
}

fn samples(input: &Bytes) -> usize {
    let (mut demuxer, mut count) = (ts::Demuxer::new(), 0);
    let mut drain = |demuxer: &mut ts::Demuxer| {
        while let Some(event) = demuxer.next_event() {
            count += usize::from(matches!(event, ts::Event::Sample(_)));
        }
    };
    for push in pushes(input) {
        demuxer.push(push);
        drain(&mut demuxer);
    }
    demuxer.finish();
    drain(&mut demuxer);
    count
}

/// A day of 2 s segments, each with its date and a signed address.
fn day() -> String {
    let signature = "x".repeat(400);
    let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n".to_owned();
    for number in 0..43_200 {
        let (hour, minute, second) = (number / 1_800, number / 30 % 60, number * 2 % 60);
        text += &format!(
            "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T{hour:02}:{minute:02}:{second:02}.000Z\n#EXTINF:2.000,\n\
             https://cdn.example/live/{number}.ts?signature={signature}\n"
        );
    }
    text
}

/// A window of a day when it is read first, and when it is read again at its end.
#[divan::bench(args = [0, u64::MAX])]
fn playlist_of_a_day(bencher: Bencher<'_, '_>, needed_from: u64) {
    let text = day();
    let read = || parse_from(text.as_bytes(), &Definitions::default(), needed_from).expect("a playlist");
    bencher.counter(BytesCount::new(text.len())).bench(read);
}

/// Samples to a fragmented MP4 with both tracks, payloads chained.
#[divan::bench]
fn fmp4_write(bencher: Bencher<'_, '_>) {
    let (video, audio) = tracks(&input());
    let file = || mp4::file(Some(&video), Some(&audio), Flicks::ZERO).expect("a file");
    bencher.counter(BytesCount::new(file().len())).bench(file);
}

/// The same file back to samples.
#[divan::bench]
fn fmp4_read(bencher: Bencher<'_, '_>) {
    let (video, audio) = tracks(&input());
    let file = mp4::file(Some(&video), Some(&audio), Flicks::ZERO).expect("a file").to_bytes();
    bencher.counter(BytesCount::new(file.len())).bench(|| fmp4::parse(&file).expect("our own file"));
}

/// What is done to each batch: a transport stream in, a file with the pictures and one with the sound out.
#[divan::bench]
fn whole_batch(bencher: Bencher<'_, '_>) {
    let input = input();
    bencher.counter(BytesCount::new(input.len())).bench(|| {
        let (video, audio) = tracks(&input);
        let pictures = mp4::file(Some(&video), None, Flicks::ZERO).expect("a file");
        let sound = mp4::file(None, Some(&audio), Flicks::ZERO).expect("a file");
        (pictures, sound)
    });
}

fn tracks(input: &Bytes) -> (VideoTrack, AudioTrack) {
    let mut demuxer = Demuxer::new();
    let pieces: Vec<_> = demuxer.handle_segment(&Input::main(input.clone(), false), &origin());
    let mut tracks = pieces.into_iter().filter_map(|piece| piece.video.zip(piece.audio));
    let ((video, mut samples), (audio, frames)) = tracks.next().expect("both tracks");
    let mut frames: Vec<_> = frames.into_iter().map(|frame| frame.data).collect();
    for ((_, more_samples), (_, more_frames)) in tracks {
        samples.extend(more_samples);
        frames.extend(more_frames.into_iter().map(|frame| frame.data));
    }
    (VideoTrack { params: video, samples }, AudioTrack { params: audio, start: Flicks::ZERO, frames })
}
