//! Pictures of one playlist and sound of another into pieces of both (RFC 8216 4.3.4.2.1, 6.2.4). Pure.
//!
//! Both playlists speak of one presentation time, but cut it into segments where they like, and arrive when they
//! can. The pictures lead: each of their pieces takes the frames up to its end with it, and waits until these
//! are there, or the audio has moved on, or too much has gathered. Discontinuity sequence numbers say which
//! stretches belong together; within one stretch times do.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::Times;
use super::untimed::{Label, Placed, Untimed};
use super::{Input, SegmentError};
use crate::media::{AudioParams, Flicks, Moment, Origin, Piece, Rendition, StampedFrame};

/// How much of one side is kept while the other is late: two segments of the longest usual length. More would
/// eat the time that the processor has. Sources with longer segments get two of theirs...
const MAX_AHEAD: Flicks = Flicks::from_millis(20_000);
/// ... which are not believed to be longer than this.
const LONGEST_PART: Flicks = Flicks::from_millis(60_000);
/// ... and how many parts, whatever their times say.
const MAX_PARTS: usize = 256;
/// Sound that ends this much before its pictures is complete: frames do not end where pictures do, and the next
/// segment of an aligned source brings the rest. Half of what the batches take for ordinary stagger.
const SLACK: Flicks = Flicks::from_millis(500);
/// At the beginning of a period, sound from before the first picture plays where it is no longer than this.
const PRELUDE: Flicks = Flicks::from_millis(1_000);
/// Times of the two sides that are further apart are of different clocks.
const REACH: Flicks = Flicks::from_millis(60_000);
/// So many segments of the main playlist in a row without a picture mean that it has none.
const WITHOUT_PICTURES: u32 = 3;
/// 33 bits of 90 kHz.
const WRAP: Flicks = Flicks::from_ticks(overdub_ts::Ticks::WRAP);

/// Joins the pieces of two playlists. [`Joiner::handle`] for what arrived, then [`Joiner::poll`] for what is
/// complete.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    pictures: VecDeque<Pictures>,
    sound: VecDeque<Sound>,
    /// What is added to the times of the sound: the two sides may have begun to count on different sides of a
    /// wrap.
    shift: Flicks,
    /// What is added to the discontinuity sequence of the sound: 0 wherever the source follows the RFC.
    renumber: i64,
    /// How much in a row did not join because of its number alone, though its time fits.
    misnumbered: Flicks,
    current: Current,
    /// Segments in a row of the main playlist without a picture.
    without_pictures: u32,
    /// The longest part so far.
    longest: Flicks,
    /// When the newest segment of either side arrived.
    captured_at: Moment,
    late: u64,
    untimed: Untimed,
}

/// Where the output is.
#[derive(Debug, Default)]
struct Current {
    period: u64,
    /// What it stands for.
    stretch: Option<Stretch>,
    /// The sound's configuration in this period.
    params: Option<Arc<AudioParams>>,
    /// Sound from before this comes too late.
    floor: Option<Flicks>,
    /// The last segment of the pictures.
    segment: Option<u64>,
}

/// A stretch of the source with one clock and one configuration of its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// Discontinuity sequence.
    sequence: u64,
    /// Period of its playlist.
    period: u64,
    /// The playlist is that of the sound: pictures have not come.
    blind: bool,
}

#[derive(Debug)]
struct Pictures {
    sequence: u64,
    wraps: bool,
    /// Presentation times.
    start: Flicks,
    end: Flicks,
    piece: Piece,
}

#[derive(Debug)]
struct Sound {
    sequence: u64,
    wraps: bool,
    segment: u64,
    /// Of the sound's playlist.
    period: u64,
    params: Arc<AudioParams>,
    /// Never empty.
    frames: VecDeque<StampedFrame>,
    /// Its times are those of a run that is not placed yet.
    untimed: Option<(u64, Label)>,
}

/// How far the sound is for the first pictures.
enum Reach {
    Complete,
    Waiting,
}

