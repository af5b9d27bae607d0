//! Where the output is cut into segments. Pure.

use std::sync::Arc;

use crate::media::{AudioParams, Flicks, Packet, PacketKind, VideoParams};

/// A segment is not cut before this: shorter ones cost a request each for nothing.
const SHORTEST: Flicks = Flicks::from_millis(2_000);
/// It is cut at the latest after this, within a group of pictures too where that is longer.
pub(super) const LONGEST: Flicks = Flicks::from_millis(6_000);
/// Sound alone can be cut anywhere.
const AUDIO_ONLY: Flicks = Flicks::from_millis(4_000);
/// A cut is decided when this much behind it is known: where the sound's configuration changes with a batch,
/// it does so near the batch's first picture and not at it, by the interleaving of the source.
const LOOKAHEAD: Flicks = Flicks::from_millis(1_000);
/// Samples of a segment: [`LONGEST`] and [`LOOKAHEAD`] of 120 pictures and 375 audio frames a second. What a hostile source
/// has on top is left out: each new sample is compared with those that wait.
const MOST_SAMPLES: usize = 4_096;
/// Output time without any sample for this long is a hole, and the next segment a new beginning.
const HOLE: Flicks = Flicks::from_millis(1_000);

/// The samples of one segment. Each track has one configuration; one of them may be empty, not both.
#[derive(Debug, PartialEq)]
pub(super) struct Cut {
    /// Output time at which the segment begins; where there is no hole, the end of the one before.
    pub(super) start: Flicks,
    pub(super) end: Flicks,
    /// Output time went on without samples before this segment.
    pub(super) after_hole: bool,
    pub(super) video: Vec<Packet>,
    pub(super) audio: Vec<Packet>,
}

/// Takes packets in DTS order; call [`Segmenter::poll`] after each until it has nothing.
#[derive(Debug, Default)]
pub(super) struct Segmenter {
    /// When the open segment begins; `None` before its first packet.
    start: Option<Flicks>,
    after_hole: bool,
    video: Vec<Packet>,
    audio: Vec<Packet>,
    /// DTS of the newest packet.
    newest: Flicks,
    /// Where the longest packet so far ends.
    end: Flicks,
    /// The first packet behind a hole: everything before it has to be cut first.
    behind_hole: Option<Packet>,
    finished: bool,
}

/// Where the open segment ends: the number of packets of each track in it, and the time.
#[derive(Clone, Copy)]
struct At {
    time: Flicks,
    video: usize,
    audio: usize,
}

impl Segmenter {
    pub(super) fn push(&mut self, packet: Packet) {
        if self.start.is_some() && packet.dts > self.end + HOLE {
            // A caller who polls has emptied the queues, so that at most one packet waits here.
            self.drain_hole();
            self.behind_hole = Some(packet);
        } else {
            self.append(packet);
        }
    }

