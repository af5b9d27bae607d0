//! The text of a playlist to a playlist (RFC 8216 and draft-pantos-hls-rfc8216bis). Pure.
//!
//! `clean` reads a media playlist itself, within [`limits`]. The tags of a master playlist are typed by `m3u8-rs`:
//! `clean` brings the text into the form that it reads without loss, and [`parse`] checks that nothing was left over.

mod addresses;
mod attributes;
mod clean;
mod delta;
#[cfg(test)]
mod limit_tests;
pub mod limits;
mod model;
#[cfg(test)]
mod outside_tests;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use m3u8_rs as m3u8;

use crate::outside::{AddressTooLong, Name};

pub use addresses::Numbering;
pub use clean::Definitions;
pub use delta::merge;
pub use limits::LeftOut;
pub use model::{
    ByteRange, Cue, DateRange, Key, KeyMethod, Kind, Map, Master, Media, Playlist, Rendition, SegmentRef,
    Skip, Start, Variant,
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
    /// Not text: in a compression that no header names and the bytes do not show (brotli), or no playlist at all.
    #[error("the body is binary, not a playlist: compressed without Content-Encoding, or something else")]
    Binary,
    /// Compressed, though no `Content-Encoding` says so, and not to be unpacked.
    #[error("the playlist is compressed ({format}, without Content-Encoding) and cannot be unpacked")]
    Compressed { format: &'static str },
    /// A tag whose value decides what is played cannot be read.
    #[error("line {line}: {tag} has an unusable value")]
    BadTag { line: usize, tag: &'static str },
    /// A variable is used that nothing defined (RFC 8216bis 4.3).
    #[error("line {line}: the variable {name} is not defined")]
    UndefinedVariable { line: usize, name: Name },
    /// An address is no use when it is cut: it is read as it is, or the playlist is not read.
    #[error("line {line}: {source}")]
    Address { line: usize, source: AddressTooLong },
    /// Something else that is used and never cut.
    #[error("line {line}: {what} has {length} bytes, more than {limit}")]
    TooLong { line: usize, what: &'static str, length: usize, limit: usize },
    /// A master playlist without a variant that has an address.
    #[error("the master playlist lists no variant")]
    EmptyMaster,
    /// Neither tags of a master nor of a media playlist.
    #[error("the playlist has neither variants nor segments nor a target duration")]
    NoContent,
    /// A complete playlist that lists more than is kept: what it begins with would be missing.
    #[error("it lists {listed} segments, {kept} of which are kept: a complete playlist must fit")]
    TooManySegments { listed: u64, kept: usize },
    /// The parser stopped before the end or lost segments: playing the rest would hide a hole.
    #[error("only {parsed} of {expected} entries could be read")]
    LeftOver { parsed: usize, expected: usize },
}

impl Error {
    /// Whether the playlist may still become one: an encoder that starts writes the header first, and an empty file
    /// before that.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Empty | Self::NoContent)
    }
}

/// Reads a playlist body. `definitions` resolves `EXT-X-DEFINE` imports and query parameters.
///
/// # Errors
///
/// [`Error`] names the first thing that makes the text unusable. Unknown tags never do.
pub fn parse(body: &[u8], definitions: &Definitions) -> Result<Playlist, Error> {
    parse_from(body, definitions, 0)
}

/// The same of a media playlist that was read before: of the segments before the media sequence number `needed_from`
/// only as many are kept as tell whether it is the same window.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_from(body: &[u8], definitions: &Definitions, needed_from: u64) -> Result<Playlist, Error> {
    let cleaned = clean::clean(body, definitions, needed_from)?;
    if cleaned.master {
        let master = m3u8::parse_master_playlist_res(cleaned.text.as_bytes())
            .map_err(|_| Error::LeftOver { parsed: 0, expected: cleaned.entries })?;
        return master_playlist(&master, cleaned).map(Playlist::Master);
    }
    Ok(Playlist::Media(media_playlist(cleaned.media, cleaned.left_out)))
}

fn master_playlist(parsed: &m3u8::MasterPlaylist, cleaned: clean::Cleaned) -> Result<Master, Error> {
    if parsed.variants.len() != cleaned.entries {
        return Err(Error::LeftOver { parsed: parsed.variants.len(), expected: cleaned.entries });
    }
    let variants: Vec<Variant> = parsed
        .variants
        .iter()
        .zip(cleaned.names)
        .filter(|(variant, _)| !variant.uri.is_empty())
        .map(|(variant, name)| Variant {
            uri: variant.uri.clone(),
            bandwidth: variant.bandwidth,
            codecs: variant.codecs.as_deref().map(Name::new),
            resolution: variant.resolution.map(|r| (r.width, r.height)),
            frame_rate: variant.frame_rate,
            audio: variant.audio.as_deref().map(Name::new),
            name,
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
            group: Name::new(&media.group_id),
            name: Name::new(&media.name),
            language: media.language.as_deref().map(Name::new),
            default: media.default,
            autoselect: media.autoselect,
            channels: media.channels.as_deref().and_then(channels),
            characteristics: media.characteristics.as_deref().map(Name::new),
            uri: media.uri.clone(),
        })
        .collect();
    Ok(Master {
        variants,
        audio,
        variables: cleaned.variables,
        start: cleaned.media.start,
        left_out: cleaned.left_out,
    })
}

fn media_playlist(collected: clean::Collected, left_out: LeftOut) -> Media {
    let clean::Collected { window, media_sequence, skip, .. } = collected;
    let before = window.before();
    let left_out = LeftOut { segments: window.left_out, ..left_out };
    let listed_from = media_sequence.saturating_add(skip.map_or(0, |skip| skip.segments));
    let mut segments = window.into_segments();
    for segment in &mut segments {
        segment.sequence = segment.sequence.saturating_add(listed_from);
        segment.discontinuity_sequence =
            segment.discontinuity_sequence.saturating_add(collected.discontinuity_sequence);
    }
    let open = |until: Option<u64>| {
        let kept = until.map_or(u64::MAX, |until| until.saturating_sub(before));
        usize::try_from(kept).unwrap_or(usize::MAX).min(segments.len())
    };
    let skip =
        skip.map(|skip| Skip { key_open: open(collected.key_at), map_open: open(collected.map_at), ..skip });
    // A playlist without TARGETDURATION is broken (RFC 8216 4.3.3.1), but its longest segment says the same.
    let longest = segments.iter().map(|s| s.duration).max().unwrap_or_default();
    let target_duration = match collected.target_duration {
        0 => longest.max(Duration::from_secs(1)),
        seconds => Duration::from_secs(seconds),
    };
    Media {
        target_duration,
        media_sequence: listed_from.saturating_add(before),
        before,
        numbered: collected.numbered,
        kind: collected.kind,
        ended: collected.ended,
        start: collected.start,
        iframes_only: collected.iframes_only,
        skip,
        date_ranges: collected.date_ranges.into(),
        segments,
        left_out,
    }
}

/// `6`, `16/JOC`: the first part is the count (RFC 8216bis 4.4.6.1).
fn channels(text: &str) -> Option<u32> {
    text.split('/').next()?.trim().parse().ok()
}
