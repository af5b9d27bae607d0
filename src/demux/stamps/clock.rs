//! Which decode times belong to the clock that runs, which are wrong, and where another clock begins. Pure.

use std::collections::VecDeque;

use super::composition::Composition;
use super::{CleanTimes, Decided, RawTimes, StampSource};
use crate::media::Flicks;

/// How far ahead a doubtful stamp is compared with those behind it: more frames than any PES packet of audio
/// holds (FFmpeg gathers 2,930 bytes, 34 frames at 32 kbit/s), so that one wrong header is seen to end.
const LOOKAHEAD: usize = 100;

/// A step forwards beyond this is another clock, not a gap.
const JUMP: Flicks = Flicks::from_millis(10_000);

/// Decode times that step back by up to this much and go on from there are jitter of one clock: remuxers and
/// segmenters repeat or overlap a few frames (jellyfin, FFmpeg's concat demuxer). More is a clock that begins
/// again.
const JITTER: Flicks = Flicks::from_millis(500);

/// So much of such steps is taken for jitter at once...
const MOST_JITTER: Flicks = Flicks::from_millis(1_000);
/// ... and this part of the time that passes is forgiven: a clock that loses more than a tenth begins anew each
/// time.
const FORGIVEN: i64 = 10;

/// Independent stamps that make a new clock. A single one that nothing follows may just be wrong.
const CONFIRMED: usize = 2;

/// A clock of another track is joined by a stamp this near to it.
const REACH: Flicks = Flicks::from_millis(10_000);

/// The distance of pictures where nothing tells it.
const USUAL_STEP: Flicks = Flicks::from_millis(40);

/// Pictures that are further apart say nothing about the usual distance.
const LONGEST_STEP: Flicks = Flicks::from_millis(1_000);

/// Audio that begins a clock, and then has a gap longer than this, began with a wrong stamp.
const LONE_START: Flicks = Flicks::from_millis(500);

/// The last stamp of a segment is doubted where it is this much further from the one before than usual: what
/// would speak for it is not there yet. One that a single wrong bit explains is not believed; webcams and recorders
/// do end with a picture a second behind the others.
const LONE: Flicks = Flicks::from_millis(150);

/// What is wrong with a sample's raw times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The decode time steps back, or is off altogether: the presentation time is not to blame.
    Jitter,
    /// A stamp that those around it contradict.
    Wrong,
}

/// Stage one: raw times to those of the running clock.
#[derive(Debug, Default)]
pub(super) struct SourceClock {
    waiting: VecDeque<RawTimes>,
    ready: Decided,
    /// The last decode time that was decided.
    last: Option<Flicks>,
    /// The usual distance of samples.
    step: Option<Flicks>,
    /// Added to decode times that are off while the presentation times are right.
    correction: Flicks,
    /// Jitter that is not forgiven yet.
    jitter: Flicks,
    /// The raw decode time of a stamp that was alone when it was doubted: another that goes on from it makes a clock.
    doubted: Option<Flicks>,
    /// The last stamp was the last of a segment and further away than usual: the decode time before it.
    before_lone: Option<Flicks>,
    composition: Composition,
}

impl SourceClock {
    pub(super) fn push(&mut self, mut raw: RawTimes) {
        raw.dts += self.correction;
        self.waiting.push_back(raw);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty()
    }

    pub(super) fn poll(&mut self, ended: bool, begun: &[Flicks]) -> Option<CleanTimes> {
        if self.ready.is_empty() && (ended || self.waiting.len() > LOOKAHEAD) {
            self.decide(ended, begun);
        }
        self.ready.pop_front()
    }

