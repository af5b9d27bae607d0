//! Each rule broken once, on an invented clock.

use std::time::Duration;

use bytes::Bytes;
use hex_literal::hex;
use overdub_rtmp::Timestamp;

use super::check::{Checker, Limits};
use super::report::{MAX_VIOLATIONS, TrackKind, Violation};
use crate::media::Moment;

const AVC_HEADER: &[u8] = &hex!("17 00 000000 01640020 ff e1 0002 6764 01 0001 68");
const AAC_HEADER: &[u8] = &hex!("af 00 1190");
const KEYFRAME: &[u8] = &hex!("17 01 000028 00000002 6588");
const PICTURE: &[u8] = &hex!("27 01 000000 00000002 4188");
const SOUND: &[u8] = &hex!("af 01 2110");

struct Stream(Checker);

impl Stream {
    /// A stream whose headers have come.
    fn begun() -> Self {
        Self::bare().video(0, 0, AVC_HEADER).audio(0, 0, AAC_HEADER)
    }

    fn bare() -> Self {
        Self(Checker::new(Limits::default(), "live".to_owned(), "key".to_owned()))
    }

    fn video(mut self, now: u64, at: u32, body: &'static [u8]) -> Self {
        let now = Moment::from_start(Duration::from_millis(now));
        self.0.video(now, Timestamp::new(at), &Bytes::from_static(body));
        self
    }

    fn audio(mut self, now: u64, at: u32, body: &'static [u8]) -> Self {
        let now = Moment::from_start(Duration::from_millis(now));
        self.0.audio(now, Timestamp::new(at), &Bytes::from_static(body));
        self
    }

    fn violations(&self) -> Vec<Violation> {
        self.0.report().violations.clone()
    }
}

#[test]
fn a_clean_stream_has_no_violation_also_where_its_time_wraps() {
    let mut stream = Stream::begun();
    for n in 0..100_u32 {
        let at = 0_u32.wrapping_sub(2000).wrapping_add(n * 40);
        let body = if n % 25 == 0 { KEYFRAME } else { PICTURE };
        stream = stream.video(u64::from(n) * 40, at, body).audio(u64::from(n) * 40, at, SOUND);
    }
    assert_eq!(stream.violations(), []);
    let report = stream.0.report();
    assert_eq!((report.video.packets, report.video.keyframes, report.audio.packets), (100, 4, 100));
    let first = report.video.first_ms.unwrap();
    assert_eq!(report.video.last_ms, Some(first + 99 * 40));
    assert_eq!((report.earliest, report.latest), (Duration::ZERO, Duration::ZERO));
}

#[test]
fn each_broken_rule_is_told_once_with_its_place() {
    use TrackKind::{Audio, Video};
    let cases: [(&str, Stream, Violation); 11] = [
        (
            "no picture configuration",
            Stream::bare().video(0, 7, KEYFRAME),
            Violation::NoSequenceHeader { track: Video, at: 7 },
        ),
        (
            "no sound configuration",
            Stream::bare().audio(0, 7, SOUND),
            Violation::NoSequenceHeader { track: Audio, at: 7 },
        ),
        ("no keyframe", Stream::begun().video(0, 0, PICTURE), Violation::NoKeyframe { at: 0 }),
        (
            "time repeats",
            Stream::begun().audio(0, 5, SOUND).audio(0, 5, SOUND),
            Violation::NotMonotonic { track: Audio, previous: 5, at: 5 },
        ),
        (
            "hole",
            Stream::begun().audio(0, 0, SOUND).audio(1001, 1001, SOUND),
            Violation::Gap { track: Audio, previous: 0, at: 1001 },
        ),
        (
            "one track behind",
            Stream::begun().video(0, 600, KEYFRAME).audio(0, 99, SOUND),
            Violation::Interleaving { track: Audio, at: 99, newest: 600 },
        ),
        (
            "presented before decoded",
            Stream::begun().video(0, 0, &hex!("17 01 ffffff 00000002 6588")),
            Violation::Composition { at: 0, by: 1 },
        ),
        (
            "length field over the end",
            Stream::begun().video(0, 0, &hex!("17 01 000000 00000003 6588")),
            Violation::Units { at: 0, error: "length field at byte 0 says 3 of 2 bytes".to_owned() },
        ),
        (
            "too fast",
            Stream::begun().audio(0, 0, SOUND).audio(0, 600, SOUND).audio(100, 1200, SOUND),
            Violation::Early { track: Audio, at: 1200, by: Duration::from_millis(1100) },
        ),
        (
            "too slow",
            Stream::begun().audio(0, 0, SOUND).audio(1040, 20, SOUND),
            Violation::Late { track: Audio, at: 20, by: Duration::from_millis(1020) },
        ),
        (
            "unknown codec",
            Stream::begun().audio(0, 0, &hex!("60 00")),
            Violation::Tag { track: Audio, at: 0, error: "sound format 6 is not supported".to_owned() },
        ),
    ];
    for (name, stream, violation) in cases {
        assert_eq!(stream.violations(), [violation], "{name}");
    }
}

