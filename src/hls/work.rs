//! What a source waits for: the requests for playlists and segments, each a future of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::crypt::CryptError;
use super::crypt::samples::{self, Protection};
use super::fetch::Http;
use super::load::{Loader, Opened};
use super::playlist::{KeyMethod, Map, Media, SegmentRef};
use super::segment::Segments;
use super::{Error, Settings};
use crate::media::Rendition;
use crate::policy::Reach;
use crate::redact;

/// Initialization sections kept: a source that breaks for advertisements comes back to its own.
const MAX_MAPS: usize = 8;

/// A request on its way.
pub(super) type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What came of it.
pub(super) enum Done {
    Opened(Result<Opened, Error>),
    Playlist {
        rendition: Rendition,
        loader: Box<Loader>,
        result: Result<Media, Error>,
    },
    /// The playlist of a variant that is better than the one that is read.
    Tried {
        candidate: usize,
        loader: Box<Loader>,
        result: Result<Media, Error>,
    },
    Segment {
        rendition: Rendition,
        id: u64,
        result: Result<Fetched, Error>,
    },
}

/// A segment's body in the clear, and that of its initialization section.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) init: Option<Bytes>,
    pub(super) data: Bytes,
}

/// An initialization section: what came of its address.
#[derive(Clone)]
struct Init {
    body: Bytes,
    /// In the clear, where its samples are encrypted.
    opened: Result<Option<(Bytes, Arc<Protection>)>, CryptError>,
}

type KnownMap = (Arc<Map>, Init);

/// What every request needs.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: Arc<Http>,
    pub(super) settings: Arc<Settings>,
    segments: Arc<Segments>,
    maps: Arc<Mutex<Vec<KnownMap>>>,
}

impl Client {
    pub(super) fn new(http: Arc<Http>, settings: Arc<Settings>) -> Self {
        let segments = Arc::new(Segments::new(http.clone(), &settings));
        Self { http, settings, segments, maps: Arc::default() }
    }

    /// The segment and, where it has one, its initialization section: each is asked for once. The playlist
    /// that lists them is `from` away.
    pub(super) async fn fetch(
        self,
        segment: SegmentRef,
        from: Reach,
        total: Duration,
    ) -> Result<Fetched, Error> {
        let samples_encrypted = segment.key.as_ref().is_some_and(|key| key.method == KeyMethod::SampleAes);
        let (mut init, mut protection) = (None, None);
        if let Some(map) = &segment.map {
            let Init { body, opened } = self.fetch_map(map, segment.sequence, from, total).await?;
            init = Some(body);
            if samples_encrypted {
                let crypt = |source| Error::Crypt { url: redact::url(&map.uri), source };
                protection = match opened.map_err(crypt)? {
                    Some((plain, how)) => {
                        init = Some(plain);
                        Some(how)
                    }
                    None => Some(Arc::default()),
                };
            }
        }
        Ok(Fetched { init, data: self.segments.fetch(&segment, protection, from, total).await? })
    }

    /// An initialization section: the same bytes as long as the address, the range and the key are the same.
    async fn fetch_map(
        &self,
        map: &Arc<Map>,
        sequence: u64,
        from: Reach,
        total: Duration,
    ) -> Result<Init, Error> {
        // Held while it is fetched: the segments that need it too wait for it instead of asking again.
        let mut maps = self.maps.lock().await;
        if let Some((_, init)) = maps.iter().find(|(known, _)| known == map) {
            return Ok(init.clone());
        }
        let body = self.segments.initialization(map, sequence, from, total).await?;
        let opened = samples::open(&body).map(|opened| opened.map(|(plain, how)| (plain, Arc::new(how))));
        let init = Init { body, opened };
        if maps.len() == MAX_MAPS {
            maps.remove(0);
        }
        maps.push((map.clone(), init.clone()));
        Ok(init)
    }
}
