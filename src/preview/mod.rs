//! The output as a live HLS window: fMP4 segments of 2 to 6 s, released by the playout clock.
//!
//! Pure parts: `segmenter` (where to cut), `segment` (a cut as bytes), `window` (what is listed when). The
//! shell is [`run`]; the server reads [`Preview`].

mod segment;
mod segmenter;
#[cfg(test)]
mod tests;
mod window;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::segment::Muxer;
use self::segmenter::Segmenter;
pub(crate) use self::window::HELD;
use self::window::{Run, Window};
use crate::clock::{self, Clock};
use crate::heavy::{Share, Work};
use crate::media::Packet;
use crate::memory::Meter;
use crate::playout::Playout;

/// How long the segments of an ended stream stay: players finish what they have begun, and a stopped stream
/// that is remembered holds no media.
const AFTERLIFE: Duration = Duration::from_secs(30);

/// What a player may fetch of one stream, shared between the stream and the server.
#[derive(Debug, Default)]
pub struct Preview {
    window: Mutex<Window>,
}

/// One file of the preview.
#[derive(Clone, Debug)]
pub struct File {
    pub content_type: &'static str,
    pub cache_control: &'static str,
    /// The body, in pieces.
    pub chunks: Vec<Bytes>,
}

impl File {
    /// It names other files.
    pub fn is_playlist(&self) -> bool {
        self.content_type == window::PLAYLIST_TYPE
    }
}

impl Preview {
    /// `index.m3u8`, or an init segment or a segment that it names; `None` before the first segment is due, and for
    /// what is not, not yet or no longer there.
    pub fn file(&self, name: &str) -> Option<File> {
        self.window().file(name)
    }

    /// Forgets all segments.
    pub fn clear(&self) {
        self.window().clear();
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // Nothing panics while it holds the lock.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the preview of a stream shares with the rest of it.
#[derive(Clone)]
pub struct Settings {
    pub clock: Clock,
    pub share: Share,
    pub meter: Meter,
}

/// Fills `preview` until the packets end and the last of them is due, or until `stop`.
pub async fn run(
    settings: Settings,
    mut playout: watch::Receiver<Option<Playout>>,
    mut packets: mpsc::Receiver<Packet>,
    preview: Arc<Preview>,
    stop: CancellationToken,
) {
    let Settings { clock, share, meter } = settings;
    let run = Run::begin(rand::random(), clock::wall_clock());
    preview.window().begin(run);
    let (mut segmenter, mut muxer) = (Segmenter::default(), Muxer::new(run.first));
    let (mut more, mut moves) = (true, true);
    loop {
        let due = playout.borrow_and_update().as_ref().copied();
        let next = due.and_then(|playout| preview.window().next_release(playout));
        if !more && (next.is_none() || due.is_none()) {
            break;
        }
        let release = async {
            match next {
                Some(moment) => clock.sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Before the packets: a segment that is due must not wait behind a burst of them.
            () = release => {
                if let Some(playout) = due {
                    preview.window().release(playout, clock.now(), clock::wall_clock());
                }
            }
            changed = playout.changed(), if moves => moves = changed.is_ok(),
            packet = packets.recv(), if more => {
                match packet {
                    Some(packet) => segmenter.push(packet),
                    None => {
                        more = false;
                        segmenter.finish();
                    }
                }
                while let Some(cut) = segmenter.poll() {
                    let work = Work::Samples(cut.video.len() + cut.audio.len());
                    let mut lent = std::mem::take(&mut muxer);
                    let job = move || {
                        let made = lent.mux(&cut);
                        (lent, made)
                    };
                    let made;
                    (muxer, made) = share.run(work, job).await;
                    match made {
                        Ok(segment) => preview.window().push(segment, meter.part()),
                        Err(error) => tracing::warn!(%error, "a segment is missing in the preview"),
                    }
                }
            }
        }
    }
    preview.window().end();
    tokio::spawn(async move {
        clock.sleep(AFTERLIFE).await;
        preview.window().clear();
    });
}