    /// No packet will come any more: the rest is cut without looking ahead.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn poll(&mut self) -> Option<Cut> {
        loop {
            let at = self.next_cut();
            if let Some(at) = at {
                let cut = self.take(at);
                if !cut.video.is_empty() || !cut.audio.is_empty() {
                    return Some(cut);
                }
            } else {
                self.drain_hole()?;
            }
        }
    }

    fn append(&mut self, packet: Packet) {
        self.start.get_or_insert(packet.dts);
        self.newest = self.newest.max(packet.dts);
        self.end = self.end.max(packet.dts + packet.duration);
        if self.video.len() + self.audio.len() < MOST_SAMPLES {
            if packet.is_video() { self.video.push(packet) } else { self.audio.push(packet) }
        }
    }

    /// Goes on behind the hole once nothing before it is left.
    fn drain_hole(&mut self) -> Option<()> {
        let packet = self.behind_hole.take()?;
        (self.start, self.after_hole) = (None, true);
        self.newest = packet.dts;
        self.end = packet.dts;
        self.append(packet);
        Some(())
    }

    /// Nothing more can come before the cut that is looked for.
    fn is_last(&self) -> bool {
        self.finished || self.behind_hole.is_some()
    }

    fn next_cut(&self) -> Option<At> {
        let start = self.start?;
        if self.video.is_empty() && self.audio.is_empty() {
            return None;
        }
        let known = |time: Flicks| self.is_last() || self.newest >= time + LOOKAHEAD;
        let regular = self.regular(start);
        if let Some(change) = self.audio_change() {
            let time = self.audio[change].dts;
            if regular.as_ref().is_none_or(|at| at.time + LOOKAHEAD >= time) {
                return known(time).then(|| self.at_audio_change(start, change));
            }
        }
        match regular {
            Some(at) => known(at.time).then_some(at),
            None => {
                let all = At { time: self.end, video: self.video.len(), audio: self.audio.len() };
                self.is_last().then_some(all)
            }
        }
    }

    /// The first picture at which a segment may begin, or the time at which it has to.
    fn regular(&self, start: Flicks) -> Option<At> {
        let params = self.video.first().and_then(video_params);
        let picture = self.video.iter().position(|packet| {
            packet.is_random_access() && packet.dts - start >= SHORTEST || video_params(packet) != params
        });
        let latest = start + if self.video.is_empty() { AUDIO_ONLY } else { LONGEST };
        match picture.map(|index| (index, &self.video[index])) {
            Some((index, packet)) if packet.dts <= latest => {
                Some(At { time: packet.dts, video: index, audio: self.audio_until(packet.pts) })
            }
            _ => (self.newest >= latest).then(|| self.anywhere(latest)),
        }
    }

    fn anywhere(&self, time: Flicks) -> At {
        let video = self.video.iter().position(|packet| packet.dts >= time).unwrap_or(self.video.len());
        At { time, video, audio: self.audio_until(time) }
    }

    /// At the random-access picture nearest to the change of the sound, or where none is near, at the change
    /// itself, in mid-GOP.
    fn at_audio_change(&self, start: Flicks, change: usize) -> At {
        let time = self.audio[change].dts;
        let near = |packet: &Packet| (packet.dts - time).abs();
        let picture = self.video.iter().enumerate().skip(1).filter(|(_, packet)| {
            packet.is_random_access() && near(packet) <= LOOKAHEAD && packet.dts <= start + LONGEST
        });
        match picture.min_by_key(|(_, packet)| near(packet)) {
            Some((video, packet)) => At { time: packet.dts, video, audio: change },
            None => At { audio: change, ..self.anywhere(time) },
        }
    }

    /// The first frame of another configuration than the open segment's.
    fn audio_change(&self) -> Option<usize> {
        let params = self.audio.first().and_then(audio_params);
        self.audio.iter().position(|packet| audio_params(packet) != params)
    }

    fn audio_until(&self, time: Flicks) -> usize {
        let end = self.audio_change().unwrap_or(self.audio.len());
        self.audio[..end].iter().position(|packet| packet.dts >= time).unwrap_or(end)
    }

    fn take(&mut self, at: At) -> Cut {
        let video = self.video.drain(..at.video).collect();
        let audio = self.audio.drain(..at.audio).collect();
        let start = self.start.replace(at.time).unwrap_or(at.time);
        let after_hole = std::mem::take(&mut self.after_hole);
        Cut { start, end: at.time, after_hole, video, audio }
    }
}

pub(super) fn video_params(packet: &Packet) -> Option<&Arc<VideoParams>> {
    match &packet.kind {
        PacketKind::Video { params, .. } => Some(params),
        PacketKind::Audio { .. } => None,
    }
}

pub(super) fn audio_params(packet: &Packet) -> Option<&Arc<AudioParams>> {
    match &packet.kind {
        PacketKind::Audio { params } => Some(params),
        PacketKind::Video { .. } => None,
    }
}
