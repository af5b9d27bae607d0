//! Any bytes as a playlist: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overdub::hls::playlist::{Definitions, parse};

fuzz_target!(|data: &[u8]| {
    let _ = parse(data, &Definitions::default());
});
