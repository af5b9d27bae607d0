//! How many lines of a kind are shown, and how many were not. Pure.
//!
//! A peer decides how often some things happen: an RTMP server how many statuses it sends, a processor how many errors.
//! A budget for each kind keeps one of them from filling a disk or pushing everything else out of the page.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::media::Moment;

/// Kinds that are counted apart. Those beyond share one budget: kinds are few, but stream ids are callers' words.
const MAX_KINDS: usize = 4_096;

/// How long suppressed lines are counted before their number is told.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// How often idle kinds are looked for when there is no room for another.
const SWEEP: Duration = Duration::from_secs(1);

/// What one kind may show: so many lines at once, and one each so often after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) burst: u32,
    pub(super) every: Duration,
}

/// Lines of info and above. Ordinary operation writes some lines a minute of a kind: one for each batch, which
/// `bufferDuration` makes 60 at most, and some tens at once where a source loses a window of segments.
pub(super) const USUAL: Budget = Budget { burst: 120, every: Duration::from_millis(500) };

/// Details: some for each reading of a playlist and each segment, of two renditions. The page's ring keeps them whether
/// anybody asks for them or not, so that they must not push the other lines out.
pub(super) const DETAIL: Budget = Budget { burst: 240, every: Duration::from_millis(250) };

/// Budgets of kinds `K`; `W` says what was suppressed.
#[derive(Debug)]
pub(super) struct Limits<K, W> {
    kinds: HashMap<K, Kind<W>>,
    /// Of all kinds for which there was no room.
    rest: Kind<W>,
    swept: Moment,
    /// No window ends before.
    next_end: Option<Moment>,
}

#[derive(Debug)]
struct Kind<W> {
    /// When all of the budget is there again (the "theoretical arrival time" of the generic cell rate algorithm,
    /// ITU-T I.371).
    full_at: Moment,
    suppressed: Option<Suppressed<W>>,
}

/// Lines of one kind that were not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suppressed<W> {
    /// The first of them.
    pub(super) what: W,
    pub(super) count: u64,
    since: Moment,
}

impl<W> Default for Kind<W> {
    fn default() -> Self {
        Self { full_at: Moment::ZERO, suppressed: None }
    }
}

impl<K, W> Default for Limits<K, W> {
    fn default() -> Self {
        Self { kinds: HashMap::new(), rest: Kind::default(), swept: Moment::ZERO, next_end: None }
    }
}

impl<K: Hash + Eq, W> Limits<K, W> {
    /// Whether a line of this kind is shown. Otherwise it is counted; `what` describes the first one.
    pub(super) fn admits(&mut self, kind: K, budget: Budget, now: Moment, what: impl FnOnce() -> W) -> bool {
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            self.sweep(now);
        }
        let has_room = self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&kind);
        let known = if has_room { self.kinds.entry(kind).or_default() } else { &mut self.rest };
        if known.takes(budget, now) {
            return true;
        }
        let suppressed =
            known.suppressed.get_or_insert_with(|| Suppressed { what: what(), count: 0, since: now });
        suppressed.count += 1;
        let end = suppressed.since + WINDOW;
        self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
        false
    }

    /// What was suppressed in windows that have ended.
    pub(super) fn ended(&mut self, now: Moment) -> Vec<Suppressed<W>> {
        if self.next_end.is_none_or(|end| now < end) {
            return Vec::new();
        }
        self.take(|suppressed| now >= suppressed.since + WINDOW)
    }

    /// What was suppressed and not told yet, whether its window has ended or not.
    pub(super) fn all(&mut self) -> Vec<Suppressed<W>> {
        self.take(|_| true)
    }

    fn take(&mut self, is_due: impl Fn(&Suppressed<W>) -> bool) -> Vec<Suppressed<W>> {
        let mut due = Vec::new();
        self.next_end = None;
        for kind in self.kinds.values_mut().chain([&mut self.rest]) {
            due.extend(kind.suppressed.take_if(|suppressed| is_due(suppressed)));
            if let Some(left) = &kind.suppressed {
                let end = left.since + WINDOW;
                self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
            }
        }
        due.sort_by_key(|suppressed| suppressed.since);
        due
    }

    /// Forgets kinds of which nothing was shown for so long that they have all of their budget again.
    fn sweep(&mut self, now: Moment) {
        if now.saturating_since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.kinds.retain(|_, kind| kind.full_at > now || kind.suppressed.is_some());
    }
}

