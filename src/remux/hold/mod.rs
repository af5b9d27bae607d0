//! What plays where the source has nothing: the output goes on whatever comes (DESIGN section 4). Pure.
//!
//! Packets go in as they are released, in DTS order; [`Hold::fill`] says how far the clock is, and what is
//! missing up to there is made: the last picture that decodes on its own once a second, or a clip, and silence.
//! [`Hold::poll`] gives out both. Each track is held alone: sound plays on under a held picture, and pictures over
//! silence. Behind a hole the pictures go on with the first random-access picture that is still ahead of the
//! clock, without those that refer to others before it.

mod slate;
mod sound;
mod still;
#[cfg(test)]
mod tests;
mod video;

use std::collections::VecDeque;
use std::ops::Range;

pub use slate::{Slate, SlateError};

use self::sound::Sound;
use self::video::Video;
use crate::media::{Flicks, Packet};

/// What is done in a hole.
#[derive(Debug, Default)]
pub enum Filler {
    /// The picture is held, the sound is silence.
    #[default]
    Still,
    /// A clip plays, where its codecs are the stream's.
    Slate(Box<Slate>),
    /// Nothing: the hole stays.
    Nothing,
}

/// What was put in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HoldStatus {
    /// Something stands for the source now.
    pub active: bool,
    /// How often, the present one included.
    pub count: u64,
    /// Output time.
    pub seconds: Flicks,
    /// The hole has no picture: there was none that can be repeated.
    pub without_picture: bool,
    /// The hole has no sound: silence cannot be made in this configuration.
    pub without_sound: bool,
    /// Pictures and frames of the source whose place was taken, or that could not be decoded behind a hole.
    pub dropped: u64,
    /// A clip is to be played, and the stream has other codecs.
    pub slate_unfit: bool,
}

/// Between the interleaver and the outputs.
#[derive(Debug, Default)]
pub struct Hold {
    filler: Filler,
    video: Video,
    sound: Sound,
    ready: VecDeque<Packet>,
    /// How far the clock was when something was made.
    clock: Flicks,
    /// The DTS that was given out last.
    given: Flicks,
    /// When the present hole began.
    began: Option<Flicks>,
    count: u64,
    /// Of the holes that are over.
    total: Flicks,
}

impl Hold {
    pub fn new(filler: Filler) -> Self {
        let (clock, given) = (Flicks::new(i64::MIN), Flicks::new(i64::MIN));
        Self { filler, clock, given, ..Self::default() }
    }

    /// A packet of the source. No other one that comes later has an earlier place.
    pub fn handle_packet(&mut self, packet: Packet) {
        if matches!(self.filler, Filler::Nothing) {
            self.ready.push_back(packet);
            return;
        }
        let dts = packet.dts;
        if packet.is_video() {
            self.video.expect(&packet, self.clock);
        }
        // A frame of the source stands in for the silence whose place it has half of or more.
        let half = Flicks::new(packet.duration.get() / 2);
        self.fill_before(dts, if packet.is_video() { dts } else { dts - half });
        let packet = if packet.is_video() {
            self.video.admit(packet, self.clock)
        } else if self.slate().is_some() {
            // The clip goes on until there is a picture; its sound with it.
            None
        } else {
            let gap = self.sound.close_gap(dts);
            self.give(gap);
            self.sound.admit(packet)
        };
        self.give(packet);
        self.account(dts);
    }

    /// Nothing has come that has a place before `clock`: what is missing is made.
    pub fn fill(&mut self, clock: Flicks) {
        if matches!(self.filler, Filler::Nothing) {
            return;
        }
        // One flick more: the next is due when it is reached.
        let until = clock + Flicks::new(1);
        self.fill_before(until, until);
        if self.began.is_some() {
            self.clock = self.clock.max(clock);
        }
    }

