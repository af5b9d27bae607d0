//! A receiving session with a hostile peer: no panic, whatever the pieces.
//!
//! The first byte is control: the size of the pieces, and whether a good handshake comes before the input.
#![no_main]

use bytes::Buf;
use libfuzzer_sys::fuzz_target;
use overdub_rtmp::{Server, ServerEvent};

fuzz_target!(|data: &[u8]| {
    let Some((&control, data)) = data.split_first() else { return };
    let mut server = Server::new();
    if control & 0x80 == 0 {
        // C0, C1 and C2 of the simple form (Adobe RTMP 1.0, 5.2): the server checks nothing of C2.
        let mut hello = vec![0; 1 + 2 * 1536];
        hello[0] = 3;
        if server.receive(&hello).is_err() {
            panic!("a good handshake is refused");
        }
    }
    let size = usize::from(control & 0x7F) * 8 + 1;
    let mut received = 0;
    for piece in data.chunks(size) {
        if server.receive(piece).is_err() {
            return;
        }
        while let Some(event) = server.event() {
            match event {
                ServerEvent::Connect { .. } | ServerEvent::Publish { .. } => server.accept(),
                ServerEvent::Audio { body, .. } | ServerEvent::Video { body, .. } => received += body.len(),
                _ => {}
            }
        }
        let answer = server.output().remaining();
        server.output().advance(answer);
    }
    assert!(received <= data.len());
});
