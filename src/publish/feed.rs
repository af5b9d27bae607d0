//! The packet channel, read at the pacer's pace.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::bitrates::Bitrates;
use super::pacer::{Outlet, Pacer, Stamp, Verdict};
use super::tags::Known;
use crate::clock::Clock;
use crate::media::{Flicks, Moment, Packet};
use crate::playout::Playout;

/// Packets taken from the channel ahead of their time, to know the parameters of both tracks before the first
/// packet leaves, and to measure their bitrates: a second of 60 pictures and 94 audio frames (96 kHz).
const LOOKAHEAD: usize = 160;

/// What the feed has for an output.
pub(super) enum Next {
    Send(Packet, Stamp),
    /// The channel is closed and empty.
    End,
}

/// What to wait for before a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Near {
    /// Media is about to be due.
    Due,
    /// The channel is closed and empty.
    End,
}

enum Step {
    Send(Packet, Stamp),
    Dropped,
    /// Until this moment, or until something changes.
    Wait(Option<Moment>),
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
    bitrates: Bitrates,
    clock: Clock,
    dropped: u64,
    /// A packet has come, or a connection was opened for the first one: what follows is announced by packets alone.
    began: bool,
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
            bitrates: Bitrates::default(),
            clock,
            dropped: 0,
            began: false,
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
            match self.step(outlet) {
                Step::Send(packet, stamp) => return Next::Send(packet, stamp),
                // A long backlog of the past must not hold up the runtime.
                Step::Dropped => tokio::task::consume_budget().await,
                Step::Wait(wake) if self.wait(wake).await => {}
                Step::Wait(_) | Step::End => return Next::End,
            }
        }
    }

    /// Waits without a connection until media is due within `lead`, as [`Feed::next`] does without an outlet. Before the
    /// first packet the clock says when that is; later packets come shortly before they are due, and where the source
    /// has a gap nothing is due at all. Cancel safe.
    pub(super) async fn near(&mut self, lead: Duration) -> Near {
        loop {
            match self.step(Outlet::Closed) {
                Step::Send(..) | Step::Dropped => tokio::task::consume_budget().await,
                Step::End => return Near::End,
                Step::Wait(wake) => {
                    let opens = self.first_due().map(|due| due - lead);
                    if opens.is_some_and(|opens| opens <= self.clock.now()) {
                        self.began = true;
                        return Near::Due;
                    }
                    if !self.wait([wake, opens].into_iter().flatten().min()).await {
                        return Near::End;
                    }
                }
            }
        }
    }

    /// When the next packet is due, as far as it is known.
    fn first_due(&self) -> Option<Moment> {
        let playout = (*self.playout.borrow())?;
        match self.queue.front() {
            Some(packet) => Some(playout.due(packet.dts)),
            // Of a stream that goes on after a restart this is past: its first packet may be due at any moment.
            None => (!self.began).then(|| playout.due(Flicks::ZERO)),
        }
    }

    fn step(&mut self, outlet: Outlet) -> Step {
        while self.queue.len() < LOOKAHEAD
            && let Ok(packet) = self.packets.try_recv()
        {
            self.push(packet);
        }
        let playout = *self.playout.borrow_and_update();
        match (self.queue.front(), playout) {
            (None, _) if !self.open => Step::End,
            // Without a clock nothing is ever due.
            (_, None) if !self.open && self.playout.has_changed().is_err() => Step::End,
            (Some(packet), Some(playout)) => {
                match self.pacer.decide(packet, playout, self.clock.now(), outlet) {
                    Verdict::Wait(moment) => Step::Wait(Some(moment)),
                    verdict => {
                        // The packet that was decided about.
                        let Some(packet) = self.queue.pop_front() else { return Step::Dropped };
                        self.known.learn(&packet);
                        if let Verdict::Send(stamp) = verdict {
                            return Step::Send(packet, stamp);
                        }
                        self.dropped += 1;
                        Step::Dropped
                    }
                }
            }
            _ => Step::Wait(None),
        }
    }

    /// Waits until `wake` or until something changes; false when nothing can change any more.
    async fn wait(&mut self, wake: Option<Moment>) -> bool {
        tokio::select! {
            () = async { self.clock.sleep_until(wake.unwrap_or_default()).await }, if wake.is_some() => true,
            packet = self.packets.recv(), if self.open && self.queue.len() < LOOKAHEAD => {
                match packet {
                    Some(packet) => self.push(packet),
                    None => self.open = false,
                }
                true
            }
            Ok(()) = self.playout.changed() => true,
            else => false,
        }
    }

    fn push(&mut self, packet: Packet) {
        self.began = true;
        self.bitrates.handle(&packet);
        self.queue.push_back(packet);
    }

    /// The parameters of both tracks as far as packets have told them.
    pub(super) fn known(&self) -> Known {
        let mut known = self.known.clone();
        self.queue.iter().for_each(|packet| known.complete(packet));
        (known.video_bitrate, known.audio_bitrate) = (self.bitrates.video(), self.bitrates.audio());
        known
    }

    /// Whether the stream has pictures, as far as packets have told.
    pub(super) fn has_video(&self) -> bool {
        self.known.video.is_some() || self.queue.iter().any(Packet::is_video)
    }

    /// As [`Pacer::starves`].
    pub(super) fn starves(&mut self) -> bool {
        self.pacer.starves(self.clock.now())
    }

    /// Packets that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
