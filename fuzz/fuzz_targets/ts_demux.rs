//! A transport stream of any bytes, in pieces of any size: no panic, and the same events as in one piece.
//!
//! The last byte of the input is control, so that real streams are seeds as they are.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use overdub_fuzz::ts;
use overdub_ts::{Choice, Config};

fuzz_target!(|data: &[u8]| {
    let Some((&control, data)) = data.split_last() else { return };
    let programs = if control & 0x80 == 0 { Choice::First } else { Choice::All };
    let config = Config { raw: control & 0x40 != 0, programs };
    let middle = data.len() / 2;
    let segments: &[usize] = if control & 0x20 == 0 || middle == 0 { &[] } else { &[middle] };
    // 1 to 32, or a few packets and a bit.
    let piece = usize::from(control & 0x0F) + 1;
    let piece = if control & 0x10 == 0 { piece } else { piece * 101 };
    let input = Bytes::copy_from_slice(data);
    let _ = ts::check(&input, config, piece, segments);
    ts::check_budget(&input);
});
