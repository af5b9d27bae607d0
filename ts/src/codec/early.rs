//! Samples that stand before the first time stamp of their stream.

use super::{Output, Place};
use crate::error::DamageKind;
use crate::event::Sample;

/// So many samples wait for a stamp: half a minute of nearly every stream. Stamps are due every 0.7 seconds
/// (ISO/IEC 13818-1 2.7.4), so past this there are none.
const MAX: usize = 1024;

/// Samples with what is needed to date them when the first stamp comes.
#[derive(Debug)]
pub(crate) struct Early<T>(Vec<(Sample, T)>);

impl<T> Default for Early<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Early<T> {
    pub(crate) fn push(&mut self, sample: Sample, with: T, place: Place, out: &mut Output) {
        if self.0.len() == MAX {
            self.give_up(place, out);
        }
        self.0.push((sample, with));
    }

    pub(crate) fn take(&mut self) -> Vec<(Sample, T)> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// No stamp comes: the samples cannot be placed.
    pub(crate) fn give_up(&mut self, place: Place, out: &mut Output) {
        if let Some((first, _)) = self.0.first() {
            let (pid, bytes) = (first.pid, self.0.iter().map(|(sample, _)| sample.elementary_len).sum());
            out.damage(DamageKind::NoFrame { bytes }, Some(pid), place);
            self.0.clear();
        }
    }
}