    /// Decides about the first that waits, and about those that share its fate.
    fn decide(&mut self, ended: bool, begun: &[Flicks]) {
        let Some(first) = self.waiting.front().copied() else { return };
        let step = self.step();
        let Some(last) = self.last else { return self.start(step) };
        let usual = |distance: Flicks| distance > Flicks::ZERO && distance <= times(step, 3);
        if let Some(before) = self.before_lone.take()
            && first.dts <= last
            && usual(first.dts - before)
        {
            // That one was wrong: the clock goes on from the one before. It has left already.
            self.last = Some(before);
            return self.decide(ended, begun);
        }
        let distance = first.dts - last;
        if distance > Flicks::ZERO && distance <= Flicks::new(step.get() / 2 * 3) {
            self.doubted = None;
            self.learn(distance);
            return self.take(first.dts, Fault::None);
        }
        if let Some(Return { after, back, fault }) = self.returns(last, step) {
            self.jitter += back;
            let part = Flicks::new((self.dts(after) - last).get() / (after as i64 + 1));
            if distance == Flicks::ZERO {
                // Two pictures with one stamp each time: fields.
                self.learn(part);
            }
            return (1..=after).for_each(|n| self.take(last + whole_ticks(times(part, n)), fault));
        }
        let independent = self.waiting.iter().filter(|raw| raw.source != StampSource::Counted);
        let alone = independent.take(CONFIRMED).count() < CONFIRMED;
        let next = last + step;
        if distance > Flicks::ZERO && distance <= JUMP {
            let doubtful = ended && alone && distance > step + LONE && self.can_be_wrong(first);
            if doubtful && self.is_one_bit_off(first.dts, last, step) {
                return self.take(next, Fault::Wrong);
            }
            self.before_lone = doubtful.then_some(last);
            self.learn(distance);
            return self.take(first.dts, Fault::None);
        }
        if self.composition.goes_on(&self.waiting, next, step) {
            self.correct(next - first.dts);
            return self.take(next, Fault::Jitter);
        }
        let raw = first.dts - self.correction;
        let near = |other: &Flicks| (raw - *other).abs() <= REACH;
        let goes_on = first.source != StampSource::Counted && self.doubted.is_some_and(|other| near(&other));
        if alone && !goes_on && !begun.iter().any(near) {
            self.doubted = Some(raw);
            // The second field of a pair has the stamp of the first.
            let fault = if distance == Flicks::ZERO { Fault::Jitter } else { Fault::Wrong };
            return self.take(next, fault);
        }
        self.correct(-self.correction);
        (self.jitter, self.step, self.doubted) = (Flicks::ZERO, None, None);
        self.start(self.step());
        if let Some(begins) = self.ready.front_mut() {
            begins.restart = true;
        }
    }

    /// The first sample of a clock, and what is wrong before it.
    fn start(&mut self, step: Flicks) {
        self.composition = Composition::default();
        self.composition.learn(&self.waiting, step);
        match self.wrong_start(step) {
            0 => self.take(self.dts(0), Fault::None),
            wrong => {
                let next = self.dts(wrong);
                (0..wrong).for_each(|n| self.take(next - times(step, wrong - n), Fault::Wrong));
            }
        }
    }

    /// Gives the first that waits this decode time.
    fn take(&mut self, dts: Flicks, fault: Fault) {
        let step = self.step();
        let Some(raw) = self.waiting.pop_front() else { return };
        let pts = match (raw.length, fault) {
            (Some(_), Fault::None) => raw.pts,
            // Audio is presented in the order in which it is decoded.
            (Some(_), _) => dts,
            (None, _) => self.composition.pts(raw, dts, fault, &self.waiting, step),
        };
        self.last = Some(dts);
        self.ready.push_back(CleanTimes { dts, pts, restart: false });
    }

    /// Moves the decode times of what waits and of what comes by so much more.
    fn correct(&mut self, by: Flicks) {
        self.correction += by;
        self.waiting.iter_mut().for_each(|raw| raw.dts += by);
    }

    fn learn(&mut self, distance: Flicks) {
        self.jitter = (self.jitter - Flicks::new(distance.get() / FORGIVEN)).max(Flicks::ZERO);
        if distance <= LONGEST_STEP {
            let step = self.step.unwrap_or(distance);
            self.step = Some(step + Flicks::new((distance - step).get() / 8));
        }
    }

    fn dts(&self, index: usize) -> Flicks {
        self.waiting.get(index).map_or(Flicks::ZERO, |raw| raw.dts)
    }

    /// The usual distance, by the format, by what came, or by what comes.
    fn step(&self) -> Flicks {
        let fixed = self.waiting.front().and_then(|raw| raw.length);
        fixed.or(self.step).unwrap_or_else(|| {
            let pairs = self.waiting.iter().zip(self.waiting.iter().skip(1));
            let mut distances: Vec<_> = pairs
                .map(|(one, next)| next.dts - one.dts)
                .filter(|distance| *distance > Flicks::ZERO && *distance <= LONGEST_STEP)
                .take(LOOKAHEAD)
                .collect();
            distances.sort_unstable();
            distances.get(distances.len() / 2).copied().unwrap_or(USUAL_STEP)
        })
    }

