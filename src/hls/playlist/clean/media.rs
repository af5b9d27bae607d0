//! The tags of a media playlist (RFC 8216 4.3.2 and 4.3.3).

use std::sync::Arc;
use std::time::Duration;

use super::super::Error;
use super::super::attributes;
use super::super::limits::MAX_DATE_RANGES;
use super::super::model::{ByteRange, Cue, DateRange, Key, KeyMethod, Kind, Map, SegmentRef, Skip, Start};
use super::{Cleaner, check_address};
use crate::outside::Name;

/// Longer dates are garbage; RFC 3339 with nanoseconds and a zone has 35 characters.
const MAX_DATE_CHARS: usize = 64;

/// Formats of keys in force at once: each is a DRM system, and there are not so many.
const MAX_KEY_FORMATS: usize = 16;

/// An IV has 128 bits, written with two digits a byte and `0x` (RFC 8216 4.2); some writers put zeros before it.
const MAX_IV: usize = 64;

/// What holds until another tag changes it, and what waits for the next address.
#[derive(Default)]
pub(super) struct Carry {
    duration: Duration,
    date: Option<Name>,
    discontinuity: bool,
    /// Passed before the next address, with its own.
    discontinuities: u64,
    byte_range: Option<(u64, Option<u64>)>,
    /// Where the byte range of the last segment ended: a range without an offset begins there (RFC 8216 4.3.2.2).
    /// Within one resource, as the RFC has it; of another, all players read the same.
    range_end: u64,
    gap: bool,
    cue: Option<Cue>,
    /// One for each KEYFORMAT (RFC 8216 4.3.2.4).
    keys: Vec<Arc<Key>>,
    map: Option<Arc<Map>>,
}

impl Carry {
    pub(super) fn lasts(&mut self, duration: Duration) {
        self.duration = duration;
    }

    /// The segment at `uri`. Its numbers count from 0: where the list begins is known at its end.
    fn segment(&mut self, uri: Arc<str>, sequence: u64) -> SegmentRef {
        let discontinuity = std::mem::take(&mut self.discontinuity);
        self.discontinuities += u64::from(discontinuity);
        let byte_range = self.byte_range.take().map(|(length, offset)| {
            let offset = offset.unwrap_or(self.range_end);
            ByteRange { offset, length }
        });
        self.range_end = byte_range.map_or(0, |range| range.offset.saturating_add(range.length));
        SegmentRef {
            sequence,
            uri,
            duration: self.duration,
            discontinuity,
            discontinuity_sequence: self.discontinuities,
            gap: std::mem::take(&mut self.gap),
            key: self.key(),
            map: self.map.clone(),
            byte_range,
            program_date_time: self.date.take(),
            cue: self.cue.take(),
        }
    }

    /// Several keys may apply, each for another system: the one that is in the clear is of use here.
    fn key(&self) -> Option<Arc<Key>> {
        self.keys.iter().find(|key| is_identity(key.format.as_deref())).or(self.keys.last()).cloned()
    }
}

