//! Segments of one rendition on their way, or waiting for their turn.

use std::time::Duration;

use super::attempt::Attempts;
use super::cursor::{Listed, Missed};
use super::playlist::SegmentRef;
use super::work::Fetched;
use crate::media::Moment;
use crate::outside::Text;

/// One segment, or hole, in its turn.
pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) state: State,
}

pub(super) enum State {
    Waiting { listed: Listed, attempts: Attempts, retry_at: Moment },
    Asked { listed: Listed, attempts: Attempts },
    Ready { listed: Listed, fetched: Fetched, at: Moment, took: Duration },
    Lost { listed: Listed, reason: Text },
    Missed(Missed),
}

impl State {
    pub(super) fn clone_asked(&self) -> Option<Self> {
        match self {
            Self::Asked { listed, attempts } => {
                Some(Self::Asked { listed: listed.clone(), attempts: *attempts })
            }
            _ => None,
        }
    }
}

impl Slot {
    /// It is there, or it will not come.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self.state, State::Waiting { .. } | State::Asked { .. })
    }

    /// It was asked for and is tried again.
    pub(super) fn has_failed(&self) -> bool {
        match &self.state {
            State::Waiting { attempts, .. } | State::Asked { attempts, .. } => attempts.have_failed(),
            State::Ready { .. } | State::Lost { .. } | State::Missed(_) => false,
        }
    }

    pub(super) fn ready_at(&self) -> Option<Moment> {
        match self.state {
            State::Ready { at, .. } => Some(at),
            _ => None,
        }
    }

    pub(super) fn segment(&self) -> Option<&SegmentRef> {
        match &self.state {
            State::Waiting { listed, .. }
            | State::Asked { listed, .. }
            | State::Ready { listed, .. }
            | State::Lost { listed, .. } => Some(&listed.segment),
            State::Missed(_) => None,
        }
    }

    pub(super) fn duration(&self) -> Duration {
        match &self.state {
            State::Missed(missed) => missed.duration,
            _ => self.segment().map_or(Duration::ZERO, |segment| segment.duration),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.state {
            State::Ready { fetched, .. } => fetched.data.len(),
            _ => 0,
        }
    }
}
