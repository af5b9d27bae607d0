//! What is on the disk of one stream, counted as it is written and removed. Pure.

use std::collections::VecDeque;

use super::Numbers;
use crate::config::Retention;

/// What a stream has on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub original_bytes: u64,
    pub processed_bytes: u64,
    pub segments: u64,
    pub batches: u64,
    pub oldest_batch: Option<u64>,
    pub newest_batch: Option<u64>,
}

impl Usage {
    pub fn total_bytes(&self) -> u64 {
        self.original_bytes + self.processed_bytes
    }
}

/// The two folders of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    Batch,
}

/// The files of one segment, its initialization section included, or of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub number: u64,
    /// Seconds since 1970 at which its first file was written.
    pub at: u64,
    pub bytes: u64,
    /// File names within the folder of the segments, or within that of the batch.
    pub files: Vec<Box<str>>,
}

/// Units of one stream, each list in the order of its numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    segments: VecDeque<Unit>,
    batches: VecDeque<Unit>,
    segment_bytes: u64,
    batch_bytes: u64,
    /// What has these numbers or higher ones may still be published.
    floor: Option<Numbers>,
    pub retention: Retention,
}

impl Index {
    /// A file was written.
    pub(super) fn add(&mut self, kind: Kind, number: u64, file: &str, bytes: u64, at: u64) {
        let (units, total) = self.units(kind);
        *total += bytes;
        let place = match units.back() {
            // Nearly always: the newest.
            Some(last) if last.number < number => Err(units.len()),
            _ => units.binary_search_by_key(&number, |unit| unit.number),
        };
        match place {
            Ok(known) => {
                let unit = &mut units[known];
                unit.bytes += bytes;
                unit.files.push(file.into());
            }
            Err(place) => units.insert(place, Unit { number, at, bytes, files: vec![file.into()] }),
        }
    }

    /// A unit that could not be removed is there still.
    pub(super) fn put_back(&mut self, kind: Kind, unit: Unit) {
        let (units, total) = self.units(kind);
        *total += unit.bytes;
        let place =
            units.binary_search_by_key(&unit.number, |known| known.number).unwrap_or_else(|place| place);
        units.insert(place, unit);
    }

