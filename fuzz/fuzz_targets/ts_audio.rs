//! Sound and tags of any bytes in well-formed packets; the first byte chooses the parser.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_fuzz::ts;
use overdub_ts::adts;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let (stream_type, stream_id, descriptors): (u8, u8, &[u8]) = match choice % 8 {
        0 => (0x0F, 0xC0, &[]),
        1 => (0x11, 0xC0, &[]),
        2 => (0x03, 0xC0, &[]),
        3 => (0x81, 0xBD, &[]),
        4 => (0x87, 0xBD, &[]),
        5 => (0x06, 0xBD, &[0x05, 4, b'O', b'p', b'u', b's', 0x7F, 2, 0x80, choice >> 3]),
        6 => (0x15, 0xBD, &[0x05, 4, b'I', b'D', b'3', b' ']),
        _ => return adts_file(data),
    };
    ts::check_elementary(data, stream_type, stream_id, descriptors);
});

/// An ADTS file: the frames come in order, and lie inside of it.
fn adts_file(data: &[u8]) {
    let input = Bytes::copy_from_slice(data);
    let mut end = 0;
    for frame in adts::frames(input.clone()) {
        assert!(end <= frame.at);
        end = frame.at + frame.header.frame_len;
        assert_eq!(frame.data, input[frame.at + frame.header.header_len..end]);
        let _ = frame.header.params(&frame.data);
    }
    assert!(end <= input.len());
}