impl Joiner {
    /// Pieces of a segment arrived; `result` is how its demuxing went.
    pub(super) fn handle(
        &mut self,
        input: &Input,
        result: &Result<Times, SegmentError>,
        pieces: Vec<Piece>,
        origin: &Origin,
    ) {
        self.captured_at = self.captured_at.max(origin.captured_at);
        let (rendition, sequence) = (input.rendition, input.discontinuity_sequence);
        let label = Label::new(input, origin);
        let untimed_run = result.as_ref().ok().and_then(Times::untimed_run);
        // What came before an error is of the same format nearly always.
        let wraps = !matches!(result, Ok(Times::Whole));
        match (rendition, result) {
            (Rendition::Main, _) if !pieces.is_empty() => self.without_pictures = 0,
            (Rendition::Main, Ok(_)) => self.without_pictures = self.without_pictures.saturating_add(1),
            _ => {}
        }
        for piece in pieces {
            match rendition {
                Rendition::Main => {
                    let Some((_, samples)) = &piece.video else { continue };
                    let start = samples.iter().map(|sample| sample.pts).min();
                    let end = samples.iter().map(|sample| sample.pts + sample.duration).max();
                    let (Some(start), Some(end)) = (start, end) else { continue };
                    self.longest = self.longest.max(end - start);
                    self.untimed.video(Placed { label, start, end });
                    self.pictures.push_back(Pictures { sequence, wraps, start, end, piece });
                }
                Rendition::Audio => {
                    let Some((params, frames)) = piece.audio else { continue };
                    let (segment, period) = (piece.origin.segment, piece.period);
                    let (untimed, frames) = (untimed_run.map(|run| (run, label)), frames.into());
                    let sound = Sound { sequence, wraps, segment, period, params, frames, untimed };
                    self.longest = self.longest.max(sound.end() - sound.start());
                    self.sound.push_back(sound);
                }
            }
        }
    }

    /// The pieces that are complete.
    pub(super) fn poll(&mut self) -> Vec<Piece> {
        let mut out = Vec::new();
        self.place_untimed();
        loop {
            self.leave_old_sound(&mut out);
            if self.pictures.is_empty() {
                if self.sound.is_empty() || !(self.has_no_pictures() || self.too_much_sound()) {
                    return out;
                }
                self.release_sound(&mut out);
                continue;
            }
            match self.reach() {
                Reach::Complete => self.release_pictures(false, &mut out),
                Reach::Waiting if self.too_many_pictures() || self.too_much_sound() => {
                    self.release_pictures(true, &mut out);
                }
                Reach::Waiting => return out,
            }
        }
    }

    /// Everything, as it is.
    pub(super) fn flush(&mut self) -> Vec<Piece> {
        let mut out = Vec::new();
        while !self.pictures.is_empty() {
            self.leave_old_sound(&mut out);
            let _ = self.reach();
            self.release_pictures(true, &mut out);
        }
        while !self.sound.is_empty() {
            self.release_sound(&mut out);
        }
        out
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.pictures.is_empty() || !self.sound.is_empty()
    }

