//! Which presentation times are plausible beside their decode times. Pure.

use std::collections::VecDeque;

use super::clock::Fault;
use super::{RawTimes, StampSource};
use crate::media::Flicks;

/// Presentation times further outside of the usual range than so many pictures are wrong, where they are alone.
const SLACK: i64 = 3;
/// So many offsets at either end of the first range that no other picture has say nothing of what is usual.
const MOST_APART: usize = 2;
/// As long as so many others are left.
const ENOUGH: usize = 3;
/// How many pictures around a wrong one tell which time is missing. Decoders hold 16 pictures at most (ISO/IEC
/// 14496-10 A.3.1, ISO/IEC 23008-2 A.4.2).
const AROUND: usize = 16;
/// Pictures whose offsets make the first range.
const LEARNED: usize = 50;
/// Pictures that are asked whether one of them is alone with its offset.
const ASKED: usize = 8;

/// The range of presentation less decode times in one clock.
#[derive(Debug, Default)]
pub(super) struct Composition {
    range: Option<(Flicks, Flicks)>,
    /// The last presentation times, for what is missing between them.
    shown: VecDeque<Flicks>,
}

impl Composition {
    /// The range of a clock that begins with `waiting`, without the offsets of wrong stamps.
    pub(super) fn learn(&mut self, waiting: &VecDeque<RawTimes>, step: Flicks) {
        let mut offsets: Vec<_> = waiting.iter().take(LEARNED).map(|raw| raw.pts - raw.dts).collect();
        offsets.sort_unstable();
        let apart = |one: Flicks, next: Flicks| next - one > Flicks::new(step.get() / 2);
        let mut rest = &offsets[..];
        for _ in 0..MOST_APART {
            match rest {
                [first, second, others @ ..] if others.len() >= ENOUGH && apart(*first, *second) => {
                    rest = &rest[1..];
                }
                _ => {}
            }
            match rest {
                [others @ .., second, last] if others.len() >= ENOUGH && apart(*second, *last) => {
                    rest = &rest[..rest.len() - 1];
                }
                _ => {}
            }
        }
        self.range = rest.first().copied().zip(rest.last().copied());
    }

    /// Whether a picture may be presented `offset` after it is decoded.
    pub(super) fn fits(&self, offset: Flicks, step: Flicks) -> bool {
        let slack = pictures(step, SLACK);
        self.range.is_none_or(|(least, most)| (least - slack..=most + slack).contains(&offset))
    }

    /// Whether the presentation times of `waiting` go on as if it were decoded from `next` on: then only the
    /// decode times have stepped.
    pub(super) fn goes_on(&self, waiting: &VecDeque<RawTimes>, next: Flicks, step: Flicks) -> bool {
        // A header with one stamp for both times says nothing of the other.
        let told = |(_, raw): &(usize, &RawTimes)| raw.length.is_none() && raw.pts != raw.dts;
        let asked = waiting.iter().take(ASKED).enumerate().filter(told);
        let (mut agree, mut differ) = (0, 0);
        for (n, raw) in asked {
            let fits = self.fits(raw.pts - next - pictures(step, n as i64), step);
            *if fits { &mut agree } else { &mut differ } += 1;
        }
        agree > differ
    }

    /// The presentation time of `raw`, which is decoded at `dts`.
    pub(super) fn pts(
        &mut self,
        raw: RawTimes,
        dts: Flicks,
        fault: Fault,
        waiting: &VecDeque<RawTimes>,
        step: Flicks,
    ) -> Flicks {
        let (offset, pair) = (raw.pts - dts, raw.pts - raw.dts);
        let pts = match fault {
            Fault::Jitter => raw.pts,
            _ if raw.source == StampSource::Table => raw.pts,
            // One stamp for both, and it is wrong.
            Fault::Wrong if pair == Flicks::ZERO => {
                self.range.map_or(dts, |(least, most)| dts + Flicks::ZERO.clamp(least, most))
            }
            // Both are wrong alike: counted from one that is.
            Fault::Wrong if !self.fits(offset, step) && self.fits(pair, step) => dts + pair,
            _ => self.contradicted(raw.pts, dts, waiting, step).unwrap_or(raw.pts),
        };
        if fault == Fault::None && pts == raw.pts {
            let (least, most) = self.range.unwrap_or((offset, offset));
            self.range = Some((least.min(offset), most.max(offset)));
        }
        if self.shown.len() == AROUND {
            self.shown.pop_front();
        }
        self.shown.push_back(pts);
        pts
    }

    /// What `pts` should be, where the pictures around it say that it is wrong. A deeper reordering than before is
    /// not wrong: it fills a place between them.
    fn contradicted(
        &self,
        pts: Flicks,
        dts: Flicks,
        waiting: &VecDeque<RawTimes>,
        step: Flicks,
    ) -> Option<Flicks> {
        let (least, most) = self.range?;
        let offset = pts - dts;
        if (least..=most).contains(&offset) {
            return None;
        }
        let reach = pictures(step, AROUND as i64);
        let possible = |offset: Flicks| (least - reach..=most + reach).contains(&offset);
        let next = || waiting.iter().map(|raw| (raw.pts, raw.pts - raw.dts));
        let around = next().take(AROUND).filter(|(_, offset)| possible(*offset)).map(|(pts, _)| pts);
        let mut around: Vec<_> = self.shown.iter().copied().chain(around).collect();
        around.sort_unstable();
        // The widest place that nobody fills where a picture decoded then may be shown.
        let (from, to) = (dts + least - step, dts + most + step);
        let places = around.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
        let free = places
            .map(|(length, start)| (length, start + Flicks::new(length.get() / 2)))
            .filter(|(length, middle)| length.get() * 4 > step.get() * 7 && (from..=to).contains(middle))
            .max_by_key(|(length, _)| *length)
            .map(|(_, middle)| middle);
        let taken = around.iter().any(|other| (*other - pts).abs().get() * 4 < step.get() * 3);
        let others = next().take(ASKED).filter(|(_, offset)| !possible(*offset)).count();
        let before = |offset: Flicks| offset < least && !self.fits(offset, step);
        let others_before = next().take(ASKED).filter(|(_, offset)| before(*offset)).count();
        match (possible(offset), free) {
            (true, Some(free)) if taken || !self.fits(offset, step) => Some(free),
            // Shown long before it is decoded, and nobody else is: at the end of a segment no place shows.
            (true, None) if before(offset) && others_before < 2 => {
                Some(dts + Flicks::ZERO.clamp(least, most))
            }
            (false, free) if others < 2 => Some(free.unwrap_or(dts + Flicks::ZERO.clamp(least, most))),
            _ => None,
        }
    }
}

fn pictures(step: Flicks, count: i64) -> Flicks {
    Flicks::new(step.get().saturating_mul(count))
}
