//! How long to wait until the playlist is read again (RFC 8216 6.3.4).

use std::time::Duration;

use crate::hls::playlist::Media;

/// Readings within the time that a segment is listed, where the playlist slides: the first may just miss it, and
/// fetching it takes a while. A playlist that lists three target durations (RFC 8216 6.2.2) is read so often anyway.
const READINGS_IN_A_WINDOW: u32 = 3;

/// Never faster: a window that passes in less than three of these is no stream for HTTP.
const LEAST: Duration = Duration::from_millis(500);

/// Counted from when the last reading began. `changed`: it brought something; `slides`: segments have left it.
///
/// A target duration, or half of it, is what the RFC asks for. Packagers write a target duration far beyond their
/// segments and keep few of them (10 s, and six of 1 s): then segments would come and go unseen, and the length of
/// the window says how often to look.
pub(super) fn wait(media: &Media, changed: bool, slides: bool) -> Duration {
    let target = media.target_duration;
    let asked = if changed { target } else { target / 2 };
    // Nothing leaves a playlist with a type (RFC 8216 4.3.3.5), and nothing is known of an empty one.
    if media.kind.is_some() || media.segments.is_empty() {
        return asked;
    }
    // Where nothing is known of a length, the target duration is all that is.
    let lengths = media.segments.iter().map(|s| if s.duration.is_zero() { target } else { s.duration });
    let window: Duration = lengths.clone().sum();
    let share = window / READINGS_IN_A_WINDOW;
    // As long as nothing has left it, a short window may be one that has just begun: the next segment is due when
    // one has passed.
    let due = if slides { share } else { share.max(lengths.max().unwrap_or(target)) };
    asked.min(due.max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hls::playlist::{Definitions, Playlist, parse};

    fn waits(target: u64, lengths: &[f64], tags: &str, slides: bool) -> [f64; 2] {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n{tags}");
        for length in lengths {
            text += &format!("#EXTINF:{length},\na.ts\n");
        }
        let Ok(Playlist::Media(media)) = parse(text.as_bytes(), &Definitions::default()) else {
            panic!("{text}")
        };
        [true, false].map(|changed| wait(&media, changed, slides).as_secs_f64())
    }

    #[test]
    fn ordinary_playlists_are_read_as_the_rfc_has_it() {
        for slides in [false, true] {
            assert_eq!(waits(6, &[6.0; 3], "", slides), [6.0, 3.0]);
            assert_eq!(waits(6, &[6.0; 10], "", slides), [6.0, 3.0]);
            assert_eq!(waits(10, &[4.0; 8], "", slides), [10.0, 5.0], "three target durations are listed");
            assert_eq!(waits(6, &[], "", slides), [6.0, 3.0]);
            assert_eq!(waits(10, &[1.0; 6], "#EXT-X-PLAYLIST-TYPE:EVENT\n", slides), [10.0, 5.0]);
            assert_eq!(waits(6, &[0.0; 4], "", slides), [6.0, 3.0], "IPTV lists say -1 or 0");
        }
        // It has just begun.
        assert_eq!(waits(6, &[6.0], "", false), [6.0, 3.0]);
        assert_eq!(waits(6, &[5.9, 5.9], "", false), [5.9, 3.0]);
    }

    #[test]
    fn a_window_that_is_short_for_its_target_duration_is_read_three_times_while_it_passes() {
        assert_eq!(waits(10, &[1.0; 6], "", false), [2.0, 2.0]);
        assert_eq!(waits(10, &[1.0; 6], "", true), [2.0, 2.0]);
        assert_eq!(waits(10, &[1.0; 2], "", false), [1.0, 1.0]);
        assert_eq!(waits(6, &[6.0], "", true), [2.0, 2.0], "a window of one");
        assert_eq!(waits(6, &[6.0; 2], "", true), [4.0, 3.0]);
        assert_eq!(waits(5, &[0.1; 3], "", true), [0.5, 0.5], "and never faster than this");
    }
}
