//! Capture to batches: segments are demuxed as they arrive, gathered, and sent off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overdub_fmp4::WriteError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::count;
use super::files::{Files, Sent};
use super::keeper::Keeper;
use super::replay;
use super::resume::{Plan, Rejoin};
use crate::batch::{self, Batcher};
use crate::clock::Clock;
use crate::config::SourceChoice;
use crate::demux::{AudioChoice, Demuxer, Input};
use crate::heavy::{Share, Work};
use crate::hls;
use crate::media::{Batch, Flicks, Moment, Origin, Piece, Rendition};
use crate::memory::{Held, Meter};
use crate::outside::Text;
use crate::playout::{Follower, Playout};
use crate::roundtrip;
use crate::status::BatchState;
use crate::storage::{Artifact, Numbers, Writer};

/// Pictures that wait for the sound of another playlist, or sound for pictures, go on without when no segment of
/// either came for so long: more than two of the longest usual target duration.
const SOURCE_QUIET: Duration = Duration::from_secs(20);

/// A batch with what the round trip was told of it.
#[derive(Debug)]
pub(super) struct Captured {
    pub batch: Batch,
    /// Its audio was sent off: an outcome with its number will come.
    pub requested: bool,
    pub timing: Timing,
    /// What its samples take while it waits.
    #[expect(dead_code, reason = "it is given back when the batch is dropped")]
    pub held: Held,
}

/// A captured batch against the playout clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    InTime,
    /// The processor has no time left; where some of it is past, the rest is published.
    Late,
    /// Its time is over: it is stored, not published.
    Past,
}

/// The initialization sections written last, with the numbers under which they were.
#[derive(Debug, Default)]
pub(super) struct Inits {
    main: Option<(u64, Bytes)>,
    audio: Option<(u64, Bytes)>,
}

/// The task of a stream that owns the demuxer and the batcher.
pub(super) struct Ingest {
    pub clock: Clock,
    pub processing_budget: Duration,
    /// Holes of the source are kept and filled; otherwise they are closed, and the clock moves.
    pub keeps_holes: bool,
    pub demuxer: Demuxer,
    /// What the settings say of the source's audio.
    pub choice: SourceChoice,
    pub batcher: Batcher,
    /// Learns how fast the source's clock runs.
    pub follower: Follower,
    pub source: watch::Receiver<hls::Status>,
    /// Of the segment after the last one that came.
    pub next_segment: u64,
    pub inits: Inits,
    pub writer: Writer,
    pub board: Arc<Board>,
    pub keeper: Arc<Keeper>,
    /// Where the stream goes on, when it does.
    pub plan: Option<Plan>,
    /// Until play goes on: keeps out what is past.
    pub rejoin: Option<Rejoin>,
    pub playout: watch::Sender<Option<Playout>>,
    pub requests: mpsc::Sender<roundtrip::Request>,
    pub captured: mpsc::Sender<Captured>,
    pub share: Share,
    pub meter: Meter,
    /// What has been gathered for the next batch takes.
    pub gathered: Held,
}

impl Ingest {
    /// Runs until `events` is closed or says that the source has ended; what is open is closed then. At `halt` it ends
    /// whatever it does: a segment that takes seconds holds up no stop.
    ///
    /// # Errors
    ///
    /// The source has ended, and none of its segments could be read: why.
    pub(super) async fn run(
        self,
        events: mpsc::Receiver<hls::Event>,
        halt: CancellationToken,
    ) -> Result<(), String> {
        halt.run_until_cancelled(self.drive(events)).await.unwrap_or(Ok(()))
    }