    /// Frames that came when their time was over.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// What is to be told of audio without times.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        self.untimed.take_notice()
    }

    /// Gives audio without times those of the pictures that it belongs to.
    fn place_untimed(&mut self) {
        for at in 0..self.sound.len() {
            let Some((run, _)) = self.sound[at].untimed else { continue };
            let segments: Vec<Placed> = self.sound.iter().filter_map(|sound| sound.unplaced(run)).collect();
            let Some(offset) = self.untimed.offset(run, &segments) else { return };
            let (sound, offset) = (&mut self.sound[at], offset - self.shift);
            sound.untimed = None;
            sound.frames.iter_mut().for_each(|frame| frame.pts += offset);
        }
    }

    /// Looks whether the sound up to the end of the first pictures is there; brings its clock to theirs.
    fn reach(&mut self) -> Reach {
        loop {
            let (Some(first), Some(sound)) = (self.pictures.front(), self.sound.front()) else {
                return Reach::Waiting;
            };
            if self.number(sound) != first.sequence {
                // Older sound was left before: this is of a later stretch.
                if first.is_near(sound, self.shift) {
                    let (length, number) = (first.end - first.start, sound.sequence);
                    self.suspect(number, length);
                }
                return Reach::Complete;
            }
            if first.is_near(sound, self.shift) {
                return if self.covers(first) { Reach::Complete } else { Reach::Waiting };
            }
            if let Some(shift) = first.shift_to(sound, self.shift) {
                self.shift = shift;
                continue;
            }
            // Another clock without a word about it in the playlists. Whoever is still on the old one is what
            // later parts of the other side do not meet.
            let later_pictures = self
                .pictures
                .iter()
                .skip(1)
                .any(|later| later.sequence == first.sequence && later.is_near(sound, self.shift));
            if later_pictures {
                return Reach::Complete;
            }
            let later_sound = self
                .sound
                .iter()
                .skip(1)
                .any(|later| self.number(later) == first.sequence && first.is_near(later, self.shift));
            if !later_sound {
                return Reach::Waiting;
            }
            if let Some(old) = self.sound.pop_front() {
                self.late += old.frames.len() as u64;
            }
        }
    }

    /// The sound goes on to the end of `first`, or is known to have stopped before.
    fn covers(&self, first: &Pictures) -> bool {
        self.sound.iter().any(|sound| {
            self.number(sound) != first.sequence
                || !first.is_near(sound, self.shift)
                || sound.end() + self.shift >= first.end - SLACK
        })
    }

    /// Sound of a stretch that the pictures have left: it ends the stretch where that is still open.
    fn leave_old_sound(&mut self, out: &mut Vec<Piece>) {
        while let (Some(first), Some(sound)) = (self.pictures.front(), self.sound.front())
            && self.number(sound) < first.sequence
        {
            let open = self.current.stretch.is_some_and(|open| open.sequence == self.number(sound));
            if open {
                self.release_sound(out);
                continue;
            }
            let fits = first.is_near(sound, self.shift);
            if let Some(old) = self.sound.pop_front() {
                self.late += old.frames.len() as u64;
                if fits {
                    self.suspect(old.sequence, old.end() - old.start());
                }
            }
        }
    }

    /// Sound with this discontinuity sequence fits the first pictures for so long, but for the number. Some
    /// playlists of audio do not count discontinuities as those of the pictures do: what has fitted long enough
    /// is believed.
    fn suspect(&mut self, sequence: u64, length: Flicks) {
        self.misnumbered += length;
        if self.misnumbered > MAX_AHEAD
            && let Some(first) = self.pictures.front()
        {
            self.renumber = first.sequence.cast_signed().wrapping_sub(sequence.cast_signed());
            self.misnumbered = Flicks::ZERO;
        }
    }

    fn has_no_pictures(&self) -> bool {
        self.without_pictures >= WITHOUT_PICTURES
    }

    /// The discontinuity sequence of `sound` as the pictures count.
    fn number(&self, sound: &Sound) -> u64 {
        sound.sequence.saturating_add_signed(self.renumber)
    }

    fn too_many_pictures(&self) -> bool {
        let ahead = self.pictures.iter().fold(Flicks::ZERO, |sum, part| sum + (part.end - part.start));
        ahead > self.most_ahead() || self.pictures.len() > MAX_PARTS
    }

    fn too_much_sound(&self) -> bool {
        let ahead = self.sound.iter().fold(Flicks::ZERO, |sum, part| sum + (part.end() - part.start()));
        ahead > self.most_ahead() || self.sound.len() > MAX_PARTS
    }

    fn most_ahead(&self) -> Flicks {
        let longest = self.longest.min(LONGEST_PART);
        MAX_AHEAD.max(longest + longest)
    }

    /// Releases the first pictures with the sound that belongs to them; `late`: what is missing of it will not
    /// be waited for.
    fn release_pictures(&mut self, late: bool, out: &mut Vec<Piece>) {
        let Some(Pictures { sequence, start, end, mut piece, .. }) = self.pictures.pop_front() else {
            return;
        };
        let stretch = Stretch { sequence, period: piece.period, blind: false };
        if self.current.stretch.is_some_and(|open| open.sequence == sequence && open != stretch) {
            // Nothing was said of a discontinuity: what sounds before these pictures ends the period before them.
            let origin = self.blind_origin(piece.origin.segment);
            for (params, frames) in self.take_sound(sequence, start, start) {
                self.push_sound(origin.clone(), params, frames, out);
            }
        }
        if self.enter(stretch) {
            self.current.floor = Some(start - PRELUDE);
        }
        piece.origin.captured_at = piece.origin.captured_at.max(self.captured_at);
        self.current.segment = Some(piece.origin.segment);
        let mut runs = self.take_sound(sequence, start, end).into_iter();
        if late {
            self.current.floor = Some(end);
        }
        piece.audio = runs.next();
        if let Some((params, _)) = &piece.audio {
            self.misnumbered = Flicks::ZERO;
            self.configure(params);
        }
        piece.period = self.current.period;
        let origin = Origin { program_date_time: None, ..piece.origin.clone() };
        out.push(piece);
        for (params, frames) in runs {
            self.push_sound(origin.clone(), params, frames, out);
        }
    }

    /// Takes the frames before `end`, in runs of one configuration.
    fn take_sound(
        &mut self,
        sequence: u64,
        start: Flicks,
        end: Flicks,
    ) -> Vec<(Arc<AudioParams>, Vec<StampedFrame>)> {
        let mut runs: Vec<(Arc<AudioParams>, Vec<StampedFrame>)> = Vec::new();
        while let Some(sound) = self.sound.front()
            && self.number(sound) == sequence
            && is_near(start, end, sound, self.shift)
        {
            let Some(sound) = self.sound.front_mut() else { break };
            let mut taken = Vec::new();
            while let Some(frame) = sound.frames.pop_front_if(|frame| frame.pts + self.shift < end) {
                let pts = frame.pts + self.shift;
                if self.current.floor.is_some_and(|floor| pts < floor) {
                    self.late += 1;
                } else {
                    taken.push(StampedFrame { pts, data: frame.data });
                }
            }
            if !taken.is_empty() {
                match runs.last_mut() {
                    Some((params, frames)) if *params == sound.params => frames.append(&mut taken),
                    _ => runs.push((Arc::clone(&sound.params), taken)),
                }
            }
            if !sound.frames.is_empty() {
                break;
            }
            self.sound.pop_front();
        }
        runs
    }

    /// Releases the oldest sound without pictures.
    fn release_sound(&mut self, out: &mut Vec<Piece>) {
        let Some(sound) = self.sound.pop_front() else { return };
        let sequence = self.number(&sound);
        // The end of a stretch with pictures; or pictures may come yet, as a period of their own.
        let end_of_open = self.current.stretch.is_some_and(|open| open.sequence == sequence && !open.blind);
        if !end_of_open {
            self.enter(Stretch { sequence, period: sound.period, blind: true });
        }
        let shift = self.shift;
        let frames = sound.frames.into_iter().map(|frame| StampedFrame { pts: frame.pts + shift, ..frame });
        let (late, frames): (Vec<_>, Vec<_>) =
            frames.partition(|frame| self.current.floor.is_some_and(|floor| frame.pts < floor));
        self.late += late.len() as u64;
        if frames.is_empty() {
            return;
        }
        let origin = self.blind_origin(sound.segment);
        self.push_sound(origin, sound.params, frames, out);
    }

    /// The origin of sound without pictures: the last segment that had some, so that numbers go on.
    fn blind_origin(&self, otherwise: u64) -> Origin {
        let segment = self.current.segment.unwrap_or(otherwise);
        Origin { segment, captured_at: self.captured_at, program_date_time: None }
    }

    fn push_sound(
        &mut self,
        origin: Origin,
        params: Arc<AudioParams>,
        frames: Vec<StampedFrame>,
        out: &mut Vec<Piece>,
    ) {
        self.configure(&params);
        let (period, audio) = (self.current.period, Some((params, frames)));
        out.push(Piece { origin, period, continues: false, video: None, audio });
    }

    /// Another stretch is another period; true where this is one.
    fn enter(&mut self, stretch: Stretch) -> bool {
        let stretch = Some(stretch);
        let other = self.current.stretch != stretch;
        if other {
            let Current { period, segment, .. } = self.current;
            let period = period + u64::from(self.current.stretch.is_some());
            self.current = Current { period, stretch, segment, ..Current::default() };
        }
        other
    }

    /// Another configuration of the sound begins a period (DESIGN section 3).
    fn configure(&mut self, params: &Arc<AudioParams>) {
        if self.current.params.as_ref().is_some_and(|known| known != params) {
            self.current.period += 1;
        }
        self.current.params = Some(Arc::clone(params));
    }
}

