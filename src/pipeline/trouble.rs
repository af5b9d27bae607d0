//! What is the matter with a stream at this moment, as sentences that a person can act on: what failed, when it is
//! tried again, and what viewers get meanwhile. Pure.

use crate::config::Fallback;
use crate::media::Moment;
use crate::outside::Text;
use crate::roundtrip::Away;
use crate::status::Output;

/// What viewers hear while the processor is away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// The stream's setting.
    pub fallback: Fallback,
    /// The sound on air, by the name in the status; none before the first batch plays.
    pub now: Option<&'static str>,
}

/// There is no connection to the processor.
pub(super) fn processor(away: &Away, now: Moment, heard: Heard) -> Text {
    let heard = match (heard.now, heard.fallback) {
        (Some("original"), _) => "output runs on original audio",
        (Some("silence"), _) => "output runs on silence",
        (Some("none"), _) => "output runs without audio",
        // Answered before the connection was lost, or nothing plays yet.
        (_, Fallback::Original) => "batches it does not answer go out with original audio",
        (_, Fallback::Silence) => "batches it does not answer go out with silence",
        (_, Fallback::DropAudio) => "batches it does not answer go out without audio",
    };
    format!("{}; {heard}", retried(&away.error, away.retry_at, now)).into()
}

/// An output that has no connection, though it had or wanted one.
pub(super) fn output(output: &Output) -> Option<Text> {
    let error = output.last_error.as_ref().filter(|_| !output.connected)?;
    Some(format!("output {}: {error}", output.url).into())
}

/// What failed, and when it is tried again. In whole seconds, and never "in 0 s".
pub(super) fn retried(error: &str, at: Moment, now: Moment) -> Text {
    let left = at.saturating_since(now);
    if left.is_zero() {
        return format!("{error}; retrying now").into();
    }
    format!("{error}; retrying in {} s", left.as_secs_f64().ceil()).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outside::ShownUrl;

    fn at(seconds: f64) -> Moment {
        Moment::default() + Duration::from_secs_f64(seconds)
    }

    fn refused(fallback: Fallback, heard: Option<&'static str>, now: f64) -> Text {
        let error = "processor at http://127.0.0.1:5000 refused the connection".into();
        processor(&Away { error, retry_at: at(10.0) }, at(now), Heard { fallback, now: heard })
    }

    #[test]
    fn a_processor_that_is_away_is_told_with_the_next_attempt_and_with_what_is_heard() {
        assert_eq!(
            refused(Fallback::Original, Some("original"), 6.2),
            "processor at http://127.0.0.1:5000 refused the connection; retrying in 4 s; output runs on original audio"
        );
        // The original's codec cannot be carried: what is heard is told, not what was wished for.
        assert!(
            refused(Fallback::Original, Some("silence"), 9.9)
                .ends_with("; retrying in 1 s; output runs on silence")
        );
        assert!(
            refused(Fallback::DropAudio, Some("none"), 10.0)
                .ends_with("; retrying now; output runs without audio")
        );
    }

    #[test]
    fn while_answered_batches_still_play_the_next_ones_are_spoken_of() {
        let then = |fallback, heard| {
            refused(fallback, heard, 6.0).rsplit("; ").next().unwrap_or_default().to_owned()
        };
        assert_eq!(
            then(Fallback::Original, Some("processed")),
            "batches it does not answer go out with original audio"
        );
        assert_eq!(then(Fallback::Silence, None), "batches it does not answer go out with silence");
        assert_eq!(then(Fallback::DropAudio, None), "batches it does not answer go out without audio");
    }

    #[test]
    fn an_output_is_named_only_while_it_is_away() {
        let error = Some("server closed the connection; retrying in 2 s".into());
        let mut lost =
            Output { url: ShownUrl::rtmp("rtmp://h/live/abc"), last_error: error, ..Output::default() };
        let told = output(&lost).unwrap();
        assert_eq!(told, "output rtmp://h/live/ab…: server closed the connection; retrying in 2 s");
        lost.connected = true;
        assert_eq!(output(&lost), None);
    }
}
