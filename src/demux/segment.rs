//! Segments of one playlist to pieces, whatever each segment's format is. Pure.

use bytes::Bytes;

use super::choice::{AudioChoice, AudioStream};
use super::cmaf::Cmaf;
use super::mpegts::Mpegts;
use super::packed::Packed;
use super::sniff::{self, Format};
use super::{Damage, Periods, RandomAccess, SegmentError};
use crate::media::{Cue, Origin, Piece, Rendition};

/// More cues in one segment than this are not kept: real ones have a few, a hostile one could have thousands.
const MAX_CUES: usize = 64;

/// A segment as the demuxer needs it.
#[derive(Clone, Debug)]
pub struct Input {
    pub rendition: Rendition,
    /// The body of its EXT-X-MAP, decrypted.
    pub init: Option<Bytes>,
    /// Its own body, decrypted.
    pub data: Bytes,
    /// Where `data` begins in its file: of a byte range (EXT-X-BYTERANGE).
    pub offset: u64,
    /// EXT-X-DISCONTINUITY in its playlist, or what amounts to it.
    pub discontinuity: bool,
    /// Its discontinuity sequence number (RFC 8216 6.2.2): the same in all renditions.
    pub discontinuity_sequence: u64,
    /// Its media sequence number; none where it comes from no playlist.
    pub media_sequence: Option<u64>,
}

impl Input {
    /// A segment of the main playlist that needs no init segment.
    pub fn main(data: Bytes, discontinuity: bool) -> Self {
        let (rendition, discontinuity_sequence, media_sequence) = (Rendition::Main, 0, None);
        Self { rendition, init: None, data, offset: 0, discontinuity, discontinuity_sequence, media_sequence }
    }
}

/// Which kinds of tracks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) video: bool,
    pub(super) audio: bool,
}

impl Wanted {
    pub(super) const BOTH: Self = Self { video: true, audio: true };
}

/// Where the readers of the formats put what they find.
pub(super) struct Sink<'a> {
    pub(super) periods: &'a mut Periods,
    pub(super) damage: &'a mut Damage,
    cues: &'a mut Vec<Cue>,
    /// Cues of this segment, and those of them that were not kept.
    seen_cues: usize,
    left_out_cues: u64,
    /// Overdub's own number of the segment.
    pub(super) segment: u64,
}

impl<'a> Sink<'a> {
    fn new(periods: &'a mut Periods, damage: &'a mut Damage, cues: &'a mut Vec<Cue>, segment: u64) -> Self {
        Self { periods, damage, cues, seen_cues: 0, left_out_cues: 0, segment }
    }

    pub(super) fn cue(&mut self, cue: Cue) {
        if self.takes_cue() {
            self.keep_cue(cue);
        }
    }

    /// Keeps a cue that was counted.
    pub(super) fn keep_cue(&mut self, cue: Cue) {
        self.cues.push(cue);
    }

    /// Whether one more cue of this segment is kept.
    pub(super) fn takes_cue(&mut self) -> bool {
        self.seen_cues += 1;
        let kept = self.seen_cues <= MAX_CUES;
        self.left_out_cues += u64::from(!kept);
        kept
    }

    /// Tells what was left out.
    fn end(&mut self) {
        if self.left_out_cues > 0 {
            let left_out = self.left_out_cues;
            self.damage.event(&format!("{left_out} cues of a segment left out: it may have {MAX_CUES}"));
        }
    }
}

/// Demuxes consecutive segments of one playlist.
#[derive(Debug)]
pub(super) struct SegmentDemuxer {
    wanted: Wanted,
    ts: Mpegts,
    cmaf: Cmaf,
    packed: Packed,
    periods: Periods,
    /// What the last segment was; `None`: it gave nothing, or is missing.
    format: Option<Format>,
    /// Where the last segment came from, and what was said of it, without its bytes.
    last: Option<(Origin, Input)>,
    tail: Option<Tail>,
}

/// What waited for its end in the last segment, and will not get it.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) origin: Origin,
    /// Without its bytes.
    pub(super) input: Input,
    pub(super) pieces: Vec<Piece>,
}

