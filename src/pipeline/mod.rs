//! One stream: its tasks and the bounded channels between them, in the order of the data.
//!
//! ```text
//! hls ──events──> ingest (demux, batch) ──captured──> output (fit, interleave, release) ──packets──> publish, one per address
//!                        └──requests──> roundtrip ──outcomes──┘                          └──packets──> preview
//! ```
//!
//! This is the only module that knows the order. A stream shares nothing with another but the clock, the disk
//! and the runtime, so that what happens to one touches no other.

#[cfg(test)]
mod adversity;
mod board;
mod count;
#[cfg(test)]
mod day;
mod desk;
mod files;
#[cfg(test)]
mod gaps;
mod handle;
#[cfg(test)]
mod holding;
mod ingest;
#[cfg(test)]
mod joins;
mod keeper;
mod modules;
#[cfg(test)]
mod month;
mod offset;
mod output;
#[cfg(test)]
mod path;
pub mod reach;
#[cfg(test)]
mod renditions;
mod replay;
mod resume;
#[cfg(test)]
mod rig;
mod slate;
mod source;
mod targets;
mod tasks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transport;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::batch::{self, Batcher, Holes};
use crate::clock::{Clock, wall_clock};
use crate::config::{OnGap, RtmpUrl, StreamSettings};
use crate::demux::Demuxer;
use crate::heavy::{Share, Shares};
use crate::journal::Journals;
use crate::memory::Meter;
use crate::outside::Text;
use crate::playout::{Follower, Playout};
use crate::preview::{self, Preview};
use crate::remux::{Hold, Release, Sound};
use crate::storage::{Disk, Numbers, Writer};
use crate::{hls, publish, roundtrip, srs};

pub use handle::{Death, End, Handle};

use board::{Board, Reports};
use desk::Desk;
use ingest::{Captured, Ingest, Inits};
use keeper::{Keeper, wall_millis};
use output::{Output, Port};
use resume::{Plan, Rejoin};
use targets::{publish_settings, roundtrip_settings};
use tasks::{Ends, Task, all, bounded, note, stopping, task};

/// Segments between the fetcher and the demuxer: one in work, one at hand.
const SEGMENTS: usize = 1;

/// Requests and outcomes that may wait, and batches without a decision at most: no more than the round trip
/// keeps waiting.
const UNDECIDED: usize = 40;

/// A command ends when no output has taken the stream for this long: a person waits for it.
const PUBLISH_GIVE_UP: Duration = Duration::from_secs(10);

/// Pauses before a source that failed at its start is tried again, doubling from the first to the last.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How long a stream waits for its disk at its start: beyond that it starts without what is there.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// What all streams of a process share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub disk: Disk,
    /// Where a stream's place is kept, and from where it goes on; none where a stream is run once.
    pub journals: Option<Journals>,
    /// A source that fails is tried again for ever (a service), or ends the stream (a command).
    pub persistent: bool,
    /// Each stream's part of the threads for heavy work.
    pub shares: Shares,
}

/// Starts a stream, or lets it go on where a journal of the same settings says that it was. One that holds more than
/// `memory` bytes is ended as if it had failed by itself.
pub fn spawn(settings: StreamSettings, memory: Option<u64>, shared: &Arc<Shared>) -> Handle {
    let settings = Arc::new(settings);
    let stop = CancellationToken::new();
    let (ended, end) = watch::channel(None);
    let span = tracing::error_span!("stream", id = %settings.stream_id);
    let _guard = span.enter();
    let stream = Stream::new(&settings, Meter::new(memory), shared);
    let (board, preview, keeper) =
        (Arc::clone(&stream.board), Arc::clone(&stream.preview), Arc::clone(&stream.keeper));
    let handle = Handle { settings, board: Arc::clone(&board), preview, keeper, stop: stop.clone(), end };
    tokio::spawn(
        async move {
            // A task of its own: whatever it does, its end is told.
            let run = tokio::spawn(stream.run(stop).in_current_span());
            let end = run.await.unwrap_or_else(|error| End::Died(format!("the stream's task: {error}")));
            board.ended(match &end {
                End::Finished => None,
                End::Failed(error) | End::Died(error) => Some(Text::new(error)),
                End::Exceeded(excess) => Some(Text::of(excess)),
            });
            tracing::info!(?end, "stream ended");
            ended.send_replace(Some(end));
        }
        .instrument(span.clone()),
    );
    handle
}

