//! The disk that all streams of a process write to: what is on it, what may stay, and whether there is room.
//!
//! What is there is found once, by walking at the start, and counted from then on as files are written and
//! removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use super::index::{Index, Kind, Unit, Usage};
use super::layout::{Layout, number_in};
use super::numbers::Numbers;
use crate::clock::wall_clock;
use crate::config::{Retention, StorageLimits};
use crate::media::StreamId;

/// How often free space is looked at, and what is kept at most is enforced for all streams together.
const HOUSEKEEPING: Duration = Duration::from_secs(5);

/// What [`Disk::clean`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub files: u64,
    pub bytes: u64,
}

/// One folder that streams write below. Copies are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    limits: StorageLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<StreamId, Index>,
    /// Bytes that may be written before the disk is full; none before it was asked.
    free: Option<u64>,
    /// Units that could not be removed.
    stuck: u64,
    removed: Cleaned,
}

impl Disk {
    /// Nothing is read yet; [`Disk::keep_house`] begins that.
    pub fn new(root: impl Into<PathBuf>, limits: StorageLimits) -> Self {
        Self(Arc::new(Inner { root: root.into(), limits, state: Mutex::default() }))
    }

    /// Starts the thread that finds what is there, watches the free space and enforces the limits. It ends with
    /// the last copy.
    pub fn keep_house(&self) {
        let disk = Arc::downgrade(&self.0);
        let started = thread::Builder::new().name("storage".to_owned()).spawn(move || keep_house(&disk));
        if let Err(error) = started {
            tracing::error!(%error, "no thread for the storage's limits: only those of each stream hold");
        }
    }

    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// What each stream has on the disk.
    pub fn usage(&self) -> BTreeMap<StreamId, Usage> {
        self.0.lock().streams.iter().map(|(id, index)| (id.clone(), index.usage())).collect()
    }

    /// Bytes that are free, as last looked at; none when the disk does not say.
    pub fn available(&self) -> Option<u64> {
        self.0.lock().free
    }

    /// Looks at the free space now. Blocks.
    pub fn measure(&self) -> Option<u64> {
        self.0.look();
        self.available()
    }

    /// What was removed so far, and how many files or folders could not be.
    pub fn removed(&self) -> (Cleaned, u64) {
        let state = self.0.lock();
        (state.removed, state.stuck)
    }

    /// Removes all but the newest `keep_last` batches and their segments, of one stream or of each; never what is
    /// still to be published. Blocks.
    pub fn clean(&self, stream: Option<&StreamId>, keep_last: u64) -> Cleaned {
        let ids: Vec<StreamId> = match stream {
            Some(id) => vec![id.clone()],
            None => self.0.lock().streams.keys().cloned().collect(),
        };
        let mut cleaned = Cleaned::default();
        for id in ids {
            self.0.remove_while(&id, &mut cleaned, |index| index.take_all_but(keep_last));
        }
        cleaned
    }

    /// Why nothing may be written now.
    pub(super) fn refuses(&self) -> Option<String> {
        let free = self.0.lock().free?;
        let least = self.0.limits.min_free;
        (free < least).then(|| format!("only {free} bytes are free, and {least} are to stay free"))
    }

    /// A stream begins to write: what is there of it is found, unless that is known.
    pub(super) fn open(&self, layout: &Layout, retention: Retention) {
        self.0.find(layout.stream_id());
        let mut state = self.0.lock();
        state.streams.entry(layout.stream_id().clone()).or_default().retention = retention;
    }

    /// Nothing of these numbers or higher is removed; none: everything may be.
    pub(super) fn protect(&self, id: &StreamId, floor: Option<Numbers>) {
        if let Some(index) = self.0.lock().streams.get_mut(id) {
            index.protect(floor);
        }
    }

    /// A file was written; what is surplus of its stream goes.
    pub(super) fn written(&self, id: &StreamId, path: &Path, bytes: u64) {
        let Some((kind, number, file)) = place(path) else { return };
        let now = seconds(wall_clock());
        let mut state = self.0.lock();
        state.streams.entry(id.clone()).or_default().add(kind, number, file, bytes, now);
        state.free = state.free.map(|free| free.saturating_sub(bytes));
        drop(state);
        self.0.remove_while(id, &mut Cleaned::default(), |index| index.take_expired(now));
    }
}

fn keep_house(disk: &Weak<Inner>) {
    let mut first = true;
    while let Some(inner) = disk.upgrade() {
        inner.look();
        if std::mem::take(&mut first) {
            inner.find_all();
        }
        inner.enforce();
        drop(inner);
        #[expect(clippy::disallowed_methods, reason = "a thread of its own, which a hung disk may block")]
        thread::sleep(HOUSEKEEPING);
    }
}

