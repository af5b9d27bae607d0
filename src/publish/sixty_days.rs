//! Sixty days of one output, from exact times through pacer, tags, session and chunks to what a server reads, on an
//! invented clock. RTMP's clock needs its extended field after 4 h 39 min 37 s (24 bits) and begins anew after
//! 49.7 days (32 bits); the count of acknowledged bytes begins anew after 4 GiB.

use std::time::Duration;

use bytes::{Buf, Bytes};
use overdub_rtmp::flv::{VideoKind, VideoTag};
use overdub_rtmp::{Client, ClientEvent, ClientState, Server, ServerEvent, Target, Timestamp, Unwrapper};

use super::pacer::{LEAD, Outlet, Pacer, Verdict};
use super::tags::{Announced, Known};
use super::tests::{audio, video};
use crate::media::{Flicks, Moment, Packet};
use crate::playout::Playout;

const DAYS: i64 = 60;
/// Frames per second of the pictures: 29.97, whose times are never whole milliseconds for long.
const RATE: (i64, u32) = (1001, 30_000);
/// Samples per frame, and samples per second.
const SOUND: (i64, u32) = (1024, 44_100);
/// Between the stretches that are played whole, one picture and one frame of every so many seconds.
const SPARSE: i64 = 7;
/// Around each wrap every packet is played, for this many seconds on either side.
const WHOLE: i64 = 20;
/// Bytes of each hundredth picture: more than one chunk, and more than 4 GiB in all.
const LARGE: usize = 600_000;

/// The seconds from which every packet is played: around each wrap of 24 bits of the first day, and of 32.
fn wraps() -> impl Iterator<Item = i64> {
    let around = |ms: i64| (ms / 1000 - WHOLE)..=(ms / 1000 + WHOLE);
    let of_24_bits = (0..6).flat_map(move |wrap| around(wrap << 24));
    of_24_bits.chain(around(1 << 32)).chain(around((1 << 32) + (1 << 24))).filter(|second| *second >= 0)
}

/// The exact times of one track in `[from, from + 1 s)`: all of them, or the first.
fn times((units, rate): (i64, u32), second: i64, whole: bool) -> impl Iterator<Item = Flicks> {
    let first = |second: i64| (second * i64::from(rate) + units - 1) / units;
    let end = if whole { first(second + 1) } else { first(second) + 1 };
    (first(second)..end).map(move |n| Flicks::from_units(n * units, rate))
}

/// The packets of a second, in DTS order.
fn packets(second: i64, whole: bool) -> Vec<Packet> {
    let pictures = times(RATE, second, whole).map(|dts| {
        let mut picture = video(0, true);
        // Two pictures are reordered.
        (picture.dts, picture.pts) = (dts, dts + Flicks::from_units(2 * RATE.0, RATE.1));
        picture
    });
    let frames = times(SOUND, second, whole).map(|dts| {
        let mut frame = audio(0);
        (frame.dts, frame.pts) = (dts, dts);
        frame
    });
    let mut packets: Vec<_> = pictures.chain(frames).collect();
    packets.sort_by_key(|packet| packet.dts);
    packets
}

/// Hands over what each side has to say until neither has anything; gives the media that came
/// and counts the server's acknowledgements.
fn exchange(client: &mut Client, server: &mut Server, media: &mut Vec<(Timestamp, Bytes, bool)>) -> u64 {
    let mut acknowledged = 0;
    loop {
        let mut quiet = true;
        while client.output().has_remaining() {
            let count = client.output().chunk().len();
            server.receive(client.output().chunk()).unwrap();
            client.output().advance(count);
            quiet = false;
        }
        while let Some(event) = server.event() {
            match event {
                ServerEvent::Connect { .. } | ServerEvent::Publish { .. } => server.accept(),
                ServerEvent::Video { at, body } => media.push((at, body, true)),
                ServerEvent::Audio { at, body } => media.push((at, body, false)),
                _ => {}
            }
        }
        while server.output().has_remaining() {
            let count = server.output().chunk().len();
            client.receive(server.output().chunk()).unwrap();
            server.output().advance(count);
            quiet = false;
        }
        while let Some(event) = client.event() {
            acknowledged += u64::from(matches!(event, ClientEvent::Acknowledged(_)));
        }
        if quiet {
            return acknowledged;
        }
    }
}

/// Half a millisecond, which rounding once may cost, as an exact time.
fn half_a_millisecond() -> Flicks {
    Flicks::new(Flicks::from_millis(1).get() / 2)
}

#[test]
fn sixty_days_arrive_at_the_exact_millisecond() {
    let target = Target::parse("rtmp://localhost/live/sixty").unwrap();
    let (mut client, mut server) = (Client::new(target, "test").unwrap(), Server::new());
    let mut media = Vec::new();
    exchange(&mut client, &mut server, &mut media);
    assert_eq!(client.state(), ClientState::Publishing);

    let playout = Playout::anchored(Moment::ZERO, Flicks::ZERO, Duration::ZERO, Duration::from_secs(10));
    let (mut pacer, mut known, mut announced) = (Pacer::default(), Known::default(), Announced::default());
    pacer.connected(Moment::ZERO);
    let mut unwrapper = Unwrapper::default();
    let large = Bytes::from(vec![1; LARGE]);
    let mut last = [-1_i64; 2];
    let (mut sent, mut received, mut acknowledged) = (0_u64, 0_u64, 0_u64);

    let whole: std::collections::BTreeSet<i64> = wraps().collect();
    let seconds = (0..DAYS * 86_400).filter(|second| second % SPARSE == 0 || whole.contains(second));
    for second in seconds {
        for mut packet in packets(second, whole.contains(&second)) {
            if packet.is_video() {
                packet.data = if sent % 100 == 0 { large.clone() } else { packet.data };
            }
            let now = playout.due(packet.dts) - LEAD;
            let Verdict::Send(stamp) = pacer.decide(&packet, playout, now, Outlet::Open) else {
                panic!("{packet:?} is on time");
            };
            known.learn(&packet);
            let at = Timestamp::from_millis(stamp.dts);
            if !announced.covers(&packet) {
                announced.update(&known).iter().for_each(|header| client.send(at, header));
            }
            client.send(at, &announced.tag(&packet, stamp).unwrap());
            media.clear();
            acknowledged += exchange(&mut client, &mut server, &mut media);
            sent += 1;

            let (at, body, is_video) = media.last().unwrap();
            assert_eq!(*is_video, packet.is_video());
            received += body.len() as u64;
            let ms = unwrapper.unwrap(*at);
            let off = |ms: i64, exact: Flicks| (Flicks::from_millis(ms) - exact).abs();
            assert!(off(ms, packet.dts) <= half_a_millisecond(), "{packet:?} came at {ms} ms");
            assert!(
                ms > last[usize::from(*is_video)] && ms >= last[0].max(last[1]),
                "{packet:?} came at {ms} ms"
            );
            last[usize::from(*is_video)] = ms;
            if *is_video {
                let VideoKind::Frame { composition, .. } = VideoTag::parse(body).unwrap().kind else {
                    panic!()
                };
                assert!(off(ms + i64::from(composition), packet.pts) <= half_a_millisecond(), "{packet:?}");
                assert_eq!(body.len(), packet.data.len() + 5, "every byte came");
            }
        }
    }
    assert!(last[1] > (1 << 32) + (1 << 24), "past both wraps: {last:?}");
    assert!(received > 1 << 32, "past the wrap of the acknowledged bytes: {received}");
    assert!(acknowledged > received / 2_500_000 / 2, "acknowledgements still come: {acknowledged}");
    assert!(sent > 1_000_000, "{sent}");
}
