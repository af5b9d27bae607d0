//! What a stream holds in memory, measured where it is held.
//!
//! A [`Meter`] is the sum of one stream; a [`Held`] is a part of it, which somebody holds and which is given back when
//! that is dropped. Media counts once, however many share it: [`Held::wrap`] and [`Meter::wrap`] tie a count to the
//! bytes themselves, so that a segment counts as long as a slice of anything in it is alive, be it in a queue, in
//! a file that is being written, in the preview or in a socket's buffer. What is too small for a count of its own
//! ([`SMALL`]) is counted where it is queued, with the structures around it ([`queued`]).
//!
//! Whoever runs the stream waits for [`Meter::exceeded`] and ends it then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

/// Samples below this size are counted in the queues that hold them: a count of its own takes a tenth as much.
pub const SMALL: usize = 1 << 10;

/// What a sample takes beside its bytes while it is in a batch or a queue: a packet with its times, its
/// parameters and its place in a list that has room to grow.
const STRUCTURE: usize = 128;

/// What a sample of `length` bytes adds to a queue that holds it.
pub fn queued(length: usize) -> u64 {
    let own = if length < SMALL { length } else { 0 };
    (STRUCTURE + own) as u64
}

/// What one stream holds, and how much it may.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: AtomicU64,
    /// None: as much as it takes.
    limit: Option<u64>,
    /// What was held when the limit was first passed.
    excess: AtomicU64,
    exceeded: CancellationToken,
}

/// What a stream holds in memory, in bytes: media on its way, playlists, and what waits in its queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MemoryStatus)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub bytes: u64,
    /// Its share: a stream that holds more is started again. None: it may take what it needs.
    pub limit: Option<u64>,
}

/// A stream holds more than its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream holds {} MB in memory, more than its share of {} MB", .bytes / 1_000_000, .limit / 1_000_000)]
pub struct Excess {
    pub bytes: u64,
    pub limit: u64,
}

impl Meter {
    /// A stream that may hold `limit` bytes.
    pub fn new(limit: Option<u64>) -> Self {
        Self(Arc::new(Inner { limit, ..Inner::default() }))
    }

    /// What is held now, and what may be.
    pub fn usage(&self) -> Usage {
        Usage { bytes: self.0.bytes.load(Ordering::Relaxed), limit: self.0.limit }
    }

    /// A part that is nothing yet.
    #[must_use]
    pub fn part(&self) -> Held {
        Held { meter: self.clone(), bytes: 0 }
    }

    /// `data`, counted until the last slice of it is gone.
    pub fn wrap(&self, data: Bytes) -> Bytes {
        self.part().wrap(data)
    }

    /// More was held than may be, if only for a moment.
    pub fn excess(&self) -> Option<Excess> {
        let limit = self.0.limit.filter(|_| self.0.exceeded.is_cancelled())?;
        Some(Excess { bytes: self.0.excess.load(Ordering::Relaxed), limit })
    }

    /// Ready as soon as there is an [`Meter::excess`].
    pub async fn exceeded(&self) -> Excess {
        loop {
            self.0.exceeded.cancelled().await;
            if let Some(excess) = self.excess() {
                return excess;
            }
        }
    }

    fn add(&self, bytes: u64) {
        let now = self.0.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if self.0.limit.is_some_and(|limit| now > limit) && !self.0.exceeded.is_cancelled() {
            self.0.excess.fetch_max(now, Ordering::Relaxed);
            self.0.exceeded.cancel();
        }
    }

    fn give_back(&self, bytes: u64) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A part of what a stream holds: given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    meter: Meter,
    bytes: u64,
}

impl Held {
    /// It is as much now.
    pub fn set(&mut self, bytes: u64) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.meter.add(more),
            None => self.meter.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
    }

    /// How much it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// It is so much more.
    pub fn add(&mut self, bytes: u64) {
        self.set(self.bytes.saturating_add(bytes));
    }

    /// It is so much less, or nothing.
    pub fn give_back(&mut self, bytes: u64) {
        self.set(self.bytes.saturating_sub(bytes));
    }

    /// `data`, which this part is from now on, until the last slice of it is gone. What it was counted as before stays
    /// where that is more: `data` may itself be a slice of it.
    pub fn wrap(mut self, data: Bytes) -> Bytes {
        if data.is_empty() {
            return data;
        }
        self.set(self.bytes.max(data.len() as u64));
        Bytes::from_owner(Counted { data, _held: self })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.meter.give_back(self.bytes);
    }
}