impl Inner {
    /// Asks how much is free.
    fn look(&self) {
        // The folder may not be there yet: its parents are on the same disk, most likely.
        let there = self.root.ancestors().find(|path| path.exists() || path.as_os_str().is_empty());
        let path = there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let free = rustix::fs::statvfs(path).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        self.lock().free = free;
    }

    fn find_all(&self) {
        for folder in ["original_stream", "processed_fragments"] {
            let Ok(entries) = fs::read_dir(self.root.join(folder)) else { continue };
            for entry in entries.flatten() {
                if let Some(id) = entry.file_name().to_str().and_then(|name| StreamId::new(name).ok()) {
                    self.find(&id);
                }
            }
        }
    }

    /// Walks what is there of a stream that is not known yet.
    fn find(&self, id: &StreamId) {
        if self.lock().streams.contains_key(id) {
            return;
        }
        let layout = Layout::new(&self.root, id.clone());
        let mut found = Index::default();
        for entry in entries(&layout.segments()) {
            add(&mut found, &entry);
        }
        for batch in entries(&layout.batches()) {
            for entry in entries(&batch.path()) {
                add(&mut found, &entry);
            }
        }
        // Whoever was faster has counted what was written meanwhile.
        self.lock().streams.entry(id.clone()).or_insert(found);
    }

    /// Removes the oldest of all streams while they take too much, or too little is free.
    fn enforce(&self) {
        let now = seconds(wall_clock());
        let ids: Vec<StreamId> = self.lock().streams.keys().cloned().collect();
        for id in &ids {
            self.remove_while(id, &mut Cleaned::default(), |index| index.take_expired(now));
        }
        loop {
            let mut state = self.lock();
            let total: u64 = state.streams.values().map(|index| index.usage().total_bytes()).sum();
            let too_much = self.limits.max_bytes.is_some_and(|most| total > most);
            let too_full = state.free.is_some_and(|free| free < self.limits.min_free);
            if !too_much && !too_full {
                return;
            }
            let oldest =
                state.streams.iter().filter_map(|(id, index)| Some((index.oldest_at()?, id.clone()))).min();
            let Some((_, id)) = oldest else { return };
            let Some((kind, unit)) = state.streams.get_mut(&id).and_then(Index::take_oldest) else { return };
            drop(state);
            if !self.remove(&id, kind, unit, &mut Cleaned::default()) {
                return;
            }
        }
    }

    /// Removes what `take` takes out of the stream's index, until it takes nothing or the disk refuses.
    fn remove_while(
        &self,
        id: &StreamId,
        cleaned: &mut Cleaned,
        mut take: impl FnMut(&mut Index) -> Option<(Kind, Unit)>,
    ) {
        loop {
            let taken = self.lock().streams.get_mut(id).and_then(&mut take);
            let Some((kind, unit)) = taken else { return };
            if !self.remove(id, kind, unit, cleaned) {
                return;
            }
        }
    }