#[test]
fn broken_decoder_configurations_are_named() {
    for (body, error) in [
        (&hex!("17 00 000000")[..], "configuration of 0 bytes is too short"),
        (&hex!("17 00 000000 02"), "configuration version 2 is not 1"),
        (&hex!("17 00 000000 01640020 ff e0"), "configuration without parameter sets"),
        (
            &hex!("17 00 000000 01640020 ff e1 0003 6764"),
            "parameter set at byte 6 is empty or runs over the end",
        ),
        (&hex!("17 00 000000 01640020 ff e1 0002 6764"), "configuration of 10 bytes is too short"),
        (&hex!("17 00 000000 01640020 fe e1 0002 6764 01 0001 68"), "length fields of 3 bytes"),
    ] {
        let mut stream = Stream::bare();
        stream.0.video(Moment::ZERO, Timestamp::ZERO, &Bytes::copy_from_slice(body));
        let track = TrackKind::Video;
        let expected = Violation::SequenceHeader { track, at: 0, error: error.to_owned() };
        assert_eq!(stream.violations(), [expected]);
    }
    let stream = Stream::bare().audio(0, 0, &hex!("af 00 07 90"));
    assert_eq!(stream.0.report().violation_count, 1);
}

#[test]
fn a_hostile_publisher_fills_the_count_and_not_the_memory() {
    let mut stream = Stream::begun();
    for _ in 0..10_000 {
        stream = stream.audio(0, 0, &[]);
    }
    assert_eq!(stream.violations().len(), MAX_VIOLATIONS);
    assert_eq!(stream.0.report().violation_count, 10_000);
}

/// An hour of sound, two frames a second, of which each arrives `after` milliseconds after its timestamp.
fn an_hour(after: impl Fn(u64) -> i64) -> Stream {
    (0..7_200_u64).map(|frame| frame * 500).fold(Stream::begun(), |stream, at| {
        let now = 10_000 + at.checked_add_signed(after(at)).unwrap();
        stream.audio(now, at as u32, SOUND)
    })
}

#[test]
fn a_publisher_may_have_a_clock_of_its_own() {
    for (ppm, drift_ms) in [(900, 3_240), (-900, -3_240)] {
        let stream = an_hour(|at| at as i64 * ppm / 1_000_000);
        assert_eq!(stream.violations(), [], "{ppm}");
        let report = stream.0.report();
        assert!((report.drift_ms - drift_ms).abs() < 25, "{ppm}: {}", report.drift_ms);
        assert!(report.latest.max(report.earliest) < Duration::from_millis(25), "{ppm}: {report:?}");
    }
    // Ten times faster than any clock may be followed.
    let stream = an_hour(|at| at as i64 / 100);
    assert!(stream.violations().iter().all(|violation| matches!(violation, Violation::Late { .. })));
    assert!(stream.0.report().violation_count > 6_500, "{}", stream.0.report().violation_count);
}

#[test]
fn media_that_is_late_all_of_a_sudden_is_no_slow_clock() {
    let stream = an_hour(|at| if at < 1_800_000 { 0 } else { 1_300 });
    let report = stream.0.report();
    assert_eq!(report.latest, Duration::from_millis(1_300));
    // 300 ms over the limit, of which 1 ms is followed each second.
    assert!((550..=650).contains(&report.violation_count), "{}", report.violation_count);
    let hiccup = an_hour(|at| if (1_800_000..1_803_000).contains(&at) { 900 } else { 0 });
    assert_eq!((hiccup.violations(), hiccup.0.report().drift_ms), (vec![], 0));
    assert_eq!(hiccup.0.report().latest, Duration::from_millis(900));
}