    async fn drive(mut self, mut events: mpsc::Receiver<hls::Event>) -> Result<(), String> {
        let mut passed = None;
        let mut ended = false;
        self.choose_audio();
        let playout = *self.playout.borrow();
        if let Some(playout) = playout {
            self.batcher.set_playout(playout);
        }
        if let Some(plan) = self.plan.take() {
            passed = plan.source.discontinuity_sequence;
            self.replay(plan).await;
        }
        loop {
            let playout = *self.playout.borrow();
            let timeout = self.batcher.poll_timeout(playout);
            // Counted from here on, so that waiting for the batches' receiver is not taken for a quiet source.
            let quiet = self.clock.now() + SOURCE_QUIET;
            let event = tokio::select! {
                biased;
                event = events.recv() => event,
                () = self.clock.sleep_until(quiet), if self.demuxer.is_waiting() => {
                    tracing::warn!("one rendition of the source is quiet: the other goes on without it");
                    let pieces = self.demux(Work::Unknown, Demuxer::release).await;
                    self.pieces(pieces).await;
                    continue;
                }
                () = self.clock.sleep_until(timeout.unwrap_or_default()), if timeout.is_some() => {
                    self.close_if_near(playout).await;
                    continue;
                }
            };
            match event {
                Some(hls::Event::TargetDuration(target)) => {
                    self.keeper.target_duration(target);
                    self.batcher.set_target_duration(target);
                    self.follower.set_longest_batch(self.batcher.longest_batch());
                }
                Some(hls::Event::Segment(mut segment)) => {
                    if segment.rendition == Rendition::Main
                        && let Some(before) = passed.take()
                    {
                        // Discontinuities that were passed while nobody read the playlist.
                        segment.discontinuity |= segment.discontinuity_sequence > before;
                        if segment.discontinuity {
                            self.batcher.forget_anchor();
                        }
                    }
                    self.keep(&segment);
                    self.segment(segment).await;
                }
                Some(hls::Event::Renditions { separate_audio }) => {
                    let set = move |demuxer: &mut Demuxer| demuxer.set_separate_audio(separate_audio);
                    let pieces = self.demux(Work::Unknown, set).await;
                    self.pieces(pieces).await;
                }
                Some(hls::Event::Lost { rendition, media_sequence, duration, reason }) => {
                    tracing::warn!(?rendition, media_sequence, ?duration, %reason, "segment lost");
                    self.keeper.lost(rendition, media_sequence, duration);
                    self.demux(Work::Unknown, move |demuxer| demuxer.handle_lost(rendition)).await;
                    if rendition == Rendition::Main {
                        self.batcher.handle_lost(duration);
                    }
                }
                Some(hls::Event::Ended) => {
                    ended = true;
                    break;
                }
                None => break,
            }
        }
        let pieces = self.demux(Work::Unknown, Demuxer::flush).await;
        self.pieces(pieces).await;
        if let Some(batch) = self.batch(0, Batcher::flush).await {
            self.send(batch).await;
        }
        match &self.demuxer.damage().last_refusal {
            Some(error) if ended && !self.demuxer.has_yielded() => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// What the settings and the master playlist ask for, where a program has several audio streams.
    fn choose_audio(&mut self) {
        let listed = self.source.borrow().muxed_language.as_ref().map(ToString::to_string);
        let set = self.choice.audio_language.clone();
        // A rendition that was chosen by its name goes before the language.
        let languages = if self.choice.audio_name.is_some() { [listed, set] } else { [set, listed] };
        let languages = languages.into_iter().flatten().collect();
        self.demuxer.choose_audio(AudioChoice { pid: self.choice.audio_pid, languages });
    }

    /// What was captured before and still has its time. Batches close as their playout is near: the first ones
    /// are short, so that only what is due at once goes without the processor.
    async fn replay(&mut self, plan: Plan) {
        self.batcher.set_target_duration(plan.target_duration);
        let apart = plan.replay.iter().any(|mark| mark.rendition == Rendition::Audio);
        self.demuxer.set_separate_audio(apart);
        let mut reader = replay::Reader::new(self.writer.layout().clone(), self.meter.clone());
        for mark in &plan.replay {
            match reader.read(mark, self.clock.now()).await {
                Some(segment) => self.segment(segment).await,
                None => self.demuxer.handle_lost(mark.rendition),
            }
            let playout = *self.playout.borrow();
            self.close_if_near(playout).await;
        }
    }

    /// Closes the open batch where its playout is near.
    async fn close_if_near(&mut self, playout: Option<Playout>) {
        let now = self.clock.now();
        if let Some(batch) = self.batch(0, move |batcher| batcher.poll_close(now, playout)).await {
            self.send(batch).await;
        }
    }

    /// One step of the demuxer.
    async fn demux<T: Send + 'static>(
        &mut self,
        work: Work,
        step: impl FnOnce(&mut Demuxer) -> T + Send + 'static,
    ) -> T {
        let mut demuxer = std::mem::take(&mut self.demuxer);
        let job = move || {
            let done = step(&mut demuxer);
            (demuxer, done)
        };
        let (demuxer, done) = self.share.run(work, job).await;
        self.demuxer = demuxer;
        done
    }

    /// One step of the batcher, with so many `samples` beside those that it has.
    async fn batch<T: Send + 'static>(
        &mut self,
        samples: usize,
        step: impl FnOnce(&mut Batcher) -> T + Send + 'static,
    ) -> T {
        let work = Work::Samples(self.batcher.gathered().saturating_add(samples));
        let mut batcher = std::mem::replace(&mut self.batcher, Batcher::new(batch::Settings::default(), 0));
        let job = move || {
            let done = step(&mut batcher);
            (batcher, done)
        };
        let (batcher, done) = self.share.run(work, job).await;
        self.batcher = batcher;
        done
    }