/// Everything of a stream before its tasks run.
struct Stream {
    settings: Arc<StreamSettings>,
    shared: Arc<Shared>,
    first: Numbers,
    writer: Writer,
    board: Arc<Board>,
    keeper: Arc<Keeper>,
    preview: Arc<Preview>,
    hls_status: watch::Sender<hls::Status>,
    roundtrip_status: watch::Sender<roundtrip::Status>,
    output_status: Vec<watch::Sender<publish::Status>>,
    srs_status: Vec<watch::Sender<Option<srs::Status>>>,
    share: Share,
    meter: Meter,
}

impl Stream {
    fn new(settings: &Arc<StreamSettings>, meter: Meter, shared: &Arc<Shared>) -> Self {
        let writer = Writer::spawn(&shared.disk, &settings.stream_id, settings.artifacts, settings.retention);
        let (hls_status, hls) = watch::channel(hls::Status::default());
        let (roundtrip_status, roundtrip) = watch::channel(roundtrip::Status::default());
        let (output_status, outputs) =
            settings.srs_rtmp_urls.iter().map(|_| watch::channel(publish::Status::default())).unzip();
        let (srs_status, srs) = settings.srs.iter().map(|_| watch::channel(None)).unzip();
        let reports = Reports { hls, roundtrip, outputs, srs, meter: meter.clone() };
        let board = Arc::new(Board::new(settings, shared.clock, writer.clone(), reports));
        Self {
            settings: Arc::clone(settings),
            shared: Arc::clone(shared),
            first: Numbers::default(),
            writer,
            board,
            keeper: Arc::new(Keeper::new(settings, shared.journals.clone(), shared.clock)),
            preview: Arc::default(),
            hls_status,
            roundtrip_status,
            output_status,
            srs_status,
            share: shared.shares.of(&settings.stream_id),
            meter,
        }
    }

    /// Spawns the stages from the last to the first, and waits for them from the first to the last: the end
    /// of the source travels through the channels.
    async fn run(mut self, stop: CancellationToken) -> End {
        let clock = self.shared.clock;
        let plan = self.open().await;
        let filler = slate::filler(&self.settings, &self.board).await;
        let (halt, close) = (CancellationToken::new(), CancellationToken::new());
        let died = CancellationToken::new();
        let (playout, playout_seen) = watch::channel(plan.as_ref().and_then(|plan| plan.playout));
        let (events, segments) = mpsc::channel(SEGMENTS);
        let (requests, requested) = mpsc::channel(UNDECIDED);
        let (outcomes, decided) = mpsc::channel(UNDECIDED);
        let (captured, undecided) = mpsc::channel(self.undecided_batches());

        let (mut ports, publishers) = self.publishers(&playout_seen, &close);
        let (packets, preview) = mpsc::channel(Port::CAPACITY);
        ports.push(Port::new(packets));
        let _monitors = self.monitors(&died, &close);
        let publishers = task(&died, all(publishers, stop.clone(), halt.clone()));
        let preview = task(
            &died,
            preview::run(
                preview::Settings { clock, share: self.share.clone(), meter: self.meter.clone() },
                playout_seen.clone(),
                preview,
                Arc::clone(&self.preview),
                close.clone(),
            ),
        );
        let output = Output {
            clock,
            desk: Desk {
                sound: Sound::new(
                    self.settings.fallback,
                    self.settings.configuration_change,
                    self.settings.output_audio,
                ),
                release: Release::new(Hold::new(filler)),
                ..Desk::default()
            },
            share: self.share.clone(),
            queued: self.meter.part(),
            ports,
            writer: self.writer.clone(),
            board: Arc::clone(&self.board),
            playout: playout_seen.clone(),
        };
        let output = task(&died, output.run(undecided, decided, halt.clone()));
        let roundtrip = task(
            &died,
            roundtrip::run(
                roundtrip::Settings {
                    share: self.share.clone(),
                    meter: self.meter.clone(),
                    ..roundtrip_settings(&self.settings)
                },
                clock,
                requested,
                outcomes,
                self.roundtrip_status.clone(),
                playout.subscribe(),
                halt.clone(),
            ),
        );
        let resume = plan.as_ref().map(|plan| plan.source.clone());
        let ingest = task(&died, self.ingest(plan, playout, requests, captured).run(segments, halt.clone()));
        let capture = task(&died, self.capture(resume, events, stop.clone()));
        let (keeper, writer) = (Arc::clone(&self.keeper), self.writer.clone());
        let (source, played) = (self.hls_status.subscribe(), playout_seen.clone());
        let keeping = task(&died, async move { keeper.run(&writer, played, source).await });
        let _memory = task(&died, bounded(self.meter.clone(), died.clone()));
        let _stopping =
            task(&died, stopping(clock, Ends { stop: stop.clone(), died: died.clone(), halt, close }));

        let mut failure = None;
        note(&mut failure, "capture", capture.await);
        note(&mut failure, "ingest", ingest.await);
        note(&mut failure, "roundtrip", roundtrip.await.map(Ok));
        note(&mut failure, "output", output.await.map(Ok));
        note(&mut failure, "publish", publishers.await);
        note(&mut failure, "preview", preview.await.map(Ok));
        drop(keeping);
        if let Some(excess) = self.meter.excess() {
            failure = Some(excess.to_string());
        }
        // What ended by itself is over; what was stopped may go on in another process, unless it was discarded.
        if failure.is_none() && !stop.is_cancelled() {
            self.keeper.discard();
        } else {
            self.keeper.save(*playout_seen.borrow(), self.hls_status.borrow().kind, true);
        }
        // A disk that hangs does not hold the end of the stream.
        let _ = timeout(DISK_PATIENCE, self.writer.flush()).await;
        // What may be resumed is not removed; what is over may be.
        if self.keeper.is_discarded() {
            self.writer.protect(None);
        }
        if let Some(excess) = self.meter.excess() {
            // It is this that the stream was ended for: nothing of it stays.
            self.preview.clear();
            return End::Exceeded(excess);
        }
        match failure {
            None => End::Finished,
            Some(error) if died.is_cancelled() => End::Died(error),
            Some(error) => End::Failed(error),
        }
    }

