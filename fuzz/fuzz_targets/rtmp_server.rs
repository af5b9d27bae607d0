//! A receiving session with a hostile peer: no panic, whatever the pieces.
#![no_main]

use bytes::Buf;
use libfuzzer_sys::fuzz_target;
use overdub_rtmp::{Server, ServerEvent};

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let mut server = Server::new();
    for piece in pieces {
        if server.receive(&piece).is_err() {
            return;
        }
        while let Some(event) = server.event() {
            if matches!(event, ServerEvent::Connect { .. } | ServerEvent::Publish { .. }) {
                server.accept();
            }
        }
        let answer = server.output().remaining();
        server.output().advance(answer);
    }
});