    /// When [`Hold::fill`] would make something: the output time that the clock must have reached.
    pub fn next_fill(&self) -> Option<Flicks> {
        if matches!(self.filler, Filler::Nothing) {
            return None;
        }
        let sound = self.sound.next_fill(self.slate()).map(|(_, known)| known);
        [self.video.next_fill(), sound].into_iter().flatten().min()
    }

    /// In `span` there is no sound by intent.
    pub fn mute(&mut self, span: Range<Flicks>) {
        if matches!(self.filler, Filler::Nothing) {
            return;
        }
        self.sound.mute(span);
    }

    /// The next packet for the outputs.
    pub fn poll(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    /// The state when the output has come to `position`.
    pub fn status(&self, position: Flicks) -> HoldStatus {
        let present = self.began.map_or(Flicks::ZERO, |began| (position - began).max(Flicks::ZERO));
        HoldStatus {
            active: self.began.is_some(),
            count: self.count,
            seconds: self.total + present,
            without_picture: self.video.is_blank(),
            without_sound: self.sound.is_blank(),
            dropped: self.video.dropped + self.sound.dropped,
            slate_unfit: matches!(self.filler, Filler::Slate(_))
                && self.video.held_since().is_some()
                && self.video.slate_began().is_none(),
        }
    }

    /// Makes the pictures that are missing before `time`, and the sound before `sound_until`.
    fn fill_before(&mut self, time: Flicks, sound_until: Flicks) {
        loop {
            let slate = self.slate();
            let picture = self.video.next_fill().filter(|at| *at < time);
            let sound =
                self.sound.next_fill(slate).filter(|(_, known)| *known < sound_until).map(|(at, _)| at);
            let made = match (picture, sound) {
                (None, None) => return,
                (Some(picture), sound) if sound.is_none_or(|sound| picture <= sound) => {
                    let clip = match &self.filler {
                        Filler::Slate(slate) if self.fits(slate) => Some(&**slate),
                        _ => None,
                    };
                    self.video.fill(clip)
                }
                _ => match &self.filler {
                    Filler::Slate(clip) => {
                        let began = self.video.slate_began();
                        self.sound.fill(began.filter(|_| self.sounds(clip)).map(|began| (&**clip, began)))
                    }
                    _ => self.sound.fill(None),
                },
            };
            self.give(made);
            self.account(time);
        }
    }

    /// In one order: that a first frame is missing is known only when pictures behind it have gone.
    fn give(&mut self, packet: Option<Packet>) {
        let Some(mut packet) = packet else { return };
        if !packet.is_video() {
            packet.dts = packet.dts.max(self.given);
            packet.pts = packet.dts;
        }
        self.given = self.given.max(packet.dts);
        self.ready.push_back(packet);
    }

    /// The clip that plays now, with its sound, and since when.
    fn slate(&self) -> Option<(&Slate, Flicks)> {
        match &self.filler {
            Filler::Slate(slate) if self.sounds(slate) => Some((slate, self.video.slate_began()?)),
            _ => None,
        }
    }

    fn fits(&self, slate: &Slate) -> bool {
        let sound = match (slate.audio_codec(), self.sound.codec()) {
            (Some(clip), Some(stream)) => clip == stream,
            // A silent clip has silence under it; a silent stream takes the pictures alone.
            _ => true,
        };
        self.video.codec() == Some(slate.codec()) && sound
    }

    fn sounds(&self, slate: &Slate) -> bool {
        slate.audio_codec().is_some() && slate.audio_codec() == self.sound.codec()
    }

    /// Holes begin and end.
    fn account(&mut self, now: Flicks) {
        let since = [self.video.held_since(), self.sound.held_since()].into_iter().flatten().min();
        match (self.began, since) {
            (None, Some(since)) => {
                self.began = Some(since);
                self.count += 1;
            }
            (Some(began), None) => {
                self.total += (now - began).max(Flicks::ZERO);
                self.began = None;
            }
            _ => {}
        }
    }
}
