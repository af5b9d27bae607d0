//! A stream that dies is started again, so that one fault in one stream is an interruption and not an end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Launch, Life, Stream};
use crate::clock::Clock;
use crate::config::StreamSettings;
use crate::outside::Text;
use crate::preview::Preview;
use crate::status::{Phase, StreamStatus};

/// Pauses before a stream that died is started again, doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// A stream that has run this long has recovered: pauses start small again.
const RECOVERED: Duration = Duration::from_secs(600);

/// A stream and whoever starts it again.
pub(super) struct Supervised {
    settings: StreamSettings,
    current: Mutex<Current>,
    stop: CancellationToken,
}

struct Current {
    stream: Arc<dyn Life>,
    restarts: u64,
    /// Of these, because it held too much.
    memory_restarts: u64,
    /// Why it was last started again.
    reason: Option<Text>,
}

impl Supervised {
    /// Starts the stream, and a task that starts it again whenever it dies.
    pub(super) fn start(launch: Arc<dyn Launch>, settings: StreamSettings, clock: Clock) -> Arc<Self> {
        let stream = launch.launch(settings.clone());
        let this = Arc::new(Self {
            settings,
            current: Mutex::new(Current {
                stream: Arc::clone(&stream),
                restarts: 0,
                memory_restarts: 0,
                reason: None,
            }),
            stop: CancellationToken::new(),
        });
        tokio::spawn(Arc::clone(&this).watch(launch, stream, clock));
        this
    }

    async fn watch(self: Arc<Self>, launch: Arc<dyn Launch>, mut stream: Arc<dyn Life>, clock: Clock) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = clock.now();
            stream.ended().await;
            let Some(death) = stream.death() else { return };
            if clock.now().saturating_since(began) >= RECOVERED {
                pause = FIRST_PAUSE;
            }
            tracing::error!(stream_id = %self.settings.stream_id, restart_in = ?pause, reason = %death.reason, "the stream died");
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = clock.sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
            }
            let mut current = self.current();
            // Under the lock, so that a stop finds either the old stream or the new one.
            if self.stop.is_cancelled() {
                return;
            }
            stream = launch.launch(self.settings.clone());
            current.stream = Arc::clone(&stream);
            current.restarts += 1;
            current.memory_restarts += u64::from(death.exceeded);
            current.reason = Some(death.reason);
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // Both fields are assigned together, and nothing between can panic.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> Arc<dyn Life> {
        Arc::clone(&self.current().stream)
    }
}

impl Stream for Supervised {
    fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    fn status(&self) -> StreamStatus {
        let current = self.current();
        let stream = Arc::clone(&current.stream);
        let (restarts, memory_restarts) = (current.restarts, current.memory_restarts);
        let restart_reason = current.reason.clone();
        drop(current);
        let mut status = StreamStatus { restarts, memory_restarts, restart_reason, ..stream.status() };
        if !self.is_finished() && stream.is_finished() {
            // It died and is about to come back.
            (status.is_running, status.phase) = (true, Phase::Error);
        }
        status
    }

    fn preview(&self) -> Arc<Preview> {
        self.stream().preview()
    }

    fn discard(&self) {
        self.stream().discard();
    }

    fn is_finished(&self) -> bool {
        let stream = self.stream();
        stream.is_finished() && (stream.death().is_none() || self.stop.is_cancelled())
    }

    fn stop(&self) -> BoxFuture<'static, ()> {
        let current = self.current();
        self.stop.cancel();
        current.stream.stop()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::watch;

    use super::super::Registry;
    use super::*;
    use crate::config::{ServiceLimits, StreamOptions};
    use crate::pipeline::Death;

    /// Dies after its life, or lives until it is stopped.
    struct Mortal {
        settings: StreamSettings,
        life: Option<Duration>,
        /// It dies of holding too much.
        exceeds: bool,
        died: watch::Sender<bool>,
        stopped: CancellationToken,
        discarded: Arc<AtomicUsize>,
    }

