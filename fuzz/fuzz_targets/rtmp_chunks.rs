//! The chunk reader on hostile bytes: no panic, memory bounded by what was received, and the same messages
//! and the same error however the bytes are cut.
//!
//! The first bytes are control: chunk size, longest message, size of the pieces. Set Chunk Size and Abort are
//! obeyed where they come, as a session does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overdub_fuzz::Control;
use overdub_rtmp::Error;
use overdub_rtmp::chunk::{Decoder, Message};
use overdub_rtmp::message::kind;

/// Longest chunk header.
const HEADER: usize = 18;

struct Reader {
    decoder: Decoder,
    max_message: usize,
    received: usize,
    messages: Vec<Message>,
}

impl Reader {
    fn new(chunk_size: u32, max_message: usize) -> Self {
        let mut decoder = Decoder::new(max_message);
        if decoder.set_chunk_size(chunk_size).is_err() {
            decoder = Decoder::new(max_message);
        }
        Self { decoder, max_message, received: 0, messages: Vec::new() }
    }

    fn receive(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.received += piece.len();
        let mut rest = piece;
        while let Some(message) = self.decoder.receive(&mut rest)? {
            let word = message.payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            match (message.kind, word) {
                (kind::SET_CHUNK_SIZE, Some(size)) => self.decoder.set_chunk_size(size)?,
                (kind::ABORT, Some(stream)) => self.decoder.abort(stream),
                _ => {}
            }
            assert!(message.payload.len() <= self.max_message, "a message longer than allowed");
            self.messages.push(message);
            self.check();
        }
        assert!(rest.is_empty(), "bytes were left without a reason");
        self.check();
        Ok(())
    }

    fn check(&self) {
        let held = self.decoder.held();
        assert!(held <= self.received, "holds {held} of {} bytes", self.received);
        assert!(held <= 2 * self.max_message + HEADER, "holds {held} bytes");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut control = Control(data);
    let chunk_size = [1, 2, 127, 128, 129, 4096, 65_536, 0x7FFF_FFFF][usize::from(control.byte() & 7)];
    let max_message = [1, 64, 1000, 0xFF_FFFF][usize::from(control.byte() & 3)];
    let size = usize::from(control.byte()) + 1;
    let input = control.0;

    let mut whole = Reader::new(chunk_size, max_message);
    let expected = whole.receive(input);
    let mut pieces = Reader::new(chunk_size, max_message);
    let got = input.chunks(size).try_for_each(|piece| pieces.receive(piece));
    assert_eq!(got, expected, "the verdict depends on where the bytes are cut");
    assert_eq!(pieces.messages, whole.messages, "the messages depend on where the bytes are cut");
});
