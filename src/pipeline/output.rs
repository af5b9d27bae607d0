//! Decided batches to packets, and the packets to the outputs.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::desk::{Decided, Desk};
use super::ingest::Captured;
use crate::clock::Clock;
use crate::heavy::{Share, Work};
use crate::media::{Flicks, Moment, Packet};
use crate::memory::Held;
use crate::playout::Playout;
use crate::roundtrip::Outcome;
use crate::status::BatchState;
use crate::storage::{Artifact, Writer};

/// The next batch is taken up when what is handed out ends this soon, or its own playout is this near. A VOD
/// source is held back by this: it fills the bounded channels and waits.
const TAKE_UP: Flicks = Flicks::from_millis(15_000);

/// One output's queue of packets. Never waits for the output: what does not fit is dropped, up to the next
/// random-access picture, and counted.
#[derive(Debug)]
pub(super) struct Port {
    packets: mpsc::Sender<Packet>,
    broken: bool,
    /// Audio alone can be gone on with anywhere.
    has_video: bool,
    dropped: u64,
}

impl Port {
    /// Packets in a port's queue: [`LEAD`](crate::remux::LEAD) of 60 pictures and 94 audio frames (96 kHz) a second, and ten
    /// seconds more for an output that has stalled on its connection.
    pub(super) const CAPACITY: usize = 2_048;

    pub(super) fn new(packets: mpsc::Sender<Packet>) -> Self {
        Self { packets, broken: false, has_video: false, dropped: 0 }
    }

    #[cfg(test)]
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn send(&mut self, packet: &Packet) {
        self.has_video |= packet.is_video();
        if self.broken && self.has_video && !packet.is_random_access() {
            self.dropped += 1;
            return;
        }
        self.broken = self.packets.try_send(packet.clone()).is_err();
        self.dropped += u64::from(self.broken);
    }
}

/// The task of a stream that puts answers into their slots and releases packets by the playout clock.
pub(super) struct Output {
    pub clock: Clock,
    pub desk: Desk,
    pub share: Share,
    /// What the packets of decided batches take.
    pub queued: Held,
    pub ports: Vec<Port>,
    pub writer: Writer,
    pub board: Arc<Board>,
    pub playout: watch::Receiver<Option<Playout>>,
}

