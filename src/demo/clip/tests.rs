use std::collections::BTreeMap;

use super::packet::stamp;
use super::*;

/// What a receiver sees of one PID.
#[derive(Default)]
struct Seen {
    counter: Option<u8>,
    /// DTS, or PTS where there is no DTS.
    stamps: Vec<u64>,
    pcrs: Vec<u64>,
    pts: Vec<u64>,
}

fn look(numbers: std::ops::Range<u64>) -> BTreeMap<u16, Seen> {
    let mut seen = BTreeMap::<u16, Seen>::new();
    for number in numbers {
        let bytes = segment(number);
        assert_eq!(bytes.len() % PACKET, 0);
        for packet in bytes.chunks_exact(PACKET) {
            assert_eq!(packet[0], 0x47);
            let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            let seen = seen.entry(pid).or_default();
            let (counter, payload) = (packet[3] & 0x0f, packet[3] & 0x10 != 0);
            if let Some(before) = seen.counter {
                assert_eq!(counter, (before + u8::from(payload)) & 0x0f, "PID {pid}, segment {number}");
            }
            seen.counter = Some(counter);
            let mut start = 4;
            if packet[3] & 0x20 != 0 {
                if packet[4] > 0 {
                    assert_eq!(packet[5] & 0x80, 0, "no discontinuity is announced");
                    if packet[5] & 0x10 != 0 {
                        let base = packet[6..11].iter().fold(0_u64, |v, b| v << 8 | u64::from(*b)) >> 7;
                        seen.pcrs.push(base);
                    }
                }
                start += 1 + usize::from(packet[4]);
            }
            if packet[1] & 0x40 != 0 && packet[start..].starts_with(&[0, 0, 1]) {
                let pes = &packet[start..];
                seen.pts.push(stamp(&pes[9..14]));
                let at = if pes[7] & 0x40 != 0 { 14 } else { 9 };
                seen.stamps.push(stamp(&pes[at..at + 5]));
            }
        }
    }
    seen
}

/// The steps between neighbours, over the wrap.
fn steps(stamps: &[u64]) -> Vec<u64> {
    stamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) & ((1 << 33) - 1)).collect()
}

fn assert_continuous(numbers: std::ops::Range<u64>) {
    let segments = usize::try_from(numbers.end - numbers.start).unwrap();
    let seen = look(numbers);
    let (video, audio) = (&seen[&0x100], &seen[&0x101]);
    assert_eq!(video.stamps.len(), segments * 50);
    assert!(steps(&video.stamps).iter().all(|step| *step == 3600), "40 ms from picture to picture");
    // Several AAC frames share a PES packet: whole frames of 1920 ticks apart.
    assert!(steps(&audio.stamps).iter().all(|step| step % 1920 == 0 && (1..=45_000).contains(step)));
    assert!(steps(&video.pcrs).iter().all(|step| (1..=9_000).contains(step)), "at most 100 ms (2.7.2)");
}

#[test]
fn the_seam_between_repetitions_cannot_be_seen() {
    assert_continuous(0..25);
}

#[test]
fn the_stamps_wrap_and_far_repetitions_stay_continuous() {
    // 2^33 ticks are 95443.7 s: the wrap lies in repetition 5964, 10 s early for the clip's own offset.
    assert_continuous(47_710..47_724);
    assert_continuous(1 << 40..(1 << 40) + 9);
}

#[test]
fn both_tracks_begin_together_in_every_repetition() {
    for number in [0, 8, 800] {
        let seen = look(number..number + 1);
        assert_eq!(seen[&0x100].pts[0], seen[&0x101].pts[0], "segment {number}");
        assert_eq!(seen[&0x100].pts[0], 900_000 + number * 180_000);
    }
}

#[test]
fn the_segments_have_the_declared_bandwidth() {
    let largest = SEGMENTS.iter().map(|segment| segment.len()).max().unwrap();
    let bits = largest as u64 * 8 / SEGMENT_DURATION.as_secs();
    assert!((u64::from(BANDWIDTH) * 8 / 10..=u64::from(BANDWIDTH)).contains(&bits), "{bits}");
    assert!(SEGMENTS.iter().map(|segment| segment.len()).sum::<usize>() < 600_000);
}
