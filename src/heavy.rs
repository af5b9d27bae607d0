//! Work whose length the input decides, off the threads that everything else runs on.
//!
//! A runtime thread that demultiplexes a hostile segment for a second is one on which no output paces its packets.
//! So what may take more than a few milliseconds runs on a thread of its own, where the system interrupts it:
//!
//! - Each stream runs one such job at a time, across its restarts, and the jobs of one stream wait for each other in
//!   the order in which they came. However many segments a stream has, it is one thread among those of its
//!   neighbours, and the scheduler of the system divides the processor among them.
//! - There is no limit across streams: a queue in front of a few threads would let three hostile streams hold up
//!   all others for as long as their jobs take. Streams are limited by admission.
//! - These threads have a lower priority than the runtime's, so that a packet that is due does not wait for
//!   them. They are not starved either: see `NICENESS`.
//!
//! Small work stays where it is: a hop to another thread costs some ten microseconds, which is nothing for a segment
//! and too much for a packet.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Mutex as Turn;
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

use crate::media::StreamId;

/// By how much the priority of a thread for heavy work is below that of others (setpriority(2)): about a third of
/// the processor time of one that competes with it. It takes effect within a time slice, and leaves
/// enough to demultiplex a live source where something else keeps all processors busy.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Bytes that are worked on in place: 4 s of audio, most playlists, no segment with video. The
/// most expensive input known, frames of eight bytes, costs 100 ns a byte.
const FEW_BYTES: usize = 32 << 10;

/// Samples that are worked on in place: three minutes of 50 frames a second and 48 kHz AAC. Putting one into a
/// batch, a file or a queue costs some hundred nanoseconds.
const FEW_SAMPLES: usize = 16 << 10;

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Input of this many bytes is parsed, or decrypted.
    Bytes(usize),
    /// This many samples are moved, or written into a file.
    Samples(usize),
    /// Whatever has gathered.
    Unknown,
}

impl Work {
    /// It is done within milliseconds.
    fn is_small(self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes <= FEW_BYTES,
            Self::Samples(samples) => samples <= FEW_SAMPLES,
            Self::Unknown => false,
        }
    }
}

/// The turn of each stream.
#[derive(Debug, Default)]
pub struct Shares(Mutex<BTreeMap<StreamId, Weak<Turn<()>>>>);

impl Shares {
    /// That of `stream`: the same as long as any of its jobs runs, whether or not the stream was started again.
    pub fn of(&self, stream: &StreamId) -> Share {
        // A map of weak references is whole at any moment.
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(stream).and_then(Weak::upgrade) {
            return Share(turn);
        }
        let share = Share::default();
        turns.insert(stream.clone(), Arc::downgrade(&share.0));
        share
    }
}

/// The share of one stream.
#[derive(Clone, Debug, Default)]
pub struct Share(Arc<Turn<()>>);

impl Share {
    /// Runs `job`: in place where it is small, else on a thread of its own when it is this stream's turn.
    ///
    /// Dropped, it does not run what has not begun; what runs goes on to its end, keeps the stream's turn
    /// until then, and what it yields is dropped there too. A panic of `job` is one of the caller.
    pub async fn run<T: Send + 'static>(&self, work: Work, job: impl FnOnce() -> T + Send + 'static) -> T {
        if work.is_small() {
            return job();
        }
        let turn = Arc::clone(&self.0).lock_owned().await;
        let span = Span::current();
        let running = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            lower_priority();
            span.in_scope(job)
        });
        match AbortOnDropHandle::new(running).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // Cancelled, which only the end of the runtime does: nobody waits for it any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Drops what took many allocations where that holds nobody up.
    pub fn discard<T: Send + 'static>(&self, work: Work, what: T) {
        if !work.is_small() {
            tokio::task::spawn_blocking(move || {
                lower_priority();
                drop(what);
            });
        }
    }
}

thread_local! {
    static LOWERED: Cell<bool> = const { Cell::new(false) };
}

