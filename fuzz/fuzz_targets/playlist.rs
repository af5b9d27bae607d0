//! Any bytes as a playlist: read or refused, and within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overdub::hls::playlist::{Definitions, Playlist, limits, parse, parse_from};

fuzz_target!(|data: &[u8]| {
    let all = parse(data, &Definitions::default());
    let needed = parse_from(data, &Definitions::default(), u64::MAX);
    let (Ok(Playlist::Media(all)), Ok(Playlist::Media(needed))) = (all, needed) else { return };
    // What is not kept is counted, whichever is kept.
    assert_eq!((all.listed_from(), all.end()), (needed.listed_from(), needed.end()));
    assert!(all.segments.len() <= limits::MAX_SEGMENTS && needed.segments.len() <= limits::MIN_KEPT);
    let tail = all.segments.len().saturating_sub(needed.segments.len());
    assert_eq!(all.segments.get(tail..), Some(needed.segments.as_slice()));
});
