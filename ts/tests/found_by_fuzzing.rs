//! What fuzzing has found, as small as it gets.

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use overdub_ts::Event;
use support::{AUDIO, Mux, VIDEO, adts, demux};

/// A stream of this type with one PES packet.
fn stream(stream_type: u8, data: &[u8]) -> Vec<u8> {
    let mut mux = Mux::default();
    mux.tables(&[(stream_type, VIDEO)]);
    mux.pes(VIDEO, 0xE0, Some((9_000, 9_000)), false, data);
    mux.bytes
}

#[test]
fn an_hevc_nal_unit_of_nothing_but_zeros_is_no_picture() {
    // Over two packets: its place is decided before its end is known.
    let zeros = [&[0, 0, 1][..], &[0; 300], &[0, 0, 1]].concat();
    let events = demux(&stream(0x24, &zeros));
    assert!(!events.iter().any(|event| matches!(event, Event::Sample(_))), "{events:?}");
}

#[test]
fn a_stamp_on_a_frame_that_is_broken_dates_the_frames_before_it() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0F, AUDIO)]);
    for n in 0..8_u64 {
        let data = if n == 3 { vec![0x33; 200] } else { adts(n as u8, 200) };
        let stamp = (n >= 3).then_some((90_000 + 1_920 * n, 90_000 + 1_920 * n));
        mux.pes(AUDIO, 0xC0, stamp, true, &data);
    }
    let samples: Vec<_> = demux(&mux.bytes)
        .into_iter()
        .filter_map(|event| if let Event::Sample(sample) = event { Some(sample) } else { None })
        .collect();
    let times: Vec<_> = samples.iter().map(|sample| (sample.pts.0, sample.damaged)).collect();
    let expected: Vec<_> = (0..8).map(|n| (90_000 + 1_920 * n, n == 3)).collect();
    assert_eq!(times, expected);
    assert!(samples.is_sorted_by_key(|sample| sample.offset));
}
