//! Which variant of a master playlist is read, and which audio rendition with it. Pure.

use std::cmp::Reverse;
use std::str::FromStr;

use super::playlist::{Master, Rendition, Variant};
use crate::media::language::speaks;
use crate::outside::{Name, Text};

/// Prefixes of video codecs (RFC 6381), to tell a variant with a picture from one with sound only.
const VIDEO: [&str; 9] = ["avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "vp09", "av01", "vvc1"];

/// Of audio codecs; what is neither (subtitles, metadata) does not matter.
const AUDIO: [&str; 7] = ["mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac"];

/// A description of the picture for the blind: never chosen unless it is asked for by name.
const DESCRIBES_VIDEO: &str = "public.accessibility.describes-video";

/// What is read of a master playlist, as the settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub pick: Pick,
    /// Pixels: a higher picture is taken only where there is no other.
    pub max_height: Option<u64>,
    /// Bits a second, likewise.
    pub max_bandwidth: Option<u64>,
    /// RFC 5646; `en` takes `en-US` too.
    pub audio_language: Option<String>,
    /// NAME of an audio rendition, letter case ignored; goes before the language.
    pub audio_name: Option<String>,
}

/// Which variant goes before the others. The others stand in for it while it fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    #[default]
    Highest,
    Lowest,
    /// Counted from 0 in the order of the playlist.
    Index(usize),
    /// The one with this NAME, of this size (`1280x720`, `720p`), or with this text in its address.
    Matching(String),
}

impl FromStr for Pick {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.trim() {
            "highest" | "" => Self::Highest,
            "lowest" => Self::Lowest,
            text => text.parse().map_or_else(|_| Self::Matching(text.to_owned()), Self::Index),
        })
    }
}

/// A variant with the sound that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub variant: Variant,
    /// The rendition that carries the sound in a playlist of its own, when there is one.
    pub audio: Option<Rendition>,
    /// The language of the sound in the variant's own segments, where its rendition says one.
    pub muxed_language: Option<Name>,
}

/// All variants, the best first. Those that come before another only by the order of the playlist are its
/// redundant streams (RFC 8216 6.2.4).
///
/// What was asked for goes first; then what lies under the caps; then a picture that an output can carry, then
/// codecs that every output carries, then the wanted language, then bandwidth and height.
pub fn order(master: &Master, policy: &Policy) -> Vec<Candidate> {
    let mut ranked: Vec<_> = master
        .variants
        .iter()
        .enumerate()
        .map(|(index, variant)| {
            let audio = rendition(master, variant, policy);
            let speaks = audio.as_ref().is_some_and(|(_, wanted)| *wanted);
            let size = (variant.bandwidth, variant.resolution.map_or(0, |(_, height)| height));
            let under = under_caps(variant, policy);
            // Of what is too large the smallest, of the rest the largest.
            let largest = under && policy.pick != Pick::Lowest;
            let rank = (
                picked(variant, index, &policy.pick),
                under,
                has_video(variant) && carried(variant) > 0,
                carried(variant),
                speaks,
                largest.then_some(size),
                Reverse((!largest).then_some(size)),
            );
            // A variant of sound alone may list itself as its rendition.
            let separate = audio.as_ref().map(|(rendition, _)| *rendition);
            let separate =
                separate.filter(|rendition| rendition.uri.as_ref().is_some_and(|uri| *uri != variant.uri));
            let muxed = audio.map(|(rendition, _)| rendition).filter(|_| separate.is_none());
            let muxed_language = muxed.and_then(|rendition| rendition.language.clone());
            (rank, Candidate { variant: variant.clone(), audio: separate.cloned(), muxed_language })
        })
        .collect();
    // Stable: equals stay in the order of the playlist.
    ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// The one of `candidates` that is what `known` was before its playlist was read again: the same attributes,
/// and of several such the same address but for its query.
pub fn same(candidates: &[Candidate], known: &Candidate) -> Option<usize> {
    let alike = |candidate: &&Candidate| {
        let (a, b) = (&candidate.variant, &known.variant);
        (a.bandwidth, a.resolution, &a.codecs, &a.name) == (b.bandwidth, b.resolution, &b.codecs, &b.name)
    };
    let path = |uri: &str| uri.split(['?', '#']).next().unwrap_or(uri).to_owned();
    let by_path = |candidate: &&Candidate| path(&candidate.variant.uri) == path(&known.variant.uri);
    let position =
        |test: &dyn Fn(&&Candidate) -> bool| candidates.iter().position(|candidate| test(&candidate));
    position(&|candidate| alike(candidate) && by_path(candidate))
        .or_else(|| position(&alike))
        .or_else(|| position(&by_path))
}

/// Whether it is a description of the picture for the blind.
pub fn describes_video(rendition: &Rendition) -> bool {
    let all = rendition.characteristics.as_deref().unwrap_or_default();
    all.to_ascii_lowercase().contains(DESCRIBES_VIDEO)
}

/// `1280x720, 3.0 Mbit/s, avc1.64001f,mp4a.40.2`: what is known of a variant, for the status.
pub fn describe(variant: &Variant) -> Text {
    let mut parts = Vec::new();
    if let Some((width, height)) = variant.resolution {
        parts.push(format!("{width}x{height}"));
    }
    if variant.bandwidth > 0 {
        parts.push(format!("{:.1} Mbit/s", variant.bandwidth as f64 / 1e6));
    }
    parts.extend(variant.codecs.as_ref().map(ToString::to_string));
    parts.join(", ").into()
}

fn picked(variant: &Variant, index: usize, pick: &Pick) -> bool {
    match pick {
        Pick::Highest | Pick::Lowest => false,
        Pick::Index(wanted) => index == *wanted,
        Pick::Matching(text) => {
            let size = variant.resolution.is_some_and(|(width, height)| {
                *text == format!("{width}x{height}") || *text == format!("{height}p")
            });
            size || variant.name.as_deref() == Some(text.as_str()) || variant.uri.contains(text.as_str())
        }
    }
}

fn under_caps(variant: &Variant, policy: &Policy) -> bool {
    let height = variant.resolution.map_or(0, |(_, height)| height);
    policy.max_height.is_none_or(|most| height <= most)
        && policy.max_bandwidth.is_none_or(|most| variant.bandwidth <= most)
}

fn codecs(variant: &Variant) -> impl Iterator<Item = String> + '_ {
    let codecs = variant.codecs.as_deref().unwrap_or_default().split(',');
    codecs.map(|codec| codec.trim().to_ascii_lowercase()).filter(|codec| !codec.is_empty())
}

