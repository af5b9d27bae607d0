//! Which segments a player may see. Pure.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use time::OffsetDateTime;
use time::macros::format_description;

use super::File;
use super::segment::{Init, Segment};
use super::segmenter::LONGEST;
use crate::media::{Flicks, Moment};
use crate::memory::{Held, queued};
use crate::playout::Playout;

/// RFC 8216 4.3.3.1: no segment, rounded, is longer; 6.2.1: it never changes, so it is the longest there
/// can be from the start.
const TARGET_SECONDS: i64 = LONGEST.get() / Flicks::PER_SECOND;
/// What is listed, at least. RFC 8216 6.2.2 asks for three target durations, which is also where players
/// begin; one more lets a slow one fall behind.
const WINDOW: Flicks = Flicks::from_millis(4_000 * TARGET_SECONDS);
/// How long a segment stays after it left the list. RFC 8216 6.2.2: its own duration and the playlist's.
const GRACE: Duration = Duration::from_secs(5 * TARGET_SECONDS as u64);
/// How long what was played is held: listed, and after that.
pub(crate) const HELD: Duration =
    GRACE.saturating_add(Duration::from_secs((WINDOW.get() / Flicks::PER_SECOND) as u64));
/// Bytes held at most, listed or not: a minute at 16 Mbit/s. Beyond it the oldest go early.
const MAX_BYTES: u64 = 128 << 20;

pub(super) const PLAYLIST_TYPE: &str = "application/vnd.apple.mpegurl";
const MP4_TYPE: &str = "video/mp4";
/// A playlist is new with each segment.
const PLAYLIST_CACHE: &str = "no-cache";
/// No name is ever used for other bytes, and nothing is listed for longer than about this.
const SEGMENT_CACHE: &str = "max-age=60";

/// What tells the files of one run of a stream from those of every other: caches and players keep what they have
/// under its name, whatever was deleted or started again meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// Drawn by lot; in every name.
    pub(super) token: u32,
    /// The number of the first segment: so much that a player which reads on across a restart sees the numbers
    /// grow (RFC 8216 6.2.2).
    pub(super) first: u64,
}

impl Run {
    /// A run that begins now. Numbers are the seconds of the clock, and no segment is as short as one.
    pub(super) fn begin(token: u32, wall: SystemTime) -> Self {
        let first = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { token, first }
    }

    fn name(self, kind: &str, number: u64, extension: &str) -> String {
        format!("{kind}-{:08x}-{number}.{extension}", self.token)
    }
}

/// The segments of one stream: dropped from the list, listed, and not yet due, in this order.
#[derive(Debug, Default)]
pub(super) struct Window {
    run: Run,
    segments: VecDeque<Entry>,
    /// How many at the front are no longer listed.
    dropped: usize,
    /// How many after those are listed.
    listed: usize,
    bytes: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE of the first listed segment.
    discontinuities: u64,
    ended: bool,
}

#[derive(Debug)]
struct Entry {
    segment: Segment,
    /// What it takes beside the media in it.
    _held: Held,
    /// When its first sample was played, on the calendar.
    date: Option<OffsetDateTime>,
    dropped_at: Moment,
}

impl Window {
    /// Before the first segment of a run.
    pub(super) fn begin(&mut self, run: Run) {
        *self = Self { run, ..Self::default() };
    }

    pub(super) fn push(&mut self, segment: Segment, mut held: Held) {
        self.bytes += segment.size;
        let header = segment.chunks.first().map_or(0, Bytes::len) as u64;
        held.set(header + segment.chunks.iter().map(|chunk| queued(chunk.len())).sum::<u64>());
        self.segments.push_back(Entry { segment, _held: held, date: None, dropped_at: Moment::ZERO });
        while self.bytes > MAX_BYTES && self.segments.len() > 1 {
            if self.dropped == 0 {
                self.unlist(Moment::ZERO);
            }
            self.forget();
        }
    }

