//! What a stream holds, as it is measured: of a legitimate one with a high bitrate, and of one that has ended.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Shared, Stream, rig};
use crate::clock::Clock;
use crate::config::{Span, StorageLimits, StreamOptions};
use crate::demo::clip;
use crate::echo::{Delay, Options};
use crate::hls;
use crate::media::{Flicks, Moment};
use crate::memory::Meter;
use crate::roundtrip::simulated::Script;
use crate::storage::Disk;

const PACKET: usize = 188;
const PAYLOAD: usize = PACKET - 4;
const VIDEO: u16 = 0x100;
/// Of each segment, with its packets' headers.
const BITS_A_SECOND: usize = 20_000_000;
const LENGTH: Duration = Duration::from_secs(180);

/// Four times what admission expects of these settings: 12 MiB, and 106 s of 8 Mbit/s.
const SHARE: u64 = 4 * ((12 << 20) + 106_000_000);

/// Segment `number` of the clip with pictures that are so much larger that it has [`BITS_A_SECOND`]. The last slice of
/// each picture goes on with bytes that nobody looks at; `counter` is that of the video's packets.
fn large(number: u64, counter: &mut u8) -> Bytes {
    let plain = clip::segment(number);
    let packets: Vec<&[u8]> = plain.chunks(PACKET).collect();
    let is_video = |packet: &[u8]| u16::from_be_bytes([packet[1] & 0x1F, packet[2]]) == VIDEO;
    let begins = |packet: &[u8]| is_video(packet) && packet[1] & 0x40 != 0;
    let pictures = packets.iter().filter(|packet| begins(packet)).count();
    let wanted = BITS_A_SECOND / 8 * clip::SEGMENT_DURATION.as_secs() as usize / PACKET;
    let more = (wanted - packets.len()) / pictures;
    let mut out: Vec<u8> = Vec::with_capacity((wanted + pictures) * PACKET);
    let mut open = false;
    for packet in packets {
        if begins(packet) && std::mem::replace(&mut open, true) {
            (0..more).for_each(|_| push(&mut out, counter, FILL, &[0x55; PAYLOAD]));
        }
        match packet.first_chunk() {
            Some(header) if is_video(packet) => push(&mut out, counter, *header, &packet[4..]),
            _ => out.extend(packet),
        }
    }
    (0..more).for_each(|_| push(&mut out, counter, FILL, &[0x55; PAYLOAD]));
    out.into()
}

/// The header of a packet that goes on with the video's payload (ISO/IEC 13818-1 2.4.3.2).
const FILL: [u8; 4] = [0x47, (VIDEO >> 8) as u8, VIDEO as u8, 0x10];

/// A packet of the video with the next continuity counter.
fn push(out: &mut Vec<u8>, counter: &mut u8, header: [u8; 4], rest: &[u8]) {
    let [sync, high, low, control] = header;
    out.extend([sync, high, low, control & 0xF0 | *counter]);
    out.extend(rest);
    *counter = (*counter + 1) % 16;
}

/// Batches of 30 s, a budget of 12 s, a preview, and a processor that takes half of the budget.
#[tokio::test(start_paused = true)]
async fn a_stream_of_20_megabits_never_meets_its_limit_and_gives_everything_back() {
    let options = StreamOptions {
        buffer_duration: Some(Span(Duration::from_secs(30))),
        processing_budget: Some(Span(Duration::from_secs(12))),
        ..StreamOptions::default()
    };
    let delay = Delay::fixed(Duration::from_secs(6));
    let script = Script { options: Options { delay, rules: Vec::new(), reorder: false }, lost_every: None };
    let mut counter = 0;
    let source = (0..LENGTH.as_secs() / clip::SEGMENT_DURATION.as_secs()).map(move |number| {
        let at = Moment::ZERO + clip::SEGMENT_DURATION * (number as u32 + 1);
        (at, rig::segment(number, false, large(number, &mut counter)))
    });
    let meter = Meter::new(Some(SHARE));
    let (mut bytes, mut most, mut last) = (0, 0, Flicks::ZERO);
    let run = rig::play(options, script, source, meter.clone(), |packet, _, _| {
        bytes += packet.data.len();
        most = most.max(meter.usage().bytes);
        last = packet.dts;
    })
    .await;
    let rate = bytes as f64 * 8.0 / last.to_secs_f64();
    assert!((18e6..21e6).contains(&rate), "{rate} bit/s came through");
    assert!(run.outcomes.values().all(|outcome| *outcome == "ok"), "{:?}", run.outcomes);
    assert_eq!(meter.excess(), None);
    // Half a minute of batch, the budget, and the preview, whose window is shorter than what it may have.
    println!("{} MB at most", most / 1_000_000);
    assert!((150_000_000..SHARE * 3 / 4).contains(&most), "{most} bytes");
    drop(run);
    // The last segments of a preview stay for players that have begun them.
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(meter.usage().bytes, 0);
}

/// Frames of one byte each: two hundred thousand in a segment.
fn minimal_frames() -> Bytes {
    // ISO/IEC 13818-7 6.2: AAC LC, 48 kHz, stereo, eight bytes.
    [0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x1F, 0xFC, 0x21].repeat(200_000).into()
}

/// One thread has all tasks: those beside a segment that takes long have their turn, and a stop does not wait for it.
#[tokio::test]
async fn a_segment_that_takes_long_holds_up_neither_the_thread_nor_a_stop() {
    let clock = Clock::start();
    let folder = tempfile::tempdir().unwrap();
    let options = StreamOptions {
        stream_id: Some("a".to_owned()),
        source_url: Some("http://localhost/a.m3u8".to_owned()),
        ..StreamOptions::default()
    };
    let settings = std::sync::Arc::new(options.resolve().unwrap());
    let disk = Disk::new(folder.path(), StorageLimits::default());
    let shares = crate::heavy::Shares::default();
    let shared = std::sync::Arc::new(Shared { clock, disk, journals: None, persistent: true, shares });
    let stream = Stream::new(&settings, Meter::default(), &shared);
    let (events, segments) = mpsc::channel(1);
    let (requests, _requested) = mpsc::channel(8);
    let (captured, mut undecided) = mpsc::channel(8);
    let halt = CancellationToken::new();
    let ingest = stream.ingest(None, watch::channel(None).0, requests, captured).run(segments, halt.clone());
    let ingest = tokio::spawn(ingest);
    let segment = |number| hls::Event::Segment(rig::segment(number, false, minimal_frames()));

    events.send(segment(0)).await.unwrap();
    let (mut turns, mut gathered) = (0_u64, 0);
    let first = events.send(segment(1));
    tokio::pin!(first);
    loop {
        tokio::select! {
            biased;
            sent = &mut first => break sent.unwrap(),
            () = tokio::task::yield_now() => turns += 1,
        }
    }
    // The first one is in work, the second one waits: a third finds room when the first is done.
    let second = events.send(segment(2));
    tokio::pin!(second);
    loop {
        tokio::select! {
            biased;
            sent = &mut second => break sent.unwrap(),
            batch = undecided.recv() => gathered += batch.unwrap().batch.samples(),
            () = tokio::task::yield_now() => turns += 1,
        }
    }
    assert!(turns > 100, "others had {turns} turns while a segment was taken apart");
    let asked = clock.now();
    halt.cancel();
    ingest.await.unwrap().unwrap();
    let took = clock.now().saturating_since(asked);
    assert!(took < Duration::from_millis(250), "the stop took {took:?} ({gathered} samples so far)");
}
