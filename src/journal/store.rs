//! The journals of a process. Blocking work is done by one thread.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::{DecodeError, MAX_BYTES, Record, decode, encode};
use crate::media::StreamId;

const EXTENSION: &str = "journal";

/// Behind the name of a journal that is being written.
const UNFINISHED_EXTENSION: &str = "tmp";

/// What could not be read is kept under this name, for a person to look at.
const BAD_EXTENSION: &str = "journal-unreadable";

/// How long [`Journals::flush`] waits: a disk that hangs must not hold the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// All journals below one folder. Copies share the thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Journals {
    shared: Arc<Shared>,
    /// Dropped with the last copy.
    _alive: Arc<Alive>,
}

/// How writing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub written: u64,
    pub failed: u64,
    /// The last write failed: streams would not resume where they are. Ends with the next success.
    pub alarm: bool,
    pub last_error: Option<String>,
}

/// A journal that cannot be resumed from.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = path.display())]
    Content { path: PathBuf, source: DecodeError },
    #[error("{path}: the settings in it are not valid: {reason}", path = path.display())]
    Settings { path: PathBuf, reason: String },
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The newest record of each stream that is not written yet; none removes the file. At most one for each
    /// stream waits, however slow the disk is.
    pending: BTreeMap<StreamId, Option<Record>>,
    /// The stream whose journal is being written.
    busy: Option<StreamId>,
    closed: bool,
    stats: Stats,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Journals {
    /// The journals in `state/` below the storage root. Nothing is made or read yet.
    pub fn new(root: &Path) -> Self {
        let shared =
            Arc::new(Shared { folder: root.join("state"), state: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        if let Err(error) = thread::Builder::new().name("journal".to_owned()).spawn(move || theirs.run()) {
            tracing::error!(%error, "no thread for the journals: streams will not be resumed");
        }
        Self { _alive: Arc::new(Alive(Arc::clone(&shared))), shared }
    }

    /// Keeps `record` in place of what was kept of the stream. Returns at once.
    pub fn put(&self, id: &StreamId, record: Record) {
        self.change(id, Some(record));
    }

    /// The stream is over for good. Returns at once.
    pub fn remove(&self, id: &StreamId) {
        self.change(id, None);
    }

    /// Waits until everything said before is on the disk, within a limit; false when it was passed. Blocks.
    pub fn flush(&self) -> bool {
        let state = self.shared.lock();
        let waiting = |state: &mut State| state.busy.is_some() || !state.pending.is_empty();
        let (_state, limit) = self
            .shared
            .changed
            .wait_timeout_while(state, FLUSH_LIMIT, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        !limit.timed_out()
    }

    /// What is kept of one stream, what was said last included; `None` where nothing is. Blocks, for one small
    /// file, or within a limit for the thread that is writing it.
    ///
    /// # Errors
    ///
    /// What is there cannot be used; it is set aside under another name.
    pub fn load(&self, id: &StreamId) -> Result<Option<Record>, Unreadable> {
        let said_last = |state: &mut State| state.pending.contains_key(id) || state.busy.as_ref() == Some(id);
        drop(self.shared.changed.wait_timeout_while(self.shared.lock(), FLUSH_LIMIT, said_last));
        match read(&self.shared.path(id)) {
            Err(Unreadable::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                self.shared.set_aside(&self.shared.path(id));
                Err(error)
            }
        }
    }

    /// Removes journals that a killed process left half written. Their streams' next journals would take their place,
    /// but a stream whose first journal was cut short has no next one. Blocks; for before the first record is kept.
    pub fn discard_unfinished(&self) {
        let suffix = format!(".{EXTENSION}.{UNFINISHED_EXTENSION}");
        for entry in fs::read_dir(&self.shared.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(&suffix)) {
                // Left where it is it does no harm: the next start tries again.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The streams that have a journal, in order. Blocks.
    pub fn streams(&self) -> Vec<StreamId> {
        let Ok(entries) = fs::read_dir(&self.shared.folder) else { return Vec::new() };
        let mut ids: Vec<StreamId> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let name = name.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
                StreamId::new(name).ok()
            })
            .collect();
        ids.sort();
        ids
    }

    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }

    fn change(&self, id: &StreamId, record: Option<Record>) {
        self.shared.lock().pending.insert(id.clone(), record);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.lock();
        loop {
            while let Some((id, record)) = state.pending.pop_first() {
                state.busy = Some(id.clone());
                drop(state);
                let done = match &record {
                    Some(record) => self.write(&id, record),
                    None => remove(&self.path(&id)),
                };
                state = self.lock();
                state.busy = None;
                state.count(&id, done);
                self.changed.notify_all();
            }
            if state.closed {
                return;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write(&self, id: &StreamId, record: &Record) -> io::Result<()> {
        let text = encode(record)?;
        let path = self.path(id);
        let unfinished = path.with_added_extension(UNFINISHED_EXTENSION);
        let written = create(&unfinished)
            // The rename must not overtake the content: after a power cut one of the two is there, whole.
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_data()))
            .and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn set_aside(&self, path: &Path) {
        let _ = fs::rename(path, path.with_extension(BAD_EXTENSION));
    }

    fn path(&self, id: &StreamId) -> PathBuf {
        self.folder.join(format!("{id}.{EXTENSION}"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Between any two statements under the lock the state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, id: &StreamId, done: io::Result<()>) {
        let before = self.stats.alarm;
        match done {
            Ok(()) => {
                self.stats.written += 1;
                self.stats.alarm = false;
                if before {
                    tracing::info!("journals are written again");
                }
            }
            Err(error) => {
                self.stats.failed += 1;
                self.stats.alarm = true;
                self.stats.last_error = Some(format!("{id}: {error}"));
                if !before {
                    tracing::warn!(stream_id = %id, %error, "cannot write the journal: after a crash the stream resumes where it was last written");
                }
            }
        }
    }
}

/// Only this user may read it: addresses carry keys.
fn create(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            open()
        }
        opened => opened,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn read(path: &Path) -> Result<Record, Unreadable> {
    let io = |source| Unreadable::Io { path: path.to_owned(), source };
    // Before its content is read into memory.
    let length = fs::metadata(path).map_err(io)?.len();
    let content = |source| Unreadable::Content { path: path.to_owned(), source };
    if length > MAX_BYTES as u64 {
        return Err(content(DecodeError::TooLong(usize::try_from(length).unwrap_or(usize::MAX))));
    }
    let text = fs::read(path).map_err(io)?;
    decode(&text).map_err(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::StreamOptions;

    fn record(saved_at: i64) -> Record {
        Record::new(StreamOptions::default(), saved_at)
    }

    fn id(text: &str) -> StreamId {
        StreamId::new(text).unwrap()
    }

    #[test]
    fn the_newest_record_is_kept_for_this_user_only_until_it_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let journals = Journals::new(root.path());
        assert!(journals.load(&id("a")).unwrap().is_none() && journals.streams().is_empty());
        for saved_at in 0..100 {
            journals.put(&id("a"), record(saved_at));
            journals.put(&id("b.c"), record(-saved_at));
        }
        assert!(journals.flush());
        assert_eq!(journals.streams(), [id("a"), id("b.c")]);
        assert_eq!(journals.load(&id("a")).unwrap().map(|record| record.saved_at), Some(99));
        let file = root.path().join("state/a.journal");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

        journals.remove(&id("a"));
        journals.remove(&id("never"));
        assert!(journals.flush());
        assert_eq!(journals.streams(), [id("b.c")]);
        assert!(!journals.stats().alarm);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_set_aside() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("state")).unwrap();
        let file = root.path().join("state/a.journal");
        let journals = Journals::new(root.path());
        let long = vec![b'x'; MAX_BYTES + 1];
        for text in [&b"garbage"[..], b"overdub-journal 9 crc32 0 bytes 0\n", b"", &long] {
            fs::write(&file, text).unwrap();
            let error = journals.load(&id("a")).err().expect("an error");
            assert!(error.to_string().contains("a.journal: "), "{error}");
            assert!(!file.exists() && file.with_extension(BAD_EXTENSION).exists());
            assert!(journals.load(&id("a")).unwrap().is_none());
        }
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let journals = Journals::new(root.path());
        journals.put(&id("a"), record(1));
        assert!(journals.flush());
        let state = root.path().join("state");
        for name in ["a.journal.tmp", "b.journal.tmp", "c.numbers", "d.tmp"] {
            fs::write(state.join(name), "half").unwrap();
        }
        journals.discard_unfinished();
        let mut left: Vec<_> =
            fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.journal", "c.numbers", "d.tmp"]);
        // Without a folder there is nothing to do.
        Journals::new(&root.path().join("nowhere")).discard_unfinished();
    }

    #[test]
    fn a_disk_that_refuses_raises_an_alarm_and_recovery_ends_it() {
        let root = tempfile::tempdir().unwrap();
        // A file stands where the folder should be.
        fs::write(root.path().join("state"), "").unwrap();
        let journals = Journals::new(root.path());
        journals.put(&id("a"), record(1));
        assert!(journals.flush());
        assert!(journals.stats().alarm && journals.stats().last_error.is_some());

        fs::remove_file(root.path().join("state")).unwrap();
        journals.put(&id("a"), record(2));
        assert!(journals.flush());
        assert_eq!((journals.stats().alarm, journals.stats().written), (false, 1));
    }
}