    /// With one other bit the stamp would follow `last`.
    fn is_one_bit_off(&self, dts: Flicks, last: Flicks, step: Flicks) -> bool {
        // Those counted on from it are off by as much. It is ahead, so the bit is one too many.
        (0..33).any(|bit| {
            let distance = dts - Flicks::from_ticks(1 << bit) - last;
            distance > Flicks::ZERO && distance <= times(step, 2)
        })
    }

    /// A header's stamp for both times, or two that do not go together.
    fn can_be_wrong(&self, raw: RawTimes) -> bool {
        let offset = raw.pts - raw.dts;
        raw.source != StampSource::Table
            && (offset == Flicks::ZERO || !self.composition.fits(offset, self.step()))
    }

    /// How many samples stand at the start of a clock with one wrong stamp, before those that agree.
    fn wrong_start(&self, step: Flicks) -> usize {
        let fixed = self.waiting.front().is_some_and(|raw| raw.length.is_some());
        let longest = if fixed { LONE_START } else { LONGEST_STEP };
        let usual = |from: usize, to: usize| {
            let distance = self.dts(to) - self.dts(from);
            distance > Flicks::ZERO && distance <= longest
        };
        let count = self.waiting.len().min(LOOKAHEAD);
        let Some(border) = (1..count).find(|index| !usual(index - 1, *index)) else { return 0 };
        let header = self.waiting.iter().take(border).filter(|raw| raw.source == StampSource::Header).count();
        let table = self.waiting.front().is_some_and(|raw| raw.source == StampSource::Table);
        let agree = (border + 1..count).take_while(|index| usual(index - 1, *index)).count();
        // Without the stamp behind the border the clock may go on as well.
        let counted =
            self.waiting.iter().skip(border + 1).take_while(|raw| raw.source == StampSource::Counted);
        let behind = border + 1 + counted.count();
        let over = self.dts(behind) - self.dts(border - 1) - times(step, behind + 1 - border);
        let other = behind < count && over.abs() <= step;
        if !table && header <= 1 && agree >= border.max(CONFIRMED) && !other { border } else { 0 }
    }

    /// Where the clock that runs goes on behind samples that are off; `None`: nowhere, or it only steps forwards.
    fn returns(&self, last: Flicks, step: Flicks) -> Option<Return> {
        let first = self.dts(0);
        let forwards = first > last;
        // A step forwards is wrong only if it is taken back.
        let allowed = if forwards { Flicks::new((first - last - step).get().abs() / 2) } else { JITTER };
        let allowed = allowed.min(JITTER);
        let count = self.waiting.len().min(LOOKAHEAD + 1);
        let off = |index: usize| self.dts(index) - last - times(step, index + 1);
        let goes_on = |index: usize, most: Flicks| {
            let dts = self.dts(index);
            let taken_back = dts <= self.dts(index - 1);
            let follows = index + 1 == count || {
                let behind = self.dts(index + 1) - dts;
                behind >= Flicks::ZERO && behind <= JUMP
            };
            dts > last && (taken_back || !forwards) && off(index).abs() <= most && follows
        };
        // Behind what one header says it is right again; or else behind the fewest samples.
        let counted =
            self.waiting.iter().skip(1).take_while(|raw| raw.source == StampSource::Counted).count();
        let header = Some(counted + 1).filter(|index| *index < count && goes_on(*index, step.min(allowed)));
        let after = header.or_else(|| (1..count).find(|index| goes_on(*index, allowed)))?;
        let stays = first == last || off(after) < -Flicks::new(step.get() / 2);
        let (back, fault) = if stays {
            ((last - first).max(Flicks::ZERO), Fault::Jitter)
        } else {
            (Flicks::ZERO, Fault::Wrong)
        };
        (self.jitter + back <= MOST_JITTER).then_some(Return { after, back, fault })
    }
}

/// The clock goes on.
struct Return {
    /// Behind so many samples.
    after: usize,
    /// By how much it has stepped back for good.
    back: Flicks,
    /// What is wrong with those samples.
    fault: Fault,
}

fn times(step: Flicks, count: usize) -> Flicks {
    Flicks::new(step.get().saturating_mul(count as i64))
}

/// To the tick of 90 kHz below, so that a transport stream's times stay on its clock.
fn whole_ticks(span: Flicks) -> Flicks {
    Flicks::from_ticks(span.to_ticks())
}