    /// False when the disk refused: the unit is counted again.
    fn remove(&self, id: &StreamId, kind: Kind, unit: Unit, cleaned: &mut Cleaned) -> bool {
        let layout = Layout::new(&self.root, id.clone());
        let done = match kind {
            Kind::Segment => {
                unit.files.iter().try_for_each(|file| gone(fs::remove_file(layout.segments().join(&**file))))
            }
            Kind::Batch => gone(fs::remove_dir_all(layout.batch_folder(unit.number))),
        };
        let mut state = self.lock();
        match done {
            Ok(()) => {
                for removed in [&mut state.removed, cleaned] {
                    removed.files += unit.files.len() as u64;
                    removed.bytes += unit.bytes;
                }
                state.free = state.free.map(|free| free.saturating_add(unit.bytes));
                true
            }
            Err(error) => {
                state.stuck += 1;
                let first = state.stuck == 1;
                if let Some(index) = state.streams.get_mut(id) {
                    index.put_back(kind, unit);
                }
                drop(state);
                if first {
                    tracing::warn!(stream_id = %id, %error, "old artifacts cannot be removed");
                }
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Between any two statements under the lock the counts are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

fn add(index: &mut Index, entry: &fs::DirEntry) {
    let path = entry.path();
    let (Some((kind, number, file)), Ok(meta)) = (place(&path), entry.metadata()) else { return };
    if meta.is_file() {
        let at = meta.modified().map_or(0, seconds);
        index.add(kind, number, file, meta.len(), at);
    }
}

/// What a path of ours holds; none for what is unfinished, and for what is not ours.
fn place(path: &Path) -> Option<(Kind, u64, &str)> {
    let file = path.file_name()?.to_str()?;
    if file.ends_with(".tmp") {
        return None;
    }
    let name = Path::new(file);
    if let Some(number) = number_in(name, "segment-").or_else(|| number_in(name, "init-")) {
        return Some((Kind::Segment, number, file));
    }
    let number = number_in(path.parent()?, "batch-")?;
    Some((Kind::Batch, number, file))
}

fn seconds(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> StreamId {
        StreamId::new(text).unwrap()
    }

    /// Bytes below a folder, by walking.
    fn walk(folder: &Path) -> u64 {
        entries(folder)
            .map(|entry| {
                let meta = entry.metadata().unwrap();
                if meta.is_dir() { walk(&entry.path()) } else { meta.len() }
            })
            .sum()
    }

    fn assert_true(disk: &Disk) {
        for (id, usage) in disk.usage() {
            let layout = Layout::new(disk.root(), id.clone());
            let walked = (walk(&layout.segments()), walk(&layout.batches()));
            assert_eq!((usage.original_bytes, usage.processed_bytes), walked, "{id}");
        }
    }

    fn write(disk: &Disk, stream: &str, numbers: std::ops::Range<u64>) {
        let layout = Layout::new(disk.root(), id(stream));
        for number in numbers {
            for path in [layout.segment(number, "ts"), layout.batch(number, super::super::Artifact::Video)] {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, vec![0; 100]).unwrap();
                disk.written(&id(stream), &path, 100);
            }
        }
    }

    #[test]
    fn what_is_counted_is_what_a_walk_finds_through_writing_cleaning_and_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(root.path(), StorageLimits::default());
        disk.open(&Layout::new(root.path(), id("a")), Retention { batches: Some(7), ..Retention::default() });
        write(&disk, "a", 0..20);
        write(&disk, "b", 0..5);
        assert_eq!(disk.usage()[&id("a")].batches, 7);
        assert_true(&disk);

        let cleaned = disk.clean(Some(&id("b")), 1);
        assert_eq!(disk.usage()[&id("b")].batches, 1);
        assert!(cleaned.files >= 8 && cleaned.bytes == cleaned.files * 100, "{cleaned:?}");
        assert_true(&disk);

        fs::write(root.path().join("original_stream/a/segment-99.ts.tmp"), "unfinished").unwrap();
        fs::remove_file(root.path().join("original_stream/a/segment-99.ts.tmp")).unwrap();
        let again = Disk::new(root.path(), StorageLimits::default());
        again.0.find_all();
        let total = |disk: &Disk| {
            disk.usage().into_iter().map(|(id, usage)| (id, usage.total_bytes())).collect::<Vec<_>>()
        };
        assert_eq!(total(&again), total(&disk));
        again.clean(None, 0);
        assert_true(&again);
        assert_eq!(walk(root.path()), 0);
    }

    #[test]
    fn all_streams_together_keep_to_their_limit_and_the_oldest_goes_first() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(root.path(), StorageLimits { max_bytes: Some(1_000), min_free: 0 });
        write(&disk, "a", 0..10);
        write(&disk, "b", 0..10);
        disk.protect(&id("b"), Some(Numbers { segment: 8, batch: 8 }));
        disk.0.enforce();
        let total: u64 = disk.usage().values().map(Usage::total_bytes).sum();
        assert_eq!(total, 1_000);
        assert_true(&disk);
        let none = Disk::new(root.path(), StorageLimits { max_bytes: Some(0), min_free: 0 });
        none.0.find_all();
        none.protect(&id("b"), Some(Numbers { segment: 8, batch: 8 }));
        none.0.enforce();
        assert_eq!(none.usage()[&id("b")].total_bytes(), 400, "what is still to be published stays");
    }

    #[test]
    fn too_little_room_refuses_until_there_is_room() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(
            root.path().join("not/there/yet"),
            StorageLimits { max_bytes: None, min_free: u64::MAX },
        );
        assert_eq!(disk.refuses(), None, "nothing is known yet");
        disk.0.look();
        assert!(disk.available().is_some_and(|free| free > 0));
        assert!(disk.refuses().is_some());
        let room = Disk::new(root.path(), StorageLimits { max_bytes: None, min_free: 1 });
        room.0.look();
        assert_eq!(room.refuses(), None);
    }
}