impl Cleaner<'_> {
    pub(super) fn segment(&mut self, uri: &str) {
        // A definition may bring a line end with it.
        let uri: Arc<str> = match uri.contains(['\n', '\r']) {
            true => uri.replace(['\n', '\r'], "").into(),
            false => uri.into(),
        };
        let skipped = self.media.skip.map_or(0, |skip| skip.segments);
        let first = self.media.media_sequence.saturating_add(skipped);
        let segment = self.carry.segment(uri, self.listed);
        self.media.window.push(segment, self.needed_from.saturating_sub(first));
        self.listed += 1;
    }

    pub(super) fn media_tag(&mut self, name: &str, value: &str, number: usize) -> Result<(), Error> {
        let bad = |tag| Error::BadTag { line: number, tag };
        match name {
            "INF" => {
                self.begin_segment(seconds(value).unwrap_or(self.target_duration));
            }
            "-X-TARGETDURATION" => {
                // Where it cannot be read the longest segment says as much.
                if let Some(seconds) = seconds(value) {
                    self.target_duration = seconds;
                    self.media.target_duration = seconds.ceil() as u64;
                }
            }
            "-X-MEDIA-SEQUENCE" => {
                self.media.media_sequence = whole(value).ok_or_else(|| bad("EXT-X-MEDIA-SEQUENCE"))?;
                self.media.numbered = value.starts_with(|c: char| c.is_ascii_digit());
            }
            // A hint for joining renditions: without it, counting begins at 0.
            "-X-DISCONTINUITY-SEQUENCE" => {
                self.media.discontinuity_sequence = whole(value).unwrap_or(0);
            }
            "-X-PLAYLIST-TYPE" => {
                for (name, kind) in [("VOD", Kind::Vod), ("EVENT", Kind::Event)] {
                    if value.eq_ignore_ascii_case(name) {
                        self.media.kind = Some(kind);
                    }
                }
            }
            "-X-ENDLIST" => self.media.ended = true,
            "-X-I-FRAMES-ONLY" => self.media.iframes_only = true,
            "-X-DISCONTINUITY" => self.carry.discontinuity = true,
            "-X-GAP" => self.carry.gap = true,
            "-X-BYTERANGE" => {
                // `100@` is seen, and means what `100` means.
                let range = byte_range(value.trim_end_matches('@')).ok_or_else(|| bad("EXT-X-BYTERANGE"))?;
                self.carry.byte_range = Some(range);
            }
            "-X-KEY" => self.key(value, number)?,
            "-X-MAP" => self.map(value, number)?,
            "-X-PROGRAM-DATE-TIME" if value.chars().count() <= MAX_DATE_CHARS && !value.is_empty() => {
                self.carry.date = Some(Name::new(value));
            }
            "-X-SKIP" => {
                let given = self.attributes(value);
                let skipped = attributes::value(&given, "SKIPPED-SEGMENTS").map(str::parse::<u64>);
                let segments = skipped.transpose().map_err(|_| bad("EXT-X-SKIP"))?.unwrap_or(0);
                self.media.skip = (segments > 0).then_some(Skip { segments, key_open: 0, map_open: 0 });
            }
            "-X-START" => self.start(value),
            "-X-DATERANGE" => self.date_range(value),
            "-X-DEFINE" => self.define(value, number)?,
            // SCTE 35 as Elemental, Wowza and others write it; the payload stays where it is.
            "-X-CUE-OUT" => self.carry.cue = Some(Cue::Out(cue_duration(value))),
            "-X-CUE-OUT-CONT" => self.carry.cue = self.carry.cue.take().or(Some(Cue::Continued)),
            "-X-CUE-IN" => self.carry.cue = Some(Cue::In),
            _ => {}
        }
        Ok(())
    }

    fn key(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let value = self.substitute(value, number)?;
        let given = self.attributes(&value);
        let bad = Error::BadTag { line: number, tag: "EXT-X-KEY" };
        let method = attributes::value(&given, "METHOD").ok_or(bad)?.to_ascii_uppercase();
        let method = match method.as_str() {
            "NONE" => {
                self.carry.keys.clear();
                self.media.key_at.get_or_insert(self.listed);
                return Ok(());
            }
            "AES-128" => KeyMethod::Aes128,
            "SAMPLE-AES" => KeyMethod::SampleAes,
            other => KeyMethod::Other(Name::new(other)),
        };
        let text = |name| attributes::value(&given, name);
        text("URI").map_or(Ok(()), |uri| check_address(uri, number))?;
        if let Some(length) = text("IV").map(str::len).filter(|length| *length > MAX_IV) {
            return Err(Error::TooLong { line: number, what: "the IV", length, limit: MAX_IV });
        }
        let (uri, iv) = (text("URI").map(str::to_owned), text("IV").map(str::to_owned));
        let key = Key { method, uri, iv, format: text("KEYFORMAT").map(Name::new) };
        // The first KEY after an address replaces what has its format; the others of a set stay.
        fn name(key: &Key) -> &str {
            key.format.as_deref().unwrap_or("identity")
        }
        self.carry.keys.retain(|known| name(known) != name(&key));
        if self.carry.keys.len() < MAX_KEY_FORMATS {
            self.carry.keys.push(Arc::new(key));
        }
        self.media.key_at.get_or_insert(self.listed);
        Ok(())
    }

    fn map(&mut self, value: &str, number: usize) -> Result<(), Error> {
        let value = self.substitute(value, number)?;
        let given = self.attributes(&value);
        let bad = || Error::BadTag { line: number, tag: "EXT-X-MAP" };
        let uri = attributes::value(&given, "URI").ok_or_else(bad)?.to_owned();
        check_address(&uri, number)?;
        let byte_range = match attributes::value(&given, "BYTERANGE") {
            Some(range) => {
                let (length, offset) = byte_range(range).ok_or_else(bad)?;
                Some(ByteRange { offset: offset.unwrap_or(0), length })
            }
            None => None,
        };
        // Only a KEY that stands before it applies to it.
        self.carry.map = Some(Arc::new(Map { uri, byte_range, key: self.carry.key() }));
        self.media.map_at.get_or_insert(self.listed);
        Ok(())
    }

    pub(super) fn start(&mut self, value: &str) {
        let given = self.attributes(value);
        let offset = attributes::value(&given, "TIME-OFFSET").and_then(|offset| offset.parse::<f64>().ok());
        // A hint: where it cannot be read, the usual start is right.
        self.media.start =
            offset.filter(|offset| offset.is_finite()).map(|time_offset| Start { time_offset });
    }

    fn date_range(&mut self, value: &str) {
        let given = self.attributes(value);
        let Some(id) = attributes::value(&given, "ID") else { return };
        let duration = ["DURATION", "PLANNED-DURATION"]
            .into_iter()
            .find_map(|name| attributes::value(&given, name))
            .and_then(seconds)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let has = |name: &str| given.iter().any(|attribute| attribute.name == name);
        if self.media.date_ranges.len() == MAX_DATE_RANGES {
            self.media.date_ranges.pop_front();
            self.left_out.date_ranges += 1;
        }
        self.media.date_ranges.push_back(DateRange {
            id: Name::new(id),
            class: attributes::value(&given, "CLASS").map(Name::new),
            start: attributes::value(&given, "START-DATE")
                .filter(|date| date.len() <= MAX_DATE_CHARS)
                .map(Name::new),
            duration,
            scte35: has("SCTE35-OUT") || has("SCTE35-IN") || has("SCTE35-CMD"),
        });
    }
}

/// The number that `value` begins with; none where it is too large.
fn whole(value: &str) -> Option<u64> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    match value.get(..end) {
        // Empty, negative or a word: counted from 0, as where the tag is missing.
        None | Some("") => Some(0),
        Some(digits) => digits.parse().ok(),
    }
}

pub(in super::super) fn is_identity(format: Option<&str>) -> bool {
    format.is_none_or(|format| format == "identity")
}

/// `length[@offset]`, blanks allowed.
fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (length, offset) = match text.split_once('@') {
        Some((length, offset)) => (length, Some(offset.trim().parse().ok()?)),
        None => (text, None),
    };
    Some((length.trim().parse().ok()?, offset))
}

/// `30`, `DURATION=30` or nothing.
fn cue_duration(value: &str) -> Option<Duration> {
    let given = attributes::parse(value);
    let text = attributes::value(&given, "DURATION").unwrap_or(value);
    seconds(text).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// The decimal number that `text` begins with. Titles and attributes follow it, with or without a comma; -1 is
/// how IPTV lists say "unknown".
fn seconds(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let seconds: f64 = text.get(..end)?.parse().ok()?;
    (seconds <= f64::from(u32::MAX)).then_some(seconds.max(0.0))
}
