//! The pacer on an invented clock, and what the tests of the other parts share.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use overdub_rtmp::{Client, Server};
use proptest::prelude::*;

use super::pacer::{LEAD, MAX_LATE, Outlet, Pacer, Stamp, Verdict};
use crate::media::{AudioParams, Flicks, Moment, Packet, PacketKind, VideoCodec, VideoParams};
use crate::playout::Playout;

/// A picture of 40 ms at `ms`.
pub(super) fn video(ms: i64, random_access: bool) -> Packet {
    let params = VideoParams {
        codec: VideoCodec::Avc,
        config: Bytes::from_static(&[1, 0x64, 0, 0x1E, 0xFF]),
        width: 640,
        height: 360,
        codec_string: "avc1.64001e".to_owned(),
    };
    packet(PacketKind::Video { params: Arc::new(params), random_access }, ms, 40)
}

/// An AAC frame at `ms`.
pub(super) fn audio(ms: i64) -> Packet {
    let params = Arc::new(AudioParams::plain_aac());
    packet(PacketKind::Audio { params }, ms, 21)
}

fn packet(kind: PacketKind, ms: i64, duration: i64) -> Packet {
    let dts = Flicks::from_millis(ms);
    let duration = Flicks::from_millis(duration);
    Packet { kind, dts, pts: dts, duration, batch: 0, data: Bytes::from_static(&[0, 0, 0, 1, 0x65]) }
}

/// The error of a session whose `connect` is refused in these words.
pub(super) fn refused(client: &mut Client, description: &str) -> overdub_rtmp::Error {
    let mut server = Server::new();
    loop {
        let said = take(client.output());
        server.receive(&said).expect("the client's words");
        while server.event().is_some() {
            server.refuse("NetConnection.Connect.Rejected", description);
        }
        let answer = take(server.output());
        if let Err(error) = client.receive(&answer) {
            return error;
        }
    }
}

fn take(output: &mut impl Buf) -> Bytes {
    output.copy_to_bytes(output.remaining())
}

fn at(ms: u64) -> Moment {
    Moment::from_start(Duration::from_millis(ms))
}

/// Output time zero is due 10 s after the clock's start.
fn playout() -> Playout {
    Playout::anchored(at(0), Flicks::ZERO, Duration::ZERO, Duration::from_secs(10))
}

/// The verdict on `packet` at `now`, counted from output time zero.
fn decide(pacer: &mut Pacer, packet: &Packet, now: i64, outlet: Outlet) -> Verdict {
    pacer.decide(packet, playout(), at((10_000 + now) as u64), outlet)
}

fn sent(verdict: Verdict) -> Option<Stamp> {
    match verdict {
        Verdict::Send(stamp) => Some(stamp),
        _ => None,
    }
}

const LEAD_MS: i64 = LEAD.as_millis() as i64;
const LATE_MS: i64 = MAX_LATE.as_millis() as i64;

#[test]
fn a_packet_leaves_the_lead_before_it_is_due() {
    let mut pacer = Pacer::default();
    let first = video(1000, true);
    assert_eq!(decide(&mut pacer, &first, 0, Outlet::Open), Verdict::Wait(at(11_000) - LEAD));
    let verdict = decide(&mut pacer, &first, 1000 - LEAD_MS, Outlet::Open);
    let planned = at(11_000) - LEAD;
    assert_eq!(verdict, Verdict::Send(Stamp { dts: 1000, composition: 0, planned }));
}

#[test]
fn without_a_connection_the_stream_goes_on_by_the_clock() {
    let mut pacer = Pacer::default();
    assert_eq!(decide(&mut pacer, &video(0, true), -10, Outlet::Closed), Verdict::Wait(at(10_000)));
    assert_eq!(decide(&mut pacer, &video(0, true), 0, Outlet::Closed), Verdict::Drop);
    assert_eq!(decide(&mut pacer, &video(40, false), 0, Outlet::Closed), Verdict::Wait(at(10_040)));
}

#[test]
fn after_a_reconnect_it_resumes_at_a_random_access_picture_and_the_sound_waits_for_it() {
    let mut pacer = Pacer::default();
    assert!(sent(decide(&mut pacer, &video(0, true), 0, Outlet::Open)).is_some());
    assert!(sent(decide(&mut pacer, &audio(10), 10, Outlet::Open)).is_some());
    assert_eq!(decide(&mut pacer, &video(40, false), 40, Outlet::Closed), Verdict::Drop);
    pacer.connected(at(10_060));
    assert_eq!(decide(&mut pacer, &audio(70), 70, Outlet::Open), Verdict::Drop);
    assert_eq!(decide(&mut pacer, &video(80, false), 80, Outlet::Open), Verdict::Drop);
    let stamp = sent(decide(&mut pacer, &video(2000, true), 2000, Outlet::Open));
    assert_eq!(stamp.map(|stamp| stamp.dts), Some(2000), "timestamps go on");
    assert!(sent(decide(&mut pacer, &audio(2010), 2010, Outlet::Open)).is_some());
}

#[test]
fn sound_goes_alone_when_no_picture_comes_for_long() {
    let mut pacer = Pacer::default();
    assert_eq!(decide(&mut pacer, &video(0, false), 0, Outlet::Closed), Verdict::Drop);
    pacer.connected(at(10_000));
    assert_eq!(decide(&mut pacer, &audio(2900), 2900, Outlet::Open), Verdict::Drop);
    assert!(sent(decide(&mut pacer, &audio(3000), 3000, Outlet::Open)).is_some());
}

