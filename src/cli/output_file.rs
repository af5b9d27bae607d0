//! Files written in one call for each fragment.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;

/// Pieces in one call: IOV_MAX of Linux.
const MAX_PIECES: usize = 1024;

/// A file that takes chains of pieces.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    file: File,
    written: u64,
}

impl OutputFile {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, written: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Appends all of `pieces`.
    pub(super) fn write<'a>(&mut self, pieces: impl IntoIterator<Item = &'a Bytes>) -> anyhow::Result<()> {
        let slices: Vec<_> = pieces.into_iter().map(|piece| IoSlice::new(piece)).collect();
        self.written += slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        write_all(&mut self.file, slices).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn write_all(out: &mut impl Write, mut slices: Vec<IoSlice<'_>>) -> io::Result<()> {
    let mut left = &mut slices[..];
    // Empty slices at the front would look like a full disk.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let now = left.len().min(MAX_PIECES);
        match out.write_vectored(&left[..now]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time, and is interrupted now and then.
    struct Slow(Vec<u8>, usize);

    impl Write for Slow {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(ErrorKind::Interrupted.into());
            }
            let taken = data.len().min(5);
            self.0.extend_from_slice(&data[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_in_order_however_little_is_taken_at_a_time() {
        let pieces = ["", "a", "bcdefghijk", "", "lmnopqrstuvwxyz", ""];
        let mut out = Slow(Vec::new(), 0);
        write_all(&mut out, pieces.iter().map(|piece| IoSlice::new(piece.as_bytes())).collect())
            .expect("it takes everything");
        assert_eq!(out.0, b"abcdefghijklmnopqrstuvwxyz");
    }

    #[test]
    fn a_full_disk_is_an_error_and_no_endless_loop() {
        let mut full: &mut [u8] = &mut [0; 2];
        let slices = vec![IoSlice::new(b"abc")];
        assert_eq!(write_all(&mut full, slices).map_err(|error| error.kind()), Err(ErrorKind::WriteZero));
    }
}
