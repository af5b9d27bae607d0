//! The audio frame grid of a period (DESIGN section 3; docs/time.md). Pure.
//!
//! Frame `k` stands at `start + k * frame length`, exactly. The source's stamps are rounded to 90 kHz and
//! jitter; the grid follows the count of frames instead, and listens to the stamps only where they insist.

use bytes::Bytes;

use crate::media::{AudioParams, Flicks, StampedFrame};

/// A deviation must last this many frames before the grid steps: encoders' stamps jump back and forth by a
/// frame around PES borders, but not for a fifth of a second.
const INSIST: usize = 10;

/// The grid of one period.
#[derive(Debug)]
pub struct Grid {
    frame: Flicks,
    sample_rate: u32,
    frame_len: i64,
    silent: Option<Bytes>,
    /// The last frame that was placed.
    last: Option<Bytes>,
    start: Flicks,
    count: i64,
    deviating: usize,
    stats: GridStats,
}

/// How often the grid had to step; counted per frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GridStats {
    /// Silent frames put in.
    pub inserted: u64,
    /// Source frames left out.
    pub dropped: u64,
}

impl Grid {
    /// A grid whose frame 0 stands at `start`; `silent` is what fills its holes.
    pub fn new(params: &AudioParams, silent: Option<Bytes>, start: Flicks) -> Self {
        Self {
            frame: params.frame_duration(),
            sample_rate: params.sample_rate,
            frame_len: i64::from(params.frame_len),
            silent,
            last: None,
            start,
            count: 0,
            deviating: 0,
            stats: GridStats::default(),
        }
    }

    /// Where the next frame stands.
    pub fn next(&self) -> Flicks {
        self.at(self.count)
    }

    pub fn stats(&self) -> GridStats {
        self.stats
    }

    /// Puts `frames` on the grid behind what is there: returns where the first stands and the frames
    /// without holes.
    pub fn place(&mut self, frames: &[StampedFrame]) -> (Flicks, Vec<Bytes>) {
        let first = self.next();
        let mut placed = Vec::with_capacity(frames.len());
        let mut skip = 0_i64;
        for (index, frame) in frames.iter().enumerate() {
            if skip > 0 {
                skip -= 1;
                self.stats.dropped += 1;
                continue;
            }
            let deviation = self.deviation(frame, 0);
            if deviation == 0 {
                self.deviating = 0;
            } else if self.insists(&frames[index..], deviation.signum()) {
                self.deviating = 0;
                if deviation > 0 {
                    self.fill(deviation, &mut placed);
                } else {
                    // This frame and those behind it that the grid has no place for.
                    skip = -deviation - 1;
                    self.stats.dropped += 1;
                    continue;
                }
            } else {
                self.deviating += 1;
            }
            placed.push(frame.data.clone());
            self.last = Some(frame.data.clone());
            self.count += 1;
        }
        (first, placed)
    }

    /// Silent frames until the grid has reached `end`, to the nearest frame.
    pub fn fill_until(&mut self, end: Flicks) -> Vec<Bytes> {
        let mut placed = Vec::new();
        let missing = self.frames_in(end - self.next());
        self.fill(missing, &mut placed);
        placed
    }

    fn at(&self, k: i64) -> Flicks {
        self.start + Flicks::from_samples(k * self.frame_len, self.sample_rate)
    }

    /// By how many whole frames `frame`, `ahead` places from now, is off the grid; 0 within half a frame.
    fn deviation(&self, frame: &StampedFrame, ahead: i64) -> i64 {
        self.frames_in(frame.pts - self.at(self.count + ahead))
    }

    fn frames_in(&self, span: Flicks) -> i64 {
        let (span, frame) = (span.get(), self.frame.get().max(1));
        // To nearest; exactly half is jitter.
        let magnitude = (span.abs() + frame / 2 - i64::from(frame % 2 == 0)) / frame;
        span.signum() * magnitude
    }

    /// Whether the deviation has lasted, or will last, [`INSIST`] frames in one direction. Looking ahead in
    /// the frames at hand puts the step where the hole is, not ten frames behind it.
    fn insists(&self, frames: &[StampedFrame], direction: i64) -> bool {
        let lasting = frames
            .iter()
            .enumerate()
            .take(INSIST)
            .take_while(|(ahead, frame)| self.deviation(frame, *ahead as i64).signum() == direction)
            .count();
        self.deviating + lasting >= INSIST
    }

