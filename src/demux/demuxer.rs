//! The segments of a source, of one playlist or of two, to pieces. Pure.

use super::choice::{AudioChoice, AudioStream};
use super::join::Joiner;
use super::segment::{SegmentDemuxer, Tail, Times, Wanted};
use super::{Damage, Input, RandomAccess};
use crate::media::{Cue, Origin, Piece, Rendition};

/// Demuxes the segments of a source as they come.
///
/// [`Demuxer::handle_segment`] for each segment, [`Demuxer::handle_lost`] for each that will not come,
/// [`Demuxer::flush`] at the end. With a separate audio rendition pictures wait for the sound of their time, and
/// sound for its pictures; while [`Demuxer::is_waiting`], [`Demuxer::release`] ends that when no more segments
/// come.
#[derive(Debug)]
pub struct Demuxer {
    main: SegmentDemuxer,
    /// The separate audio rendition, if there is one.
    audio: Option<(SegmentDemuxer, Joiner)>,
    /// Of the audio streams of a program.
    choice: AudioChoice,
    /// What waited for its end in segments that are followed by a hole.
    tails: Vec<Piece>,
    damage: Damage,
    cues: Vec<Cue>,
    /// Periods of what was before the renditions changed.
    base: u64,
    /// One more than the newest period yielded.
    periods: u64,
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demuxer {
    pub fn new() -> Self {
        Self {
            main: SegmentDemuxer::new(Wanted::BOTH, AudioChoice::default()),
            audio: None,
            choice: AudioChoice::default(),
            tails: Vec::new(),
            damage: Damage::default(),
            cues: Vec::new(),
            base: 0,
            periods: 0,
        }
    }

    /// Which audio stream is taken where a program has several.
    #[must_use]
    pub fn with_audio_choice(mut self, choice: AudioChoice) -> Self {
        self.choose_audio(choice);
        self
    }

    /// The same from the next program on that a table tells.
    pub fn choose_audio(&mut self, choice: AudioChoice) {
        let audio = self.audio.as_mut().map(|(audio, _)| audio);
        for demuxer in audio.into_iter().chain([&mut self.main]) {
            demuxer.set_choice(choice.clone());
        }
        self.choice = choice;
    }

    /// The audio streams of the program that the audio is taken from, where that is a transport stream.
    pub fn audio_streams(&self) -> Vec<AudioStream> {
        let audio = self.audio.as_ref().map(|(audio, _)| audio);
        audio.unwrap_or(&self.main).audio_streams()
    }

    /// Whether the sound comes from a playlist of its own, from the next segment on; what is muxed with the
    /// pictures is left out then. Returns what was still waiting.
    pub fn set_separate_audio(&mut self, separate: bool) -> Vec<Piece> {
        if separate == self.audio.is_some() {
            return Vec::new();
        }
        let waiting = self.flush();
        self.base = self.periods;
        let choice = self.choice.clone();
        self.main = SegmentDemuxer::new(Wanted { video: true, audio: !separate }, choice.clone());
        self.audio = separate.then(|| {
            let wanted = Wanted { video: false, audio: true };
            (SegmentDemuxer::new(wanted, choice), Joiner::default())
        });
        waiting
    }

    /// A segment arrived: the pieces that are complete with it, in order. A segment that cannot be read costs
    /// itself only, and is counted.
    pub fn handle_segment(&mut self, input: &Input, origin: &Origin) -> Vec<Piece> {
        if input.discontinuity {
            self.end(input.rendition, false);
        }
        let mut before = std::mem::take(&mut self.tails);
        let (damage, cues) = (&mut self.damage, &mut self.cues);
        let pieces = match (&mut self.audio, input.rendition) {
            (None, Rendition::Main) => {
                let (pieces, result) = self.main.demux(input, origin, damage, cues);
                result.err().into_iter().for_each(|error| damage.refuse(error));
                pieces
            }
            (None, Rendition::Audio) => {
                damage.event(&"a segment of an audio rendition that was not announced");
                Vec::new()
            }
            (Some((audio, joiner)), rendition) => {
                let demuxer = if rendition == Rendition::Main { &mut self.main } else { audio };
                let (pieces, result) = demuxer.demux(input, origin, damage, cues);
                joiner.handle(input, &result, pieces, origin);
                result.err().into_iter().for_each(|error| damage.refuse(error));
                let joined = joiner.poll();
                damage.late = joiner.late();
                joiner.take_notice().iter().for_each(|notice| damage.event(notice));
                joined
            }
        };
        before.extend(pieces);
        self.number(before)
    }

    /// A segment of `rendition` will not come.
    pub fn handle_lost(&mut self, rendition: Rendition) {
        self.end(rendition, true);
    }

    /// Nothing goes on with the last segment of `rendition`: what waits for its end takes its place before all that
    /// follows. `lost`: what follows it is missing.
    fn end(&mut self, rendition: Rendition, lost: bool) {
        let demuxer = match (rendition, &mut self.audio) {
            (Rendition::Main, _) => &mut self.main,
            (Rendition::Audio, Some((audio, _))) => audio,
            (Rendition::Audio, None) => return,
        };
        if lost {
            demuxer.hole(&mut self.damage, &mut self.cues);
        } else {
            demuxer.end(false, &mut self.damage, &mut self.cues);
        }
        let Some(Tail { origin, input, pieces }) = demuxer.take_tail() else { return };
        match &mut self.audio {
            None => self.tails.extend(pieces),
            Some((_, joiner)) => {
                joiner.handle(&input, &Ok(Times::Wrap), pieces, &origin);
            }
        }
    }

    /// Pictures wait for sound, or sound for pictures.
    pub fn is_waiting(&self) -> bool {
        self.audio.as_ref().is_some_and(|(_, joiner)| joiner.is_waiting())
    }

    /// Everything that waits, as it is: no more segments come for now.
    pub fn release(&mut self) -> Vec<Piece> {
        let pieces = self.audio.as_mut().map(|(_, joiner)| joiner.flush()).unwrap_or_default();
        self.number(pieces)
    }

    /// The source ended: everything that waits.
    pub fn flush(&mut self) -> Vec<Piece> {
        self.end(Rendition::Main, false);
        self.end(Rendition::Audio, false);
        let mut pieces = std::mem::take(&mut self.tails);
        pieces.extend(self.audio.as_mut().map(|(_, joiner)| joiner.flush()).unwrap_or_default());
        self.number(pieces)
    }

    /// Some segment has given something.
    pub fn has_yielded(&self) -> bool {
        self.periods > 0
    }

    /// At which pictures decoding begins.
    pub fn random_access(&self) -> RandomAccess {
        self.main.random_access()
    }

    /// What was broken so far.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// The cues of the segments since the last call, in their order.
    pub fn take_cues(&mut self) -> Vec<Cue> {
        std::mem::take(&mut self.cues)
    }

    fn number(&mut self, mut pieces: Vec<Piece>) -> Vec<Piece> {
        for piece in &mut pieces {
            piece.period += self.base;
            self.periods = self.periods.max(piece.period + 1);
        }
        pieces
    }
}
