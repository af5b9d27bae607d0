//! Packed audio that does not say when it plays, beside video of another playlist. Pure.
//!
//! RFC 8216 3.4 demands an ID3 timestamp at the beginning of each segment, and some packagers write none. The frames of
//! a run of such segments follow one another; where the run begins is taken from a segment of the video that belongs
//! to one of its own: by EXT-X-PROGRAM-DATE-TIME, by the media sequence number, which the playlists of one packager
//! share, or, when neither says it, because both are the first.

use std::collections::VecDeque;

use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::Input;
use crate::media::{Flicks, Origin};

/// Video segments remembered: those of a window, however far the audio is behind.
const MAX_KNOWN: usize = 64;

/// Segments whose lengths differ by more than this share are not cut alike, and their numbers mean nothing to one
/// another.
const ALIKE: f64 = 0.25;

/// Segments whose numbers are further apart do not begin a stream together: their numbers are unrelated.
const MAX_APART: u64 = 4;

/// What the playlist says of a segment's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    discontinuities: u64,
    media_sequence: Option<u64>,
    date: Option<OffsetDateTime>,
}

impl Label {
    pub(super) fn new(input: &Input, origin: &Origin) -> Self {
        let date = origin.program_date_time.as_deref();
        Self {
            discontinuities: input.discontinuity_sequence,
            media_sequence: input.media_sequence,
            date: date.and_then(|text| OffsetDateTime::parse(text, &Iso8601::PARSING).ok()),
        }
    }
}

/// A segment, and where it lies on its own axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) label: Label,
    pub(super) start: Flicks,
    pub(super) end: Flicks,
}

/// Brings runs of audio without times beside the video.
#[derive(Debug, Default)]
pub(super) struct Untimed {
    video: VecDeque<Placed>,
    /// The run placed last, and what is added to its times.
    offset: Option<(u64, Flicks)>,
    notice: Option<&'static str>,
}

impl Untimed {
    /// A segment of the video arrived.
    pub(super) fn video(&mut self, segment: Placed) {
        if self.video.len() == MAX_KNOWN {
            self.video.pop_front();
        }
        self.video.push_back(segment);
    }

    /// What is added to the times of a run of which `audio` are the segments at hand; none before any video came.
    pub(super) fn offset(&mut self, run: u64, audio: &[Placed]) -> Option<Flicks> {
        if let Some((_, offset)) = self.offset.filter(|(known, _)| *known == run) {
            return Some(offset);
        }
        let (how, offset) = self.place(audio)?;
        self.notice = Some(how);
        self.offset = Some((run, offset));
        Some(offset)
    }

    /// How a run was placed, once for each.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        let how = self.notice.take()?;
        Some(format!("packed audio without an ID3 timestamp (RFC 8216 3.4) is played by {how}"))
    }

    fn place(&self, audio: &[Placed]) -> Option<(&'static str, Flicks)> {
        let pairs = || audio.iter().flat_map(|sound| self.video.iter().map(move |video| (sound, video)));
        let same_stretch =
            |sound: &Placed, video: &Placed| sound.label.discontinuities == video.label.discontinuities;
        let by_date =
            pairs().filter(|(sound, video)| same_stretch(sound, video)).find_map(|(sound, video)| {
                let later = sound.label.date? - video.label.date?;
                let later = Flicks::from_millis(i64::try_from(later.whole_milliseconds()).ok()?);
                Some(video.start + later - sound.start)
            });
        if let Some(offset) = by_date {
            return Some(("its EXT-X-PROGRAM-DATE-TIME", offset));
        }
        let numbered = pairs().filter(|(sound, video)| same_stretch(sound, video)).filter_map(by_number);
        if let Some((_, offset)) = numbered.min_by_key(|(apart, _)| *apart) {
            return Some(("its media sequence number", offset));
        }
        let (sound, video) = (audio.first()?, self.first_video(audio)?);
        Some(("its first segment, beside that of the video", video.start - sound.start))
    }

    /// The first segment of the stretch that the audio belongs to; else the newest, which was given out beside it.
    fn first_video(&self, audio: &[Placed]) -> Option<&Placed> {
        let stretch = audio.first()?.label.discontinuities;
        match self.offset {
            None => {
                self.video.iter().find(|video| video.label.discontinuities == stretch).or(self.video.back())
            }
            Some(_) => self.video.back(),
        }
    }
}

