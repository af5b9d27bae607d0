//! What became of the fragments that left the window, so that a stray answer can be told: late,
//! a duplicate, or unknown. Pure.

use std::collections::VecDeque;

use crate::media::Moment;

/// Fragments remembered: two hours of 30 s batches. A stray answer older than that is called unknown.
const REMEMBERED: usize = 256;

#[derive(Debug)]
struct Settled {
    number: u64,
    deadline: Moment,
    sent_at: Option<Moment>,
    answered: bool,
}

/// What an answer to a fragment that is not in the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// The first answer to a fragment that was sent at `sent_at` and given up, at `deadline` or before.
    Late {
        deadline: Moment,
        sent_at: Moment,
    },
    Duplicate,
    Unknown,
}

#[derive(Debug, Default)]
pub(super) struct History {
    settled: VecDeque<Settled>,
}

impl History {
    /// A fragment left the window; `answered` when an answer or a final error made it leave.
    pub(super) fn add(&mut self, number: u64, deadline: Moment, sent_at: Option<Moment>, answered: bool) {
        if self.settled.len() == REMEMBERED {
            self.settled.pop_front();
        }
        self.settled.push_back(Settled { number, deadline, sent_at, answered });
    }

    /// An answer to `number` came, which is not in the window.
    pub(super) fn handle_answer(&mut self, number: u64) -> Stray {
        match self.settled.iter_mut().find(|settled| settled.number == number) {
            Some(Settled { answered: true, .. }) => Stray::Duplicate,
            Some(Settled { answered, deadline, sent_at: Some(sent_at), .. }) => {
                *answered = true;
                Stray::Late { deadline: *deadline, sent_at: *sent_at }
            }
            // Never sent: an answer to it is invented.
            Some(Settled { sent_at: None, .. }) | None => Stray::Unknown,
        }
    }
}
