//! Whether what was sent came at the pace at which it plays.

use std::time::Duration;

use super::flv::{Kind, Tag};

/// A tag and when it arrived, counted from the start of the recording.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Duration,
    pub tag: Tag,
}

/// What FFmpeg reads before it passes anything on arrives in one piece and says nothing about the sender.
const PROBING: Duration = Duration::from_secs(3);
/// The span that is looked at.
const WINDOW: Duration = Duration::from_secs(5);
/// How far what was sent in it may be from what was due in it.
const TOLERANCE_MS: f64 = 1000.0;

/// Over any 5 s, the media time sent against the wall time that went by: the worst difference in
/// milliseconds, or where it is more than 1 s.
pub fn judge(arrivals: &[Arrival]) -> Result<f64, String> {
    let begin = arrivals.first().ok_or("nothing arrived")?.at + PROBING;
    let media: Vec<(f64, f64)> = arrivals
        .iter()
        .filter(|a| a.at >= begin && !a.tag.header && a.tag.kind != Kind::Script)
        .map(|a| (a.at.as_secs_f64() * 1000.0, f64::from(a.tag.time)))
        .collect();
    let last = media.last().ok_or("nothing arrived after the first seconds")?.0;
    // Lateness of a tag against the wall clock, up to a constant that cancels out in every difference. If no
    // two tags within a window differ by more than the tolerance, then neither does what was sent from what
    // was due; and a silence shows as the lateness of the tag that ends it.
    let lateness: Vec<(f64, f64)> = media.iter().map(|(at, time)| (*at, at - time)).collect();
    let window = WINDOW.as_secs_f64() * 1000.0;
    let mut worst: f64 = 0.0;
    let mut from = 0;
    for (i, (at, late)) in lateness.iter().enumerate() {
        while at - lateness[from].0 > window {
            from += 1;
        }
        for (before, earlier) in &lateness[from..i] {
            let off = late - earlier;
            if off.abs() > TOLERANCE_MS {
                return Err(format!(
                    "between {:.1} s and {:.1} s of the recording, what was sent is {off:.0} ms off what was due",
                    before / 1000.0,
                    at / 1000.0
                ));
            }
            worst = worst.max(off.abs());
        }
    }
    if last - media[0].0 < window {
        return Err(format!("only {:.1} s to look at", (last - media[0].0) / 1000.0));
    }
    Ok(worst)
}