/// Bytes with their count.
struct Counted {
    data: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    /// What a stream does with its memory, in any order.
    #[derive(Clone, Debug)]
    enum Step {
        Wrap(usize),
        /// Of the held one at this place: a slice of it is held too.
        Slice(usize, usize),
        Part(u64),
        Set(usize, u64),
        DropBytes(usize),
        DropPart(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..10_000_usize).prop_map(Step::Wrap),
            (0..50_usize, 0..10_000_usize).prop_map(|(which, at)| Step::Slice(which, at)),
            (0..10_000_u64).prop_map(Step::Part),
            (0..50_usize, 0..10_000_u64).prop_map(|(which, bytes)| Step::Set(which, bytes)),
            (0..50_usize).prop_map(Step::DropBytes),
            (0..50_usize).prop_map(Step::DropPart),
        ]
    }

    proptest! {
        #[test]
        fn the_meter_is_the_sum_of_what_is_held_and_zero_in_the_end(
            steps in prop::collection::vec(step(), 0..200),
            limit in prop::option::of(0..100_000_u64),
        ) {
            let meter = Meter::new(limit);
            // With the number of the allocation that each is of, and its length.
            let mut held: Vec<(usize, u64, Bytes)> = Vec::new();
            let mut parts: Vec<(u64, Held)> = Vec::new();
            let mut next = 0;
            let mut most = 0;
            for step in steps {
                match step {
                    Step::Wrap(length) => {
                        held.push((next, length as u64, meter.wrap(vec![7; length].into())));
                        next += 1;
                    }
                    Step::Slice(which, at) if !held.is_empty() => {
                        let (number, length, data) = &held[which % held.len()];
                        // An empty slice holds nothing.
                        if !data.is_empty() {
                            let slice = data.slice(at % data.len()..);
                            held.push((*number, *length, slice));
                        }
                    }
                    Step::Part(bytes) => {
                        let mut part = meter.part();
                        part.set(bytes);
                        parts.push((bytes, part));
                    }
                    Step::Set(which, bytes) if !parts.is_empty() => {
                        let which = which % parts.len();
                        parts[which].1.set(bytes);
                        parts[which].0 = bytes;
                    }
                    Step::DropBytes(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    Step::DropPart(which) if !parts.is_empty() => drop(parts.swap_remove(which % parts.len())),
                    _ => {}
                }
                let mut alive: Vec<(usize, u64)> = held.iter().map(|(number, length, _)| (*number, *length)).collect();
                alive.sort_unstable();
                alive.dedup();
                let sum = alive.iter().map(|(_, length)| length).sum::<u64>()
                    + parts.iter().map(|(bytes, _)| bytes).sum::<u64>();
                prop_assert_eq!(meter.usage().bytes, sum);
                most = most.max(sum);
            }
            let exceeded = meter.exceeded().now_or_never();
            prop_assert_eq!(exceeded.is_some(), limit.is_some_and(|limit| most > limit));
            if let Some(excess) = exceeded {
                prop_assert!(excess.bytes > excess.limit && excess.bytes <= most);
            }
            drop((held, parts));
            prop_assert_eq!(meter.usage().bytes, 0);
        }
    }

    #[test]
    fn what_is_counted_stays_where_it_is() {
        let meter = Meter::default();
        let data = Bytes::from(vec![1; 5_000]);
        let place = data.as_ptr();
        let counted = meter.wrap(data);
        let slice = counted.slice(4_000..);
        drop(counted);
        assert_eq!((slice.as_ptr(), meter.usage().bytes), (place.wrapping_add(4_000), 5_000));
        drop(slice);
        assert_eq!(meter.usage().bytes, 0);
    }

    #[test]
    fn an_excess_is_told_in_megabytes() {
        let excess = Excess { bytes: 312_400_000, limit: 256_000_000 };
        assert_eq!(excess.to_string(), "the stream holds 312 MB in memory, more than its share of 256 MB");
    }
}
