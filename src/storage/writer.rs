//! The writer of one stream: a bounded queue in front of a thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use super::disk::Disk;
use super::layout::{Artifact, Layout};
use super::numbers::Numbers;
use super::write;
use crate::config::{Artifacts, Retention};
use crate::media::StreamId;
use crate::outside::Text;

/// Files that may wait: minutes of a stream with short segments.
const QUEUE_FILES: usize = 256;
/// Bytes that may wait: about 30 s of all five artifacts at 8 Mbit/s. Most of them are shared with the live
/// path, which frees them sooner.
const QUEUE_BYTES: u64 = 128 << 20;

/// Totals of one stream's writing, kept and not walked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StorageStatus)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub files: u64,
    pub bytes: u64,
    /// Files that were not written because the disk did not keep up.
    pub dropped: u64,
    /// Files that the disk refused.
    pub failed: u64,
    /// The last file was dropped or failed: artifacts are being lost. Ends with the next success.
    pub alarm: bool,
    pub last_error: Option<Text>,
}

/// Takes files and never blocks. All copies write through the same queue; the thread ends when the last one
/// is gone and the queue is empty.
#[derive(Clone, Debug)]
pub struct Writer {
    layout: Arc<Layout>,
    disk: Disk,
    artifacts: Artifacts,
    jobs: mpsc::Sender<Job>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    stats: Stats,
    queued: u64,
}