    fn fill(&mut self, count: i64, placed: &mut Vec<Bytes>) {
        // Where no silence can be made the last frame is heard again: what is behind stays in time.
        let Some(silent) = self.silent.as_ref().or(self.last.as_ref()).cloned() else { return };
        for _ in 0..count.max(0) {
            placed.push(silent.clone());
            self.count += 1;
            self.stats.inserted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::AudioCodec;

    const SILENT: Bytes = Bytes::from_static(b"silent");

    fn params() -> AudioParams {
        AudioParams {
            codec: AudioCodec::Aac,
            config: Bytes::new(),
            sample_rate: 48_000,
            channels: 2,
            frame_len: 1024,
            codec_string: String::new(),
        }
    }

    fn frame(at: f64, jitter_ticks: i64) -> StampedFrame {
        let exact = Flicks::from_samples((at * 1024.0) as i64, 48_000);
        let pts = Flicks::from_ticks(exact.to_ticks() + jitter_ticks);
        StampedFrame { pts, data: Bytes::from(format!("{at}")) }
    }

    fn grid() -> Grid {
        Grid::new(&params(), Some(SILENT), Flicks::ZERO)
    }

    #[test]
    fn jitter_below_half_a_frame_leaves_no_trace() {
        let mut grid = grid();
        let frames: Vec<_> =
            (0..1000).map(|k| frame(f64::from(k), if k % 2 == 0 { 900 } else { -900 })).collect();
        let (start, placed) = grid.place(&frames);
        assert_eq!((start, placed.len(), grid.stats()), (Flicks::ZERO, 1000, GridStats::default()));
        assert_eq!(grid.next(), Flicks::from_samples(1000 * 1024, 48_000));
    }

    #[test]
    fn a_hole_is_filled_with_silence_where_it_is() {
        let mut grid = grid();
        let frames: Vec<_> = (0..5).chain(8..30).map(|k| frame(f64::from(k), 0)).collect();
        let (_, placed) = grid.place(&frames);
        assert_eq!(placed.len(), 30);
        assert_eq!(&placed[5..8], [SILENT, SILENT, SILENT]);
        assert_eq!(placed[8], frames[5].data);
        assert_eq!(grid.stats(), GridStats { inserted: 3, dropped: 0 });
    }

    #[test]
    fn a_clock_that_runs_fast_drops_a_frame_and_stays_within_one() {
        // The source makes a frame each 1023 samples of its own stamps: 1 frame too many in 1024.
        let mut grid = grid();
        for second in 0..100 {
            let frames: Vec<_> = (0..47)
                .map(|k| {
                    let n = second * 47 + k;
                    StampedFrame { pts: Flicks::from_samples(n * 1023, 48_000), data: Bytes::new() }
                })
                .collect();
            grid.place(&frames);
            let source = Flicks::from_samples((second + 1) * 47 * 1023, 48_000);
            assert!((grid.next() - source).abs() <= grid.frame, "{second}");
        }
        assert!(grid.stats().dropped >= 3 && grid.stats().inserted == 0);
    }

    #[test]
    fn a_short_spike_is_absorbed() {
        let mut grid = grid();
        let frames: Vec<_> =
            (0..40).map(|k| frame(f64::from(k), if (10..15).contains(&k) { 4000 } else { 0 })).collect();
        assert_eq!(grid.place(&frames).1.len(), 40);
        assert_eq!(grid.stats(), GridStats::default());
    }

    #[test]
    fn a_deviation_that_spans_two_calls_is_seen() {
        let mut grid = grid();
        let frames: Vec<_> = (0..5).chain(7..40).map(|k| frame(f64::from(k), 0)).collect();
        let mut total = 0;
        for part in frames.chunks(7) {
            total += grid.place(part).1.len();
        }
        assert_eq!((total, grid.stats().inserted), (40, 2));
    }

    #[test]
    fn silence_reaches_to_the_nearest_frame_of_an_end() {
        let mut grid = grid();
        grid.place(&[frame(0.0, 0)]);
        assert_eq!(grid.fill_until(Flicks::from_samples(1024 * 10 + 400, 48_000)).len(), 9);
        assert_eq!(grid.fill_until(Flicks::ZERO).len(), 0);
    }
}