    impl Stream for Mortal {
        fn settings(&self) -> &StreamSettings {
            &self.settings
        }
        fn status(&self) -> StreamStatus {
            StreamStatus::starting(&self.settings)
        }
        fn preview(&self) -> Arc<Preview> {
            Arc::default()
        }
        fn discard(&self) {
            assert!(self.stopped.is_cancelled(), "another may follow that is not discarded");
            self.discarded.fetch_add(1, Ordering::SeqCst);
        }
        fn is_finished(&self) -> bool {
            self.death().is_some() || self.stopped.is_cancelled()
        }
        fn stop(&self) -> BoxFuture<'static, ()> {
            self.stopped.cancel();
            std::future::ready(()).boxed()
        }
    }

    impl Life for Mortal {
        fn death(&self) -> Option<Death> {
            self.died.borrow().then(|| Death { reason: "a fault".into(), exceeded: self.exceeds })
        }
        fn ended(&self) -> BoxFuture<'static, ()> {
            let (life, died, stopped) = (self.life, self.died.clone(), self.stopped.clone());
            async move {
                match life {
                    Some(life) => {
                        tokio::time::sleep(life).await;
                        died.send_replace(true);
                    }
                    None => stopped.cancelled().await,
                }
            }
            .boxed()
        }
    }

    /// The lives of the streams to come, one after the other; how many have begun and how many were discarded.
    struct Lives(Vec<Option<Duration>>, AtomicUsize, Arc<AtomicUsize>);

    impl Launch for Lives {
        fn launch(&self, settings: StreamSettings) -> Arc<dyn Life> {
            let place = self.1.fetch_add(1, Ordering::SeqCst);
            let (life, exceeds) = (self.0[place], place % 2 == 1);
            let (died, stopped) = (watch::channel(false).0, CancellationToken::new());
            Arc::new(Mortal { settings, life, exceeds, died, stopped, discarded: Arc::clone(&self.2) })
        }
    }

    fn settings() -> StreamSettings {
        let options = StreamOptions {
            stream_id: Some("a".to_owned()),
            source_url: Some("http://h/a.m3u8".to_owned()),
            ..StreamOptions::default()
        };
        options.resolve().unwrap()
    }

    fn lives(lives: &[Option<u64>]) -> Lives {
        let lives = lives.iter().map(|life| life.map(Duration::from_secs)).collect();
        Lives(lives, AtomicUsize::new(0), Arc::default())
    }

    fn start(of: &[Option<u64>]) -> (Arc<Supervised>, Arc<Lives>) {
        let launch = Arc::new(lives(of));
        (Supervised::start(Arc::clone(&launch) as Arc<dyn Launch>, settings(), Clock::start()), launch)
    }

    async fn seconds(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_dies_comes_back_with_growing_pauses_and_is_never_over_meanwhile() {
        let (stream, launch) = start(&[Some(5), Some(0), Some(0), Some(700), Some(1), None]);
        let launched = || launch.1.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        assert!(!stream.is_finished());
        let status = stream.status();
        assert_eq!((status.is_running, status.phase, status.restarts), (true, Phase::Error, 0));
        // Back after 1 s, and at once dead again; 2 s; 4 s.
        seconds(1).await;
        assert_eq!(launched(), 2);
        seconds(2).await;
        assert_eq!(launched(), 3);
        seconds(4).await;
        assert_eq!((launched(), stream.status().phase), (4, Phase::Fetching));
        // It recovers, dies, and is back after 1 s, not 8.
        seconds(702).await;
        assert_eq!(launched(), 5);
        seconds(10).await;
        let status = stream.status();
        assert_eq!((launched(), status.restarts, status.memory_restarts), (6, 5, 2));
        assert_eq!(status.restart_reason.as_deref(), Some("a fault"));
        stream.stop().await;
        assert!(stream.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_stopped_while_it_is_dead_stays_so() {
        let (stream, launch) = start(&[Some(1)]);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stream.stop().await;
        assert!(stream.is_finished());
        seconds(100).await;
        assert_eq!(launch.1.load(Ordering::SeqCst), 1);
    }
    #[tokio::test(start_paused = true)]
    async fn what_is_stopped_for_good_is_discarded_once_nothing_can_follow_it() {
        let launch = lives(&[None]);
        let discarded = Arc::clone(&launch.2);
        let registry = Registry::new(Box::new(launch), ServiceLimits::default(), Clock::start());
        let settings = settings();
        let id = settings.stream_id.clone();
        registry.start(settings).await.unwrap();
        registry.stop(&id).unwrap().await;
        assert_eq!(discarded.load(Ordering::SeqCst), 1);
    }
}
