//! The pictures of the output: those of the source, and what stands for them in a hole. Pure.

use std::sync::Arc;

use bytes::Bytes;

use super::Slate;
use super::still;
use crate::media::{Flicks, Packet, PacketKind, VideoCodec, VideoParams};

/// In a hole a picture is sent this often: players show it at once wherever they begin, and it costs a frame.
pub(super) const STEP: Flicks = Flicks::from_millis(1_000);

/// A picture that lasts longer than the one before did is no hole yet; this much of that is allowed.
const LONGER: Flicks = Flicks::from_millis(1_000);

#[derive(Debug, Default)]
pub(super) struct Video {
    shown: Option<Shown>,
    /// The last picture that decodes on its own, as it came; where this configuration has none, another.
    last: Option<Still>,
    held: Option<Held>,
    /// One was left out: what follows may refer to it, up to the next random-access picture.
    broken: bool,
    /// A picture of the source that goes on is at hand, shown at this time: a clip has to be over by then.
    goes_on_at: Option<Flicks>,
    /// What is shown before this refers to pictures that nobody has.
    leading_before: Option<Flicks>,
    pub(super) dropped: u64,
}

/// What was given out last.
#[derive(Clone, Copy, Debug)]
struct Shown {
    dts: Flicks,
    end: Flicks,
    /// The latest time at which any picture is shown.
    pts: Flicks,
    batch: u64,
}

#[derive(Debug)]
struct Still {
    params: Arc<VideoParams>,
    data: Bytes,
    composition: Flicks,
}

/// The source's pictures are not there.
#[derive(Debug)]
struct Held {
    began: Flicks,
    /// Of the next picture that stands for them.
    next: Flicks,
    filler: Filler,
}

#[derive(Debug)]
enum Filler {
    Still(Still),
    /// The pictures of the clip that were shown.
    Slate(u64),
    /// There is no picture.
    Blank,
}

impl Video {
    /// When the next picture has to stand for one that is missing, if none comes; `None` before the first.
    pub(super) fn next_fill(&self) -> Option<Flicks> {
        let shown = self.shown?;
        Some(match &self.held {
            Some(held) => held.next,
            None => (shown.dts + STEP).max(shown.end + (shown.end - shown.dts).min(LONGER)),
        })
    }

    pub(super) fn held_since(&self) -> Option<Flicks> {
        self.held.as_ref().map(|held| held.began)
    }

    pub(super) fn is_blank(&self) -> bool {
        matches!(&self.held, Some(Held { filler: Filler::Blank, .. }))
    }

    /// Where the clip began, while it plays.
    pub(super) fn slate_began(&self) -> Option<Flicks> {
        let held = self.held.as_ref()?;
        matches!(held.filler, Filler::Slate(_)).then_some(held.began)
    }

    /// The codec of the pictures so far.
    pub(super) fn codec(&self) -> Option<VideoCodec> {
        self.last.as_ref().map(|last| last.params.codec)
    }

    /// `packet` comes next, behind what is missing before it.
    pub(super) fn expect(&mut self, packet: &Packet, clock: Flicks) {
        self.goes_on_at = self.goes_on(packet, clock).then_some(packet.pts);
    }

    /// What stands for the picture that is missing at [`Video::next_fill`].
    pub(super) fn fill(&mut self, slate: Option<&Slate>) -> Option<Packet> {
        let (at, mut shown) = (self.next_fill()?, self.shown?);
        let held = self.held.get_or_insert_with(|| {
            let still = || {
                let last = self.last.as_ref()?;
                let data = still::still(last.params.codec, &last.data)?;
                Some(Still { params: Arc::clone(&last.params), data, composition: last.composition })
            };
            let filler = match slate {
                Some(_) => Filler::Slate(0),
                None => still().map_or(Filler::Blank, Filler::Still),
            };
            Held { began: at, next: at, filler }
        });
        let (params, random_access, composition, duration, data) = match (&mut held.filler, slate) {
            (Filler::Still(still), _) => {
                held.next = at + STEP;
                (&still.params, true, still.composition, STEP, still.data.clone())
            }
            (Filler::Slate(played), Some(slate)) => {
                let track = slate.video();
                let sample = &track.samples[(*played % track.samples.len() as u64) as usize];
                if self.goes_on_at.is_some_and(|pts| at + (sample.pts - sample.dts) >= pts) {
                    // Those behind it refer to it.
                    held.next = Flicks::new(i64::MAX);
                    return None;
                }
                *played += 1;
                // At least a millisecond, so that a clip with equal times does not stand still.
                held.next = (held.began + slate.picture_at(*played)).max(at + Flicks::from_millis(1));
                let composition = sample.pts - sample.dts;
                (&track.params, sample.random_access, composition, held.next - at, sample.data.clone())
            }
            (Filler::Slate(_) | Filler::Blank, _) => {
                held.next = at + STEP;
                return None;
            }
        };
        let packet = Packet {
            kind: PacketKind::Video { params: Arc::clone(params), random_access },
            dts: at,
            pts: if random_access { (at + composition).max(shown.pts) } else { at + composition },
            duration,
            batch: shown.batch,
            data,
        };
        shown.dts = at;
        shown.end = held.next;
        shown.pts = shown.pts.max(packet.pts);
        self.shown = Some(shown);
        Some(packet)
    }

    fn goes_on(&self, packet: &Packet, clock: Flicks) -> bool {
        let in_order = self.shown.is_none_or(|shown| packet.dts > shown.dts);
        match &self.held {
            Some(_) => packet.is_random_access() && in_order && packet.dts >= clock,
            None => in_order && (packet.is_random_access() || !self.broken),
        }
    }

    /// A picture of the source; `None` where it cannot be shown. What has a place before `clock` comes too late
    /// after a hole.
    pub(super) fn admit(&mut self, mut packet: Packet, clock: Flicks) -> Option<Packet> {
        let PacketKind::Video { params, random_access } = &packet.kind else { return Some(packet) };
        let random_access = *random_access;
        let goes_on = self.goes_on(&packet, clock);
        self.goes_on_at = None;
        let leads = !random_access && self.leading_before.is_some_and(|before| packet.pts < before);
        if !goes_on || leads {
            self.dropped += 1;
            self.broken |= !leads;
            return None;
        }
        self.broken = false;
        if self.held.take().is_some() {
            self.leading_before = Some(packet.pts);
            packet.data = still::resumed(params.codec, &packet.data);
        }
        // A picture of another configuration is none to be repeated in this one.
        let other = self.last.as_ref().is_none_or(|last| last.params != *params);
        if other || random_access && still::is_whole(params.codec, &packet.data) {
            let (params, data) = (Arc::clone(params), packet.data.clone());
            self.last = Some(Still { params, data, composition: packet.pts - packet.dts });
        }
        let pts = self.shown.map_or(packet.pts, |shown| shown.pts.max(packet.pts));
        let (dts, end, batch) = (packet.dts, packet.dts + packet.duration, packet.batch);
        self.shown = Some(Shown { dts, end, pts, batch });
        Some(packet)
    }
}
