//! What a source waits for: the requests for playlists and segments, each a future of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::fetch::Http;
use super::load::{Loader, Opened};
use super::playlist::{Map, Media, SegmentRef};
use super::segment::Segments;
use super::{Error, Settings};
use crate::media::Rendition;
use crate::policy::Reach;

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

/// An initialization section and its body.
type KnownMap = (Arc<Map>, Bytes);

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
        let init = match &segment.map {
            Some(map) => Some(self.fetch_map(map, segment.sequence, from, total).await?),
            None => None,
        };
        Ok(Fetched { init, data: self.segments.fetch(&segment, from, total).await? })
    }

    /// The body of an initialization section: the same bytes as long as the address, the range and the key are
    /// the same.
    async fn fetch_map(
        &self,
        map: &Arc<Map>,
        sequence: u64,
        from: Reach,
        total: Duration,
    ) -> Result<Bytes, Error> {
        // Held while it is fetched: the segments that need it too wait for it instead of asking again.
        let mut maps = self.maps.lock().await;
        if let Some((_, bytes)) = maps.iter().find(|(known, _)| known == map) {
            return Ok(bytes.clone());
        }
        let bytes = self.segments.initialization(map, sequence, from, total).await?;
        if maps.len() == MAX_MAPS {
            maps.remove(0);
        }
        maps.push((map.clone(), bytes.clone()));
        Ok(bytes)
    }
}
