//! Where each period stands on the output axis (docs/time.md). Pure.

use crate::media::Flicks;

/// The earliest and the latest time of a track within a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: Flicks,
    pub end: Flicks,
}

/// Gives each period its shift onto the output axis. A period keeps its own audio/video offset; output time
/// is continuous across periods: the new one begins where no track would overlap what is already there.
#[derive(Debug, Default)]
pub(super) struct OutputAxis {
    current: Option<(u64, Flicks)>,
    video_end: Option<Flicks>,
    audio_end: Option<Flicks>,
}

impl OutputAxis {
    /// The shift of `period`, whose first batch has these source spans; later batches of the same period get
    /// the same.
    pub(super) fn shift(&mut self, period: u64, video: Option<Span>, audio: Option<Span>) -> Flicks {
        let shift = self.peek(period, video, audio);
        self.current = Some((period, shift));
        self.video_end = video.map(|span| span.end + shift).or(self.video_end);
        self.audio_end = audio.map(|span| span.end + shift).or(self.audio_end);
        shift
    }

    /// The period that was shifted last.
    pub(super) fn period(&self) -> Option<u64> {
        self.current.map(|(period, _)| period)
    }

    /// Where what was shifted ends, by the video where there is one.
    pub(super) fn end(&self) -> Option<Flicks> {
        self.video_end.or(self.audio_end)
    }

    /// What [`OutputAxis::shift`] would say now.
    pub(super) fn peek(&self, period: u64, video: Option<Span>, audio: Option<Span>) -> Flicks {
        match self.current {
            Some((current, shift)) if current == period => shift,
            _ => self.new_period(video, audio),
        }
    }

    fn new_period(&self, video: Option<Span>, audio: Option<Span>) -> Flicks {
        // Where a track had no samples yet, the other's end keeps it from starting in the past.
        let fallback = self.video_end.max(self.audio_end).unwrap_or(Flicks::ZERO);
        let video_shift = video.map(|span| self.video_end.unwrap_or(fallback) - span.start);
        let audio_shift = audio.map(|span| self.audio_end.unwrap_or(fallback) - span.start);
        video_shift.max(audio_shift).unwrap_or(Flicks::ZERO)
    }
}
