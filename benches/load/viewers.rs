//! What arrives of each stream, and what does not.

use std::collections::BTreeMap;
use std::time::Duration;

use overdub::media::Moment;

use super::media::FRAMES_PER_SECOND;
use super::receiver::Received;

/// Output that stands still for longer than this is noticed. Where the source is away, a held picture comes each second.
const NOTICED: Duration = Duration::from_millis(1_500);

#[derive(Default)]
pub struct Viewers {
    viewers: BTreeMap<String, Viewer>,
}

/// One stream at the RTMP server.
#[derive(Clone, Debug, Default)]
pub struct Viewer {
    /// The newest publication: which one it is, and how far it has come.
    publication: usize,
    newest: Received,
    /// Pictures that earlier publications lacked, and what lay between them, in milliseconds.
    lost_before: f64,
    moved: Option<Moment>,
    stops: Vec<(Moment, Duration)>,
    pub violations: u64,
    pub violation: Option<String>,
}

impl Viewers {
    /// What the server reports now; `publications_before` are those of servers that were killed.
    pub fn see(&mut self, now: Moment, publications_before: usize, all: &[Received]) {
        for (index, received) in all.iter().enumerate() {
            let viewer = self.viewers.entry(received.key.clone()).or_default();
            viewer.see(now, publications_before + index, received);
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Viewer> {
        self.viewers.values()
    }

    /// How many seconds of pictures each has lost so far.
    pub fn lost(&self) -> Vec<f64> {
        self.all().map(Viewer::lost_seconds).collect()
    }

    /// For how long each has stood still since `since`, in seconds, and when the last of them went on.
    pub fn stood_still(&self, since: Moment) -> (Vec<f64>, Option<Moment>) {
        let mut went_on = None;
        let still = self.all().map(|viewer| {
            let stops = viewer.stops.iter().filter(|(at, _)| *at >= since);
            stops.fold(0.0, |sum, (at, length)| {
                went_on = went_on.max(Some(*at));
                sum + length.as_secs_f64()
            })
        });
        (still.collect(), went_on)
    }
}

impl Viewer {
    fn see(&mut self, now: Moment, publication: usize, received: &Received) {
        // One without a picture is not there yet.
        if publication < self.publication || received.first.is_none() {
            return;
        }
        let another = publication > self.publication;
        if another {
            let between = received.first.zip(self.newest.last).map_or(0, |(next, last)| next - last);
            self.lost_before += self.newest.lacks() + (between as f64 - 1_000.0 / FRAMES_PER_SECOND).max(0.0);
            self.publication = publication;
        }
        if another || received.last > self.newest.last {
            if let Some(still) = self.moved.map(|moved| now.saturating_since(moved)).filter(|s| *s >= NOTICED)
            {
                self.stops.push((now, still));
            }
            self.moved = Some(now);
        }
        self.violations = received.violations;
        self.violation.clone_from(&received.violation);
        self.newest = received.clone();
    }

    pub fn lost_seconds(&self) -> f64 {
        (self.lost_before + self.newest.lacks()) / 1_000.0
    }

    pub fn late(&self) -> [u64; 3] {
        self.newest.late
    }

    pub fn drift(&self) -> i64 {
        self.newest.drift
    }
}

impl Received {
    /// Milliseconds of pictures that are not there between its first and its last.
    fn lacks(&self) -> f64 {
        let Some((first, last)) = self.first.zip(self.last) else { return 0.0 };
        let frame = 1_000.0 / FRAMES_PER_SECOND;
        let lacks = (last - first) as f64 - (self.pictures.saturating_sub(1)) as f64 * frame;
        // Times are whole milliseconds.
        if lacks < frame / 2.0 { 0.0 } else { lacks }
    }
}
