//! The publisher's task, fed from a list of packets.

use std::time::Duration;

use overdub::clock::Clock;
use overdub::media::{Flicks, Packet};
use overdub::playout::Playout;
use overdub::publish::{self, Settings, Status};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Held by each test that measures time: another one's encoder would take the processor from it.
pub(crate) static ALONE: Mutex<()> = Mutex::const_new(());

/// A publisher at work.
pub(crate) struct Publishing {
    pub(crate) clock: Clock,
    pub(crate) playout: watch::Sender<Option<Playout>>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), publish::Error>>,
}

impl Publishing {
    /// Starts a publisher; nothing is due before [`Publishing::play`].
    pub(crate) fn start(settings: Settings, packets: Vec<Packet>) -> Self {
        let clock = Clock::start();
        let (playout, playout_seen) = watch::channel(None);
        let (status_to, status) = watch::channel(Status::default());
        // Small, so that the publisher's draining is what moves the stream on.
        let (send, receive) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let task =
            tokio::spawn(publish::run(settings, clock, playout_seen, receive, status_to, stop.clone()));
        tokio::spawn(async move {
            for packet in packets {
                if send.send(packet).await.is_err() {
                    break;
                }
            }
        });
        Self { clock, playout, status, stop, task }
    }

    /// Waits for the connection and lets output time zero be due shortly after.
    pub(crate) async fn play(&mut self) {
        let connected = self.status.wait_for(Status::is_connected);
        tokio::time::timeout(Duration::from_secs(10), connected).await.expect("connected in time").unwrap();
        self.play_from(self.clock.now());
    }

    /// Lets output time zero be due 200 ms after `moment`.
    pub(crate) fn play_from(&self, moment: overdub::media::Moment) {
        let lead = Duration::from_millis(200);
        self.playout.send_replace(Some(Playout::anchored(moment, Flicks::ZERO, Duration::ZERO, lead)));
    }

    /// Waits for the task's end.
    pub(crate) async fn end(self) -> (Result<(), publish::Error>, Status) {
        let result =
            tokio::time::timeout(Duration::from_secs(60), self.task).await.expect("it ends").unwrap();
        (result, self.status.borrow().clone())
    }
}
