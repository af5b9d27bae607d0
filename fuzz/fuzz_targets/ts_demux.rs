//! A transport stream in pieces of any size: no panic, and the same samples as in one piece.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_ts::{Demuxer, Event, Sample};

fn samples(pieces: impl Iterator<Item = Bytes>) -> Vec<Sample> {
    let mut demuxer = Demuxer::new();
    let mut out = Vec::new();
    let mut drain = |demuxer: &mut Demuxer| {
        while let Some(event) = demuxer.next_event() {
            if let Event::Sample(sample) = event {
                out.push(sample);
            }
        }
    };
    for piece in pieces {
        demuxer.push(piece);
        drain(&mut demuxer);
    }
    demuxer.finish();
    drain(&mut demuxer);
    out
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, data) = (usize::from(input.0) + 1, Bytes::from(input.1));
    let pieces = data.chunks(size).map(|piece| data.slice_ref(piece));
    assert_eq!(samples(pieces), samples(std::iter::once(data.clone())));
});
