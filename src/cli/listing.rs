//! What `overdub probe` says of a playlist: the variants and audio renditions that it lists, and which of them
//! `overdub run` would read.

use std::fmt::Write as _;

use anyhow::bail;
use serde::Serialize;

use crate::hls::playlist::{self, Definitions, Master, Media, Playlist, Rendition};
use crate::hls::variant::{self, Candidate, Policy};
use crate::outside::{Name, Text};

/// As much as `overdub run` reads of a playlist.
pub(super) const MAX_BYTES: usize = 16 << 20;

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "format")]
pub(super) enum Listing {
    #[serde(rename = "hls master playlist", rename_all = "camelCase")]
    Master {
        /// The first one is read, with default settings; the others stand in for it.
        variants: Vec<Variant>,
        audio: Vec<Audio>,
    },
    #[serde(rename = "hls media playlist", rename_all = "camelCase")]
    Media {
        live: bool,
        target_duration: f64,
        media_sequence: u64,
        segments: usize,
        seconds: f64,
        encrypted: bool,
    },
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variant {
    address: String,
    name: Option<Name>,
    about: Text,
    /// Of the audio rendition that is read with it.
    audio: Option<Name>,
    audio_group: Option<Name>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Audio {
    group: Name,
    name: Name,
    language: Option<Name>,
    channels: Option<u32>,
    default: bool,
    autoselect: bool,
    describes_video: bool,
    /// In the segments of the variant itself.
    muxed: bool,
}

impl Listing {
    pub(super) fn new(body: &[u8]) -> anyhow::Result<Self> {
        Ok(match playlist::parse(body, &Definitions::default())? {
            Playlist::Master(master) => Self::master(&master),
            Playlist::Media(media) if media.iframes_only => bail!("a playlist of single pictures"),
            Playlist::Media(media) => Self::media(&media),
        })
    }

    fn master(master: &Master) -> Self {
        let variants = variant::order(master, &Policy::default()).into_iter().map(Variant::new);
        Self::Master { variants: variants.collect(), audio: master.audio.iter().map(Audio::new).collect() }
    }

    fn media(media: &Media) -> Self {
        Self::Media {
            live: !media.is_vod(),
            target_duration: media.target_duration.as_secs_f64(),
            media_sequence: media.media_sequence,
            segments: media.segments.len(),
            seconds: media.segments.iter().map(|segment| segment.duration.as_secs_f64()).sum(),
            encrypted: media.segments.iter().any(|segment| segment.key.is_some()),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        match self {
            Self::Master { variants, audio } => {
                let _ = write!(text, "HLS master playlist, variants by preference:");
                for variant in variants {
                    let _ = write!(text, "\n  {}", variant.address);
                    let about = [Some(&*variant.about), variant.name.as_deref()];
                    about.into_iter().flatten().filter(|part| !part.is_empty()).for_each(|part| {
                        let _ = write!(text, "  {part}");
                    });
                    if let Some(group) = &variant.audio_group {
                        let _ = write!(text, "  audio group {group:?}");
                    }
                    if let Some(name) = &variant.audio {
                        let _ = write!(text, ", reads {name:?}");
                    }
                }
                for rendition in audio {
                    let Audio { group, name, .. } = rendition;
                    let _ = write!(text, "\n  audio  {name:?}  group {group:?}");
                    rendition.traits().for_each(|one| {
                        let _ = write!(text, "  {one}");
                    });
                }
                if !audio.is_empty() {
                    text += "\n  choose with sourceAudioName or sourceAudioLanguage";
                }
            }
            Self::Media { live, target_duration, media_sequence, segments, seconds, encrypted } => {
                let kind = if *live { "live" } else { "VOD" };
                let _ = write!(
                    text,
                    "HLS media playlist, {kind}, {segments} segments from number {media_sequence}, {seconds:.3} s, \
                     target duration {target_duration} s"
                );
                text += if *encrypted { ", encrypted" } else { "" };
                text += "; name a segment to see its streams";
            }
        }
        text
    }
}

impl Variant {
    fn new(candidate: Candidate) -> Self {
        let about = variant::describe(&candidate.variant);
        let Candidate { variant, audio, .. } = candidate;
        Self {
            address: variant.uri,
            name: variant.name,
            about,
            audio: audio.map(|audio| audio.name),
            audio_group: variant.audio,
        }
    }
}

impl Audio {
    fn new(rendition: &Rendition) -> Self {
        Self {
            group: rendition.group.clone(),
            name: rendition.name.clone(),
            language: rendition.language.clone(),
            channels: rendition.channels,
            default: rendition.default,
            autoselect: rendition.autoselect,
            describes_video: variant::describes_video(rendition),
            muxed: rendition.uri.is_none(),
        }
    }

    fn traits(&self) -> impl Iterator<Item = String> {
        let flag = |is: bool, what: &str| is.then(|| what.to_owned());
        [
            self.language.as_ref().map(ToString::to_string),
            self.channels.map(|channels| format!("{channels} channels")),
            flag(self.default, "default"),
            flag(self.autoselect, "autoselect"),
            flag(self.describes_video, "describes video"),
            flag(self.muxed, "muxed"),
        ]
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Described\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"d.m3u8\",\
        CHARACTERISTICS=\"public.accessibility.describes-video\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English\",LANGUAGE=\"en\",AUTOSELECT=YES,CHANNELS=\"2\",URI=\"e.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"Inside\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1000000,AUDIO=\"b\"\nlow.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,AUDIO=\"a\",NAME=\"top\"\nhigh.m3u8\n";

    #[test]
    fn a_master_playlist_is_listed_with_what_would_be_read_of_it() {
        let listing = Listing::new(MASTER.as_bytes()).unwrap();
        assert_eq!(
            listing.text(),
            "HLS master playlist, variants by preference:\n  \
             high.m3u8  1280x720, 2.0 Mbit/s  top  audio group \"a\", reads \"English\"\n  \
             low.m3u8  1.0 Mbit/s  audio group \"b\"\n  \
             audio  \"Described\"  group \"a\"  en  default  describes video\n  \
             audio  \"English\"  group \"a\"  en  2 channels  autoselect\n  \
             audio  \"Inside\"  group \"b\"  muxed\n  \
             choose with sourceAudioName or sourceAudioLanguage"
        );
        let json = serde_json::to_value(&listing).unwrap();
        assert_eq!(json["format"], "hls master playlist");
        assert_eq!(json["audio"][0]["describesVideo"], true);
        assert_eq!(json["variants"][0]["audio"], "English");
    }

    #[test]
    fn a_media_playlist_is_told_in_a_line() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
                    #EXTINF:5.5,\na\n#EXTINF:6,\nb\n";
        assert_eq!(
            Listing::new(text.as_bytes()).unwrap().text(),
            "HLS media playlist, live, 2 segments from number 7, 11.500 s, target duration 6 s, encrypted; name a \
             segment to see its streams"
        );
        assert!(Listing::new(b"#EXTM3U\n").is_err());
    }
}
