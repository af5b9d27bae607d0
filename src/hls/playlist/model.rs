//! What a playlist says, without how it was written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::limits::{LeftOut, MAX_SEGMENTS, MAX_TEXT, MIN_KEPT};
use crate::outside::Name;

/// A playlist of either sort.
#[derive(Clone, Debug, PartialEq)]
pub enum Playlist {
    Master(Master),
    Media(Media),
}

/// A master (multivariant) playlist (RFC 8216 4.3.4). At least one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Master {
    pub variants: Vec<Variant>,
    /// The audio renditions (`EXT-X-MEDIA`, TYPE=AUDIO) of all groups.
    pub audio: Vec<Rendition>,
    /// What `EXT-X-DEFINE` defined here; a media playlist may import it.
    pub variables: BTreeMap<String, String>,
    /// `EXT-X-START`: for all media playlists of it (RFC 8216 4.3.5).
    pub start: Option<Start>,
    /// What it lists beyond the limits.
    pub left_out: LeftOut,
}

/// One `EXT-X-STREAM-INF` with its address.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// As written: relative to the playlist's own address.
    pub uri: String,
    /// Peak bits a second; 0 where the playlist does not say.
    pub bandwidth: u64,
    /// RFC 6381 names, separated by commas.
    pub codecs: Option<Name>,
    /// Width and height in pixels.
    pub resolution: Option<(u64, u64)>,
    pub frame_rate: Option<f64>,
    /// The group of audio renditions that this variant plays with.
    pub audio: Option<Name>,
    /// `NAME`, which is not in the RFC.
    pub name: Option<Name>,
}

/// One audio rendition (RFC 8216 4.3.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    pub group: Name,
    pub name: Name,
    pub language: Option<Name>,
    pub default: bool,
    pub autoselect: bool,
    /// How many channels it has, of `CHANNELS`.
    pub channels: Option<u32>,
    /// `CHARACTERISTICS`: a description for the blind has one.
    pub characteristics: Option<Name>,
    /// None: the sound is inside the variant's own segments.
    pub uri: Option<String>,
}

/// A media playlist (RFC 8216 4.3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, rounded up; where it is missing, the longest segment. Never zero.
    pub target_duration: Duration,
    /// The media sequence number of the first of `segments` (skipped ones are already counted).
    pub media_sequence: u64,
    /// Segments listed before the first of `segments`: taken already, or beyond the limits.
    pub before: u64,
    /// `EXT-X-MEDIA-SEQUENCE` is there. Without it numbers begin at 0 in every reading, wherever the window is.
    pub numbered: bool,
    pub kind: Option<Kind>,
    /// `EXT-X-ENDLIST`: nothing will be added.
    pub ended: bool,
    pub start: Option<Start>,
    /// Trick-play pictures only: not a stream that can be published.
    pub iframes_only: bool,
    /// A delta update (RFC 8216bis 6.2.5.1): what it leaves out.
    pub skip: Option<Skip>,
    pub date_ranges: Vec<DateRange>,
    pub segments: Vec<SegmentRef>,
    /// What it lists beyond the limits.
    pub left_out: LeftOut,
}

/// `EXT-X-SKIP`: segments left out before the first one listed, and for how many of those listed no KEY, or
/// no MAP, was said since, so that what was in force before goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    pub segments: u64,
    pub key_open: usize,
    pub map_open: usize,
}

/// `EXT-X-DATERANGE` (RFC 8216 4.3.2.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    pub id: Name,
    pub class: Option<Name>,
    /// As written.
    pub start: Option<Name>,
    /// As it was or as it is planned.
    pub duration: Option<Duration>,
    /// It carries a splice command.
    pub scte35: bool,
}

/// A splice point as many encoders mark it (`EXT-X-CUE-OUT` and its kin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// A break begins, of this length where it is known.
    Out(Option<Duration>),
    /// It goes on.
    Continued,
    In,
}

impl Media {
    /// The media sequence number of the first segment listed, whether it is kept or not.
    pub fn listed_from(&self) -> u64 {
        self.media_sequence.saturating_sub(self.before)
    }

    /// The segments kept from the number `sequence` on.
    pub fn kept_from(&self, sequence: u64) -> &[SegmentRef] {
        let index = usize::try_from(sequence.saturating_sub(self.media_sequence)).unwrap_or(usize::MAX);
        self.segments.get(index..).unwrap_or_default()
    }

    /// Forgets the segments before the number `needed_from`, but never the newest [`MIN_KEPT`].
    pub fn forget_before(&mut self, needed_from: u64) {
        let taken = usize::try_from(needed_from.saturating_sub(self.media_sequence)).unwrap_or(usize::MAX);
        self.drop_first(taken.min(self.segments.len().saturating_sub(MIN_KEPT)));
    }

