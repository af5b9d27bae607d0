//! Whole files from chunks. Blocking.

use std::fs::{self, File};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Slices in one write: more than the kernel takes at once (IOV_MAX) would only be cut.
const SLICES: usize = 1024;

/// Writes `chunks` to `path`, which appears whole or not at all; folders are made as needed. There is no
/// fsync: after a power cut the newest artifacts may be missing or empty, which costs nothing that is still
/// to be published, whereas waiting for the disk on every file would.
pub(super) fn whole(path: &Path, chunks: &[Bytes]) -> io::Result<()> {
    let temporary = temporary(path);
    let written = create(&temporary)
        .and_then(|file| write_all(file, chunks))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // On a full disk the half of a file is what keeps it full.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes what an earlier process left unfinished in `folder`.
pub(super) fn remove_unfinished(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == TEMPORARY) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The same in each folder within `folder`; one in which nothing was finished goes, for nothing that is counted is in it.
pub(super) fn remove_unfinished_within(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        remove_unfinished(&entry.path());
        // Refused where something is left in it, and where it is a file.
        let _ = fs::remove_dir(entry.path());
    }
}

const TEMPORARY: &str = "tmp";

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    name.into()
}

fn create(path: &Path) -> io::Result<File> {
    match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            File::create(path)
        }
        created => created,
    }
}

fn write_all(mut file: impl Write, chunks: &[Bytes]) -> io::Result<()> {
    for some in chunks.chunks(SLICES) {
        let mut slices: Vec<_> = some.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = &mut slices[..];
        // Drops leading empty slices, so that a write of nothing is not mistaken for the end.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most three bytes at a time and is interrupted before each.
    #[derive(Default)]
    struct Reluctant(Vec<u8>, bool);

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let taken = bytes.len().min(3);
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn chunks_of_every_size_arrive_in_order_through_short_writes() {
        let chunks: Vec<_> = (0..2_500_u32).map(|i| Bytes::from(vec![i as u8; i as usize % 7])).collect();
        let mut file = Reluctant::default();
        write_all(&mut file, &chunks).unwrap();
        assert_eq!(file.0, chunks.concat());
    }

    #[test]
    fn a_file_appears_whole_and_a_failed_one_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c.ts");
        whole(&path, &[Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"two")]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"onetwo");

        // The final name is taken by a folder: the rename fails.
        let taken = root.path().join("taken");
        fs::create_dir_all(taken.join("x")).unwrap();
        whole(&taken, &[Bytes::from_static(b"one")]).unwrap_err();
        assert!(!temporary(&taken).exists());
    }

    #[test]
    fn what_was_left_unfinished_goes_and_what_was_finished_stays() {
        let root = tempfile::tempdir().unwrap();
        let [finished, half, none] =
            ["a/finished", "a/half.tmp", "b/half.tmp"].map(|name| root.path().join(name));
        for path in [&finished, &half, &none] {
            whole(path, &[Bytes::from_static(b"one")]).unwrap();
        }
        remove_unfinished_within(root.path());
        assert!(finished.exists() && !half.exists());
        assert!(!none.parent().unwrap().exists());
        remove_unfinished_within(&root.path().join("nothing"));
    }
}
