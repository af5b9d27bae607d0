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
    /// When pictures were last found to be missing, and how many seconds of them by then.
    missed: Option<Moment>,
    missing: f64,
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

    /// For how long each has stood still since `since`, in seconds.
    pub fn stood_still(&self, since: Moment) -> Vec<f64> {
        let stops = |viewer: &Viewer| viewer.stops_since(since).map(|(_, length)| length.as_secs_f64()).sum();
        self.all().map(stops).collect()
    }

    /// Since when all have had all pictures again; none where all had them since `since`.
    pub fn whole(&self, since: Moment) -> Option<Moment> {
        let went_on = |viewer: &Viewer| viewer.stops_since(since).map(|(at, _)| *at).max();
        self.all().filter_map(|viewer| went_on(viewer).max(viewer.missed.filter(|at| *at >= since))).max()
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
        // Times are whole milliseconds.
        let missing = self.lost_seconds();
        if missing > self.missing + 0.5 / FRAMES_PER_SECOND {
            (self.missed, self.missing) = (Some(now), missing);
        }
    }

    fn stops_since(&self, since: Moment) -> impl Iterator<Item = &(Moment, Duration)> {
        self.stops.iter().filter(move |(at, _)| *at >= since)
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
