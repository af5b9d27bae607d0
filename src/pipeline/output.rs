//! Decided batches to packets, and the packets to the outputs.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::ingest::{Captured, Timing};
use super::offset::Offset;
use crate::clock::Clock;
use crate::media::{AudioContext, AudioParams, AudioTrack, Batch, Flicks, Moment, Packet, mp4};
use crate::playout::Playout;
use crate::remux::{Fitter, Processed, Release, Sound, Used};
use crate::roundtrip::{self, Outcome};
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
    dropped: u64,
}

impl Port {
    /// Packets in a port's queue: [`LEAD`](crate::remux::LEAD) of 60 pictures and 94 audio frames (96 kHz) a second, and ten
    /// seconds more for an output that has stalled on its connection.
    pub(super) const CAPACITY: usize = 2_048;

    pub(super) fn new(packets: mpsc::Sender<Packet>) -> Self {
        Self { packets, broken: false, dropped: 0 }
    }

    fn send(&mut self, packet: &Packet) {
        if self.broken && !packet.is_random_access() {
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
    pub fitter: Fitter,
    pub sound: Sound,
    pub release: Release,
    pub offset: Offset,
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
            last_released = self.release(now, ended).unwrap_or(last_released);
            if ended && self.release.is_empty() {
                break;
            }
            // What needs no answer is decided at once.
            if waiting.front().is_some_and(|next| !next.requested)
                && let Some(next) = waiting.pop_front()
            {
                self.decide(&next, None);
                continue;
            }
            let timer = self.next_release(ended);
            let hungry = waiting.is_empty() && self.is_hungry(now);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                outcome = outcomes.recv(), if !waiting.is_empty() => match outcome {
                    Some(outcome) => self.outcome(&mut waiting, &outcome),
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
        }
        let dropped: u64 = self.ports.iter().map(|port| port.dropped).sum();
        tracing::debug!(?last_released, dropped, "nothing more to hand out");
    }

    fn is_hungry(&self, now: Moment) -> bool {
        let Some(playout) = *self.playout.borrow() else { return true };
        self.release.end().is_none_or(|end| end < playout.position(now) + TAKE_UP)
    }

    fn next_release(&self, ended: bool) -> Option<Moment> {
        let playout = (*self.playout.borrow())?;
        let hunger = self.release.end().map(|end| playout.due(end - TAKE_UP));
        let now = self.clock.now();
        let next = self.release.poll_timeout(&playout, ended);
        [next, hunger.filter(|hunger| *hunger > now)].into_iter().flatten().min()
    }

    /// Hands out what is near its time; returns the DTS of the last packet.
    fn release(&mut self, now: Moment, ended: bool) -> Option<Flicks> {
        let playout = (*self.playout.borrow())?;
        self.release.advance(now, &playout, ended);
        let mut last = None;
        while let Some(packet) = self.release.poll() {
            last = Some(packet.dts);
            if let Some(millis) = self.offset.handle(&packet) {
                self.board.av_offset(millis);
            }
            for port in &mut self.ports {
                port.send(&packet);
            }
        }
        let position = playout.position(now);
        self.board.released(position, self.release.played(position));
        self.board.held(self.release.status(position));
        last
    }

    fn outcome(&mut self, waiting: &mut VecDeque<Captured>, outcome: &Outcome) {
        // Outcomes come in the order of the batches; one for a batch that is not waiting has no place.
        if waiting.front().is_some_and(|next| next.batch.number == outcome.number)
            && let Some(next) = waiting.pop_front()
        {
            self.decide(&next, Some(outcome));
        }
    }

    #[tracing::instrument(name = "batch", skip_all, fields(number = captured.batch.number))]
    fn decide(&mut self, captured: &Captured, outcome: Option<&Outcome>) {
        let batch = &captured.batch;
        let answer = match outcome {
            Some(Outcome { result: Ok(processed), .. }) => Some(processed),
            _ => None,
        };
        let audio = match (&batch.audio, answer) {
            (Some(original), Some(answer)) => Some(self.fit(batch, original, answer)),
            (Some(original), None) => {
                let (track, used) = self.sound.fallback(&mut self.fitter, original);
                self.board.sounds(batch.number, used, None);
                track
            }
            (None, _) => None,
        };
        if let Some(playout) = *self.playout.borrow() {
            self.board.spare(playout.due(batch.start).saturating_since(self.clock.now()));
        }
        self.board.decided(batch.number, outcome, self.sound.configuration_changes());
        let origin = batch.start - batch.shift;
        match mp4::file(batch.video.as_ref(), audio.as_ref(), origin) {
            Ok(file) => self.writer.batch_file(batch.number, Artifact::Output, file.into_iter().collect()),
            Err(error) => {
                self.board.error(format!("batch {}: output not writable: {error}", batch.number).into());
            }
        }
        match captured.timing {
            Timing::Past => return,
            // Of which the beginning may not be published.
            Timing::Late => {}
            Timing::InTime => self.offset.expect(batch),
        }
        self.release.handle_batch(batch, audio.as_ref());
        self.board.batch(batch.number, |entry| entry.state = BatchState::Ready);
    }

    fn fit(&mut self, batch: &Batch, original: &AudioTrack, answer: &roundtrip::Processed) -> AudioTrack {
        self.writer.batch_file(batch.number, Artifact::ProcessedAudio, vec![answer.raw.clone()]);
        let answer = to_fit(answer, &batch.context, &original.params);
        let (track, report) = self.sound.processed(&mut self.fitter, original, answer);
        self.board.sounds(batch.number, Used::Processed, Some(report));
        track
    }
}

/// An answer as its slot takes it; `context` was sent with the slot's sound, in the configuration `sent`.
pub(super) fn to_fit<'a>(
    answer: &'a roundtrip::Processed,
    context: &AudioContext,
    sent: &AudioParams,
) -> Processed<'a> {
    let length = |frames: &[Bytes]| Flicks::new(sent.frame_duration().get() * frames.len() as i64);
    Processed {
        params: &answer.params,
        frames: &answer.frames,
        priming: answer.priming,
        trailing: answer.trailing,
        context: (length(&context.before), length(&context.after)),
    }
}
