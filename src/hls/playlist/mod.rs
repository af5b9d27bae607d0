//! The text of a playlist to a playlist (RFC 8216 and draft-pantos-hls-rfc8216bis). Pure.
//!
//! `m3u8-rs` types the tags; `clean` brings the text into the form that it reads without loss, and
//! [`parse`] checks that nothing was left over and carries forward what holds for the segments after a tag.

mod attributes;
mod clean;
mod model;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use m3u8_rs as m3u8;

pub use clean::Definitions;
pub use model::{
    ByteRange, Key, KeyMethod, Kind, Map, Master, Media, Playlist, Rendition, SegmentRef, Start, Variant,
};

/// Why a text is not a playlist that can be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The body is empty or white space.
    #[error("the body is empty")]
    Empty,
    /// The body is a web page: a login, an error page, the player's page instead of its playlist.
    #[error("the body is an HTML page, not a playlist")]
    Html,
    /// The first line is not `#EXTM3U` (RFC 8216 4.3.1.1).
    #[error("the body does not begin with #EXTM3U")]
    NotAPlaylist,
    /// A tag whose value decides what is played cannot be read.
    #[error("line {line}: {tag} has an unusable value")]
    BadTag { line: usize, tag: &'static str },
    /// A variable is used that nothing defined (RFC 8216bis 4.3).
    #[error("line {line}: the variable {name} is not defined")]
    UndefinedVariable { line: usize, name: String },
    /// A master playlist without a variant that has an address.
    #[error("the master playlist lists no variant")]
    EmptyMaster,
    /// Neither tags of a master nor of a media playlist.
    #[error("the playlist has neither variants nor segments nor a target duration")]
    NoContent,
    /// The parser stopped before the end or lost segments: playing the rest would hide a hole.
    #[error("only {parsed} of {expected} entries could be read")]
    LeftOver { parsed: usize, expected: usize },
}

/// Reads a playlist body. `definitions` resolves `EXT-X-DEFINE` imports and query parameters.
///
/// # Errors
///
/// [`Error`] names the first thing that makes the text unusable. Unknown tags never do.
pub fn parse(body: &[u8], definitions: &Definitions) -> Result<Playlist, Error> {
    let cleaned = clean::clean(body, definitions)?;
    if cleaned.master {
        let master = m3u8::parse_master_playlist_res(cleaned.text.as_bytes())
            .map_err(|_| Error::LeftOver { parsed: 0, expected: cleaned.entries })?;
        return master_playlist(&master, cleaned).map(Playlist::Master);
    }
    let media = m3u8::parse_media_playlist_res(cleaned.text.as_bytes())
        .map_err(|_| Error::LeftOver { parsed: 0, expected: cleaned.entries })?;
    media_playlist(media, &cleaned).map(Playlist::Media)
}

fn master_playlist(parsed: &m3u8::MasterPlaylist, cleaned: clean::Cleaned) -> Result<Master, Error> {
    if parsed.variants.len() != cleaned.entries {
        return Err(Error::LeftOver { parsed: parsed.variants.len(), expected: cleaned.entries });
    }
    let variants: Vec<Variant> = parsed
        .variants
        .iter()
        .filter(|variant| !variant.uri.is_empty())
        .map(|variant| Variant {
            uri: variant.uri.clone(),
            bandwidth: variant.bandwidth,
            codecs: variant.codecs.clone(),
            resolution: variant.resolution.map(|r| (r.width, r.height)),
            frame_rate: variant.frame_rate,
            audio: variant.audio.clone(),
        })
        .collect();
    if variants.is_empty() {
        return Err(Error::EmptyMaster);
    }
    let audio = parsed
        .alternatives
        .iter()
        .filter(|media| media.media_type == m3u8::AlternativeMediaType::Audio)
        .map(|media| Rendition {
            group: media.group_id.clone(),
            name: media.name.clone(),
            language: media.language.clone(),
            default: media.default,
            uri: media.uri.clone(),
        })
        .collect();
    Ok(Master { variants, audio, variables: cleaned.variables })
}

