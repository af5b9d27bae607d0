//! A running stream, as those who started it see it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::keeper::Keeper;
use crate::config::StreamSettings;
use crate::memory::Excess;
use crate::outside::Text;
use crate::preview::Preview;
use crate::status::StreamStatus;

/// A running stream. Dropping it does not stop the stream; [`Handle::stop`] does.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) settings: Arc<StreamSettings>,
    pub(super) board: Arc<Board>,
    pub(super) preview: Arc<Preview>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) stop: CancellationToken,
    pub(super) end: watch::Receiver<Option<End>>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The source ended and all of it was published, or the stream was stopped.
    Finished,
    /// The source could not be read, or no output took the stream.
    Failed(String),
    /// A stage panicked: a fault of ours. The stream may be started again.
    Died(String),
    /// It held more memory than its share. The same.
    Exceeded(Excess),
}

/// Why a stream died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    pub reason: Text,
    /// It held more memory than its share.
    pub exceeded: bool,
}

impl Handle {
    pub fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    pub fn status(&self) -> StreamStatus {
        self.board.snapshot()
    }

    pub fn preview(&self) -> &Arc<Preview> {
        &self.preview
    }

    /// Ends the capture, lets what is under way finish within a limit, and ends the outputs properly.
    pub async fn stop(&self) -> End {
        self.stop.cancel();
        self.finished().await
    }

    /// The stream is not to be resumed by a later process.
    pub fn discard(&self) {
        self.keeper.discard();
    }

    /// Nothing of it runs any more.
    pub fn is_finished(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Why it died, and may be started again: by a fault of ours, or because it held too much.
    pub fn death(&self) -> Option<Death> {
        match &*self.end.borrow() {
            Some(End::Died(reason)) => Some(Death { reason: Text::new(reason), exceeded: false }),
            Some(End::Exceeded(excess)) => Some(Death { reason: Text::of(excess), exceeded: true }),
            _ => None,
        }
    }

    /// Waits for the end.
    pub async fn finished(&self) -> End {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|end| end.clone())
            .unwrap_or_else(|| End::Failed("the stream's task died".to_owned()))
    }
}
