//! H.264 of any bytes in well-formed packets: no panic, whole access units, an `avcC` that can be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overdub_fuzz::ts;

fuzz_target!(|data: &[u8]| ts::check_elementary(data, 0x1B, 0xE0, &[]));