    async fn segment(&mut self, segment: hls::Segment) {
        let origin = Origin {
            segment: segment.number,
            captured_at: segment.captured_at,
            program_date_time: segment.program_date_time,
        };
        let input = Input {
            rendition: segment.rendition,
            init: segment.init,
            data: segment.data,
            offset: segment.offset,
            discontinuity: segment.discontinuity,
            discontinuity_sequence: segment.discontinuity_sequence,
            media_sequence: Some(segment.media_sequence),
        };
        self.choose_audio();
        let refused = self.demuxer.damage().refused;
        let (number, url, meter) = (origin.segment, segment.url, self.meter.clone());
        let work = Work::Bytes(input.data.len());
        let handle = move |demuxer: &mut Demuxer| {
            let mut pieces = demuxer.handle_segment(&input, &origin);
            pieces.iter_mut().for_each(|piece| count::samples(piece, &input.data, &meter));
            pieces
        };
        let pieces = self.demux(work, handle).await;
        for cue in self.demuxer.take_cues() {
            tracing::info!(segment = cue.segment, time = ?cue.time, kind = %cue.kind, "cue");
            self.board.cue(&cue);
        }
        if self.demuxer.damage().refused > refused {
            let reason =
                self.demuxer.damage().last_refusal.as_ref().map(|refusal| Text::of(refusal).to_string());
            tracing::warn!(segment = number, url = &*url, reason, "segment not readable");
            self.board.refused(number, reason.as_deref().unwrap_or_default());
        }
        self.pieces(pieces).await;
        self.board.audio_streams(self.demuxer.audio_streams());
        self.board.random_access(self.demuxer.random_access());
        self.board.demuxed(number, self.demuxer.damage(), self.batcher.grid_stats());
    }

    /// Hands the segment to the writer as it came. Renditions share one sequence of numbers.
    fn keep(&mut self, segment: &hls::Segment) {
        self.next_segment = self.next_segment.max(segment.number.saturating_add(1));
        let known = match segment.rendition {
            Rendition::Main => &mut self.inits.main,
            Rendition::Audio => &mut self.inits.audio,
        };
        if let Some(init) = &segment.init
            && known.as_ref().is_none_or(|(_, known)| known != init)
        {
            self.writer.init(segment.number, "mp4", init.clone());
            *known = Some((segment.number, init.clone()));
        }
        let init = segment.init.as_ref().and(known.as_ref()).map(|(number, _)| *number);
        self.keeper.segment(segment, init);
        self.writer.segment(segment.number, &segment.extension, segment.data.clone());
    }