#[test]
fn a_stream_without_video_resumes_at_once() {
    let mut pacer = Pacer::default();
    pacer.connected(at(10_000));
    assert!(sent(decide(&mut pacer, &audio(0), 0, Outlet::Open)).is_some());
    pacer.connected(at(10_020));
    assert!(sent(decide(&mut pacer, &audio(21), 21, Outlet::Open)).is_some());
}

#[test]
fn a_short_stall_is_caught_up_with_and_a_long_one_is_skipped() {
    let mut pacer = Pacer::default();
    assert!(sent(decide(&mut pacer, &video(0, true), 0, Outlet::Open)).is_some());
    // The connection takes nothing for a while: packets wait, but not for ever.
    let Verdict::Wait(until) = decide(&mut pacer, &video(40, false), 500, Outlet::Busy) else { panic!() };
    assert!(until > at(10_040) + MAX_LATE);
    assert!(sent(decide(&mut pacer, &video(40, false), 40 + LATE_MS, Outlet::Open)).is_some());
    assert_eq!(decide(&mut pacer, &video(80, false), 81 + LATE_MS, Outlet::Busy), Verdict::Drop);
    // What follows has lost its reference; the next random-access picture on time has not.
    assert_eq!(decide(&mut pacer, &video(5000, false), 5000, Outlet::Open), Verdict::Drop);
    assert_eq!(decide(&mut pacer, &video(5040, true), 5600, Outlet::Open), Verdict::Drop, "the past");
    assert!(sent(decide(&mut pacer, &audio(5050), 5610, Outlet::Open)).is_some(), "sound went on");
    assert!(sent(decide(&mut pacer, &video(6000, true), 6000, Outlet::Open)).is_some());
}

#[test]
fn presentation_times_are_exact_and_decoding_times_strictly_increase() {
    let mut pacer = Pacer::default();
    let mut picture = video(0, true);
    // 0.4 ms and 0.8 ms before zero, then 0.3 ms after: all would round into two milliseconds.
    let mut stamps = Vec::new();
    for micros in [-800, -400, 300] {
        picture.dts = Flicks::new(micros * Flicks::PER_SECOND / 1_000_000);
        picture.pts = picture.dts + Flicks::from_millis(83);
        let stamp = sent(decide(&mut pacer, &picture, 0, Outlet::Open)).unwrap();
        stamps.push((stamp.dts, stamp.dts + i64::from(stamp.composition)));
    }
    assert_eq!(stamps, [(0, 82), (1, 83), (2, 83)]);
}

proptest! {
    /// However the connection comes and goes: what leaves is never early, never more than the limit late,
    /// in order per track, and video only goes on with a reference.
    #[test]
    fn whatever_happens_to_the_connection_the_rules_hold(
        events in prop::collection::vec((0..3_u8, 0..3000_i64), 1..30),
        gop in 1..50_i64, start in -500..500_i64,
    ) {
        let mut pacer = Pacer::default();
        let mut events = events.into_iter();
        let mut outlet = Outlet::Closed;
        let mut until = start;
        let mut now = start;
        let mut last = [-1, -1];
        let mut whole = false;
        for step in 0..2000 {
            let ms = step * 20;
            let picture = step % 2 == 0;
            let packet = if picture { video(ms, (step / 2) % gop == 0) } else { audio(ms) };
            loop {
                while now >= until {
                    let Some((kind, length)) = events.next() else { return Ok(()) };
                    let next = [Outlet::Open, Outlet::Busy, Outlet::Closed][usize::from(kind)];
                    if outlet == Outlet::Closed && next != Outlet::Closed {
                        pacer.connected(at((10_000 + now) as u64));
                        whole = false;
                    }
                    outlet = next;
                    until += length;
                }
                match decide(&mut pacer, &packet, now, outlet) {
                    Verdict::Wait(moment) => {
                        let wake = moment.since(at(10_000)).to_millis();
                        prop_assert!(wake > now, "it waits for a moment that is past");
                        now = wake.min(until);
                    }
                    Verdict::Send(stamp) => {
                        prop_assert_eq!(outlet, Outlet::Open);
                        prop_assert!(now >= ms - LEAD_MS && now <= ms + LATE_MS);
                        prop_assert!(stamp.dts > last[usize::from(picture)]);
                        last[usize::from(picture)] = stamp.dts;
                        if picture {
                            whole |= packet.is_random_access();
                            prop_assert!(whole, "a picture without its references");
                        }
                        break;
                    }
                    Verdict::Drop => {
                        whole &= !picture;
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn an_output_that_gets_no_picture_to_begin_with_is_told_once_for_each_connection() {
    let mut pacer = Pacer::default();
    for _ in 0..2 {
        pacer.connected(at(10_000));
        let mut told = Vec::new();
        for ms in (0..40_000).step_by(40) {
            decide(&mut pacer, &video(ms, false), ms, Outlet::Open);
            if pacer.starves(at(10_000 + ms as u64)) {
                told.push(ms);
            }
        }
        assert_eq!(told, [20_040]);
    }
    pacer.connected(at(10_000));
    for ms in (0..40_000).step_by(40) {
        decide(&mut pacer, &video(ms, ms == 4_000), ms, Outlet::Open);
        assert!(!pacer.starves(at(10_000 + ms as u64)), "{ms}");
    }
}
