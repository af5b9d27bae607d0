//! The bundled clip, repeated without end as one continuous stream.
//!
//! The time stamps and continuity counters of the stored packets are rewritten for each repetition, so there
//! is no discontinuity at the seam: PTS, DTS and PCR go on (wrapping as ISO/IEC 13818-1 2.4.2.2 and 2.4.3.7
//! have it), and so does the counter of each PID (2.4.3.3). Pure.

mod packet;

use std::time::Duration;

use bytes::Bytes;

use packet::{Counters, PACKET, rewrite};

/// The clip as FFmpeg cut it (`make.sh`): one file for each GOP.
const SEGMENTS: [&[u8]; 8] = [
    include_bytes!("0.ts"),
    include_bytes!("1.ts"),
    include_bytes!("2.ts"),
    include_bytes!("3.ts"),
    include_bytes!("4.ts"),
    include_bytes!("5.ts"),
    include_bytes!("6.ts"),
    include_bytes!("7.ts"),
];

/// The length of each segment.
pub const SEGMENT_DURATION: Duration = Duration::from_secs(2);
/// Segments in one repetition.
pub const SEGMENTS_PER_LOOP: u64 = SEGMENTS.len() as u64;
/// RFC 6381 names of what is inside.
pub const CODECS: &str = "avc1.64001e,mp4a.40.2";
/// Width and height in pixels.
pub const RESOLUTION: (u32, u32) = (640, 360);
/// Bits a second of the largest segment, rounded up.
pub const BANDWIDTH: u32 = 300_000;

/// One repetition in ticks of 90 kHz: 400 pictures, and 750 AAC frames of 1024 samples at 48 kHz.
const LOOP_TICKS: u64 = 16 * 90_000;

/// Segment `number` of the endless stream: the first repetition has the numbers from 0.
pub fn segment(number: u64) -> Bytes {
    let (repetition, index) = (number / SEGMENTS_PER_LOOP, number % SEGMENTS_PER_LOOP);
    let index = usize::try_from(index).unwrap_or(0);
    // The state of each counter: what all repetitions before this one, and the segments before it, sent.
    let mut counters = Counters::default();
    for stored in SEGMENTS {
        counters.count(stored);
    }
    counters.repeat(repetition);
    for stored in &SEGMENTS[..index] {
        counters.count(stored);
    }
    // Only the remainder matters for stamps of 33 bits.
    let ticks = (u128::from(repetition) * u128::from(LOOP_TICKS) % (1 << 33)) as u64;
    let mut bytes = SEGMENTS[index].to_vec();
    for packet in bytes.chunks_exact_mut(PACKET) {
        rewrite(packet, ticks, &mut counters);
    }
    bytes.into()
}

#[cfg(test)]
mod tests;