    /// What has these numbers or higher ones may still be published.
    pub(super) fn protect(&mut self, floor: Option<Numbers>) {
        self.floor = floor;
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            original_bytes: self.segment_bytes,
            processed_bytes: self.batch_bytes,
            segments: self.segments.len() as u64,
            batches: self.batches.len() as u64,
            oldest_batch: self.batches.front().map(|unit| unit.number),
            newest_batch: self.batches.back().map(|unit| unit.number),
        }
    }

    /// Takes out the oldest unit that what is kept at most asks to remove at `now`, in seconds since 1970.
    pub(super) fn take_expired(&mut self, now: u64) -> Option<(Kind, Unit)> {
        let Retention { batches, age, bytes } = self.retention;
        let (kind, unit) = self.oldest()?;
        let too_old = age.is_some_and(|age| unit.at.saturating_add(age.as_secs()) < now);
        let too_much = bytes.is_some_and(|most| self.usage().total_bytes() > most);
        if too_old || too_much {
            return self.take(kind);
        }
        let surplus = batches.is_some_and(|most| self.batches.len() as u64 > most);
        if surplus && self.removable(Kind::Batch) {
            // The segments of a batch are older than its first file.
            let until = self.batches.front().map_or(0, |batch| batch.at);
            let earlier = self.segments.front().is_some_and(|segment| segment.at <= until);
            let kind = if earlier && self.removable(Kind::Segment) { Kind::Segment } else { Kind::Batch };
            return self.take(kind);
        }
        None
    }

    /// Takes out the oldest unit that is not among the newest `keep_last` batches, with what is older than those.
    pub(super) fn take_all_but(&mut self, keep_last: u64) -> Option<(Kind, Unit)> {
        let keep = usize::try_from(keep_last).unwrap_or(usize::MAX).min(self.batches.len());
        let kept_since = match keep {
            0 => u64::MAX,
            // The batch before the first that is kept was closed when the latter's segments began to come.
            _ => (self.batches.len() - keep).checked_sub(1).map_or(0, |before| self.batches[before].at),
        };
        let segment =
            self.segments.front().is_some_and(|unit| unit.at <= kept_since) && self.removable(Kind::Segment);
        let batch = self.batches.len() > keep && self.removable(Kind::Batch);
        match (segment, batch) {
            (true, _) => self.take(Kind::Segment),
            (false, true) => self.take(Kind::Batch),
            (false, false) => None,
        }
    }

    /// When the oldest unit that may be removed was written.
    pub(super) fn oldest_at(&self) -> Option<u64> {
        self.oldest().map(|(_, unit)| unit.at)
    }

    /// Takes out the oldest unit that may be removed.
    pub(super) fn take_oldest(&mut self) -> Option<(Kind, Unit)> {
        let (kind, _) = self.oldest()?;
        self.take(kind)
    }

    fn oldest(&self) -> Option<(Kind, &Unit)> {
        let segment = self.segments.front().filter(|_| self.removable(Kind::Segment));
        let batch = self.batches.front().filter(|_| self.removable(Kind::Batch));
        match (segment, batch) {
            (Some(segment), Some(batch)) if batch.at < segment.at => Some((Kind::Batch, batch)),
            (Some(segment), _) => Some((Kind::Segment, segment)),
            (None, batch) => batch.map(|batch| (Kind::Batch, batch)),
        }
    }

    fn removable(&self, kind: Kind) -> bool {
        let (units, floor) = match kind {
            Kind::Segment => (&self.segments, self.floor.map(|floor| floor.segment)),
            Kind::Batch => (&self.batches, self.floor.map(|floor| floor.batch)),
        };
        units.front().is_some_and(|unit| floor.is_none_or(|floor| unit.number < floor))
    }

    fn take(&mut self, kind: Kind) -> Option<(Kind, Unit)> {
        let (units, total) = self.units(kind);
        let unit = units.pop_front()?;
        *total = total.saturating_sub(unit.bytes);
        Some((kind, unit))
    }

    fn units(&mut self, kind: Kind) -> (&mut VecDeque<Unit>, &mut u64) {
        match kind {
            Kind::Segment => (&mut self.segments, &mut self.segment_bytes),
            Kind::Batch => (&mut self.batches, &mut self.batch_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// Batches of three segments, one a second: segment 3b+k at second 3b+k, batch b at 3b+2.
    fn filled(batches: u64) -> Index {
        let mut index = Index::default();
        for number in 0..batches * 3 {
            index.add(Kind::Segment, number, &format!("segment-{number}.ts"), 10, number);
        }
        for number in 0..batches {
            for file in ["video.fmp4", "audio.fmp4"] {
                index.add(Kind::Batch, number, file, 5, number * 3 + 2);
            }
        }
        index
    }

    fn drain(mut take: impl FnMut() -> Option<(Kind, Unit)>) -> (Vec<u64>, Vec<u64>) {
        let (mut segments, mut batches) = (Vec::new(), Vec::new());
        while let Some((kind, unit)) = take() {
            if kind == Kind::Segment { segments.push(unit.number) } else { batches.push(unit.number) }
        }
        (segments, batches)
    }

    #[test]
    fn each_rule_removes_the_oldest() {
        let mut index = filled(4);
        let expected = Usage {
            original_bytes: 120,
            processed_bytes: 40,
            segments: 12,
            batches: 4,
            oldest_batch: Some(0),
            newest_batch: Some(3),
        };
        assert_eq!(index.usage(), expected);
        assert_eq!(drain(|| index.take_expired(1_000)), (vec![], vec![]), "nothing is asked");

        index.retention = Retention { batches: Some(2), ..Retention::default() };
        assert_eq!(drain(|| index.take_expired(1_000)), ((0..6).collect(), vec![0, 1]));
        index.retention = Retention { age: Some(Duration::from_secs(100)), ..Retention::default() };
        assert_eq!(drain(|| index.take_expired(108)), (vec![6, 7], vec![]));
        index.retention = Retention { bytes: Some(31), ..Retention::default() };
        assert_eq!(drain(|| index.take_expired(0)), (vec![8, 9], vec![2]));
        assert_eq!(index.usage().total_bytes(), 30);
    }

    #[test]
    fn what_is_still_to_be_published_stays_whatever_is_asked() {
        let mut index = filled(4);
        index.retention = Retention { batches: Some(0), age: Some(Duration::ZERO), bytes: Some(0) };
        index.protect(Some(Numbers { segment: 6, batch: 2 }));
        assert_eq!(drain(|| index.take_expired(u64::MAX)), ((0..6).collect(), vec![0, 1]));
        assert_eq!(drain(|| index.take_all_but(0)), (vec![], vec![]));
        assert_eq!(drain(|| index.take_oldest()), (vec![], vec![]));
        index.protect(None);
        assert_eq!(drain(|| index.take_oldest()).0.len(), 6);
    }

    #[test]
    fn cleaning_keeps_the_last_batches_and_their_segments() {
        let mut index = filled(4);
        assert_eq!(drain(|| index.take_all_but(1)), ((0..9).collect(), vec![0, 1, 2]));
        assert_eq!(drain(|| index.take_all_but(9)), (vec![], vec![]));
        assert_eq!(drain(|| index.take_all_but(0)), ((9..12).collect(), vec![3]));
        assert_eq!(index.usage(), Usage::default());
    }

    proptest! {
        #[test]
        fn totals_are_the_sum_of_what_is_there(files in prop::collection::vec((any::<bool>(), 0..40_u64, 0..1_000_u64), 0..60), taken in 0..60_usize) {
            let mut index = Index::default();
            for (k, (segment, number, bytes)) in files.iter().enumerate() {
                let kind = if *segment { Kind::Segment } else { Kind::Batch };
                index.add(kind, *number, &k.to_string(), *bytes, *number);
            }
            for _ in 0..taken {
                if let Some((kind, unit)) = index.take_oldest() && taken % 3 == 0 {
                    index.put_back(kind, unit);
                }
            }
            let sum = |units: &VecDeque<Unit>| units.iter().map(|unit| unit.bytes).sum::<u64>();
            let usage = index.usage();
            prop_assert_eq!((usage.original_bytes, usage.processed_bytes), (sum(&index.segments), sum(&index.batches)));
            for units in [&index.segments, &index.batches] {
                prop_assert!(units.iter().zip(units.iter().skip(1)).all(|(a, b)| a.number < b.number));
            }
        }
    }
}
