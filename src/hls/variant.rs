//! Which variant of a master playlist is read. Pure.

use super::playlist::{Master, Rendition, Variant};

/// RFC 6381 prefixes of what can be carried from TS segments to every output: H.264 with AAC or MP3.
const CARRIED: [&str; 5] = ["avc1", "avc3", "mp4a.40", "mp4a.6b", "mp4a.69"];

/// Prefixes of video codecs, to tell a variant with a picture from one with sound only.
const VIDEO: [&str; 9] = ["avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "vp09", "av01", "vvc1"];

/// What was chosen, and why it may not be complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice<'a> {
    pub variant: &'a Variant,
    /// The rendition that carries the sound in a playlist of its own, when there is one.
    pub separate_audio: Option<&'a Rendition>,
}

/// The variant with the highest bandwidth among the best sort there is: first those whose codecs are all
/// carried (or not declared) and have their sound inside, then those with the sound apart, then the rest.
/// Of equals the first, which is how RFC 8216 6.3.1 lists redundant streams.
pub fn choose(master: &Master) -> Option<Choice<'_>> {
    let mut best: Option<(&Variant, _)> = None;
    for variant in &master.variants {
        let rank = (
            carried(variant),
            has_video(variant),
            separate_audio(master, variant).is_none(),
            variant.bandwidth,
        );
        if best.is_none_or(|(_, known)| rank > known) {
            best = Some((variant, rank));
        }
    }
    best.map(|(variant, _)| Choice { variant, separate_audio: separate_audio(master, variant) })
}

/// `1280x720, 3.0 Mbit/s, avc1.64001f,mp4a.40.2`: what is known of a variant, for the status.
pub fn describe(variant: &Variant) -> String {
    let mut parts = Vec::new();
    if let Some((width, height)) = variant.resolution {
        parts.push(format!("{width}x{height}"));
    }
    if variant.bandwidth > 0 {
        parts.push(format!("{:.1} Mbit/s", variant.bandwidth as f64 / 1e6));
    }
    parts.extend(variant.codecs.clone());
    parts.join(", ")
}

fn codecs(variant: &Variant) -> impl Iterator<Item = String> + '_ {
    let codecs = variant.codecs.as_deref().unwrap_or_default().split(',');
    codecs.map(|codec| codec.trim().to_ascii_lowercase()).filter(|codec| !codec.is_empty())
}

fn carried(variant: &Variant) -> bool {
    codecs(variant).all(|codec| CARRIED.iter().any(|prefix| codec.starts_with(prefix)))
}

fn has_video(variant: &Variant) -> bool {
    let undeclared = codecs(variant).next().is_none();
    undeclared
        || variant.resolution.is_some()
        || codecs(variant).any(|codec| VIDEO.iter().any(|prefix| codec.starts_with(prefix)))
}

/// A group in which any rendition has no address also has its sound in the variant's segments (RFC 8216
/// 4.3.4.2.1), and that is the one to read.
fn separate_audio<'a>(master: &'a Master, variant: &Variant) -> Option<&'a Rendition> {
    let group = variant.audio.as_deref()?;
    let mut members = master.audio.iter().filter(|rendition| rendition.group == group);
    if members.clone().any(|rendition| rendition.uri.is_none()) {
        return None;
    }
    let first = members.clone().next();
    members.find(|rendition| rendition.default).or(first)
}

#[cfg(test)]
mod tests {
    use super::super::playlist::{Definitions, Playlist, parse};
    use super::*;

    fn master(text: &str) -> Master {
        match parse(text.as_bytes(), &Definitions::default()) {
            Ok(Playlist::Master(master)) => master,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_highest_bandwidth_that_can_be_carried_wins() {
        let master = master(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000,CODECS=\"mp4a.40.2\"\naudio.m3u8\n\
             #EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS=\"hvc1.1.6.L93.B0,mp4a.40.2\"\nhevc.m3u8\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS=\"avc1.4d401f,mp4a.40.2\"\nmiddle.m3u8\n\
             #EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=1280x720\nhigh.m3u8\n\
             #EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=1280x720\nbackup.m3u8\n",
        );
        let choice = choose(&master).expect("one of five");
        assert_eq!(choice.variant.uri, "high.m3u8");
        assert_eq!(choice.separate_audio, None);
        assert_eq!(describe(choice.variant), "1280x720, 3.0 Mbit/s, avc1.4d401f,mp4a.40.2");
    }

    #[test]
    fn sound_in_the_segments_is_preferred_to_sound_apart() {
        let master = master(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"apart\",NAME=\"en\",URI=\"en.m3u8\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"inside\",NAME=\"en\",DEFAULT=YES\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"inside\",NAME=\"fr\",URI=\"fr.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"apart\"\na.m3u8\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"inside\"\nb.m3u8\n",
        );
        let choice = choose(&master).expect("one of two");
        assert_eq!((choice.variant.uri.as_str(), choice.separate_audio), ("b.m3u8", None));
    }

    #[test]
    fn sound_apart_is_named_when_there_is_nothing_else() {
        let master = master(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"fr\",URI=\"fr.m3u8\"\n\
             #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"en.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=2,AUDIO=\"a\"\na.m3u8\n",
        );
        let rendition = choose(&master).and_then(|choice| choice.separate_audio).expect("it is apart");
        assert_eq!(rendition.name, "en");
    }
}