impl Output {
    /// Runs until `captured` is closed and everything was handed out, or until `stop`.
    pub(super) async fn run(
        mut self,
        mut captured: mpsc::Receiver<Captured>,
        mut outcomes: mpsc::Receiver<Outcome>,
        stop: CancellationToken,
    ) {
        let mut waiting: VecDeque<Captured> = VecDeque::new();
        let (mut open, mut moves) = (true, true);
        let mut last_released = Flicks::ZERO;
        loop {
            let now = self.clock.now();
            let ended = !open && waiting.is_empty();
            let (last, whole) = self.release(now, ended);
            last_released = last.unwrap_or(last_released);
            self.queued.set(self.desk.release.queued());
            if ended && self.desk.release.is_empty() {
                break;
            }
            if !whole {
                tokio::task::yield_now().await;
                if stop.is_cancelled() {
                    break;
                }
                continue;
            }
            // What needs no answer is decided at once.
            if waiting.front().is_some_and(|next| !next.requested)
                && let Some(next) = waiting.pop_front()
            {
                if stop.run_until_cancelled(self.decide(next, None)).await.is_none() {
                    break;
                }
                continue;
            }
            let timer = self.next_release(ended);
            let hungry = waiting.is_empty() && self.is_hungry(now);
            let mut decided = None;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                outcome = outcomes.recv(), if !waiting.is_empty() => match outcome {
                    // Outcomes come in the order of the batches; one for a batch that is not waiting has no place.
                    Some(outcome) => {
                        let next = waiting.pop_front_if(|next| next.batch.number == outcome.number);
                        decided = next.map(|next| (next, outcome));
                    }
                    // The round trip is gone: everything gets the fallback.
                    None => waiting.iter_mut().for_each(|next| next.requested = false),
                },
                next = captured.recv(), if open && hungry => match next {
                    Some(next) => waiting.push_back(next),
                    None => open = false,
                },
                () = self.clock.sleep_until(timer.unwrap_or_default()), if timer.is_some() => {}
                // A clock that moved changes every timer; one whose owner has ended moves no more.
                changed = self.playout.changed(), if moves => moves = changed.is_ok(),
            }
            if let Some((next, outcome)) = decided
                && stop.run_until_cancelled(self.decide(next, Some(outcome))).await.is_none()
            {
                break;
            }
        }
        let dropped: u64 = self.ports.iter().map(|port| port.dropped).sum();
        tracing::debug!(?last_released, dropped, "nothing more to hand out");
        let left = self.desk.release.len() + waiting.iter().map(|next| next.batch.samples()).sum::<usize>();
        self.share.discard(Work::Samples(left), (self.desk, self.queued, waiting));
    }

    fn is_hungry(&self, now: Moment) -> bool {
        let Some(playout) = *self.playout.borrow() else { return true };
        self.desk.release.end().is_none_or(|end| end < playout.position(now) + TAKE_UP)
    }

    fn next_release(&self, ended: bool) -> Option<Moment> {
        let playout = (*self.playout.borrow())?;
        let hunger = self.desk.release.end().map(|end| playout.due(end - TAKE_UP));
        let now = self.clock.now();
        let next = self.desk.release.poll_timeout(&playout, ended);
        [next, hunger.filter(|hunger| *hunger > now)].into_iter().flatten().min()
    }

    /// Hands out what is near its time; returns the DTS of the last packet, and whether that was all.
    fn release(&mut self, now: Moment, ended: bool) -> (Option<Flicks>, bool) {
        let Some(playout) = *self.playout.borrow() else { return (None, true) };
        let Desk { release, offset, .. } = &mut self.desk;
        let whole = release.advance(now, &playout, ended);
        let mut last = None;
        while let Some(packet) = release.poll() {
            last = Some(packet.dts);
            if let Some(millis) = offset.handle(&packet) {
                self.board.av_offset(millis);
            }
            for port in &mut self.ports {
                port.send(&packet);
            }
        }
        let position = playout.position(now);
        self.board.released(position, release.played(position));
        self.board.held(release.status(position));
        (last, whole)
    }

    #[tracing::instrument(name = "batch", skip_all, fields(number = captured.batch.number))]
    async fn decide(&mut self, captured: Captured, outcome: Option<Outcome>) {
        let work = Work::Samples(captured.batch.samples());
        let mut desk = std::mem::take(&mut self.desk);
        let job = move || {
            let decided = desk.decide(&captured, outcome);
            // Freed here: there may be very many.
            drop(captured);
            (desk, decided)
        };
        let (desk, decided) = self.share.run(work, job).await;
        self.desk = desk;
        self.tell(decided);
    }

    fn tell(&self, decided: Decided) {
        let number = decided.number;
        if let Some(answer) = decided.answer {
            self.writer.batch_file(number, Artifact::ProcessedAudio, vec![answer]);
        }
        if let Some((used, report)) = decided.sounds {
            self.board.sounds(number, used, report);
        }
        if let Some(playout) = *self.playout.borrow() {
            self.board.spare(playout.due(decided.start).saturating_since(self.clock.now()));
        }
        let changes = self.desk.sound.configuration_changes();
        self.board.decided(number, decided.outcome.as_ref(), changes);
        match decided.file {
            Ok(file) => self.writer.batch_file(number, Artifact::Output, file),
            Err(error) => self.board.error(format!("batch {number}: output not writable: {error}").into()),
        }
        if decided.is_published {
            self.board.batch(number, |entry| entry.state = BatchState::Ready);
        }
    }
}