fn media_playlist(parsed: m3u8::MediaPlaylist, cleaned: &clean::Cleaned) -> Result<Media, Error> {
    if parsed.segments.len() != cleaned.entries {
        return Err(Error::LeftOver { parsed: parsed.segments.len(), expected: cleaned.entries });
    }
    let first = parsed.media_sequence.saturating_add(cleaned.skipped);
    let mut carried = Carried { discontinuities: parsed.discontinuity_sequence, ..Carried::default() };
    let segments: Vec<SegmentRef> = parsed
        .segments
        .into_iter()
        .zip(first..)
        .map(|(segment, sequence)| carried.segment(segment, sequence))
        .collect();
    // A playlist without TARGETDURATION is broken (RFC 8216 4.3.3.1), but its longest segment says the same.
    let longest = segments.iter().map(|s| s.duration).max().unwrap_or_default();
    let target_duration = match parsed.target_duration {
        0 => longest.max(Duration::from_secs(1)),
        seconds => Duration::from_secs(seconds),
    };
    Ok(Media {
        target_duration,
        media_sequence: first,
        kind: parsed.playlist_type.and_then(|kind| match kind {
            m3u8::MediaPlaylistType::Event => Some(Kind::Event),
            m3u8::MediaPlaylistType::Vod => Some(Kind::Vod),
            m3u8::MediaPlaylistType::Other(_) => None,
        }),
        ended: parsed.end_list,
        start: parsed.start.map(|start| Start { time_offset: start.time_offset }),
        iframes_only: parsed.i_frames_only,
        segments,
    })
}

/// What holds until another tag changes it. `m3u8-rs` attaches a KEY or MAP to the next segment only.
#[derive(Default)]
struct Carried {
    discontinuities: u64,
    key: Option<Arc<Key>>,
    map: Option<Arc<Map>>,
    /// Where the last byte range ended, and in which resource (RFC 8216 4.3.2.2: a range without an offset
    /// begins there).
    range_end: Option<(String, u64)>,
}

impl Carried {
    fn segment(&mut self, segment: m3u8::MediaSegment, sequence: u64) -> SegmentRef {
        if segment.discontinuity {
            self.discontinuities = self.discontinuities.saturating_add(1);
        }
        if let Some(key) = segment.key {
            self.key = model_key(key).map(Arc::new);
        }
        if let Some(map) = segment.map {
            let byte_range = map
                .byte_range
                .map(|range| ByteRange { offset: range.offset.unwrap_or(0), length: range.length });
            self.map = Some(Arc::new(Map { uri: map.uri, byte_range, key: self.key.clone() }));
        }
        let byte_range = segment.byte_range.map(|range| {
            let continued =
                self.range_end.as_ref().filter(|(uri, _)| *uri == segment.uri).map(|(_, end)| *end);
            let offset = range.offset.or(continued).unwrap_or(0);
            self.range_end = Some((segment.uri.clone(), offset.saturating_add(range.length)));
            ByteRange { offset, length: range.length }
        });
        let tag = |name: &str| segment.unknown_tags.iter().find(|tag| tag.tag == name);
        SegmentRef {
            sequence,
            uri: segment.uri,
            // The text has been checked: finite and not negative.
            duration: Duration::try_from_secs_f32(segment.duration).unwrap_or_default(),
            discontinuity: segment.discontinuity,
            discontinuity_sequence: self.discontinuities,
            gap: tag("X-GAP").is_some(),
            key: self.key.clone(),
            map: self.map.clone(),
            byte_range,
            program_date_time: tag(clean::DATE_TAG).and_then(|tag| tag.rest.clone()),
        }
    }
}

fn model_key(key: m3u8::Key) -> Option<Key> {
    let method = match key.method {
        m3u8::KeyMethod::None => return None,
        m3u8::KeyMethod::AES128 => KeyMethod::Aes128,
        m3u8::KeyMethod::SampleAES => KeyMethod::SampleAes,
        m3u8::KeyMethod::Other(other) => KeyMethod::Other(other),
    };
    Some(Key { method, uri: key.uri, iv: key.iv, format: key.keyformat })
}