/// Lowers the priority of this thread of the pool, which it keeps: raising it again takes a privilege. What else the
/// pool does, names and files, waits for the network and the disk.
fn lower_priority() {
    if LOWERED.replace(true) {
        return;
    }
    // In Linux a thread has a priority of its own (setpriority(2), "C library/kernel differences"); elsewhere this would
    // be that of the process.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None).and_then(|own| setpriority_process(None, own + NICENESS));
        if let Err(error) = lowered {
            tracing::debug!(%error, "the priority of a thread cannot be lowered");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::park_timeout;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const HEAVY: Work = Work::Bytes(FEW_BYTES + 1);

    fn id(name: &str) -> StreamId {
        StreamId::new(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_invented_clock_stands_still_while_a_job_runs() {
        let share = Share::default();
        let clock = Clock::start();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            clock.now()
        });
        let began = clock.now();
        for _ in 0..20 {
            share.run(HEAVY, || park_timeout(Duration::from_millis(5))).await;
            assert_eq!(clock.now(), began, "no time passes in a job");
        }
        assert_eq!(timer.await.unwrap(), began + Duration::from_millis(1));
    }

    #[tokio::test]
    async fn small_work_is_done_in_place_and_large_work_at_a_lower_priority() {
        let here = std::thread::current().id();
        let share = Share::default();
        let small = [Work::Bytes(FEW_BYTES), Work::Samples(FEW_SAMPLES)];
        for work in small {
            assert_eq!(share.run(work, || std::thread::current().id()).await, here);
        }
        for work in [HEAVY, Work::Samples(FEW_SAMPLES + 1)] {
            assert_ne!(share.run(work, || std::thread::current().id()).await, here);
        }
        #[cfg(target_os = "linux")]
        {
            let niceness = || rustix::process::getpriority_process(None).unwrap();
            let before = niceness();
            assert_eq!(share.run(HEAVY, niceness).await, (before + NICENESS).min(19));
            assert_eq!(niceness(), before, "of other threads it stays what it was");
        }
    }

    #[tokio::test]
    async fn a_stream_runs_one_job_at_a_time_in_order_and_holds_up_no_other() {
        let shares = Shares::default();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut jobs = Vec::new();
        for n in 0..20 {
            let (share, order) = (shares.of(&id("hostile")), Arc::clone(&order));
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            jobs.push(tokio::spawn(async move {
                share
                    .run(HEAVY, move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        park_timeout(Duration::from_millis(10));
                        order.lock().unwrap().push(n);
                        running.fetch_sub(1, Ordering::SeqCst);
                    })
                    .await;
            }));
            tokio::task::yield_now().await;
        }
        shares.of(&id("neighbour")).run(HEAVY, || ()).await;
        assert!(order.lock().unwrap().len() < 10, "the neighbour waited for the hostile stream");
        for job in jobs {
            job.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn whoever_is_cancelled_leaves_at_once_and_the_turn_stays_taken_until_the_job_ends() {
        let shares = Shares::default();
        let share = shares.of(&id("a"));
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (has_begun, begun) = tokio::sync::oneshot::channel();
        let running = tokio::spawn({
            let share = share.clone();
            async move {
                share
                    .run(HEAVY, move || {
                        has_begun.send(()).unwrap();
                        held.recv().ok();
                    })
                    .await;
            }
        });
        begun.await.unwrap();
        let never = tokio::spawn({
            let share = share.clone();
            async move { share.run(HEAVY, || unreachable!("it was cancelled before it began")).await }
        });
        tokio::task::yield_now().await;
        running.abort();
        never.abort();
        assert!(running.await.unwrap_err().is_cancelled() && never.await.unwrap_err().is_cancelled());
        drop(share);
        // The stream is started again while a job of its former life runs.
        let again = shares.of(&id("a"));
        let next = again.run(HEAVY, || ());
        tokio::pin!(next);
        tokio::time::timeout(Duration::from_millis(50), &mut next).await.unwrap_err();
        let_go.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), next).await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_of_the_job_is_one_of_the_stage() {
        let share = Share::default();
        let stage = tokio::spawn({
            let share = share.clone();
            async move { share.run(HEAVY, || panic!("a fault")).await }
        });
        assert!(stage.await.unwrap_err().is_panic());
        share.run(HEAVY, || ()).await;
    }

    proptest! {
        #[test]
        fn shares_are_forgotten_with_their_streams(names in prop::collection::vec(0..5_u8, 1..40)) {
            let shares = Shares::default();
            let mut held: Vec<Share> = Vec::new();
            for name in names {
                let share = shares.of(&id(&name.to_string()));
                let same = shares.of(&id(&name.to_string()));
                prop_assert!(Arc::ptr_eq(&share.0, &same.0));
                held.push(share);
                if held.len() > 3 {
                    held.remove(0);
                }
                prop_assert!(shares.0.lock().unwrap().len() <= 5);
            }
            held.clear();
            let _ = shares.of(&id("last"));
            prop_assert_eq!(shares.0.lock().unwrap().len(), 1);
        }
    }
}
