//! What fuzzing has found, as small as it gets.

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use overdub_ts::Event;
use support::{Mux, VIDEO, demux};

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
