//! Samples in, fragments out: where to cut.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Fragment, Sample, TrackConfig, TrackRun, WriteError};

/// When a fragment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutRule {
    /// It ends before the first random-access point that is decoded so much later than its first sample, of
    /// the first track with pictures, or else of the first track.
    pub target: Duration,
    /// It ends anywhere as soon as so much is held: what bounds memory where random-access points, or one
    /// of the tracks, stay away. `usize::MAX` for samples that are all in memory anyway.
    pub max_bytes: usize,
    /// The distance from one sample of a track to the next is its duration only up to this; beyond, and
    /// where the decoding time goes backwards, a new fragment begins.
    pub max_gap: Duration,
}

impl Default for CutRule {
    /// Two seconds: short enough to seek in, long enough that headers are nothing beside the payload.
    /// Eight MiB: two seconds of 32 Mbit/s.
    fn default() -> Self {
        Self { target: Duration::from_secs(2), max_bytes: 8 << 20, max_gap: Duration::from_secs(10) }
    }
}

/// Cuts the samples of one or more tracks into fragments.
///
/// A sample's duration is the distance to the decoding time of the next one of its track; the one that it
/// came with counts only where none follows, and where that is 0, the duration of the sample before it.
/// What a fragment holds of the other tracks is what is presented in the same time, by the edit lists of
/// the tracks.
///
/// ```
/// use bytes::Bytes;
/// use overdub_fmp4::{Codec, CutRule, Fragmenter, Sample, TrackConfig};
///
/// let codec = Codec::MpegAudio { sample_rate: 48_000, channels: 2 };
/// let config = TrackConfig { id: 1, timescale: 48_000, codec, language: None, edit: None };
/// let mut fragmenter = Fragmenter::new(&[config], CutRule::default())?;
/// for frame in 0..100 {
///     let data = Bytes::from_static(b"a frame");
///     let sample = Sample { duration: 1_152, composition_offset: 0, sync: true, data };
///     fragmenter.push(0, frame * 1_152, sample)?;
///     while let Some(fragment) = fragmenter.next_fragment() {
///         let _pieces = fragment.encode()?; // to be written
///     }
/// }
/// fragmenter.finish();
/// assert!(fragmenter.next_fragment().is_some());
/// # Ok::<(), overdub_fmp4::WriteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fragmenter {
    rule: CutRule,
    tracks: Vec<Held>,
    /// The track whose random-access points count, as long as it lasts.
    leader: usize,
    /// What is held costs this much.
    cost: usize,
    sequence: u32,
    ready: VecDeque<Fragment>,
}

/// The samples of a track that are in no fragment yet.
#[derive(Clone, Debug)]
struct Held {
    id: u32,
    timescale: u32,
    /// From decoding to presentation time, as the edit list says.
    shift: i64,
    samples: VecDeque<(u64, Sample)>,
    /// Up to here the leader was searched for a cut.
    searched: usize,
    /// The duration of the last sample that was given away, for one that has none.
    last_duration: u32,
    ended: bool,
}

/// What goes into a fragment.
#[derive(Clone, Copy)]
enum Upto {
    /// What is decoded before this.
    Time(Instant),
    /// All but the newest sample of each track, whose duration is not known yet.
    Newest,
    End,
}

/// A time in attoseconds: exact enough to compare any two timescales, and 128 bits hold all of them.
type Instant = i128;

impl Fragmenter {
    /// Beside its bytes, a sample costs so much to be held.
    const SAMPLE_COST: usize = size_of::<(u64, Sample)>();

    /// For tracks with these configurations; [`push`](Self::push) counts them from 0.
    pub fn new(tracks: &[TrackConfig], rule: CutRule) -> Result<Self, WriteError> {
        super::init::check(tracks)?;
        let leader = tracks.iter().position(|track| track.codec.is_video()).unwrap_or(0);
        let tracks = tracks.iter().map(|track| Held {
            id: track.id,
            timescale: track.timescale,
            shift: track.shift(),
            samples: VecDeque::new(),
            searched: 0,
            last_duration: 0,
            ended: false,
        });
        Ok(Self { rule, tracks: tracks.collect(), leader, cost: 0, sequence: 0, ready: VecDeque::new() })
    }

