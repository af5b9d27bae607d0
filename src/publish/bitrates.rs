//! The bitrates of the tracks, measured on the packets themselves: what onMetaData says. Pure.

use std::collections::VecDeque;

use crate::media::{Flicks, Packet};

/// Packets are looked at for this long: several GOPs.
const WINDOW: Flicks = Flicks::from_millis(10_000);

/// Packets of a track that are kept: the window at 60 pictures or 94 audio frames (96 kHz) a second.
const MAX_PACKETS: usize = 1_000;

/// Less than this says nothing about a rate.
const LEAST: Flicks = Flicks::from_millis(400);

/// The packets of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Bitrates {
    video: Track,
    audio: Track,
}

#[derive(Debug, Default)]
struct Track {
    packets: VecDeque<Size>,
}

#[derive(Debug)]
struct Size {
    dts: Flicks,
    duration: Flicks,
    bytes: usize,
    random_access: bool,
}

impl Bitrates {
    /// Takes the next packet into account.
    pub(super) fn handle(&mut self, packet: &Packet) {
        let track = if packet.is_video() { &mut self.video } else { &mut self.audio };
        track.push(Size {
            dts: packet.dts,
            duration: packet.duration,
            bytes: packet.data.len(),
            random_access: packet.is_random_access(),
        });
    }

    /// Bits per second; `None` where too little has come.
    pub(super) fn video(&self) -> Option<f64> {
        self.video.bitrate()
    }

    /// Bits per second; `None` where too little has come.
    pub(super) fn audio(&self) -> Option<f64> {
        self.audio.bitrate()
    }
}

impl Track {
    fn push(&mut self, size: Size) {
        // Output times only go forward; anything else begins anew.
        if self.packets.back().is_some_and(|last| last.dts > size.dts) {
            self.packets.clear();
        }
        let begin = size.dts - WINDOW;
        self.packets.push_back(size);
        while self.packets.len() > MAX_PACKETS || self.packets.front().is_some_and(|first| first.dts < begin)
        {
            self.packets.pop_front();
        }
    }

    /// Of whole GOPs where there are any: a random-access picture is many times larger than the others.
    fn bitrate(&self) -> Option<f64> {
        let borders = || self.packets.iter().enumerate().filter(|(_, size)| size.random_access);
        let (first, last) = (borders().next(), borders().next_back());
        let gops = match (first, last) {
            (Some((from, first)), Some((to, last))) if last.dts - first.dts >= LEAST => {
                Some((from..to, last.dts - first.dts))
            }
            _ => None,
        };
        let (range, span) = match gops {
            Some(gops) => gops,
            None => {
                let (first, last) = (self.packets.front()?, self.packets.back()?);
                (0..self.packets.len(), last.dts + last.duration - first.dts)
            }
        };
        let bytes: usize = self.packets.range(range).map(|size| size.bytes).sum();
        (span >= LEAST).then(|| bytes as f64 * 8.0 / span.to_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::{audio, video};

    /// Pictures of 40 ms from `ms` on: each 50th a random-access picture of 50 kB, the others of 1 kB: 396 kbit/s.
    fn pictures(bitrates: &mut Bitrates, from: i64, count: i64) {
        for n in from..from + count {
            let mut picture = video(n * 40, n % 50 == 0);
            picture.data = vec![0; if n % 50 == 0 { 50_000 } else { 1_000 }].into();
            bitrates.handle(&picture);
        }
    }

    #[test]
    fn whole_gops_are_measured_where_there_are_any() {
        let mut bitrates = Bitrates::default();
        assert_eq!((bitrates.video(), bitrates.audio()), (None, None));
        pictures(&mut bitrates, 0, 9);
        assert_eq!(bitrates.video(), None, "less than half a second");
        pictures(&mut bitrates, 9, 16);
        assert_eq!(
            bitrates.video(),
            Some(f64::from(50_000 + 24 * 1_000) * 8.0),
            "a second that has the picture"
        );
        for (from, count) in [(25, 26), (51, 40), (91, 500), (591, 5_000)] {
            pictures(&mut bitrates, from, count);
            assert_eq!(bitrates.video(), Some(396_000.0), "{from}");
        }
        assert!(bitrates.video.packets.len() <= 251);
    }

    #[test]
    fn audio_is_measured_whole_and_a_step_back_begins_anew() {
        let mut bitrates = Bitrates::default();
        for n in 0..100 {
            let mut frame = audio(n * 20);
            (frame.duration, frame.data) = (Flicks::from_millis(20), vec![0; 320].into());
            bitrates.handle(&frame);
        }
        assert_eq!(bitrates.audio(), Some(128_000.0));
        bitrates.handle(&audio(0));
        assert_eq!(bitrates.audio(), None);
        // Far more packets than any track has in ten seconds.
        (0..10_000).for_each(|n| bitrates.handle(&audio(n / 100)));
        assert_eq!(bitrates.audio.packets.len(), MAX_PACKETS);
    }
}