/// How well the outputs carry it: H.264 with AAC or MP3 everywhere, HEVC in enhanced RTMP, AC-3 and Opus only
/// as far as the processor's answer is something else. What is not declared is taken for the usual.
fn carried(variant: &Variant) -> u8 {
    let score = |codec: &String| {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| codec.starts_with(prefix));
        if starts(&["avc1", "avc3", "mp4a.40", "mp4a.6b", "mp4a.69"]) {
            3
        } else if starts(&["hvc1", "hev1"]) {
            2
        } else if starts(&AUDIO) {
            1
        } else {
            u8::from(!starts(&VIDEO)) * 3
        }
    };
    codecs(variant).map(|codec| score(&codec)).min().unwrap_or(3)
}

fn has_video(variant: &Variant) -> bool {
    let undeclared = codecs(variant).next().is_none();
    undeclared
        || variant.resolution.is_some()
        || codecs(variant).any(|codec| VIDEO.iter().any(|prefix| codec.starts_with(prefix)))
}

/// The audio rendition of the variant's group, and whether it is what the settings ask for. One without an
/// address is the sound in the variant's own segments (RFC 8216 4.3.4.2.1).
///
/// By name, else by language, else the default one, else one that may be chosen for the user, else the first;
/// a description for the blind comes last. Of equals the one with two channels: every output takes stereo.
fn rendition<'a>(master: &'a Master, variant: &Variant, policy: &Policy) -> Option<(&'a Rendition, bool)> {
    let group = variant.audio.as_deref()?;
    let named = |rendition: &Rendition| {
        policy.audio_name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&rendition.name))
    };
    let spoken = |rendition: &Rendition| {
        let language = policy.audio_language.as_deref();
        language.zip(rendition.language.as_deref()).is_some_and(|(wanted, its)| speaks(its, wanted))
    };
    let rank = |rendition: &Rendition| {
        (
            named(rendition),
            spoken(rendition),
            !describes_video(rendition),
            rendition.default,
            rendition.autoselect,
            rendition.channels.is_none_or(|channels| channels == 2),
        )
    };
    let members = master.audio.iter().filter(|rendition| rendition.group == group);
    // `max_by_key` takes the last of equals: reversed, that is the first.
    let members: Vec<_> = members.collect();
    let best = members.into_iter().rev().max_by_key(|rendition| rank(rendition))?;
    Some((best, named(best) || spoken(best)))
}

#[cfg(test)]
#[path = "variant_tests.rs"]
mod tests;