    /// The next sample of a track. `dts` is its decoding time on the media timeline, as the file will say
    /// it: what is read from a file with an edit list is [`TrackInfo::shift`](crate::TrackInfo::shift)
    /// later than that.
    pub fn push(&mut self, track: usize, dts: i64, sample: Sample) -> Result<(), WriteError> {
        let held = self.tracks.get(track).ok_or(WriteError::UnknownTrack(track))?;
        let dts = u64::try_from(dts).map_err(|_| WriteError::NegativeTime { track: held.id, dts })?;
        if let Some((last, _)) = held.samples.back() {
            let most =
                self.rule.max_gap.as_nanos().saturating_mul(u128::from(held.timescale)) / 1_000_000_000;
            let gap = dts.checked_sub(*last);
            if gap.is_none_or(|gap| u128::from(gap) > most || u32::try_from(gap).is_err()) {
                self.cut(Upto::End);
            }
        }
        self.cost = self.cost.saturating_add(sample.data.len()).saturating_add(Self::SAMPLE_COST);
        if let Some(held) = self.tracks.get_mut(track) {
            held.ended = false;
            held.samples.push_back((dts, sample));
        }
        self.cut_at_target();
        if self.cost >= self.rule.max_bytes {
            // Where all tracks have come to; and if one of them stays away, without it.
            let newest = |held: &Held| held.samples.back().map_or(Instant::MIN, |(dts, _)| held.at(*dts));
            let common = self.tracks.iter().filter(|held| !held.ended).map(newest).min();
            self.cut(Upto::Time(common.unwrap_or(Instant::MIN)));
            if self.cost >= self.rule.max_bytes {
                self.cut(Upto::Newest);
            }
        }
        Ok(())
    }

    /// No more samples of this track come: the others do not wait for it.
    pub fn end_track(&mut self, track: usize) {
        if let Some(held) = self.tracks.get_mut(track) {
            held.ended = true;
        }
        self.cut_at_target();
    }

    /// No more samples come: what is held becomes the last fragment.
    pub fn finish(&mut self) {
        (0..self.tracks.len()).for_each(|track| self.end_track(track));
        self.cut(Upto::End);
    }

    /// A fragment that is complete, numbered from 1.
    pub fn next_fragment(&mut self) -> Option<Fragment> {
        self.ready.pop_front()
    }

    /// Cuts at every random-access point that is far enough from the one before and that all tracks have
    /// reached.
    fn cut_at_target(&mut self) {
        let target = Instant::try_from(self.rule.target.as_nanos()).unwrap_or(Instant::MAX);
        let target = target.saturating_mul(1_000_000_000);
        while let Some(cut) = self.next_cut(target) {
            let reached =
                |held: &Held| held.ended || held.samples.back().is_some_and(|(dts, _)| held.at(*dts) >= cut);
            if !self.tracks.iter().all(reached) {
                return;
            }
            self.cut(Upto::Time(cut));
        }
    }

    /// Where the leader may be cut next, or, once it has ended, the first track that has not.
    fn next_cut(&mut self, target: Instant) -> Option<Instant> {
        let order = std::iter::once(self.leader).chain((0..self.tracks.len()).filter(|i| *i != self.leader));
        for track in order {
            let held = self.tracks.get_mut(track)?;
            let cut = held.next_cut(target);
            if cut.is_some() || !held.ended {
                return cut;
            }
        }
        None
    }

    fn cut(&mut self, upto: Upto) {
        let mut runs = Vec::with_capacity(self.tracks.len());
        for held in &mut self.tracks {
            let count = match upto {
                Upto::Time(cut) => held.samples.partition_point(|(dts, _)| held.at(*dts) < cut),
                Upto::Newest if !held.ended => held.samples.len().saturating_sub(1),
                Upto::Newest | Upto::End => held.samples.len(),
            };
            runs.extend(held.take(count));
        }
        let given: usize =
            runs.iter().flat_map(|run| &run.samples).map(|s| s.data.len() + Self::SAMPLE_COST).sum();
        self.cost = self.cost.saturating_sub(given);
        if !runs.is_empty() {
            self.sequence = self.sequence.wrapping_add(1);
            self.ready.push_back(Fragment::new(self.sequence, runs));
        }
    }
}

impl Held {
    /// When a sample of this track is decoded, on the movie's timeline.
    fn at(&self, dts: u64) -> Instant {
        // 65 bits by 60, so nothing can overflow.
        (Instant::from(dts) + Instant::from(self.shift)) * 1_000_000_000_000_000_000
            / Instant::from(self.timescale)
    }

    /// When the next fragment begins, if a sample is held with which one may.
    fn next_cut(&mut self, target: Instant) -> Option<Instant> {
        let first = self.at(self.samples.front()?.0);
        while let Some((dts, sample)) = self.samples.get(self.searched) {
            let at = self.at(*dts);
            if self.searched > 0 && sample.sync && at - first >= target {
                return Some(at);
            }
            self.searched += 1;
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<TrackRun> {
        self.searched = 0;
        let next = self.samples.get(count).map(|(dts, _)| *dts);
        let base_decode_time = self.samples.front()?.0;
        let ends: Vec<_> =
            self.samples.iter().take(count).skip(1).map(|(dts, _)| Some(*dts)).chain([next]).collect();
        let mut samples = Vec::with_capacity(count);
        for ((dts, mut sample), end) in self.samples.drain(..count).zip(ends) {
            // What is further than 32 bits away is not held beside it.
            let distance = end.and_then(|end| u32::try_from(end.saturating_sub(dts)).ok());
            sample.duration = match distance {
                Some(distance) => distance,
                None if sample.duration > 0 => sample.duration,
                None => self.last_duration,
            };
            self.last_duration = sample.duration;
            samples.push(sample);
        }
        (!samples.is_empty()).then_some(TrackRun { track_id: self.id, base_decode_time, samples })
    }
}
