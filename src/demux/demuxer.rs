//! The segments of a source, of one playlist or of two, to pieces. Pure.

use super::join::Joiner;
use super::segment::{SegmentDemuxer, Wanted};
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
            main: SegmentDemuxer::new(Wanted::BOTH),
            audio: None,
            damage: Damage::default(),
            cues: Vec::new(),
            base: 0,
            periods: 0,
        }
    }

    /// Whether the sound comes from a playlist of its own, from the next segment on; what is muxed with the
    /// pictures is left out then. Returns what was still waiting.
    pub fn set_separate_audio(&mut self, separate: bool) -> Vec<Piece> {
        if separate == self.audio.is_some() {
            return Vec::new();
        }
        let waiting = self.flush();
        self.base = self.periods;
        self.main = SegmentDemuxer::new(Wanted { video: true, audio: !separate });
        self.audio = separate.then(|| {
            let wanted = Wanted { video: false, audio: true };
            (SegmentDemuxer::new(wanted), Joiner::default())
        });
        waiting
    }

    /// A segment arrived: the pieces that are complete with it, in order. A segment that cannot be read costs
    /// itself only, and is counted.
    pub fn handle_segment(&mut self, input: &Input, origin: &Origin) -> Vec<Piece> {
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
        self.number(pieces)
    }

    /// A segment of `rendition` will not come.
    pub fn handle_lost(&mut self, rendition: Rendition) {
        match (rendition, &mut self.audio) {
            (Rendition::Main, _) => self.main.hole(),
            (Rendition::Audio, Some((audio, _))) => audio.hole(),
            (Rendition::Audio, None) => {}
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
        self.release()
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