impl SegmentDemuxer {
    pub(super) fn new(wanted: Wanted, choice: AudioChoice) -> Self {
        Self {
            wanted,
            ts: Mpegts::new(choice),
            cmaf: Cmaf::default(),
            packed: Packed::default(),
            periods: Periods::default(),
            format: None,
            last: None,
            tail: None,
        }
    }

    pub(super) fn set_choice(&mut self, choice: AudioChoice) {
        self.ts.set_choice(choice);
    }

    /// The audio streams of the program, of a transport stream.
    pub(super) fn audio_streams(&self) -> Vec<AudioStream> {
        self.ts.audio_streams()
    }

    /// Segments are missing before the next one.
    pub(super) fn hole(&mut self, damage: &mut Damage, cues: &mut Vec<Cue>) {
        self.end(true, damage, cues);
        self.format = None;
        self.packed.hole();
    }

    /// Nothing goes on with the last segment; `lost`: because what follows it is missing.
    pub(super) fn end(&mut self, lost: bool, damage: &mut Damage, cues: &mut Vec<Cue>) {
        let Some((origin, input)) = self.last.clone() else { return };
        if self.format != Some(Format::Ts) {
            return;
        }
        self.periods.begin(false);
        let sink = &mut Sink::new(&mut self.periods, damage, cues, origin.segment);
        self.ts.end(lost, self.wanted, sink);
        let pieces = self.periods.end(&origin);
        if !pieces.is_empty() {
            self.tail = Some(Tail { origin, input, pieces });
        }
    }

    /// What [`SegmentDemuxer::end`] brought.
    pub(super) fn take_tail(&mut self) -> Option<Tail> {
        self.tail.take()
    }

    pub(super) fn random_access(&self) -> RandomAccess {
        self.periods.random_access()
    }

    /// The pieces of the next segment, with its cues. With `discontinuity` nothing of what came before reaches
    /// into it, for which [`SegmentDemuxer::end`] is called before. An error may come with pieces: what was read before it, or was waiting.
    pub(super) fn demux(
        &mut self,
        input: &Input,
        origin: &Origin,
        damage: &mut Damage,
        cues: &mut Vec<Cue>,
    ) -> (Vec<Piece>, Result<Times, SegmentError>) {
        if input.discontinuity {
            self.ts.restart();
            self.packed.restart();
        }
        self.periods.begin(input.discontinuity);
        let sink = &mut Sink::new(&mut self.periods, damage, cues, origin.segment);
        let format = sniff::format(&input.data);
        if !matches!((self.format, &format), (Some(Format::Ts), Ok(Format::Ts))) {
            self.ts.end(true, self.wanted, sink);
        }
        self.format = format.as_ref().ok().copied();
        let result = match format {
            Ok(Format::Ts) => {
                let read = self.ts.demux(input.init.as_ref(), input.data.clone(), self.wanted, sink);
                read.map(|()| Times::Wrap)
            }
            Ok(Format::Mp4) => {
                let read = self.cmaf.demux(input.init.as_ref(), &input.data, input.offset, self.wanted, sink);
                read.map(|()| Times::Whole)
            }
            Ok(Format::Packed { codec, tags }) if self.wanted.audio => {
                self.packed.demux(codec, tags, &input.data, sink)
            }
            Ok(Format::Packed { .. }) => Ok(Times::Wrap),
            Err(error) => Err(error),
        };
        sink.end();
        let said = Input { init: None, data: Bytes::new(), ..input.clone() };
        self.last = Some((origin.clone(), said));
        // A transport stream goes on, whatever is wrong with one segment of it.
        if result.is_err() && self.format != Some(Format::Ts) {
            self.format = None;
        }
        (self.periods.end(origin), result)
    }
}

/// How the times of a format count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// 33 bits of 90 kHz: they begin anew every 26.5 hours.
    Wrap,
    /// 64 bits.
    Whole,
    /// None: those of a run of segments follow one another, and begin anywhere.
    Untimed { run: u64 },
}

impl Times {
    pub(super) fn untimed_run(&self) -> Option<u64> {
        match *self {
            Self::Untimed { run } => Some(run),
            Self::Wrap | Self::Whole => None,
        }
    }
}