impl Pictures {
    fn is_near(&self, sound: &Sound, shift: Flicks) -> bool {
        is_near(self.start, self.end, sound, shift)
    }

    /// The shift, of whole wraps more, with which `sound` comes near.
    fn shift_to(&self, sound: &Sound, shift: Flicks) -> Option<Flicks> {
        if !self.wraps && !sound.wraps {
            return None;
        }
        let apart = (self.start - (sound.start() + shift)).get();
        let wraps = (apart + WRAP.get() / 2).div_euclid(WRAP.get());
        let shifted = shift + Flicks::new(wraps.saturating_mul(WRAP.get()));
        (wraps != 0 && self.is_near(sound, shifted)).then_some(shifted)
    }
}

/// `sound` may be of the clock of pictures from `start` to `end`.
fn is_near(start: Flicks, end: Flicks, sound: &Sound, shift: Flicks) -> bool {
    sound.end() + shift > start - REACH && sound.start() + shift < end + REACH
}

impl Sound {
    fn start(&self) -> Flicks {
        self.frames.front().map(|frame| frame.pts).unwrap_or_default()
    }

    /// As a segment of a `run` that is not placed.
    fn unplaced(&self, run: u64) -> Option<Placed> {
        let (_, label) = self.untimed.filter(|(own, _)| *own == run)?;
        Some(Placed { label, start: self.start(), end: self.end() })
    }

    fn end(&self) -> Flicks {
        let frame = self.params.frame_duration();
        self.frames.back().map(|frame| frame.pts).unwrap_or_default() + frame
    }
}
