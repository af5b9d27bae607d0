//! Any bytes as an MP4 file: no panic, and every sample lies inside the input.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let input = Bytes::copy_from_slice(data);
    if let Ok(movie) = overdub_fmp4::parse(&input) {
        for sample in movie.tracks.iter().flat_map(|track| &track.samples) {
            assert!(sample.data.len() <= input.len());
        }
    }
});
