//! Which of the audio streams of one program is taken. Pure.

use std::cmp::Reverse;

use overdub_ts as ts;
use serde::Serialize;
use utoipa::ToSchema;

use super::mpegts::is_audio;
use crate::media::language::{primary, speaks};
use crate::outside::Name;

/// What the settings and the playlist ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioChoice {
    /// This PID, where the program has it.
    pub pid: Option<u16>,
    /// RFC 5646 or ISO 639-2, the first one that the program has; regions are not told apart in transport streams.
    pub languages: Vec<String>,
}

/// An audio stream of the program that is demuxed, as the status has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudioStream {
    pub pid: u16,
    /// `aacadts`, `ac3`, ...
    pub codec: String,
    /// ISO 639-2 (`eng`), as the map has it.
    pub language: Option<Name>,
    /// `main`, `clean-effects`, `hearing-impaired`, `visual-impaired` or `other`.
    pub audio_type: &'static str,
    /// It is the one that is taken.
    pub selected: bool,
}

/// The stream that is taken of those of a program: the PID that is asked for, else the language, else what is for
/// everybody. Of equals `current`, or what is of its language and type where the PIDs changed, so that the
/// choice stays what it is; else the first of the map.
pub fn choose_audio<'a>(
    streams: &'a [ts::Stream],
    choice: &AudioChoice,
    current: Option<&ts::Stream>,
) -> Option<&'a ts::Stream> {
    let spoken = |stream: &ts::Stream| {
        let language = stream.language.as_deref()?;
        choice.languages.iter().position(|wanted| speaks(language, primary(wanted))).map(Reverse)
    };
    let rank = |stream: &ts::Stream| {
        let alike =
            |known: &ts::Stream| (&known.language, known.audio_type) == (&stream.language, stream.audio_type);
        (
            choice.pid == Some(stream.pid),
            spoken(stream),
            stream.audio_type == ts::AudioType::Main,
            current.is_some_and(alike),
            current.is_some_and(|known| known.pid == stream.pid),
        )
    };
    // `max_by_key` takes the last of equals: reversed, that is the first.
    let candidates = streams.iter().rev().filter(|stream| stream.codec.is_some_and(is_audio));
    candidates.max_by_key(|stream| rank(stream))
}

/// The audio streams of a program, for people.
pub(super) fn list(streams: &[ts::Stream], selected: Option<u16>) -> Vec<AudioStream> {
    let audio =
        streams.iter().filter_map(|stream| Some((stream, stream.codec.filter(|codec| is_audio(*codec))?)));
    audio
        .map(|(stream, codec)| AudioStream {
            pid: stream.pid,
            codec: format!("{codec:?}").to_lowercase(),
            language: stream.language.as_deref().map(Name::new),
            audio_type: stream.audio_type.name(),
            selected: Some(stream.pid) == selected,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(pid: u16, language: &str, audio_type: ts::AudioType) -> ts::Stream {
        ts::Stream {
            pid,
            stream_type: 0x0F,
            codec: Some(ts::Codec::AacAdts),
            encrypted: false,
            language: (!language.is_empty()).then(|| language.to_owned()),
            audio_type,
            channel_config: None,
        }
    }

    fn chosen(
        streams: &[ts::Stream],
        pid: Option<u16>,
        language: &str,
        current: Option<&ts::Stream>,
    ) -> Option<u16> {
        let languages = language.split_whitespace().map(str::to_owned).collect();
        choose_audio(streams, &AudioChoice { pid, languages }, current).map(|stream| stream.pid)
    }

    #[test]
    fn what_is_asked_for_goes_before_the_main_audio_and_that_before_the_order_of_the_map() {
        use ts::AudioType::{CleanEffects, HearingImpaired, Main, VisualImpaired};
        let streams = [
            stream(1, "eng", VisualImpaired),
            stream(2, "eng", Main),
            stream(3, "ger", Main),
            stream(4, "ger", HearingImpaired),
            stream(5, "", CleanEffects),
        ];
        for (pid, language, expected) in [
            (None, "", 2),
            (None, "de", 3),
            (None, "de-AT", 3),
            (None, "en", 2),
            (None, "fr", 2),
            (None, "fr de en", 3),
            (Some(1), "de", 1),
            (Some(5), "", 5),
            (Some(77), "deu", 3),
        ] {
            assert_eq!(chosen(&streams, pid, language, None), Some(expected), "{pid:?} {language}");
        }
        assert_eq!(chosen(&streams[..1], None, "", None), Some(1), "where there is no other");
        assert_eq!(chosen(&[], None, "", None), None);
        let only_video = ts::Stream { codec: Some(ts::Codec::H264), ..stream(9, "eng", Main) };
        assert_eq!(chosen(&[only_video], None, "", None), None);
    }

    #[test]
    fn a_choice_stays_what_it_is_while_the_map_changes_around_it() {
        use ts::AudioType::{Main, VisualImpaired};
        let (english, french) = (stream(2, "eng", Main), stream(3, "fra", Main));
        let keeps = |streams: &[ts::Stream], current| chosen(streams, None, "", Some(current));
        assert_eq!(keeps(&[french.clone(), english.clone()], &english), Some(2), "another order");
        let moved = [stream(7, "fra", Main), stream(8, "eng", Main)];
        assert_eq!(keeps(&moved, &english), Some(8), "other PIDs");
        let swapped = [stream(2, "fra", Main), stream(3, "eng", Main)];
        assert_eq!(keeps(&swapped, &english), Some(3), "the same PIDs the other way round");
        let unnamed = [stream(1, "", Main), stream(2, "", Main)];
        assert_eq!(keeps(&unnamed, &unnamed[1]), Some(2), "no languages");
        assert_eq!(keeps(std::slice::from_ref(&french), &english), Some(3), "where it is gone");
        let described = stream(9, "eng", VisualImpaired);
        assert_eq!(keeps(&[described.clone(), french], &described), Some(3), "main audio came");
    }
}
