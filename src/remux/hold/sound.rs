//! The sound of the output: the source's, and silence where it is missing. Pure.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Slate;
use crate::media::{AudioCodec, AudioParams, Flicks, Packet, PacketKind, silent_frame_like};

/// So much silence in a row is a hole; less is what two tracks' joints leave.
const HOLE: Flicks = Flicks::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Sound {
    heard: Option<Heard>,
    /// From where on there is none, in a row.
    filled_since: Option<Flicks>,
    /// Where the sound is left out on purpose, in order.
    muted: VecDeque<Range<Flicks>>,
    pub(super) dropped: u64,
}

/// What was given out last.
#[derive(Debug)]
struct Heard {
    params: Arc<AudioParams>,
    /// Silence in its configuration; none where none can be made.
    silent: Option<Bytes>,
    frame: Flicks,
    /// Where the next frame stands.
    next: Flicks,
    batch: u64,
}

impl Sound {
    /// There is no sound in `span` by intent: nothing is put in.
    pub(super) fn mute(&mut self, span: Range<Flicks>) {
        match self.muted.back_mut() {
            // Batches join: a stream without sound is one span, however long it runs.
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => self.muted.push_back(span),
        }
    }

    /// Where the next frame that would stand for a missing one begins, and when it is known to be missing: the first
    /// at its end, because the grids of two answers may be half a frame apart. `None` before the first of all.
    pub(super) fn next_fill(&self, slate: Option<(&Slate, Flicks)>) -> Option<(Flicks, Flicks)> {
        let at = self.heard.as_ref()?.next;
        let known = if self.filled_since.is_some() { at } else { self.fill_end(slate)? };
        Some((at, known))
    }

    fn fill_end(&self, slate: Option<(&Slate, Flicks)>) -> Option<Flicks> {
        let heard = self.heard.as_ref()?;
        let frame =
            Self::slate_frame(slate, heard.next).map_or(heard.frame, |(params, _)| params.frame_duration());
        Some(heard.next + frame)
    }

    /// From where on silence stands for what is missing, where that is a hole.
    pub(super) fn held_since(&self) -> Option<Flicks> {
        let heard = self.heard.as_ref()?;
        self.filled_since.filter(|since| heard.next - *since >= HOLE)
    }

    /// The hole is one of no sound at all: silence cannot be made in this configuration.
    pub(super) fn is_blank(&self) -> bool {
        self.held_since().is_some() && self.heard.as_ref().is_some_and(|heard| heard.silent.is_none())
    }

    pub(super) fn codec(&self) -> Option<AudioCodec> {
        self.heard.as_ref().map(|heard| heard.params.codec)
    }

    /// The frame that stands for the missing one at [`Sound::next_fill`]; `slate` is the clip that plays, and
    /// since when.
    pub(super) fn fill(&mut self, slate: Option<(&Slate, Flicks)>) -> Option<Packet> {
        let (at, end) = (self.heard.as_ref()?.next, self.fill_end(slate)?);
        while self.muted.front().is_some_and(|span| span.end <= at) {
            self.muted.pop_front();
        }
        let heard = self.heard.as_mut()?;
        if let Some(span) = self.muted.front()
            && span.start < end
        {
            heard.next = span.end.max(at);
            self.filled_since = None;
            return None;
        }
        self.filled_since.get_or_insert(at);
        heard.next = end;
        let (params, data) = match Self::slate_frame(slate, at) {
            Some((params, data)) => (params, data.clone()),
            None => (&heard.params, heard.silent.clone()?),
        };
        let kind = PacketKind::Audio { params: Arc::clone(params) };
        Some(Packet { kind, dts: at, pts: at, duration: end - at, batch: heard.batch, data })
    }

    /// Silence in a gap before the frame at `dts` that is nearer to a frame than to none, and shorter than one.
    pub(super) fn close_gap(&mut self, dts: Flicks) -> Option<Packet> {
        let heard = self.heard.as_ref()?;
        let missing = dts - heard.next;
        if missing <= Flicks::new(heard.frame.get() / 2) {
            return None;
        }
        self.fill(None)
    }

    /// A frame of the source; `None` where something stands in its place already.
    pub(super) fn admit(&mut self, packet: Packet) -> Option<Packet> {
        let PacketKind::Audio { params } = &packet.kind else { return Some(packet) };
        let frame = packet.duration;
        let taken = self.heard.as_ref().map(|heard| heard.next).filter(|next| {
            // Half a frame over the end of the one before is the rounding of two grids.
            packet.dts + Flicks::new(frame.get() / 2) < *next
        });
        if taken.is_some() {
            self.dropped += 1;
            return None;
        }
        self.filled_since = None;
        let next = packet.dts + frame;
        match &mut self.heard {
            Some(heard) if heard.params == *params => {
                (heard.next, heard.batch) = (next, packet.batch);
            }
            heard => {
                *heard = Some(Heard {
                    params: Arc::clone(params),
                    silent: silent_frame_like(params, &packet.data),
                    frame,
                    next,
                    batch: packet.batch,
                });
            }
        }
        Some(packet)
    }

    fn slate_frame(slate: Option<(&Slate, Flicks)>, at: Flicks) -> Option<(&Arc<AudioParams>, &Bytes)> {
        let (slate, began) = slate?;
        if at < began { None } else { slate.frame_at(at - began) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_left_without_sound_is_one_span() {
        let mut sound = Sound::default();
        let span = |from, to| Flicks::from_millis(from)..Flicks::from_millis(to);
        (0..100).for_each(|batch| sound.mute(span(batch * 30_000, (batch + 1) * 30_000)));
        sound.mute(span(3_030_000, 3_060_000));
        assert_eq!(sound.muted, [span(0, 3_000_000), span(3_030_000, 3_060_000)]);
    }
}