impl<W> Kind<W> {
    fn takes(&mut self, budget: Budget, now: Moment) -> bool {
        let full_at = self.full_at.max(now) + budget.every;
        let fits = full_at.saturating_since(now) <= budget.every * budget.burst;
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { burst: 10, every: Duration::from_secs(2) };

    fn at(seconds: f64) -> Moment {
        Moment::from_start(Duration::from_secs_f64(seconds))
    }

    /// How many of so many lines a second are shown, second by second.
    fn shown(limits: &mut Limits<u32, ()>, kind: u32, seconds: std::ops::Range<u32>, rate: u32) -> Vec<u32> {
        let line = |second: u32, n: u32| at(f64::from(second) + f64::from(n) / f64::from(rate));
        seconds
            .map(|second| {
                (0..rate).filter(|n| limits.admits(kind, BUDGET, line(second, *n), || ())).count() as u32
            })
            .collect()
    }

    #[test]
    fn a_flood_gets_a_burst_and_then_its_rate_and_its_number_is_told_each_minute() {
        let mut limits = Limits::default();
        let shown = shown(&mut limits, 1, 0..61, 1_000);
        assert_eq!(shown[0], 10);
        assert_eq!(shown[1..].iter().sum::<u32>(), 30, "one each two seconds: {shown:?}");
        assert!(limits.ended(at(60.0)).is_empty());
        let told = limits.ended(at(60.5));
        assert_eq!(told.iter().map(|told| told.count).collect::<Vec<_>>(), [61_000 - 40]);
        assert!(limits.ended(at(500.0)).is_empty(), "told once");
        assert!(limits.all().is_empty());
    }

    #[test]
    fn what_stays_within_its_rate_is_never_suppressed() {
        let mut limits = Limits::default();
        for line in 0..10_000_u32 {
            assert!(limits.admits(1, BUDGET, at(f64::from(line) * 2.0), || ()));
        }
        // And a burst is there again after a rest.
        assert_eq!(shown(&mut limits, 1, 20_020..20_021, 10), [10]);
    }

    #[test]
    fn a_flood_of_one_kind_takes_nothing_from_another() {
        let mut limits = Limits::default();
        assert_eq!(shown(&mut limits, 1, 0..1, 1_000), [10]);
        assert_eq!(shown(&mut limits, 2, 0..1, 10), [10]);
    }

    #[test]
    fn the_first_suppressed_line_describes_the_others_and_an_end_tells_all() {
        let mut limits = Limits::default();
        for line in 0..15 {
            limits.admits("kind", BUDGET, at(1.0), || line);
        }
        limits.admits("kind", BUDGET, at(2.0), || 99);
        let told = limits.all();
        assert_eq!(told, [Suppressed { what: 10, count: 6, since: at(1.0) }]);
        assert!(limits.all().is_empty() && limits.ended(at(1_000.0)).is_empty());
    }

    #[test]
    fn kinds_without_end_cost_no_memory_without_end_and_share_what_is_left() {
        let mut limits = Limits::default();
        let shown = (0..100_000).filter(|kind| limits.admits(*kind, BUDGET, at(1.0), || ())).count();
        assert!(limits.kinds.len() <= MAX_KINDS);
        assert_eq!(shown, MAX_KINDS + BUDGET.burst as usize);
        assert_eq!(limits.all().len(), 1, "the rest is one kind");
        // The idle ones make room.
        let shown = (0..1_000).filter(|kind| limits.admits(200_000 + kind, BUDGET, at(60.0), || ())).count();
        assert_eq!(shown, 1_000);
        assert!(limits.kinds.len() <= MAX_KINDS);
    }
}
