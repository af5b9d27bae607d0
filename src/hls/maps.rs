//! Initialization sections (`EXT-X-MAP`): each asked for once, and again where it may have become another under its
//! address.
//!
//! RFC 8216 has a section for an address, but encoders that start anew write theirs over the one before. So a section
//! is asked for again for the first segment behind each discontinuity that was listed after the section was fetched;
//! what was listed before has the section that was there. The request names the version that is known, so that a
//! server which keeps to RFC 9110 13 answers without a body.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::{info, warn};

use super::Error;
use super::crypt::CryptError;
use super::crypt::samples::{self, Protection};
use super::fetch::Validators;
use super::playlist::Map;
use super::segment::{Section, Segments};
use crate::clock::Clock;
use crate::media::{Moment, Rendition};
use crate::outside::ShownUrl;
use crate::policy::Reach;

/// Sections kept, by their address: a source that breaks for advertisements comes back to its own.
const MAX_MAPS: usize = 8;

/// Eras kept of each: those of all segments that may be on their way at once, and be tried again.
const MAX_ERAS: usize = 40;

/// How long asking again may take each time. A section is some kilobytes, and segments wait for it.
const AGAIN_TIME: Duration = Duration::from_secs(1);

/// How long asking again is tried, and how often, before the old section is taken for the one that holds: the
/// processing budget has as much to spare.
const AGAIN_FOR: Duration = Duration::from_millis(1_500);
const AGAIN_EVERY: Duration = Duration::from_millis(250);

/// Who needs a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) rendition: Rendition,
    /// See [`Listed::era`](super::cursor::Listed::era).
    pub(super) era: u64,
    pub(super) listed_at: Moment,
    /// The media sequence number of the segment.
    pub(super) sequence: u64,
    /// How far away the playlist is that lists it.
    pub(super) from: Reach,
    pub(super) total: Duration,
}

/// An initialization section: what came of its address.
#[derive(Clone)]
pub(super) struct Init {
    pub(super) body: Bytes,
    /// In the clear, where its samples are encrypted.
    pub(super) opened: Result<Option<(Bytes, Arc<Protection>)>, CryptError>,
}

impl Init {
    fn new(body: Bytes) -> Self {
        let opened = samples::open(&body).map(|opened| opened.map(|(plain, how)| (plain, Arc::new(how))));
        Self { body, opened }
    }
}

/// What came of one address.
struct Known {
    map: Arc<Map>,
    rendition: Rendition,
    newest: Init,
    validators: Validators,
    /// When the newest was asked for, or was found to hold.
    asked_at: Moment,
    /// Which section was that of an era.
    eras: VecDeque<(u64, Init)>,
}

/// The sections of one source.
pub(super) struct Maps {
    clock: Clock,
    /// The last used is the last.
    known: Vec<Known>,
}

impl Maps {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, known: Vec::new() }
    }

    /// The section at `map` for who needs it.
    ///
    /// # Errors
    ///
    /// Of this attempt, as [`Segments::initialization`].
    pub(super) async fn find(
        &mut self,
        segments: &Segments,
        map: &Arc<Map>,
        need: Need,
    ) -> Result<Init, Error> {
        let now = self.clock.now();
        let at = self.known.iter().position(|known| known.rendition == need.rendition && known.map == *map);
        let Some(at) = at else {
            let fetched = segments.initialization(map, None, need.sequence, need.from, need.total).await?;
            // Without anything known there is a body.
            let Section::Changed { body, validators } = fetched else { return Err(not_asked_for(map)) };
            let init = Init::new(body);
            if self.known.len() == MAX_MAPS {
                self.known.remove(0);
            }
            self.known.push(Known {
                map: map.clone(),
                rendition: need.rendition,
                newest: init.clone(),
                validators,
                asked_at: now,
                eras: [(need.era, init.clone())].into(),
            });
            return Ok(init);
        };
        // The last used is the last.
        self.known[at..].rotate_left(1);
        let Some(known) = self.known.last_mut() else { return Err(not_asked_for(map)) };
        if let Some(init) = known.of(need.era) {
            return Ok(init);
        }
        if known.asked_at < need.listed_at {
            known.ask_again(segments, need, self.clock).await;
        }
        Ok(known.begin(need.era))
    }
}

impl Known {
    fn of(&self, era: u64) -> Option<Init> {
        self.eras.iter().rev().find(|(known, _)| *known == era).map(|(_, init)| init.clone())
    }

    /// The newest section is that of `era` too.
    fn begin(&mut self, era: u64) -> Init {
        if self.eras.len() == MAX_ERAS {
            self.eras.pop_front();
        }
        self.eras.push_back((era, self.newest.clone()));
        self.newest.clone()
    }

    /// Whether the newest still holds. An origin that does not answer leaves it what it was.
    async fn ask_again(&mut self, segments: &Segments, need: Need, clock: Clock) {
        let began = clock.now();
        let url = ShownUrl::url(&self.map.uri);
        loop {
            let total = need.total.min(AGAIN_TIME);
            let asked_at = clock.now();
            let known = Some(&self.validators);
            match segments.initialization(&self.map, known, need.sequence, need.from, total).await {
                Ok(Section::Unchanged) => self.asked_at = asked_at,
                Ok(Section::Changed { body, validators }) => {
                    (self.asked_at, self.validators) = (asked_at, validators);
                    // The same bytes stay in one place, by which whoever reads them knows them.
                    if body != self.newest.body {
                        info!(%url, bytes = body.len(), "initialization section changed under its address");
                        self.newest = Init::new(body);
                    }
                }
                Err(error) if error.is_transient() && clock.now() + AGAIN_EVERY < began + AGAIN_FOR => {
                    clock.sleep(AGAIN_EVERY).await;
                    continue;
                }
                Err(error) => {
                    warn!(%url, %error, "initialization section not fetched again; keeping the old one");
                }
            }
            return;
        }
    }
}

/// "Not modified", where nothing was known.
fn not_asked_for(map: &Map) -> Error {
    Error::Status { url: ShownUrl::url(&map.uri), status: 304 }
}
