//! The packet channel, read at the pacer's pace.

use std::collections::VecDeque;

use tokio::sync::{mpsc, watch};

use super::pacer::{Outlet, Pacer, Stamp, Verdict};
use super::tags::Known;
use crate::clock::Clock;
use crate::media::Packet;
use crate::playout::Playout;

/// Packets taken from the channel ahead of their time, to know the parameters of both tracks before the first
/// packet leaves: about a second of an interleaved stream.
const LOOKAHEAD: usize = 64;

/// What the feed has for an output.
pub(super) enum Next {
    Send(Packet, Stamp),
    /// The channel is closed and empty.
    End,
}

/// The packets of one output, in order, each at its moment.
pub(super) struct Feed {
    packets: mpsc::Receiver<Packet>,
    /// The channel may still bring packets.
    open: bool,
    queue: VecDeque<Packet>,
    playout: watch::Receiver<Option<Playout>>,
    pacer: Pacer,
    known: Known,
    clock: Clock,
    dropped: u64,
}

impl Feed {
    pub(super) fn new(
        packets: mpsc::Receiver<Packet>,
        playout: watch::Receiver<Option<Playout>>,
        clock: Clock,
    ) -> Self {
        Self {
            packets,
            open: true,
            queue: VecDeque::with_capacity(LOOKAHEAD),
            playout,
            pacer: Pacer::default(),
            known: Known::default(),
            clock,
            dropped: 0,
        }
    }

    /// A connection was made: what follows resumes at a random-access picture.
    pub(super) fn connected(&mut self) {
        self.pacer.connected(self.clock.now());
    }

    /// The next packet that leaves, when it leaves; what is too old is dropped on the way, so the channel
    /// moves on by the clock whatever `outlet` is. Cancel safe.
    pub(super) async fn next(&mut self, outlet: Outlet) -> Next {
        loop {
            while self.queue.len() < LOOKAHEAD
                && let Ok(packet) = self.packets.try_recv()
            {
                self.queue.push_back(packet);
            }
            let playout = *self.playout.borrow_and_update();
            let wake = match (self.queue.front(), playout) {
                (None, _) if !self.open => return Next::End,
                // Without a clock nothing is ever due.
                (_, None) if !self.open && self.playout.has_changed().is_err() => return Next::End,
                (Some(packet), Some(playout)) => {
                    match self.pacer.decide(packet, playout, self.clock.now(), outlet) {
                        Verdict::Wait(moment) => Some(moment),
                        verdict => {
                            // The packet that was decided about.
                            let Some(packet) = self.queue.pop_front() else { continue };
                            self.known.learn(&packet);
                            if let Verdict::Send(stamp) = verdict {
                                return Next::Send(packet, stamp);
                            }
                            self.dropped += 1;
                            // A long backlog of the past must not hold up the runtime.
                            tokio::task::consume_budget().await;
                            continue;
                        }
                    }
                }
                _ => None,
            };
            tokio::select! {
                () = async { self.clock.sleep_until(wake.unwrap_or_default()).await }, if wake.is_some() => {}
                packet = self.packets.recv(), if self.open && self.queue.len() < LOOKAHEAD => match packet {
                    Some(packet) => self.queue.push_back(packet),
                    None => self.open = false,
                },
                Ok(()) = self.playout.changed() => {}
                else => return Next::End,
            }
        }
    }

    /// The parameters of both tracks as far as packets have told them.
    pub(super) fn known(&self) -> Known {
        let mut known = self.known.clone();
        self.queue.iter().for_each(|packet| known.complete(packet));
        known
    }

    /// Packets that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