    /// Finds the first numbers, and where the stream goes on. A disk that does not answer costs its past.
    async fn open(&mut self) -> Option<Plan> {
        let numbers = timeout(DISK_PATIENCE, self.writer.numbers()).await.ok().flatten();
        self.first = numbers.unwrap_or_else(|| {
            tracing::warn!("the disk does not answer: numbers begin with the calendar's");
            Numbers::of_the_calendar(wall_clock())
        });
        let plan = match timeout(DISK_PATIENCE, self.plan()).await {
            Ok(plan) => plan,
            Err(_) => {
                self.board.not_resumed("the disk does not give back the journal");
                None
            }
        };
        if plan.is_none() {
            self.keeper.begin(self.first.segment, self.first.batch);
        }
        plan
    }

    async fn plan(&mut self) -> Option<Plan> {
        let (journals, id) = (self.shared.journals.clone()?, self.settings.stream_id.clone());
        let loaded = tokio::task::spawn_blocking(move || journals.load(&id)).await.ok()?;
        let record = match loaded {
            Ok(record) => record?,
            Err(error) => {
                self.board.not_resumed(&error.to_string());
                return None;
            }
        };
        if record.settings.clone().resolve().ok().as_ref() != Some(&*self.settings) {
            self.board.not_resumed("the journal is of other settings");
            return None;
        }
        let (settings, layout) = (Arc::clone(&self.settings), self.writer.layout().clone());
        let (now, wall) = (self.shared.clock.now(), wall_millis(wall_clock()));
        let planned = tokio::task::spawn_blocking(move || {
            let plan = resume::plan(&record, &settings, now, wall, |mark| {
                layout
                    .segment(mark.number, &mark.extension)
                    .metadata()
                    .is_ok_and(|file| file.len() == mark.bytes)
            });
            (plan, record)
        });
        let (plan, record) = planned.await.ok()?;
        self.first.segment = self.first.segment.max(plan.next_segment);
        self.first.batch = self.first.batch.max(plan.next_batch);
        self.keeper.resume(record, self.first.segment, self.first.batch);
        tracing::info!(
            away = ?plan.away,
            position = ?plan.playout.map(|playout| playout.position(now)),
            segments = plan.replay.len(),
            lost = plan.lost,
            "stream goes on"
        );
        self.board.resumed(&plan);
        Some(plan)
    }

