//! One stream: its tasks and the bounded channels between them, in the order of the data.
//!
//! ```text
//! hls ──events──> ingest (demux, batch) ──captured──> output (fit, interleave, release) ──packets──> publish, one per address
//!                        └──requests──> roundtrip ──outcomes──┘                          └──packets──> preview
//! ```
//!
//! This is the only module that knows the order. A stream shares nothing with another but the clock, the disk
//! and the runtime, so that what happens to one touches no other.

mod board;
mod ingest;
mod output;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::batch::{self, Batcher};
use crate::clock::Clock;
use crate::config::StreamSettings;
use crate::demux::SegmentDemuxer;
use crate::media::StreamId;
use crate::preview::{self, Preview};
use crate::remux::{Fitter, Interleaver, Sound};
use crate::status::StreamStatus;
use crate::storage::Writer;
use crate::{hls, publish, roundtrip};

use board::{Board, Reports};
use ingest::Ingest;
use output::{Output, Port};

/// Segments between the fetcher and the demuxer: one in work, one at hand.
const SEGMENTS: usize = 1;

/// Requests and outcomes that may wait: more than there can be undecided batches ([`StreamSettings`]'s
/// `max_concurrent_batches` at most 32, and one on either side).
const UNDECIDED: usize = 40;

/// After a stop, what was captured goes on for this long before the outputs are ended: the answer to the
/// last batch may still come and be stored.
const DRAIN: Duration = Duration::from_secs(3);

/// After that, what the outputs have to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// What all streams of a process share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub storage_root: PathBuf,
    /// A source that fails is tried again for ever (a service), or ends the stream (a command).
    pub persistent: bool,
}

/// A running stream. Dropping it does not stop the stream; [`Handle::stop`] does.
#[derive(Clone, Debug)]
pub struct Handle {
    settings: Arc<StreamSettings>,
    board: Arc<Board>,
    preview: Arc<Preview>,
    stop: CancellationToken,
    end: watch::Receiver<Option<End>>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The source ended and all of it was published, or the stream was stopped.
    Finished,
    /// The source could not be read, or no output took the stream.
    Failed(String),
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

    /// Waits for the end.
    pub async fn finished(&self) -> End {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await;
        ended.ok().and_then(|end| end.clone()).unwrap_or_else(|| End::Failed("the stream's task died".to_owned()))
    }
}

/// Starts a stream.
pub fn spawn(settings: StreamSettings, shared: &Arc<Shared>) -> Handle {
    let settings = Arc::new(settings);
    let stop = CancellationToken::new();
    let (ended, end) = watch::channel(None);
    let span = tracing::info_span!("stream", id = %settings.stream_id);
    let _guard = span.enter();
    let (stream, board, preview) = Stream::new(&settings, shared);
    let handle =
        Handle { settings, board: Arc::clone(&board), preview, stop: stop.clone(), end };
    tokio::spawn(
        async move {
            let end = stream.run(stop).await;
            board.ended(match &end {
                End::Finished => None,
                End::Failed(error) => Some(error.clone()),
            });
            tracing::info!(?end, "stream ended");
            ended.send_replace(Some(end));
        }
        .instrument(span.clone()),
    );
    handle
}
