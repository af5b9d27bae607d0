//! What hostile transport streams cost, against an ordinary one: time and events for each byte.
//!
//! `cargo run --release -p overdub-ts --example hostile`

use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use overdub_ts::{Demuxer, Event};

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, reason = "what the tests use of it")]
mod support;

#[path = "../tests/support/attacks.rs"]
mod attacks;

const SIZE: usize = 4 << 20;

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut base = None;
    let all =
        std::iter::once(("ordinary media", attacks::ordinary as fn(usize) -> Bytes)).chain(attacks::ATTACKS);
    for (name, make) in all {
        let input = make(SIZE);
        let began = Instant::now();
        let mut demuxer = Demuxer::new();
        demuxer.begin_segment(input.len() as u64);
        demuxer.push(input.clone());
        demuxer.end_segment();
        let events = std::iter::from_fn(|| demuxer.next_event()).count();
        let taken = began.elapsed().as_nanos() as f64 / input.len() as f64;
        let base = *base.get_or_insert(taken);
        let memory = (events * size_of::<Event>()) as f64 / input.len() as f64;
        writeln!(
            out,
            "{name:58} {taken:8.2} ns/byte, {:6.1} x, {events:8} events, {memory:6.2} bytes of events/byte",
            taken / base
        )?;
    }
    Ok(())
}