    fn ingest(
        &self,
        plan: Option<Plan>,
        playout: watch::Sender<Option<Playout>>,
        requests: mpsc::Sender<roundtrip::Request>,
        captured: mpsc::Sender<Captured>,
    ) -> Ingest {
        let processing_budget = self.settings.processing_budget;
        let batching = batch::Settings { buffer_duration: self.settings.buffer_duration, processing_budget };
        let keeps_holes = self.settings.on_gap != OnGap::Skip;
        let batcher = Batcher::new(batching, self.first.batch)
            .with_context_frames(self.settings.context_frames)
            .with_holes(if keeps_holes { Holes::Kept } else { Holes::Closed });
        Ingest {
            clock: self.shared.clock,
            processing_budget,
            keeps_holes,
            demuxer: Demuxer::new(),
            choice: self.settings.choice.clone(),
            follower: Follower::new(batcher.longest_batch()),
            batcher: match &plan {
                Some(plan) => batcher.resumed(plan.anchor, plan.begin),
                None => batcher,
            },
            source: self.hls_status.subscribe(),
            next_segment: self.first.segment,
            inits: Inits::default(),
            writer: self.writer.clone(),
            board: Arc::clone(&self.board),
            keeper: Arc::clone(&self.keeper),
            rejoin: plan.as_ref().and_then(Rejoin::new),
            plan,
            playout,
            requests,
            captured,
            share: self.share.clone(),
            meter: self.meter.clone(),
            gathered: self.meter.part(),
        }
    }

    /// Batches that may wait between capture and playout, beside the one that `ingest` holds and the one
    /// that `output` does: as many as the budget takes. A VOD source is fetched no further ahead.
    fn undecided_batches(&self) -> usize {
        let budget = self.settings.processing_budget.as_secs_f64();
        let batches = (budget / self.settings.buffer_duration.as_secs_f64()).ceil();
        // Bounded by the settings' ranges: 600 s of budget in batches of 1 s.
        (batches as usize).clamp(1, UNDECIDED)
    }

    /// One publisher for each address, and the ports that lead to them.
    fn publishers(
        &self,
        playout: &watch::Receiver<Option<Playout>>,
        close: &CancellationToken,
    ) -> (Vec<Port>, Vec<impl Future<Output = Result<(), publish::Error>> + use<>>) {
        let one = |(url, status): (&RtmpUrl, &watch::Sender<publish::Status>)| {
            let (packets, queue) = mpsc::channel(Port::CAPACITY);
            let settings = publish::Settings {
                give_up: (!self.shared.persistent).then_some(PUBLISH_GIVE_UP),
                ..publish_settings(&self.settings, url)
            };
            let (clock, playout, close) = (self.shared.clock, playout.clone(), close.clone());
            let run = publish::run(settings, clock, playout, queue, status.clone(), close);
            (Port::new(packets), run)
        };
        self.settings.srs_rtmp_urls.iter().zip(&self.output_status).map(one).unzip()
    }

    /// Asks the SRS behind each output about it, where one is named.
    fn monitors(&self, died: &CancellationToken, close: &CancellationToken) -> Vec<Task<()>> {
        let outputs = self.settings.srs_rtmp_urls.iter().zip(&self.output_status);
        let controls = self.settings.srs.iter().zip(&self.srs_status);
        let each = outputs.zip(controls).filter_map(|((url, output), (control, status))| {
            let control = control.as_ref()?;
            let settings = srs::Settings {
                api: control.api.as_url().clone(),
                hls: control.hls.as_ref().map(|hls| hls.as_url().clone()),
                target: url.target().clone(),
                kick: self.settings.srs_kick_ghost,
                ca_file: self.settings.ca_file.clone(),
            };
            let connected = publish::Status::is_connected;
            let (clock, output) = (self.shared.clock, output.subscribe());
            Some(task(died, srs::run(settings, clock, output, connected, status.clone(), close.clone())))
        });
        each.collect()
    }

    /// Reads the source until it ends or `stop`. A service tries a source that failed again, for ever.
    fn capture(
        &self,
        resume: Option<hls::Continue>,
        events: mpsc::Sender<hls::Event>,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<(), String>> + use<> {
        let settings = hls::Settings {
            resume,
            share: self.share.clone(),
            meter: self.meter.clone(),
            ..source::settings(&self.settings)
        };
        let (clock, persistent) = (self.shared.clock, self.shared.persistent);
        let (board, status, first) = (Arc::clone(&self.board), self.hls_status.clone(), self.first.segment);
        async move {
            let mut pause = FIRST_RETRY;
            loop {
                // A source fails only as long as it never worked: no number has been used then.
                let run =
                    hls::run(settings.clone(), clock, first, events.clone(), status.clone(), stop.clone());
                match run.await {
                    Ok(()) => return Ok(()),
                    Err(error) if !persistent => return Err(error.to_string()),
                    Err(error) => {
                        tracing::warn!(%error, retry_in = ?pause, "source failed");
                        board.source_failed(Text::of(&error));
                    }
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = clock.sleep(pause) => pause = (pause * 2).min(LAST_RETRY),
                }
            }
        }
    }
}