    /// Leaves out the oldest segments, so that no more than [`MAX_SEGMENTS`] are kept, of no more than [`MAX_TEXT`]
    /// bytes.
    pub fn limit(&mut self) {
        let mut text = 0_usize;
        let (mut key, mut map) = (None, None);
        let fits = |segment: &&SegmentRef| {
            text = text.saturating_add(segment.own_text());
            // Neighbours share theirs.
            if key != Some(segment.key.as_ref().map(Arc::as_ptr)) {
                key = Some(segment.key.as_ref().map(Arc::as_ptr));
                text = text.saturating_add(segment.key.as_deref().map_or(0, Key::text));
            }
            if map != Some(segment.map.as_ref().map(Arc::as_ptr)) {
                map = Some(segment.map.as_ref().map(Arc::as_ptr));
                text = text.saturating_add(segment.map.as_deref().map_or(0, Map::text));
            }
            text <= MAX_TEXT
        };
        let kept = self.segments.iter().rev().take(MAX_SEGMENTS).take_while(fits).count();
        self.keep_newest(kept);
    }

    /// Leaves out all but the newest `kept` segments.
    pub fn keep_newest(&mut self, kept: usize) {
        let excess = self.segments.len().saturating_sub(kept);
        self.drop_first(excess);
        self.left_out.segments = self.left_out.segments.saturating_add(excess as u64);
    }

    fn drop_first(&mut self, count: usize) {
        if count > 0 {
            self.segments.drain(..count);
            self.segments.shrink_to_fit();
            self.media_sequence = self.media_sequence.saturating_add(count as u64);
            self.before = self.before.saturating_add(count as u64);
        }
    }

    /// The media sequence number after the last one listed.
    pub fn end(&self) -> u64 {
        self.media_sequence.saturating_add(self.segments.len() as u64)
    }

    /// Whether the whole of it is there from the start. It says so itself: with EXT-X-ENDLIST it is true.
    pub fn is_vod(&self) -> bool {
        self.ended || self.kind == Some(Kind::Vod)
    }
}

/// `EXT-X-PLAYLIST-TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Event,
    Vod,
}

/// `EXT-X-START` (RFC 8216 4.3.5.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// Seconds from the beginning, or, negative, from the end.
    pub time_offset: f64,
}

/// One media segment as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRef {
    /// Its media sequence number.
    pub sequence: u64,
    /// As written: relative to the playlist's own address. Shared by all who hold the segment.
    pub uri: Arc<str>,
    /// `EXTINF`.
    pub duration: Duration,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// The discontinuity sequence number (RFC 8216 6.2.2).
    pub discontinuity_sequence: u64,
    /// `EXT-X-GAP`: listed, but not there.
    pub gap: bool,
    pub key: Option<Arc<Key>>,
    pub map: Option<Arc<Map>>,
    pub byte_range: Option<ByteRange>,
    /// `EXT-X-PROGRAM-DATE-TIME` as written.
    pub program_date_time: Option<Name>,
    pub cue: Option<Cue>,
}

impl SegmentRef {
    /// Bytes of its text, without its key and its map.
    pub fn own_text(&self) -> usize {
        self.uri.len() + self.program_date_time.as_deref().map_or(0, str::len)
    }

    /// The last component of its address: hosts and tokens differ between servers and readings.
    pub fn name(&self) -> &str {
        let path = self.uri.split(['?', '#']).next().unwrap_or(&self.uri);
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// `EXT-X-KEY` with a method other than NONE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub method: KeyMethod,
    pub uri: Option<String>,
    /// Hexadecimal with `0x`; none means the media sequence number (RFC 8216 5.2).
    pub iv: Option<String>,
    /// None means `identity`.
    pub format: Option<Name>,
}

impl Key {
    /// Bytes of text in it.
    pub(super) fn text(&self) -> usize {
        let method = match &self.method {
            KeyMethod::Other(name) => name.len(),
            KeyMethod::Aes128 | KeyMethod::SampleAes => 0,
        };
        let length = |text: &Option<String>| text.as_deref().map_or(0, str::len);
        method + length(&self.uri) + length(&self.iv) + self.format.as_deref().map_or(0, str::len)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMethod {
    Aes128,
    SampleAes,
    Other(Name),
}

/// `EXT-X-MAP`: the initialization section (RFC 8216 4.3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    pub uri: String,
    pub byte_range: Option<ByteRange>,
    /// The key that was in force where the tag stands.
    pub key: Option<Arc<Key>>,
}

impl Map {
    /// Bytes of text in it.
    pub(super) fn text(&self) -> usize {
        self.uri.len() + self.key.as_deref().map_or(0, Key::text)
    }
}

/// A part of a resource, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    pub offset: u64,
    pub length: u64,
}