    async fn pieces(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            let Some(piece) = self.still_ahead(piece) else { continue };
            self.board.piece(&piece);
            let arrived = piece.origin.captured_at;
            self.batcher.set_complete(self.source.borrow().kind == Some(hls::SourceKind::Vod));
            self.gathered.add(count::piece(&piece));
            let closed = self.batch(piece.samples(), |batcher| batcher.handle_piece(piece)).await;
            if let Some(by) = self.batcher.take_move() {
                self.stayed_late(by);
            }
            for batch in closed {
                self.send(batch).await;
            }
            self.follow(arrived);
        }
        if self.batcher.gathered() == 0 {
            self.gathered.set(0);
        }
    }

    /// What comes from now on plays later by `by`: its output time says so, where holes are kept, and else the clock.
    fn stayed_late(&mut self, by: Duration) {
        self.board.moved(by, !self.keeps_holes);
        self.follower.handle_move();
        let playout = *self.playout.borrow();
        if let Some(playout) = playout.filter(|_| !self.keeps_holes) {
            self.set_playout(playout.delayed(by));
        }
    }

    fn set_playout(&mut self, playout: Playout) {
        self.batcher.set_playout(playout);
        self.playout.send_replace(Some(playout));
    }

    /// Keeps the playout at the pace of a live source. One that is offered whole arrives as fast as it is taken,
    /// which says nothing about its clock.
    fn follow(&mut self, arrived: Moment) {
        let live = self.source.borrow().kind == Some(hls::SourceKind::Live);
        let current = *self.playout.borrow();
        if let Some(playout) = current.filter(|_| live)
            && let Some(end) = self.batcher.end()
        {
            if let Some(rate) = self.follower.handle_arrival(arrived, end, &playout) {
                tracing::debug!(?rate, slack = self.follower.slack(), "playout follows the source's clock");
                self.set_playout(playout.slewed(self.clock.now(), rate));
            }
            self.board.paced(self.playout.borrow().as_ref(), self.follower.slack());
        }
    }

    /// What of `piece` is not past; everything, once a stream that goes on has found its place.
    fn still_ahead(&mut self, piece: Piece) -> Option<Piece> {
        let Some(rejoin) = &self.rejoin else { return Some(piece) };
        let (piece, found) = rejoin.cut(piece);
        if found {
            self.rejoin = None;
        }
        piece
    }

    #[tracing::instrument(name = "batch", skip_all, fields(number = batch.number))]
    async fn send(&mut self, batch: Batch) {
        let now = self.clock.now();
        let work = Work::Samples(batch.samples());
        let playout = self.playout_for(&batch, now);
        self.board.captured(&batch, &playout);
        self.keeper.batch(&batch);
        tracing::info!(
            batch = batch.number,
            segments = ?batch.segments,
            seconds = batch.duration.to_secs_f64(),
            plays_in = ?playout.due(batch.start).saturating_since(now),
            "batch captured"
        );
        self.writer.keep(Numbers { segment: self.next_segment, batch: batch.number + 1 });
        let timing = if playout.due(batch.start + batch.duration) <= now {
            Timing::Past
        } else if playout.deadline(batch.start) <= now {
            Timing::Late
        } else {
            Timing::InTime
        };
        if timing != Timing::InTime {
            tracing::warn!(batch = batch.number, ?timing, "captured too late to be processed");
            self.board.late(batch.number, timing);
        }
        let mut held = self.meter.part();
        let job = move || {
            let files = Files::of(&batch, timing == Timing::InTime);
            held.set(count::batch(&batch));
            (batch, held, files)
        };
        let (batch, held, files) = self.share.run(work, job).await;
        self.gathered.give_back(held.bytes());
        if let Some(video) = files.video {
            self.store(batch.number, Artifact::Video, video);
        }
        let requested = match files.audio {
            Some(audio) => self.request(&batch, audio, &playout).await,
            None => false,
        };
        // The receiver is gone only when the stream is being torn down.
        let _ = self.captured.send(Captured { batch, requested, timing, held }).await;
    }

    /// The clock that `batch` plays by: fixed at the first batch.
    fn playout_for(&mut self, batch: &Batch, now: Moment) -> Playout {
        let current = *self.playout.borrow();
        current.unwrap_or_else(|| {
            let longest = self.batcher.longest_batch();
            let playout =
                Playout::anchored(batch.captured_at, batch.duration, longest, self.processing_budget);
            tracing::info!(begins_in = ?playout.due(Flicks::ZERO).saturating_since(now), "playout fixed");
            self.set_playout(playout);
            playout
        })
    }

    /// Sends the batch's audio to the processor; false where it could not be written.
    async fn request(&mut self, batch: &Batch, audio: Result<Sent, WriteError>, playout: &Playout) -> bool {
        let Sent { data, duration, pts, params } = match audio {
            Ok(sent) => sent,
            Err(error) => {
                self.board.error(format!("batch {}: audio not writable: {error}", batch.number).into());
                return false;
            }
        };
        let data = self.meter.wrap(data);
        self.writer.batch_file(batch.number, Artifact::Audio, vec![data.clone()]);
        self.board.batch(batch.number, |entry| entry.state = BatchState::Processing);
        let request = roundtrip::Request {
            number: batch.number,
            audio: data,
            duration,
            pts,
            context: (batch.context.before.len(), batch.context.after.len()),
            params,
            program_date_time: batch.program_date_time.clone(),
            file_name: format!("batch-{}/{}", batch.number, Artifact::Audio.file_name()),
            deadline: playout.deadline(batch.start),
            plays_at: batch.start,
        };
        self.requests.send(request).await.is_ok()
    }

    fn store(&self, number: u64, artifact: Artifact, file: Result<Vec<Bytes>, WriteError>) {
        match file {
            Ok(chunks) => self.writer.batch_file(number, artifact, chunks),
            Err(error) => {
                self.board.error(format!("batch {number}: {artifact:?} not writable: {error}").into());
            }
        }
    }
}
