//! Where each period stands on the output axis (docs/time.md). Pure.

use crate::media::Flicks;

/// The earliest and the latest time of a track within a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: Flicks,
    pub end: Flicks,
}

/// Gives each period its shift onto the output axis. A period keeps its own audio/video offset; output time
/// is continuous across periods: the new one begins where no track would overlap what is already there, and
/// behind the hole between them where there is one.
#[derive(Debug, Default)]
pub(super) struct OutputAxis {
    current: Option<(u64, Flicks)>,
    /// Of a stream that goes on, until its first period has a shift.
    anchor: Option<Anchor>,
    video_end: Option<Flicks>,
    audio_end: Option<Flicks>,
}

/// Which output time a source's clock belonged to when the stream was last seen. Its first period in this
/// process goes on there, as long as its clock can be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// `source` is a time of the video, or else of the audio.
    pub video: bool,
    pub source: Flicks,
    pub output: Flicks,
    /// The furthest that the clock can have gone on since.
    pub elapsed: Flicks,
}

impl Anchor {
    /// The reordering of pictures and the stagger of a multiplex may begin a little earlier.
    const BEFORE: Flicks = Flicks::from_millis(2_000);
    /// 33 bits of 90 kHz (ISO/IEC 13818-1 2.4.3.7): a process that begins unwraps them anew.
    const WRAP: i64 = Flicks::from_ticks(1 << 33).get();

    /// The shift of a period that begins with these source times; none when it is of another clock.
    pub fn shift(&self, video: Option<Flicks>, audio: Option<Flicks>) -> Option<Flicks> {
        let at = if self.video { video.or(audio) } else { audio.or(video) }?;
        let plain = at - self.source;
        let folded = plain.get().rem_euclid(Self::WRAP);
        let nearest = if folded > Self::WRAP / 2 { folded - Self::WRAP } else { folded };
        let possible = |since: &Flicks| (-Self::BEFORE..=self.elapsed).contains(since);
        let since = [plain, Flicks::new(nearest)].into_iter().find(possible)?;
        Some(self.output + since - at)
    }
}

impl OutputAxis {
    /// The axis of a stream that goes on: by its clock, or where that is another, from `begin` on.
    pub(super) fn resumed(anchor: Option<Anchor>, begin: Flicks) -> Self {
        Self { anchor, video_end: Some(begin), audio_end: Some(begin), ..Self::default() }
    }

    /// The clock is known to be another.
    pub(super) fn forget_anchor(&mut self) {
        self.anchor = None;
    }

    /// The shift of `period`, whose first batch has these source spans and begins `hole` behind what was there;
    /// later batches of the same period get the same.
    pub(super) fn shift(
        &mut self,
        period: u64,
        hole: Flicks,
        video: Option<Span>,
        audio: Option<Span>,
    ) -> Flicks {
        let shift = self.peek(period, hole, video, audio);
        self.current = Some((period, shift));
        self.anchor = None;
        self.video_end = video.map(|span| span.end + shift).or(self.video_end);
        self.audio_end = audio.map(|span| span.end + shift).or(self.audio_end);
        shift
    }

    /// The period that was shifted last.
    pub(super) fn period(&self) -> Option<u64> {
        self.current.map(|(period, _)| period)
    }

    /// The shift of `period`, where it has one already.
    pub(super) fn shift_of(&self, period: u64) -> Option<Flicks> {
        self.current.filter(|(current, _)| *current == period).map(|(_, shift)| shift)
    }

    /// Where what was shifted ends, by the video where there is one.
    pub(super) fn end(&self) -> Option<Flicks> {
        self.video_end.or(self.audio_end)
    }

    /// What [`OutputAxis::shift`] would say now.
    pub(super) fn peek(&self, period: u64, hole: Flicks, video: Option<Span>, audio: Option<Span>) -> Flicks {
        match self.current {
            Some((current, shift)) if current == period => shift,
            _ => self.new_period(video, audio) + hole,
        }
    }

    /// What is to come of this period stands later by `by`.
    pub(super) fn delay(&mut self, by: Flicks) {
        if let Some((_, shift)) = &mut self.current {
            *shift += by;
        }
    }

    /// What is to come stands right behind what is there, whatever its period.
    pub(super) fn rejoin(&mut self) {
        self.current = None;
    }

    fn new_period(&self, video: Option<Span>, audio: Option<Span>) -> Flicks {
        let goes_on = self
            .anchor
            .and_then(|anchor| anchor.shift(video.map(|span| span.start), audio.map(|span| span.start)));
        if let Some(shift) = goes_on {
            return shift;
        }
        // Where a track had no samples yet, the other's end keeps it from starting in the past.
        let fallback = self.video_end.max(self.audio_end).unwrap_or(Flicks::ZERO);
        let video_shift = video.map(|span| self.video_end.unwrap_or(fallback) - span.start);
        let audio_shift = audio.map(|span| self.audio_end.unwrap_or(fallback) - span.start);
        video_shift.max(audio_shift).unwrap_or(Flicks::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Flicks {
        Flicks::from_millis(seconds * 1_000)
    }

    fn anchor() -> Anchor {
        Anchor { video: true, source: seconds(1_000), output: seconds(50), elapsed: seconds(300) }
    }

    #[test]
    fn a_clock_that_can_be_the_same_goes_on_where_it_was() {
        let shift = anchor().shift(Some(seconds(1_200)), Some(seconds(7)));
        assert_eq!(shift, Some(seconds(50 - 1_000)));
        assert_eq!(anchor().shift(None, Some(seconds(1_001))), Some(seconds(50 - 1_000)));
        for other in [0, 900, 1_301, 100_000] {
            assert_eq!(anchor().shift(Some(seconds(other)), None), None, "{other}");
        }
        assert_eq!(anchor().shift(None, None), None);
    }

    #[test]
    fn thirty_three_bits_that_were_unwrapped_before_and_not_since_are_the_same_clock() {
        let wrap = Flicks::from_ticks(1 << 33);
        let before = Anchor { source: seconds(10) + wrap + wrap, ..anchor() };
        let shift = before.shift(Some(seconds(12)), None).unwrap();
        assert_eq!(seconds(12) + shift, seconds(52));
        // The wrap lies between the two.
        let before = Anchor { source: wrap - seconds(1), ..anchor() };
        assert_eq!(before.shift(Some(seconds(1)), None).unwrap(), seconds(51));
    }

    #[test]
    fn a_stream_that_goes_on_begins_by_its_clock_or_where_it_is_told() {
        let span = |start| Some(Span { start: seconds(start), end: seconds(start + 30) });
        let mut same = OutputAxis::resumed(Some(anchor()), seconds(500));
        assert_eq!(same.shift(0, Flicks::ZERO, span(1_100), span(1_100)), seconds(-950));
        assert_eq!(same.shift(1, Flicks::ZERO, span(0), span(0)), seconds(180), "the next period joins");
        let mut other = OutputAxis::resumed(Some(anchor()), seconds(500));
        assert_eq!(other.shift(0, Flicks::ZERO, span(7), span(7)), seconds(493));
    }
}
