//! How the tasks of a stream are spawned, waited for and ended.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::clock::Clock;
use crate::memory::Meter;
use crate::publish;

/// After a stop, what was captured goes on for this long before the outputs are ended: the answer to the
/// last batch may still come and be stored.
const DRAIN: Duration = Duration::from_secs(3);

/// After that, what the outputs have to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// A task whose end is waited for, and that does not outlive whoever waits.
pub(super) type Task<T> = AbortOnDropHandle<T>;

/// Runs all publishers. When every one of them has failed there is nothing left to do: the stream is stopped.
pub(super) async fn all(
    publishers: Vec<impl Future<Output = Result<(), publish::Error>>>,
    stop: CancellationToken,
    halt: CancellationToken,
) -> Result<(), String> {
    let mut failed = Vec::new();
    let mut ended = 0;
    let mut running: FuturesUnordered<_> = publishers.into_iter().collect();
    while let Some(result) = running.next().await {
        match result {
            Ok(()) => ended += 1,
            Err(error) => {
                tracing::error!(%error, "output given up");
                failed.push(error.to_string());
            }
        }
    }
    match failed.into_iter().next() {
        Some(error) if ended == 0 => {
            stop.cancel();
            halt.cancel();
            Err(error)
        }
        _ => Ok(()),
    }
}

/// What ends a stream, from the outside to the inside.
pub(super) struct Ends {
    pub(super) stop: CancellationToken,
    pub(super) died: CancellationToken,
    pub(super) halt: CancellationToken,
    pub(super) close: CancellationToken,
}

/// After a stop, ends what does not end by itself, from the first stage to the last. When a stage has died, at once:
/// the sooner the stream is started again, the less is missed.
pub(super) async fn stopping(clock: Clock, ends: Ends) {
    tokio::select! {
        () = ends.stop.cancelled() => clock.sleep(DRAIN).await,
        () = ends.died.cancelled() => ends.stop.cancel(),
    }
    ends.halt.cancel();
    clock.sleep(GOODBYE).await;
    ends.close.cancel();
}

/// Ends a stream that holds more than its share as one that has died: it is started again without what it held.
pub(super) async fn bounded(meter: Meter, died: CancellationToken) {
    let excess = meter.exceeded().await;
    tracing::error!(bytes = excess.bytes, limit = excess.limit, "{excess}");
    died.cancel();
}

/// Spawns a stage; `died` hears of its panic.
pub(super) fn task<T: Send + 'static>(
    died: &CancellationToken,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let alarm = Alarm(died.clone());
    let guarded = async move {
        let _alarm = alarm;
        future.await
    };
    AbortOnDropHandle::new(tokio::spawn(guarded.in_current_span()))
}

/// Goes off when it is dropped by a panic.
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

/// Keeps the first failure of the stages: what came after is its consequence.
pub(super) fn note(failure: &mut Option<String>, stage: &str, result: Result<Result<(), String>, JoinError>) {
    let error = match result {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(error) => format!("{stage}: {error}"),
    };
    failure.get_or_insert(error);
}