    /// Lists what is due, drops what is too old. `wall` is the calendar's `now`.
    pub(super) fn release(&mut self, playout: Playout, now: Moment, wall: SystemTime) {
        while let Some(entry) = self.segments.get_mut(self.dropped + self.listed) {
            if playout.due(entry.segment.last) > now {
                break;
            }
            let ago = now.saturating_since(playout.due(entry.segment.start));
            entry.date = wall.checked_sub(ago).map(OffsetDateTime::from);
            self.listed += 1;
        }
        while self.listed > 1 && self.length_without_first() >= WINDOW {
            self.unlist(now);
        }
        while self.dropped > 0
            && self.segments.front().is_some_and(|entry| now.saturating_since(entry.dropped_at) >= GRACE)
        {
            self.forget();
        }
    }

    /// When there is something to release.
    pub(super) fn next_release(&self, playout: Playout) -> Option<Moment> {
        let next = self.segments.get(self.dropped + self.listed)?;
        Some(playout.due(next.segment.last))
    }

    /// The list is complete: what is not yet due never will be.
    pub(super) fn end(&mut self) {
        self.segments.truncate(self.dropped + self.listed);
        self.bytes = self.segments.iter().map(|entry| entry.segment.size).sum();
        self.ended = true;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self { ended: true, ..Self::default() };
    }

    pub(super) fn file(&self, name: &str) -> Option<File> {
        if name == "index.m3u8" {
            let playlist = self.playlist()?.into();
            let (content_type, cache_control) = (PLAYLIST_TYPE, PLAYLIST_CACHE);
            return Some(File { content_type, cache_control, chunks: vec![playlist] });
        }
        let mut released = self.segments.iter().take(self.dropped + self.listed).map(|entry| &entry.segment);
        let chunks = released.find_map(|segment| {
            if self.segment_name(segment) == name {
                Some(segment.chunks.clone())
            } else {
                (self.init_name(&segment.init) == name).then(|| vec![segment.init.data.clone()])
            }
        })?;
        Some(File { content_type: MP4_TYPE, cache_control: SEGMENT_CACHE, chunks })
    }

    fn playlist(&self) -> Option<String> {
        let listed = self.segments.iter().skip(self.dropped).take(self.listed);
        let first = listed.clone().next()?.segment.number;
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{TARGET_SECONDS}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            self.discontinuities
        );
        let mut init: Option<&Arc<Init>> = None;
        for Entry { segment, date, .. } in listed {
            // Writing into a string cannot fail.
            if segment.discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if init.is_none_or(|init| init.number != segment.init.number) {
                let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", self.init_name(&segment.init));
                init = Some(&segment.init);
            }
            let date = date.and_then(|date| {
                date.format(format_description!(
                    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
                ))
                .ok()
            });
            if let Some(date) = date {
                let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{date}");
            }
            let seconds = (segment.end - segment.start).to_secs_f64();
            let _ = writeln!(text, "#EXTINF:{seconds:.5},\n{}", self.segment_name(segment));
        }
        if self.ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        Some(text)
    }

    fn segment_name(&self, segment: &Segment) -> String {
        self.run.name("segment", segment.number, "m4s")
    }

    fn init_name(&self, init: &Init) -> String {
        self.run.name("init", init.number, "mp4")
    }

    fn length_without_first(&self) -> Flicks {
        let listed = self.segments.iter().skip(self.dropped).take(self.listed).skip(1);
        listed.map(|entry| entry.segment.end - entry.segment.start).fold(Flicks::ZERO, |sum, one| sum + one)
    }

    /// Takes the first listed segment off the list.
    fn unlist(&mut self, now: Moment) {
        if let Some(entry) = self.segments.get_mut(self.dropped) {
            entry.dropped_at = now;
            self.discontinuities += u64::from(entry.segment.discontinuity);
            self.dropped += 1;
            self.listed = self.listed.saturating_sub(1);
        }
    }

    /// Frees the oldest segment, which is off the list.
    fn forget(&mut self) {
        if let Some(entry) = self.segments.pop_front() {
            self.bytes = self.bytes.saturating_sub(entry.segment.size);
            self.dropped = self.dropped.saturating_sub(1);
        }
    }
}