/// How many segments apart two are by their numbers, and what is added to the times of the audio then.
fn by_number((sound, video): (&Placed, &Placed)) -> Option<(u64, Flicks)> {
    let [audio_length, video_length] = [sound, video].map(|segment| segment.end - segment.start);
    let apart = (audio_length - video_length).to_secs_f64().abs();
    let (number, of_video) = (sound.label.media_sequence?, video.label.media_sequence?);
    if apart > video_length.to_secs_f64() * ALIKE || number.abs_diff(of_video) > MAX_APART {
        return None;
    }
    // What is between them is as long as they are.
    let between = |length: Flicks, count: u64| (0..count).fold(Flicks::ZERO, |sum, _| sum + length);
    let later = between(video_length, number.saturating_sub(of_video));
    let earlier = between(audio_length, of_video.saturating_sub(number));
    Some((number.abs_diff(of_video), video.start + later - earlier - sound.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: i64) -> Flicks {
        Flicks::from_millis(millis)
    }

    /// From `start` to `end` ms, with a number and the second of its date.
    fn placed(start: i64, end: i64, media_sequence: Option<u64>, second: Option<i64>) -> Placed {
        let date = second.map(|second| OffsetDateTime::from_unix_timestamp(second).unwrap());
        Placed { label: Label { discontinuities: 0, media_sequence, date }, start: ms(start), end: ms(end) }
    }

    /// Where the first of `audio` plays beside `video`, and how that is known.
    fn offset(video: &[Placed], audio: &[Placed]) -> Option<(Flicks, String)> {
        let mut untimed = Untimed::default();
        video.iter().for_each(|segment| untimed.video(*segment));
        let offset = untimed.offset(1, audio)?;
        Some((audio[0].start + offset, untimed.take_notice().unwrap_or_default()))
    }

    #[test]
    fn a_run_begins_where_its_date_its_number_or_else_its_place_says() {
        let video: Vec<_> = (0..3)
            .map(|n| placed(500_000 + n * 4_000, 504_000 + n * 4_000, Some(40 + n as u64), None))
            .collect();
        for (what, audio, at, how) in [
            ("the same number", placed(0, 4_010, Some(41), None), 504_000, "number"),
            ("one before", placed(0, 4_000, Some(39), None), 496_000, "number"),
            ("one after", placed(0, 4_000, Some(43), None), 512_000, "number"),
            ("numbers of its own", placed(0, 4_000, Some(7), None), 500_000, "first segment"),
            ("lengths of its own", placed(0, 6_000, Some(41), None), 500_000, "first segment"),
            ("no number", placed(7_000, 11_000, None, None), 500_000, "first segment"),
        ] {
            let (place, told) = offset(&video, &[audio]).unwrap();
            assert!(place == ms(at) && told.contains(how), "{what}: {place:?}, {told}");
        }
        let dated = [placed(500_000, 504_000, Some(40), Some(1_000))];
        let (place, told) = offset(&dated, &[placed(0, 4_000, Some(40), Some(1_001))]).unwrap();
        assert!(place == ms(501_000) && told.contains("DATE-TIME"), "{place:?}, {told}");
        assert_eq!(offset(&[], &[placed(0, 1, None, None)]), None);
    }

    #[test]
    fn a_run_is_placed_once_and_the_next_one_anew() {
        let mut untimed = Untimed::default();
        untimed.video(placed(100_000, 101_000, Some(5), None));
        assert_eq!(untimed.offset(1, &[placed(0, 1_000, Some(5), None)]), Some(ms(100_000)));
        assert!(untimed.take_notice().is_some() && untimed.take_notice().is_none());
        untimed.video(placed(107_000, 108_000, Some(12), None));
        assert_eq!(untimed.offset(1, &[placed(7_000, 8_000, Some(12), None)]), Some(ms(100_000)));
        // A segment of the audio was lost.
        assert_eq!(untimed.offset(2, &[placed(6_000, 7_000, Some(12), None)]), Some(ms(101_000)));
    }
}
