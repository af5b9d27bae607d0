//! Decided batches to packets, each handed out shortly before it is due. Pure.

use std::time::Duration;

use super::{Hold, HoldStatus, Interleaver};
use crate::media::{AudioTrack, Batch, Flicks, Moment, Packet};
use crate::playout::Playout;

/// Packets are handed to the outputs this long before they are due: enough for a busy scheduler, little to
/// hold in each output's queue.
pub const LEAD: Duration = Duration::from_millis(1_000);

/// A tail that waits for the next batch is handed out this long before it is due, next batch or not. Later than the
/// deadline of an answer, which may be what it waits for.
const PATIENCE: Duration = Duration::from_millis(300);

/// What is not there this long before it is due is taken for missing, and something else stands for it: later than
/// [`PATIENCE`], so that nothing that waits is overtaken, and earlier than an output sends it.
const FILL_LEAD: Duration = Duration::from_millis(200);

/// Packets that one call of [`Release::advance`] yields at most: what is due within [`LEAD`] of a real stream, ten times.
/// A stream of which all is due at once is handed out in turns.
const BURST: usize = 2_048;

/// Call [`Release::handle_batch`] for what is decided and [`Release::advance`] when time has passed, and take what
/// [`Release::poll`] has; [`Release::poll_timeout`] says when the next is due.
#[derive(Debug, Default)]
pub struct Release {
    interleaver: Interleaver,
    hold: Hold,
    /// Where what was handed out ends.
    handed_out: Flicks,
}

impl Release {
    pub fn new(hold: Hold) -> Self {
        Self { interleaver: Interleaver::default(), hold, handed_out: Flicks::ZERO }
    }

    /// A batch with the audio that it is to be published with. A batch that has audio and is published without is
    /// silent by intent.
    pub fn handle_batch(&mut self, batch: &Batch, audio: Option<&AudioTrack>) {
        if let (Some(original), None) = (&batch.audio, audio) {
            self.hold.mute(original.start + batch.shift..original.end() + batch.shift);
        }
        self.interleaver.handle_batch(batch, audio);
    }

    /// What waits takes, beside what is counted with its bytes.
    pub fn queued(&self) -> u64 {
        self.interleaver.queued()
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.interleaver.len()
    }

    /// Where what waits ends, by its first track; `None` when nothing does.
    pub fn end(&self) -> Option<Flicks> {
        self.interleaver.end()
    }

    /// Whether every packet of the batches was handed out.
    pub fn is_empty(&self) -> bool {
        self.interleaver.next_dts().is_none()
    }

    /// Makes [`Release::poll`] yield what is near its time. With `ended` no batch will come, so that nothing waits
    /// for one, and nothing is missing behind the last. False: there is more, for which others are to have a turn first.
    pub fn advance(&mut self, now: Moment, playout: &Playout, ended: bool) -> bool {
        let mut turns = BURST;
        while let Some(dts) = self.interleaver.next_dts() {
            let due = playout.due(dts);
            let packet = if due <= now + PATIENCE || ended && due <= now + LEAD {
                self.interleaver.poll_now()
            } else if due <= now + LEAD {
                self.interleaver.poll()
            } else {
                None
            };
            let Some(packet) = packet else { break };
            self.hold.handle_packet(packet);
            turns -= 1;
            if turns == 0 {
                return false;
            }
        }
        if self.fills(ended) {
            self.hold.fill(playout.position(now + FILL_LEAD));
        }
        true
    }

    /// The next packet for the outputs, in DTS order.
    pub fn poll(&mut self) -> Option<Packet> {
        let packet = self.hold.poll()?;
        self.handed_out = self.handed_out.max(packet.dts + packet.duration);
        Some(packet)
    }

    /// How much of the output has been played when its clock has come to `position`: in a hole that is not filled, no
    /// more than there was before it.
    pub fn played(&self, position: Flicks) -> Flicks {
        position.min(self.handed_out)
    }

    /// When [`Release::advance`] has something to do, if nothing else comes.
    pub fn poll_timeout(&self, playout: &Playout, ended: bool) -> Option<Moment> {
        let next = self.interleaver.next_dts().map(|dts| {
            let early = ended || self.interleaver.is_complete();
            playout.due(dts) - if early { LEAD } else { PATIENCE }
        });
        // A millisecond more, so that the timer does not fire a rounding too early.
        let fill = self.hold.next_fill().filter(|_| self.fills(ended));
        let fill = fill.map(|time| playout.due(time) - FILL_LEAD + Duration::from_millis(1));
        [next, fill].into_iter().flatten().min()
    }

    /// Behind the last packet of a source that has ended nothing is missing.
    fn fills(&self, ended: bool) -> bool {
        !ended || !self.is_empty()
    }

    /// What stands for the source when the output has come to `position`.
    pub fn status(&self, position: Flicks) -> HoldStatus {
        self.hold.status(position)
    }
}