#[derive(Debug)]
enum Job {
    File { path: PathBuf, chunks: Vec<Bytes>, size: u64 },
    Numbers(Numbers),
    Begin(oneshot::Sender<Numbers>),
    Flush(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread, which first finds the next free numbers below the disk's root.
    pub fn spawn(disk: &Disk, stream_id: &StreamId, artifacts: Artifacts, retention: Retention) -> Self {
        let layout = Arc::new(Layout::new(disk.root(), stream_id.clone()));
        let (jobs, queue) = mpsc::channel(QUEUE_FILES);
        let shared = Arc::default();
        let thread = Thread {
            layout: layout.clone(),
            disk: disk.clone(),
            retention,
            shared: Arc::clone(&shared),
            numbers: Numbers::default(),
        };
        // A thread, not the runtime's pool: a disk that hangs must not keep the runtime from ending.
        let span = tracing::Span::current();
        let started = thread::Builder::new()
            .name(format!("storage {stream_id}"))
            .spawn(move || span.in_scope(|| thread.run(queue)));
        if let Err(error) = started {
            // The queue is closed then, and every file is counted as dropped.
            tracing::error!(%stream_id, %error, "no thread for the storage writer");
        }
        Self { layout, disk: disk.clone(), artifacts, jobs, shared }
    }

    /// The next free numbers; none when there is no thread to find them. Waits for the disk.
    pub async fn numbers(&self) -> Option<Numbers> {
        let (found, numbers) = oneshot::channel();
        self.jobs.send(Job::Begin(found)).await.ok()?;
        numbers.await.ok()
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// A captured segment, under the source's extension.
    pub fn segment(&self, number: u64, extension: &str, data: Bytes) {
        if matches!(self.artifacts, Artifacts::All | Artifacts::Segments) {
            self.file(self.layout.segment(number, extension), vec![data]);
        }
    }

    /// The init segment of the segments from `number` on.
    pub fn init(&self, number: u64, extension: &str, data: Bytes) {
        if matches!(self.artifacts, Artifacts::All | Artifacts::Segments) {
            self.file(self.layout.init(number, extension), vec![data]);
        }
    }

    /// One file of a batch, as the chunks that it consists of.
    pub fn batch_file(&self, number: u64, artifact: Artifact, chunks: Vec<Bytes>) {
        let wanted = match self.artifacts {
            Artifacts::All => true,
            Artifacts::Output => artifact == Artifact::Output,
            Artifacts::Segments | Artifacts::None => false,
        };
        if wanted {
            self.file(self.layout.batch(number, artifact), chunks);
        }
    }

    /// What has these numbers or higher ones may still be published, and stays; none: the stream is over.
    pub fn protect(&self, floor: Option<Numbers>) {
        self.disk.protect(self.layout.stream_id(), floor);
    }

    /// Keeps the next free numbers, so that they are not used again even when the folders are cleared or
    /// nothing is written to them. Say it whenever a batch is opened.
    pub fn keep(&self, next: Numbers) {
        // Lost in a full queue, the next call repairs it.
        let _ = self.jobs.try_send(Job::Numbers(next));
    }

    /// Waits until everything that was handed over before is written or has failed.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    pub fn stats(&self) -> Stats {
        lock(&self.shared).stats.clone()
    }

    fn file(&self, path: PathBuf, chunks: Vec<Bytes>) {
        let size = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let mut shared = lock(&self.shared);
        let fits = shared.queued.saturating_add(size) <= QUEUE_BYTES;
        if fits && self.jobs.try_send(Job::File { path, chunks, size }).is_ok() {
            shared.queued += size;
            return;
        }
        let first = !shared.stats.alarm;
        shared.stats.dropped += 1;
        shared.stats.alarm = true;
        shared.stats.last_error = Some("the disk does not keep up: artifacts are dropped".into());
        drop(shared);
        if first {
            tracing::warn!("the disk does not keep up: artifacts are dropped, the stream goes on");
        }
    }
}

struct Thread {
    layout: Arc<Layout>,
    disk: Disk,
    retention: Retention,
    shared: Arc<Mutex<Shared>>,
    numbers: Numbers,
}

impl Thread {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        self.numbers = Numbers::next(&self.layout);
        write::remove_unfinished(&self.layout.segments());
        write::remove_unfinished_within(&self.layout.batches());
        self.disk.open(&self.layout, self.retention);
        while let Some(job) = queue.blocking_recv() {
            match job {
                Job::File { path, chunks, size } => {
                    let written = match self.disk.refuses() {
                        Some(reason) => Err(io::Error::new(io::ErrorKind::StorageFull, reason)),
                        None => write::whole(&path, &chunks),
                    };
                    drop(chunks);
                    if written.is_ok() {
                        self.disk.written(self.layout.stream_id(), &path, size);
                    }
                    self.count(&path, size, written);
                }
                Job::Numbers(next) => self.keep(next),
                Job::Begin(found) => {
                    let _ = found.send(self.numbers);
                }
                Job::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn count(&self, path: &Path, size: u64, written: io::Result<()>) {
        let mut shared = lock(&self.shared);
        shared.queued = shared.queued.saturating_sub(size);
        let stats = &mut shared.stats;
        let before = stats.alarm;
        match written {
            Ok(()) => {
                stats.files += 1;
                stats.bytes += size;
                stats.alarm = false;
                drop(shared);
                if before {
                    tracing::info!("artifacts are written again");
                }
            }
            Err(error) => {
                stats.failed += 1;
                stats.alarm = true;
                stats.last_error = Some(format!("{}: {error}", path.display()).into());
                drop(shared);
                if !before {
                    tracing::warn!(path = %path.display(), %error, "cannot write artifacts, the stream goes on");
                }
            }
        }
    }

    fn keep(&mut self, next: Numbers) {
        // Never backwards: two callers may have overtaken each other.
        let next = Numbers {
            segment: next.segment.max(self.numbers.segment),
            batch: next.batch.max(self.numbers.batch),
        };
        if next != self.numbers && write::whole(&self.layout.numbers(), &[next.to_text().into()]).is_ok() {
            self.numbers = next;
        }
    }
}

/// Nothing panics while it holds the lock; if something ever does, the counts are still good.
fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::StorageLimits;

    fn spawn(root: &Path, artifacts: Artifacts) -> Writer {
        let disk = Disk::new(root, StorageLimits::default());
        Writer::spawn(&disk, &StreamId::new("a").unwrap(), artifacts, Retention::default())
    }

    fn data(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn what_is_written_depends_on_the_setting() {
        for (artifacts, segments, audio, output) in [
            (Artifacts::All, true, true, true),
            (Artifacts::Segments, true, false, false),
            (Artifacts::Output, false, false, true),
            (Artifacts::None, false, false, false),
        ] {
            let root = tempfile::tempdir().unwrap();
            let writer = spawn(root.path(), artifacts);
            writer.segment(0, "ts", data("s"));
            writer.batch_file(0, Artifact::Audio, vec![data("a"), data("b")]);
            writer.batch_file(0, Artifact::Output, vec![data("o")]);
            writer.flush().await;
            let layout = Layout::new(root.path(), StreamId::new("a").unwrap());
            assert_eq!(layout.segment(0, "ts").exists(), segments, "{artifacts:?}");
            assert_eq!(layout.batch(0, Artifact::Audio).exists(), audio, "{artifacts:?}");
            assert_eq!(layout.batch(0, Artifact::Output).exists(), output, "{artifacts:?}");
            assert!(!writer.stats().alarm);
        }
    }

    #[tokio::test]
    async fn numbers_go_on_after_a_restart_even_when_nothing_was_written() {
        let root = tempfile::tempdir().unwrap();
        let writer = spawn(root.path(), Artifacts::None);
        assert_eq!(writer.numbers().await, Some(Numbers::default()));
        writer.keep(Numbers { segment: 5, batch: 1 });
        writer.keep(Numbers { segment: 4, batch: 2 });
        writer.flush().await;
        let next = spawn(root.path(), Artifacts::None).numbers().await;
        assert_eq!(next, Some(Numbers { segment: 5, batch: 2 }));
    }

    #[tokio::test]
    async fn a_disk_that_refuses_raises_an_alarm_and_recovery_ends_it() {
        let root = tempfile::tempdir().unwrap();
        // A file stands where the folder should be.
        fs::write(root.path().join("original_stream"), "").unwrap();
        let writer = spawn(root.path(), Artifacts::All);
        writer.segment(0, "ts", data("s"));
        writer.flush().await;
        let stats = writer.stats();
        assert!(stats.alarm && stats.last_error.is_some());
        assert_eq!((stats.files, stats.failed), (0, 1));

        fs::remove_file(root.path().join("original_stream")).unwrap();
        writer.segment(1, "ts", data("s"));
        writer.flush().await;
        let stats = writer.stats();
        assert!(!stats.alarm);
        assert_eq!((stats.files, stats.bytes, stats.failed), (1, 1, 1));
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_instead_of_waiting() {
        let root = tempfile::tempdir().unwrap();
        let layout = Arc::new(Layout::new(root.path(), StreamId::new("a").unwrap()));
        // No thread takes anything from this queue: a disk that hangs.
        let (jobs, queue) = mpsc::channel(QUEUE_FILES);
        let disk = Disk::new(root.path(), StorageLimits::default());
        let writer = Writer { layout, disk, artifacts: Artifacts::All, jobs, shared: Arc::default() };
        for number in 0..QUEUE_FILES as u64 + 3 {
            writer.segment(number, "ts", data("s"));
        }
        assert_eq!(writer.stats().dropped, 3);
        assert!(writer.stats().alarm);

        let big = Bytes::from(vec![0; 1 << 20]);
        drop(queue);
        let (jobs, _queue) = mpsc::channel(QUEUE_FILES);
        let writer = Writer { jobs, shared: Arc::default(), ..writer };
        for number in 0..130 {
            writer.segment(number, "ts", big.clone());
        }
        assert_eq!(writer.stats().dropped, 2, "128 MiB may wait");
    }
}
