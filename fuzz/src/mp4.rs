//! MP4 files around any bytes, and what must hold of whatever is read of one.

use bytes::Bytes;
use overdub_fmp4::{Damage, Movie, ReadError, Reader, Step, TimedSample};

/// A box of this type around `body`.
pub fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

/// What must hold of any movie: bounded by its input, its samples slices of it, its trims computable.
pub fn check(movie: &Movie, input: &Bytes) {
    let samples: usize = movie.tracks.iter().map(|track| track.samples.len()).sum();
    assert!(samples <= input.len() + 4_096, "{samples} samples of {} bytes", input.len());
    let all = || movie.tracks.iter().flat_map(|track| &track.samples);
    let payload: usize = all().map(|sample| sample.data.len()).sum();
    assert!(payload <= 2 * input.len() + 4_096, "{payload} bytes of {}", input.len());
    let inside = input.as_ptr_range();
    for sample in all() {
        let range = sample.data.as_ptr_range();
        assert!(sample.data.is_empty() || inside.start <= range.start && range.end <= inside.end);
        let _ = sample.pts();
    }
    assert!(movie.damage.errors().len() <= 32);
    for track in &movie.tracks {
        let _ = (track.priming(), track.trailing(), track.info.shift());
    }
}

/// Reads piece by piece, as from a file. `known`: the length is told beforehand.
pub fn read_in_pieces(input: &Bytes, known: bool) -> Result<(Vec<Vec<TimedSample>>, Damage), ReadError> {
    let mut reader = Reader::new();
    if known {
        reader = reader.with_len(input.len() as u64);
    }
    let mut tracks = Vec::new();
    // A step takes a box or at least one sample.
    let most = 100 + 8 * input.len();
    for _ in 0..most {
        match reader.poll()? {
            Step::Need(range) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(input.len());
                assert!(range.start <= range.end);
                reader.supply(&Bytes::copy_from_slice(&input[at(range.start)..at(range.end)]))?;
            }
            Step::Tracks => tracks = vec![Vec::new(); reader.tracks().len()],
            Step::Samples { track, samples } => tracks[track].extend(samples),
            Step::Event(_) => {}
            Step::End => return Ok((tracks, reader.damage().clone())),
        }
    }
    panic!("no end after {most} steps of {} bytes", input.len());
}
