//! A body, bounded in size and in time, and whole.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::timeout;

use super::super::playlist::ByteRange;
use super::super::{Error, Timeouts};
use super::root_cause;
use crate::clock::Clock;
use crate::memory::Held;
use crate::outside::ShownUrl;

/// At most this much is allocated on the word of a Content-Length before anything has arrived...
const MAX_RESERVED_BYTES: usize = 1 << 20;
/// ... and later so many times what has: one allocation instead of several, of which the last two exist side by side.
const FORESIGHT: usize = 32;

/// A body that brings less in a whole idle time is a connection that dies: a quarter of the thinnest audio
/// rendition in use (24 kbit/s). Playlists and keys are shorter than this, so that none is too slow by size.
const MIN_BYTES_PER_SECOND: f64 = 750.0;

/// The bytes that tell what a body is.
const HEAD: usize = 8;

/// The body of `response` on its way: at most `limit` bytes.
pub(super) struct Reading<'a> {
    response: &'a mut Response,
    shown: &'a ShownUrl,
    limit: usize,
    idle: Duration,
    /// How long it will be, by its Content-Length; 0 where it has none.
    announced: usize,
    bytes: BytesMut,
    /// What `bytes` take.
    held: Held,
    pace: Pace,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        response: &'a mut Response,
        shown: &'a ShownUrl,
        limit: usize,
        timeouts: &Timeouts,
        held: Held,
    ) -> Self {
        let (idle, bytes, pace) = (timeouts.idle, BytesMut::new(), Pace::new(timeouts.idle));
        Self { response, shown, limit, idle, announced: 0, bytes, held, pace }
    }

    /// What it begins with, whatever its size is: eight bytes or more, or all of it.
    pub(super) async fn head(&mut self) -> Result<&[u8], Error> {
        while self.bytes.len() < HEAD && self.more().await? {}
        Ok(&self.bytes)
    }

    /// All of it, and what it takes.
    pub(super) async fn rest(mut self) -> Result<(Bytes, Held), Error> {
        // What is left of it.
        let announced = usize::try_from(self.response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > self.limit {
            return Err(self.too_large());
        }
        self.announced = self.bytes.len().saturating_add(announced);
        self.bytes.reserve(announced.min(MAX_RESERVED_BYTES));
        while self.more().await? {
            // What arrives faster than it is taken, or was compressed to a thousandth, is always there: others have
            // their turn in between.
            tokio::task::consume_budget().await;
        }
        Ok((self.bytes.freeze(), self.held))
    }

    /// False at the end.
    async fn more(&mut self) -> Result<bool, Error> {
        let (shown, idle) = (self.shown, self.idle);
        let late = |_| Error::Timeout { url: shown.to_owned(), what: "further byte", after: idle };
        match timeout(idle, self.response.chunk()).await.map_err(late)? {
            Ok(Some(chunk)) if self.bytes.len().saturating_add(chunk.len()) > self.limit => {
                Err(self.too_large())
            }
            Ok(Some(chunk)) => {
                self.reserve(chunk.len());
                self.bytes.extend_from_slice(&chunk);
                self.held.set(self.bytes.len() as u64);
                if !self.pace.keeps(self.bytes.len()) {
                    let (url, received) = (shown.to_owned(), self.bytes.len());
                    return Err(Error::Slow { url, received, window: idle });
                }
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(Error::Truncated {
                url: shown.to_owned(),
                received: self.bytes.len(),
                reason: root_cause(&error),
            }),
        }
    }

    /// Makes room for `more` bytes, and for those that are likely to follow them.
    fn reserve(&mut self, more: usize) {
        let has = self.bytes.len();
        if self.bytes.capacity() - has < more {
            let expected = self.announced.saturating_sub(has).min(has.saturating_mul(FORESIGHT));
            self.bytes.reserve(expected.max(more));
        }
    }

    fn too_large(&self) -> Error {
        Error::TooLarge { url: self.shown.to_owned(), limit: self.limit }
    }
}

/// Whether a body comes faster than it is worth waiting for, window by window.
struct Pace {
    clock: Clock,
    window: Duration,
    began: Duration,
    had: usize,
}

impl Pace {
    fn new(window: Duration) -> Self {
        Self { clock: Clock::start(), window, began: Duration::ZERO, had: 0 }
    }

    fn keeps(&mut self, received: usize) -> bool {
        let now = self.clock.now().since_start();
        let taken = now.saturating_sub(self.began);
        if taken < self.window {
            return true;
        }
        let brought = received.saturating_sub(self.had);
        (self.began, self.had) = (now, received);
        brought as f64 >= MIN_BYTES_PER_SECOND * taken.as_secs_f64()
    }
}

/// The part of a whole body that `range` names, from a server that ignores ranges. A copy: a slice would keep all of
/// the body in memory for as long as the part is.
pub(super) fn cut(bytes: &Bytes, range: ByteRange, shown: &ShownUrl) -> Result<Bytes, Error> {
    let bounds = usize::try_from(range.offset).ok().zip(usize::try_from(range.length).ok());
    let part = bounds.and_then(|(offset, length)| {
        let end = offset.checked_add(length).filter(|end| *end <= bytes.len())?;
        Some(Bytes::copy_from_slice(&bytes[offset..end]))
    });
    part.ok_or_else(|| truncated(bytes, shown, "the byte range lies outside of the body"))
}

/// Whether a partial answer is the part that was asked for: `content_range` is its header. A cache that
/// aligns ranges to its own blocks answers with another part. `whole`: not only the beginning of it.
pub(super) fn check_part(
    bytes: &Bytes,
    range: ByteRange,
    content_range: Option<&str>,
    whole: bool,
    shown: &ShownUrl,
) -> Result<(), Error> {
    let first = content_range
        .and_then(|value| value.trim().strip_prefix("bytes"))
        .and_then(|value| value.trim_start().split('-').next()?.parse::<u64>().ok());
    if first.is_some_and(|first| first != range.offset) {
        return Err(truncated(bytes, shown, "the answer is another byte range"));
    }
    if bytes.len() as u64 > range.length || whole && (bytes.len() as u64) < range.length {
        return Err(truncated(bytes, shown, "the byte range was not answered in full"));
    }
    Ok(())
}

/// How long the whole resource is, by `Content-Range` (RFC 9110 14.4).
pub(super) fn total(content_range: Option<&str>) -> Option<u64> {
    content_range?.rsplit_once('/')?.1.trim().parse().ok()
}

fn truncated(bytes: &Bytes, shown: &ShownUrl, reason: &str) -> Error {
    Error::Truncated { url: shown.to_owned(), received: bytes.len(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: ByteRange = ByteRange { offset: 4, length: 6 };

    fn u() -> ShownUrl {
        ShownUrl::url("http://h/u")
    }

    #[test]
    fn a_range_is_cut_from_a_whole_body_or_refused() {
        let body = Bytes::from_static(b"0123456789");
        assert_eq!(cut(&body, RANGE, &u()).unwrap().as_ref(), b"456789");
        for range in [
            ByteRange { offset: 4, length: 7 },
            ByteRange { offset: 11, length: 0 },
            ByteRange { offset: u64::MAX, length: 1 },
        ] {
            assert!(matches!(cut(&body, range, &u()), Err(Error::Truncated { received: 10, .. })));
        }
    }

    #[test]
    fn a_partial_answer_must_be_the_part_that_was_asked_for() {
        let part = Bytes::from_static(b"456789");
        assert_eq!(check_part(&part, RANGE, Some("bytes 4-9/10"), true, &u()), Ok(()));
        assert_eq!(check_part(&part, RANGE, Some("bytes 4-9/*"), true, &u()), Ok(()));
        assert_eq!(check_part(&part, RANGE, None, true, &u()), Ok(()));
        assert!(check_part(&part, RANGE, Some("bytes 0-5/10"), true, &u()).is_err());
        assert!(check_part(&part.slice(1..), RANGE, Some("bytes 4-8/10"), true, &u()).is_err());
        assert_eq!(check_part(&part.slice(1..), RANGE, Some("bytes 4-8/9"), false, &u()), Ok(()));
        assert_eq!(
            (total(Some("bytes 4-8/9")), total(Some("bytes */9")), total(Some("bytes 4-8/*"))),
            (Some(9), Some(9), None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_noticed_within_two_windows_and_a_thin_stream_is_not_one() {
        let window = Duration::from_secs(5);
        let run = |step: usize| async move {
            let (mut pace, mut received) = (Pace::new(window), 0);
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                received += step;
                if !pace.keeps(received) {
                    return false;
                }
            }
            true
        };
        assert!(!run(10).await, "100 bytes a second");
        assert!(run(300).await, "24 kbit/s");
    }
}
